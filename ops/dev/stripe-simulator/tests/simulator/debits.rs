//! Bank debits: the guest is done long before the money is here.

use crate::harness::Rig;
use pvt_stripe_simulator::PayOutcome;

#[tokio::test]
async fn a_debit_is_paid_when_the_bank_says_so() {
    let rig = Rig::start().await;
    let id = rig.session("b-1").await;
    rig.control.pay(&id, PayOutcome::AsyncPending).unwrap();
    let session = rig.get(&format!("/v1/checkout/sessions/{id}"), &[("expand[]", "payment_intent")]).await.ok();
    assert_eq!(
        (&session["status"], &session["payment_status"], &session["payment_intent"]["status"]),
        (&"complete".into(), &"unpaid".into(), &"processing".into())
    );
    let begun = ["payment_intent.created", "charge.pending", "payment_intent.processing", "checkout.session.completed"];
    assert_eq!(rig.event_types().await, begun);
    assert_eq!(rig.control.total().charges, 0);
    assert!(rig.post(&format!("/v1/checkout/sessions/{id}/expire"), &[]).await.status == 400);

    rig.control.complete_async(&id, true).unwrap();
    let settled =
        ["charge.succeeded", "payment_intent.succeeded", "checkout.session.async_payment_succeeded", "charge.updated"];
    assert_eq!(rig.event_types().await[4..], settled);
    assert_eq!(rig.control.object(&id).unwrap()["payment_status"], "paid");
    assert_eq!(rig.control.total().captured_amount, 12_000);
    assert!(rig.control.complete_async(&id, false).is_err(), "it is settled");
}

#[tokio::test]
async fn a_debit_that_fails_takes_nothing() {
    let rig = Rig::start().await;
    let id = rig.session("b-1").await;
    rig.control.pay(&id, PayOutcome::AsyncFailure).unwrap();
    assert_eq!(
        rig.event_types().await[4..],
        ["charge.failed", "payment_intent.payment_failed", "checkout.session.async_payment_failed"]
    );
    assert_eq!(rig.control.object(&id).unwrap()["payment_status"], "unpaid");
    let total = rig.control.total();
    assert_eq!((total.charges, total.failed_charges, total.captured_amount), (0, 1, 0));
    assert!(rig.get("/v1/balance_transactions", &[]).await.ok()["data"].as_array().unwrap().is_empty());
}
