//! Faults of requests: what the client sees, and what really happened.

use crate::harness::{Rig, session_form};
use pvt_stripe_simulator::{Faults, PayOutcome, RequestFault, RequestFaultKind};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_timeout_after_the_effect_leaves_one_effect_however_often_it_is_tried() {
    let rig = Rig::start().await;
    let session = rig.session("b-1").await;
    rig.control.pay(&session, PayOutcome::Success).unwrap();
    let intent = rig.control.object(&session).unwrap()["payment_intent"].as_str().unwrap().to_owned();
    let fault = RequestFault::new(RequestFaultKind::TimeoutAfterEffect).at("/v1/refunds").delay(Duration::ZERO).next(2);
    rig.control.set_faults(Faults::of_requests(fault));
    let form = [("payment_intent", intent.as_str()), ("amount", "1000")];
    let refund = || rig.send("POST", "/v1/refunds", &form, Some("refund:b-1:2"));
    assert!(refund().await.is_err() && refund().await.is_err(), "no answer, twice");
    let third = refund().await.unwrap();
    assert_eq!(third.header("idempotent-replayed"), Some("true"));
    assert_eq!(third.ok()["amount"], 1_000);
    assert_eq!(rig.control.effects_of_key("refund:b-1:2").refunds, 1);
    assert_eq!(rig.control.effects_of_booking("b-1").refunded_amount, 1_000);
}

#[tokio::test]
async fn a_timeout_before_the_effect_leaves_none() {
    let rig = Rig::start().await;
    rig.control.set_faults(Faults::of_requests(
        RequestFault::new(RequestFaultKind::TimeoutBeforeEffect).delay(Duration::ZERO).next(1),
    ));
    assert!(rig.send("POST", "/v1/checkout/sessions", &session_form("b-1"), Some("k")).await.is_err());
    assert_eq!(rig.control.total().sessions, 0);
    let second = rig.send("POST", "/v1/checkout/sessions", &session_form("b-1"), Some("k")).await.unwrap();
    assert_eq!((second.status, second.header("idempotent-replayed")), (200, None));
}

#[tokio::test]
async fn a_request_whose_client_left_is_finished() {
    let rig = Rig::start().await;
    rig.control.set_faults(Faults::of_requests(
        RequestFault::new(RequestFaultKind::Slow).delay(Duration::from_millis(300)).next(1),
    ));
    let form = session_form("b-1");
    let impatient =
        tokio::time::timeout(Duration::from_millis(100), rig.send("POST", "/v1/checkout/sessions", &form, Some("k")));
    assert!(impatient.await.is_err());
    let answer = loop {
        let answer = rig.send("POST", "/v1/checkout/sessions", &form, Some("k")).await.unwrap();
        if answer.status != 409 {
            break answer;
        }
    };
    assert_eq!(
        (answer.status, answer.header("idempotent-replayed"), rig.control.total().sessions),
        (200, Some("true"), 1)
    );
}

#[tokio::test]
async fn faults_strike_where_they_are_set_and_can_be_set_over_http() {
    let rig = Rig::start().await;
    let set = async |body: serde_json::Value| {
        rig.http.post(format!("{}/sim/faults", rig.base)).json(&body).send().await.unwrap()
    };
    let body = json!({ "requests": [
        { "path": "/v1/refunds", "kind": "rate_limited", "retry_after_s": 7 },
        { "path": "/v1/checkout/sessions", "method": "POST", "kind": "server_error", "next": 1 },
        { "path": "/v1/events", "kind": "slow", "delay_ms": 200 },
    ] });
    assert_eq!(set(body).await.status(), 200);
    assert_eq!(rig.post("/v1/refunds", &[]).await.header("retry-after"), Some("7"));
    assert_eq!(rig.get("/v1/checkout/sessions", &[]).await.status, 200);
    assert_eq!(rig.post("/v1/checkout/sessions", &session_form("b-1")).await.error(500)["type"], "api_error");
    assert_eq!(rig.post("/v1/checkout/sessions", &session_form("b-1")).await.status, 200);
    let begun = Instant::now();
    rig.get("/v1/events", &[]).await.ok();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(set(json!({ "requests": [{ "kind": "rate_limited", "probability": 0.0 }] })).await.status(), 200);
    assert_eq!(rig.post("/v1/checkout/sessions", &session_form("b-2")).await.status, 200);
    assert_eq!(set(json!({ "surprise": true })).await.status(), 422);
    let effects: serde_json::Value =
        rig.http.get(format!("{}/sim/effects.json", rig.base)).send().await.unwrap().json().await.unwrap();
    assert_eq!((&effects["total"]["sessions"], &effects["by_booking"]["b-1"]["sessions"]), (&2.into(), &1.into()));
}
