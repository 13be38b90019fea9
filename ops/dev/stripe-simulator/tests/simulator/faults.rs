//! Faults of requests: the response that the client sees, and the effects.

use crate::harness::{Harness, session_form};
use pvt_stripe_simulator::{FaultInjection, PayOutcome, RequestFault, RequestFaultKind};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn timeout_after_effect_with_retries_has_single_effect() {
    let harness = Harness::start().await;
    let session = harness.session("b-1").await;
    harness.control.pay(&session, PayOutcome::Success).unwrap();
    let intent = harness.control.object(&session).unwrap()["payment_intent"].as_str().unwrap().to_owned();
    let fault = RequestFault::new(RequestFaultKind::TimeoutAfterEffect).at("/v1/refunds").delay(Duration::ZERO).next(2);
    harness.control.set_faults(FaultInjection::of_requests(fault));
    let form = [("payment_intent", intent.as_str()), ("amount", "1000")];
    let refund = || harness.send("POST", "/v1/refunds", &form, Some("refund:b-1:2"));
    assert!(refund().await.is_err() && refund().await.is_err(), "no answer, twice");
    let third = refund().await.unwrap();
    assert_eq!(third.header("idempotent-replayed"), Some("true"));
    assert_eq!(third.ok()["amount"], 1_000);
    assert_eq!(harness.control.effects_of_key("refund:b-1:2").refunds, 1);
    assert_eq!(harness.control.effects_of_booking("b-1").refunded_amount, 1_000);
}

#[tokio::test]
async fn timeout_before_effect_has_no_effect() {
    let harness = Harness::start().await;
    harness.control.set_faults(FaultInjection::of_requests(
        RequestFault::new(RequestFaultKind::TimeoutBeforeEffect).delay(Duration::ZERO).next(1),
    ));
    assert!(harness.send("POST", "/v1/checkout/sessions", &session_form("b-1"), Some("k")).await.is_err());
    assert_eq!(harness.control.total().sessions, 0);
    let second = harness.send("POST", "/v1/checkout/sessions", &session_form("b-1"), Some("k")).await.unwrap();
    assert_eq!((second.status, second.header("idempotent-replayed")), (200, None));
}

#[tokio::test]
async fn request_of_disconnected_client_is_completed() {
    let harness = Harness::start().await;
    harness.control.set_faults(FaultInjection::of_requests(
        RequestFault::new(RequestFaultKind::Slow).delay(Duration::from_millis(300)).next(1),
    ));
    let form = session_form("b-1");
    let impatient = tokio::time::timeout(
        Duration::from_millis(100),
        harness.send("POST", "/v1/checkout/sessions", &form, Some("k")),
    );
    assert!(impatient.await.is_err());
    let answer = loop {
        let answer = harness.send("POST", "/v1/checkout/sessions", &form, Some("k")).await.unwrap();
        if answer.status != 409 {
            break answer;
        }
    };
    assert_eq!(
        (answer.status, answer.header("idempotent-replayed"), harness.control.total().sessions),
        (200, Some("true"), 1)
    );
}

#[tokio::test]
async fn faults_apply_to_configured_paths_and_are_set_over_http() {
    let harness = Harness::start().await;
    let set = async |body: serde_json::Value| {
        harness.http.post(format!("{}/sim/faults", harness.base)).json(&body).send().await.unwrap()
    };
    let body = json!({ "requests": [
        { "path": "/v1/refunds", "kind": "rate_limited", "retry_after_s": 7 },
        { "path": "/v1/checkout/sessions", "method": "POST", "kind": "server_error", "next": 1 },
        { "path": "/v1/events", "kind": "slow", "delay_ms": 200 },
        { "path": "/v1/disputes", "kind": "forbidden" },
    ] });
    assert_eq!(set(body).await.status(), 200);
    assert_eq!(harness.post("/v1/refunds", &[]).await.header("retry-after"), Some("7"));
    assert_eq!(harness.get("/v1/disputes", &[]).await.error(403)["type"], "invalid_request_error");
    assert_eq!(harness.get("/v1/checkout/sessions", &[]).await.status, 200);
    assert_eq!(harness.post("/v1/checkout/sessions", &session_form("b-1")).await.error(500)["type"], "api_error");
    assert_eq!(harness.post("/v1/checkout/sessions", &session_form("b-1")).await.status, 200);
    let begun = Instant::now();
    harness.get("/v1/events", &[]).await.ok();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(set(json!({ "requests": [{ "kind": "rate_limited", "probability": 0.0 }] })).await.status(), 200);
    assert_eq!(harness.post("/v1/checkout/sessions", &session_form("b-2")).await.status, 200);
    assert_eq!(set(json!({ "surprise": true })).await.status(), 422);
    let effects: serde_json::Value =
        harness.http.get(format!("{}/sim/effects.json", harness.base)).send().await.unwrap().json().await.unwrap();
    assert_eq!((&effects["total"]["sessions"], &effects["by_booking"]["b-1"]["sessions"]), (&2.into(), &1.into()));
}
