//! Checkout Sessions: creation, expiry, and a guest who pays.

use crate::harness::{Harness, session_form, texts};
use pvt_stripe_simulator::PayOutcome;
use serde_json::Value;

fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

#[tokio::test]
async fn session_has_stripe_shape_and_no_payment_intent_until_paid() {
    let harness = Harness::start().await;
    let answer = harness.post("/v1/checkout/sessions", &session_form("b-1")).await;
    assert!(answer.header("request-id").unwrap().starts_with("req_"));
    assert_eq!(answer.header("stripe-version"), Some("2025-03-31.basil"));
    let session = answer.ok();
    let id = session["id"].as_str().unwrap();
    assert!(id.starts_with("cs_test_"));
    assert_eq!(session["amount_total"], 12_000);
    assert_eq!(
        (&session["status"], &session["payment_status"], &session["payment_intent"]),
        (&"open".into(), &"unpaid".into(), &Value::Null)
    );
    assert_eq!(session["metadata"]["booking_id"], "b-1");
    assert_eq!(session["url"], format!("{}/pay/{id}", harness.base));
    assert_eq!(session["expires_at"].as_i64().unwrap() - session["created"].as_i64().unwrap(), 86_400);

    harness.control.pay(id, PayOutcome::Success).unwrap();
    let paid =
        harness.get(&format!("/v1/checkout/sessions/{id}"), &[("expand[]", "payment_intent.latest_charge")]).await.ok();
    assert_eq!(
        (&paid["status"], &paid["payment_status"], &paid["url"]),
        (&"complete".into(), &"paid".into(), &Value::Null)
    );
    let intent = &paid["payment_intent"];
    assert_eq!(
        (&intent["status"], &intent["amount_received"], &intent["metadata"]["booking_id"]),
        (&"succeeded".into(), &12_000.into(), &"b-1".into())
    );
    let charge = &intent["latest_charge"];
    assert_eq!(
        (&charge["paid"], &charge["metadata"]["booking_id"], &charge["payment_intent"]),
        (&true.into(), &"b-1".into(), &intent["id"])
    );

    let query = [("payment_intent", intent["id"].as_str().unwrap())];
    assert_eq!(texts(&harness.get("/v1/checkout/sessions", &query).await.ok(), "id"), [id]);
    assert_eq!(texts(&harness.get("/v1/charges", &query).await.ok(), "id"), [charge["id"].as_str().unwrap()]);
    let line =
        harness.get("/v1/balance_transactions", &[("source", charge["id"].as_str().unwrap())]).await.ok()["data"][0]
            .clone();
    assert_eq!(
        (&line["amount"], &line["fee"], &line["net"], &line["reporting_category"]),
        (&12_000.into(), &378.into(), &11_622.into(), &"charge".into())
    );
    assert_eq!(line["id"], charge["balance_transaction"]);
    let effects = harness.control.effects_of_booking("b-1");
    assert_eq!((effects.sessions, effects.charges, effects.captured_amount, effects.refunds), (1, 1, 12_000, 0));
    assert_eq!(harness.control.pay(id, PayOutcome::Success).unwrap_err().status, 400, "a session is paid once");
    assert_eq!(harness.control.total().charges, 1);
}

#[tokio::test]
async fn session_expiry_is_between_30_minutes_and_24_hours() {
    let harness = Harness::start().await;
    let create = async |seconds: i64| {
        let at = (now() + seconds).to_string();
        let mut form = session_form("b");
        form.push(("expires_at", &at));
        harness.post("/v1/checkout/sessions", &form).await
    };
    let error = create(29 * 60).await.error(400);
    assert_eq!((&error["type"], &error["param"]), (&"invalid_request_error".into(), &"expires_at".into()));
    assert!(error["message"].as_str().unwrap().contains("at least 30 minutes"), "{error}");
    assert!(create(86_400 + 60).await.error(400)["message"].as_str().unwrap().contains("less than 24 hours"));
    create(30 * 60).await.ok();
    assert_eq!(harness.control.total().sessions, 1);
}

#[tokio::test]
async fn only_open_sessions_expire_and_expired_ones_cannot_be_paid() {
    let harness = Harness::start().await;
    let (one, two) = (harness.session("b-1").await, harness.session("b-2").await);
    let expire = async |id: &str| harness.post(&format!("/v1/checkout/sessions/{id}/expire"), &[]).await;
    let expired = expire(&one).await.ok();
    assert_eq!((&expired["status"], &expired["url"]), (&"expired".into(), &Value::Null));
    let error = expire(&one).await.error(400);
    assert!(error["message"].as_str().unwrap().contains("status of `expired`"), "{error}");
    assert!(harness.control.pay(&one, PayOutcome::Success).is_err());
    harness.control.pay(&two, PayOutcome::Success).unwrap();
    assert!(expire(&two).await.error(400)["message"].as_str().unwrap().contains("status of `complete`"));
    assert_eq!(harness.event_types().await[0], "checkout.session.expired");
    assert_eq!((harness.control.total().expired, harness.control.total().charges), (1, 1));
}

#[tokio::test]
async fn declined_card_leaves_session_open() {
    let harness = Harness::start().await;
    let id = harness.session("b-1").await;
    harness.control.pay(&id, PayOutcome::Declined).unwrap();
    assert_eq!(
        harness.event_types().await,
        ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]
    );
    let session = harness.get(&format!("/v1/checkout/sessions/{id}"), &[("expand[]", "payment_intent")]).await.ok();
    assert_eq!(
        (&session["status"], &session["payment_intent"]["status"]),
        (&"open".into(), &"requires_payment_method".into())
    );
    assert_eq!(session["payment_intent"]["last_payment_error"]["code"], "card_declined");
    harness.control.pay(&id, PayOutcome::Success).unwrap();
    let total = harness.control.total();
    assert_eq!((total.charges, total.failed_charges, total.payment_intents), (1, 1, 1));
}

#[tokio::test]
async fn invalid_parameters_are_refused_with_stripe_errors() {
    let harness = Harness::start().await;
    let with = |name: &'static str, value: &'static str| {
        let mut form = session_form("b");
        form.retain(|(key, _)| *key != name);
        form.push((name, value));
        form
    };
    for (name, value, code, param) in [
        (
            "line_items[0][price_data][unit_amount]",
            "12.5",
            "parameter_invalid_integer",
            "line_items[0][price_data][unit_amount]",
        ),
        (
            "line_items[0][price_data][product_data][name]",
            "",
            "parameter_missing",
            "line_items[0][price_data][product_data][name]",
        ),
        ("line_items[0][price_data][unit_amount]", "10", "amount_too_small", "line_items"),
        ("success_url", "javascript:alert(1)", "url_invalid", "success_url"),
        ("hostel", "x", "parameter_unknown", "hostel"),
    ] {
        let error = harness.post("/v1/checkout/sessions", &with(name, value)).await.error(400);
        assert_eq!(
            (error["code"].as_str(), error["type"].as_str()),
            (Some(code), Some("invalid_request_error")),
            "{error}"
        );
        if code != "parameter_unknown" {
            assert_eq!(error["param"], param);
        }
    }
    let missing = harness.get("/v1/checkout/sessions/cs_test_nope", &[]).await.error(404);
    assert_eq!(missing["code"], "resource_missing");
    for (header, value) in
        [("authorization", "Bearer pk_test_x"), ("authorization", "Bearer sk_live_x"), ("x-none", "x")]
    {
        let answer =
            harness.http.get(format!("{}/v1/events", harness.base)).header(header, value).send().await.unwrap();
        assert_eq!(answer.status(), 401);
        let error: Value = answer.json().await.unwrap();
        assert_eq!(error["error"]["type"], "invalid_request_error");
    }
}
