//! Bank debits: the session is completed long before the debit is settled.

use crate::harness::Harness;
use pvt_stripe_simulator::PayOutcome;

#[tokio::test]
async fn bank_debit_succeeds_after_bank_confirmation() {
    let harness = Harness::start().await;
    let id = harness.session("b-1").await;
    harness.control.pay(&id, PayOutcome::AsyncPending).unwrap();
    let session = harness.get(&format!("/v1/checkout/sessions/{id}"), &[("expand[]", "payment_intent")]).await.ok();
    assert_eq!(
        (&session["status"], &session["payment_status"], &session["payment_intent"]["status"]),
        (&"complete".into(), &"unpaid".into(), &"processing".into())
    );
    let begun = ["payment_intent.created", "charge.pending", "payment_intent.processing", "checkout.session.completed"];
    assert_eq!(harness.event_types().await, begun);
    assert_eq!(harness.control.total().charges, 0);
    assert!(harness.post(&format!("/v1/checkout/sessions/{id}/expire"), &[]).await.status == 400);

    harness.control.complete_async(&id, true).unwrap();
    let settled =
        ["charge.succeeded", "payment_intent.succeeded", "checkout.session.async_payment_succeeded", "charge.updated"];
    assert_eq!(harness.event_types().await[4..], settled);
    assert_eq!(harness.control.object(&id).unwrap()["payment_status"], "paid");
    assert_eq!(harness.control.total().captured_amount, 12_000);
    assert!(harness.control.complete_async(&id, false).is_err(), "it is settled");
}

#[tokio::test]
async fn failed_bank_debit_captures_nothing() {
    let harness = Harness::start().await;
    let id = harness.session("b-1").await;
    harness.control.pay(&id, PayOutcome::AsyncFailure).unwrap();
    assert_eq!(
        harness.event_types().await[4..],
        ["charge.failed", "payment_intent.payment_failed", "checkout.session.async_payment_failed"]
    );
    assert_eq!(harness.control.object(&id).unwrap()["payment_status"], "unpaid");
    let total = harness.control.total();
    assert_eq!((total.charges, total.failed_charges, total.captured_amount), (0, 1, 0));
    assert!(harness.get("/v1/balance_transactions", &[]).await.ok()["data"].as_array().unwrap().is_empty());
}
