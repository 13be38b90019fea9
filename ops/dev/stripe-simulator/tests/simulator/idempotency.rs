//! Idempotency keys, as Stripe documents them.

use crate::harness::{Rig, session_form};
use pvt_stripe_simulator::{Faults, PayOutcome, RequestFault, RequestFaultKind};
use std::time::Duration;

#[tokio::test]
async fn the_same_key_gives_the_same_answer_and_no_second_effect() {
    let rig = Rig::start().await;
    let create = async |booking| {
        rig.send("POST", "/v1/checkout/sessions", &session_form(booking), Some("checkout:b-1:1")).await.unwrap()
    };
    let (first, second) = (create("b-1").await, create("b-1").await);
    assert_eq!((first.status, &first.text), (second.status, &second.text));
    assert_eq!((first.header("idempotent-replayed"), second.header("idempotent-replayed")), (None, Some("true")));
    assert_eq!(second.header("original-request"), first.header("request-id"));
    assert_eq!(second.header("idempotency-key"), Some("checkout:b-1:1"));
    assert_eq!(rig.control.effects_of_key("checkout:b-1:1").sessions, 1);

    let error = create("b-2").await.error(400);
    assert_eq!(error["type"], "idempotency_error");
    let other_path = rig.send("POST", "/v1/refunds", &[("charge", "ch_x")], Some("checkout:b-1:1")).await.unwrap();
    assert_eq!(other_path.error(400)["type"], "idempotency_error");
    assert_eq!(rig.control.total().sessions, 1);
}

#[tokio::test]
async fn the_order_of_parameters_is_no_difference() {
    let rig = Rig::start().await;
    let mut form = session_form("b-1");
    let first = rig.send("POST", "/v1/checkout/sessions", &form, Some("k")).await.unwrap();
    form.reverse();
    assert_eq!(rig.send("POST", "/v1/checkout/sessions", &form, Some("k")).await.unwrap().text, first.text);
}

#[tokio::test]
async fn a_key_in_use_is_a_conflict() {
    let rig = Rig::start().await;
    rig.control.set_faults(Faults::of_requests(
        RequestFault::new(RequestFaultKind::Slow).delay(Duration::from_secs(1)).next(1),
    ));
    let form = session_form("b-1");
    let send = || rig.send("POST", "/v1/checkout/sessions", &form, Some("k"));
    let (one, other) = tokio::join!(send(), send());
    let (mut one, mut other) = (one.unwrap(), other.unwrap());
    if one.status == 409 {
        std::mem::swap(&mut one, &mut other);
    }
    one.ok();
    assert_eq!(other.error(409)["code"], "idempotency_key_in_use");
    assert_eq!(other.header("stripe-should-retry"), Some("true"));
    assert_eq!(send().await.unwrap().header("idempotent-replayed"), Some("true"));
    assert_eq!(rig.control.total().sessions, 1);
}

#[tokio::test]
async fn what_never_began_is_not_remembered_and_what_began_is() {
    let rig = Rig::start().await;
    let mut bad = session_form("b-1");
    bad.push(("nonsense", "1"));
    rig.send("POST", "/v1/checkout/sessions", &bad, Some("k1")).await.unwrap().error(400);
    let id = rig.send("POST", "/v1/checkout/sessions", &session_form("b-1"), Some("k1")).await.unwrap().ok()["id"]
        .as_str()
        .unwrap()
        .to_owned();

    rig.control.set_faults(Faults::of_requests(RequestFault::new(RequestFaultKind::RateLimited).next(1)));
    let limited = rig.send("POST", "/v1/checkout/sessions", &session_form("b-2"), Some("k2")).await.unwrap();
    assert_eq!((limited.error(429)["code"].as_str(), limited.header("retry-after")), (Some("rate_limit"), Some("1")));
    rig.send("POST", "/v1/checkout/sessions", &session_form("b-2"), Some("k2")).await.unwrap().ok();

    rig.control.set_faults(Faults::of_requests(RequestFault::new(RequestFaultKind::ServerErrorKept).next(1)));
    for _ in 0..2 {
        rig.send("POST", "/v1/checkout/sessions", &session_form("b-3"), Some("k3")).await.unwrap().error(500);
    }
    assert_eq!(rig.control.effects_of_booking("b-3").sessions, 0);

    rig.control.pay(&id, PayOutcome::Success).unwrap();
    let charge = rig.get("/v1/charges", &[]).await.ok()["data"][0]["id"].as_str().unwrap().to_owned();
    let refuse = async || {
        rig.send("POST", "/v1/refunds", &[("charge", &charge), ("amount", "99999")], Some("k4")).await.unwrap()
    };
    refuse().await.error(400);
    assert_eq!(refuse().await.header("idempotent-replayed"), Some("true"), "execution had begun");
}

#[tokio::test]
async fn a_500_after_the_effect_is_remembered_with_its_one_effect() {
    let rig = Rig::start().await;
    rig.control.set_faults(Faults::of_requests(RequestFault::new(RequestFaultKind::ServerErrorAfterEffect).next(1)));
    for _ in 0..3 {
        rig.send("POST", "/v1/checkout/sessions", &session_form("b-1"), Some("k")).await.unwrap().error(500);
    }
    assert_eq!(rig.control.effects_of_booking("b-1").sessions, 1);
}
