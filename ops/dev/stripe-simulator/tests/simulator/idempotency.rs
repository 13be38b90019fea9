//! Idempotency keys as Stripe documents them.

use crate::harness::{Harness, session_form};
use pvt_stripe_simulator::{FaultInjection, PayOutcome, RequestFault, RequestFaultKind};
use std::time::Duration;

#[tokio::test]
async fn same_key_replays_response_without_second_effect() {
    let harness = Harness::start().await;
    let create = async |booking| {
        harness.send("POST", "/v1/checkout/sessions", &session_form(booking), Some("checkout:b-1:1")).await.unwrap()
    };
    let (first, second) = (create("b-1").await, create("b-1").await);
    assert_eq!((first.status, &first.text), (second.status, &second.text));
    assert_eq!((first.header("idempotent-replayed"), second.header("idempotent-replayed")), (None, Some("true")));
    assert_eq!(second.header("original-request"), first.header("request-id"));
    assert_eq!(second.header("idempotency-key"), Some("checkout:b-1:1"));
    assert_eq!(harness.control.effects_of_key("checkout:b-1:1").sessions, 1);

    let error = create("b-2").await.error(400);
    assert_eq!(error["type"], "idempotency_error");
    let other_path = harness.send("POST", "/v1/refunds", &[("charge", "ch_x")], Some("checkout:b-1:1")).await.unwrap();
    assert_eq!(other_path.error(400)["type"], "idempotency_error");
    assert_eq!(harness.control.total().sessions, 1);
}

#[tokio::test]
async fn parameter_order_does_not_matter_for_idempotency() {
    let harness = Harness::start().await;
    let mut form = session_form("b-1");
    let first = harness.send("POST", "/v1/checkout/sessions", &form, Some("k")).await.unwrap();
    form.reverse();
    assert_eq!(harness.send("POST", "/v1/checkout/sessions", &form, Some("k")).await.unwrap().text, first.text);
}

#[tokio::test]
async fn key_in_use_is_conflict() {
    let harness = Harness::start().await;
    harness.control.set_faults(FaultInjection::of_requests(
        RequestFault::new(RequestFaultKind::Slow).delay(Duration::from_secs(1)).next(1),
    ));
    let form = session_form("b-1");
    let send = || harness.send("POST", "/v1/checkout/sessions", &form, Some("k"));
    let (one, other) = tokio::join!(send(), send());
    let (mut one, mut other) = (one.unwrap(), other.unwrap());
    if one.status == 409 {
        std::mem::swap(&mut one, &mut other);
    }
    one.ok();
    assert_eq!(other.error(409)["code"], "idempotency_key_in_use");
    assert_eq!(other.header("stripe-should-retry"), Some("true"));
    assert_eq!(send().await.unwrap().header("idempotent-replayed"), Some("true"));
    assert_eq!(harness.control.total().sessions, 1);
}

#[tokio::test]
async fn only_executed_requests_are_remembered() {
    let harness = Harness::start().await;
    let mut bad = session_form("b-1");
    bad.push(("nonsense", "1"));
    harness.send("POST", "/v1/checkout/sessions", &bad, Some("k1")).await.unwrap().error(400);
    let id = harness.send("POST", "/v1/checkout/sessions", &session_form("b-1"), Some("k1")).await.unwrap().ok()["id"]
        .as_str()
        .unwrap()
        .to_owned();

    harness.control.set_faults(FaultInjection::of_requests(RequestFault::new(RequestFaultKind::RateLimited).next(1)));
    let limited = harness.send("POST", "/v1/checkout/sessions", &session_form("b-2"), Some("k2")).await.unwrap();
    assert_eq!((limited.error(429)["code"].as_str(), limited.header("retry-after")), (Some("rate_limit"), Some("1")));
    harness.send("POST", "/v1/checkout/sessions", &session_form("b-2"), Some("k2")).await.unwrap().ok();

    harness
        .control
        .set_faults(FaultInjection::of_requests(RequestFault::new(RequestFaultKind::ServerErrorKept).next(1)));
    for _ in 0..2 {
        harness.send("POST", "/v1/checkout/sessions", &session_form("b-3"), Some("k3")).await.unwrap().error(500);
    }
    assert_eq!(harness.control.effects_of_booking("b-3").sessions, 0);

    harness.control.pay(&id, PayOutcome::Success).unwrap();
    let charge = harness.get("/v1/charges", &[]).await.ok()["data"][0]["id"].as_str().unwrap().to_owned();
    let refuse = async || {
        harness.send("POST", "/v1/refunds", &[("charge", &charge), ("amount", "99999")], Some("k4")).await.unwrap()
    };
    refuse().await.error(400);
    assert_eq!(refuse().await.header("idempotent-replayed"), Some("true"), "execution had begun");
}

#[tokio::test]
async fn server_error_after_effect_is_remembered_with_single_effect() {
    let harness = Harness::start().await;
    harness
        .control
        .set_faults(FaultInjection::of_requests(RequestFault::new(RequestFaultKind::ServerErrorAfterEffect).next(1)));
    for _ in 0..3 {
        harness.send("POST", "/v1/checkout/sessions", &session_form("b-1"), Some("k")).await.unwrap().error(500);
    }
    assert_eq!(harness.control.effects_of_booking("b-1").sessions, 1);
}
