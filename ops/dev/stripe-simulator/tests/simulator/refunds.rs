//! Refunds: their limit and their outcomes.

use crate::harness::{Harness, texts, within};
use pvt_stripe_simulator::{PayOutcome, RefundOutcome};

async fn paid(harness: &Harness, booking: &str) -> String {
    let session = harness.session(booking).await;
    harness.control.pay(&session, PayOutcome::Success).unwrap();
    harness.control.object(&session).unwrap()["payment_intent"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn refunds_never_exceed_captured_amount() {
    let harness = Harness::start().await;
    let intent = paid(&harness, "b-1").await;
    let refund = async |amount: &str| {
        harness
            .post("/v1/refunds", &[("payment_intent", &intent), ("amount", amount), ("metadata[booking_id]", "b-1")])
            .await
    };
    let error = refund("12001").await.error(400);
    assert_eq!((&error["type"], &error["param"]), (&"invalid_request_error".into(), &"amount".into()));
    let first = refund("5000").await.ok();
    assert_eq!(
        (&first["object"], &first["amount"], &first["status"], &first["currency"]),
        (&"refund".into(), &5_000.into(), &"succeeded".into(), &"cad".into())
    );
    assert!(refund("7001").await.error(400)["message"].as_str().unwrap().contains("(70.00 CAD)"));
    let rest = harness
        .post("/v1/refunds", &[("charge", first["charge"].as_str().unwrap()), ("reason", "requested_by_customer")])
        .await
        .ok();
    assert_eq!(rest["amount"], 7_000);
    assert_eq!(refund("1").await.error(400)["code"], "charge_already_refunded");

    let charge = harness.get(&format!("/v1/charges/{}", first["charge"].as_str().unwrap()), &[]).await.ok();
    assert_eq!((&charge["amount_refunded"], &charge["refunded"]), (&12_000.into(), &true.into()));
    let ids = [rest["id"].as_str().unwrap(), first["id"].as_str().unwrap()];
    assert_eq!(texts(&harness.get("/v1/refunds", &[("payment_intent", &intent)]).await.ok(), "id"), ids);
    assert_eq!(
        texts(
            &harness.get("/v1/refunds", &[("charge", charge["id"].as_str().unwrap()), ("limit", "1")]).await.ok(),
            "id"
        ),
        ids[..1]
    );
    let lines = harness.get("/v1/balance_transactions", &[("type", "refund")]).await.ok();
    let amounts: Vec<_> = lines["data"].as_array().unwrap().iter().map(|line| line["net"].as_i64().unwrap()).collect();
    assert_eq!(amounts, [-7_000, -5_000]);
    let effects = harness.control.effects_of_booking("b-1");
    assert_eq!((effects.refunds, effects.refunded_amount), (2, 12_000));
    let types = harness.event_types().await;
    assert_eq!(types[5..9], ["refund.created", "charge.refunded", "refund.updated", "charge.refund.updated"]);
}

#[tokio::test]
async fn pending_refund_waits_for_bank() {
    let harness = Harness::start().await;
    let intent = paid(&harness, "b-1").await;
    harness.control.next_refunds([RefundOutcome::Pending]);
    let id = harness.post("/v1/refunds", &[("payment_intent", &intent)]).await.ok();
    assert_eq!(id["status"], "pending");
    let id = id["id"].as_str().unwrap();
    harness.control.settle_refund(id, true).unwrap();
    assert_eq!(harness.get(&format!("/v1/refunds/{id}"), &[]).await.ok()["status"], "succeeded");
    assert!(harness.control.settle_refund(id, true).is_err());
    assert!(harness.event_types().await.ends_with(&["refund.updated".to_owned(), "charge.refund.updated".to_owned()]));
}

#[tokio::test]
async fn failed_refund_can_be_repeated() {
    let harness = Harness::start().await;
    let intent = paid(&harness, "b-1").await;
    harness.control.next_refunds([RefundOutcome::FailedLater]);
    let refund = harness.post("/v1/refunds", &[("payment_intent", &intent)]).await.ok();
    assert_eq!(refund["status"], "succeeded");
    within(async {
        while !harness.inbox.types().contains(&"refund.failed".to_owned()) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let failed = harness.get(&format!("/v1/refunds/{}", refund["id"].as_str().unwrap()), &[]).await.ok();
    assert_eq!((&failed["status"], &failed["failure_reason"]), (&"failed".into(), &"expired_or_canceled_card".into()));
    let back = harness
        .get(&format!("/v1/balance_transactions/{}", failed["failure_balance_transaction"].as_str().unwrap()), &[])
        .await
        .ok();
    assert_eq!((&back["amount"], &back["reporting_category"]), (&12_000.into(), &"refund_failure".into()));
    harness.post("/v1/refunds", &[("payment_intent", &intent)]).await.ok();
    let effects = harness.control.effects_of_booking("b-1");
    assert_eq!((effects.refunds, effects.failed_refunds, effects.refunded_amount), (2, 1, 12_000));
}

#[tokio::test]
async fn dashboard_refunds_are_supported() {
    let harness = Harness::start().await;
    let intent = paid(&harness, "b-1").await;
    harness.control.refund(&intent, Some(2_000)).unwrap();
    let event = harness.get("/v1/events", &[("type", "refund.created")]).await.ok()["data"][0].clone();
    assert_eq!(
        (&event["data"]["object"]["amount"], &event["request"]["id"]),
        (&2_000.into(), &serde_json::Value::Null)
    );
    assert_eq!(harness.control.refund(&intent, Some(10_001)).unwrap_err().status, 400);
    harness.control.refund(&intent, None).unwrap();
    assert_eq!(harness.control.effects_of_booking("b-1").refunded_amount, 12_000);
}
