//! PaymentIntents, for apps that collect cards themselves.

use crate::harness::Harness;
use serde_json::Value;

async fn create(harness: &Harness, more: &[(&str, &str)]) -> Value {
    let form = [&[("amount", "5000"), ("currency", "CAD"), ("metadata[booking_id]", "b-1")], more].concat();
    harness.post("/v1/payment_intents", &form).await.ok()
}

fn path(intent: &Value, action: &str) -> String {
    format!("/v1/payment_intents/{}/{action}", intent["id"].as_str().unwrap())
}

#[tokio::test]
async fn payment_intent_is_confirmed_with_test_card() {
    let harness = Harness::start().await;
    let intent = create(&harness, &[("automatic_payment_methods[enabled]", "true")]).await;
    assert_eq!(
        (&intent["status"], &intent["currency"], &intent["latest_charge"]),
        (&"requires_payment_method".into(), &"cad".into(), &Value::Null)
    );
    assert!(
        intent["client_secret"].as_str().unwrap().starts_with(&format!("{}_secret_", intent["id"].as_str().unwrap()))
    );
    let paid = harness.post(&path(&intent, "confirm"), &[("payment_method", "pm_card_visa")]).await.ok();
    assert_eq!((&paid["status"], &paid["amount_received"]), (&"succeeded".into(), &5_000.into()));
    assert_eq!(
        harness.event_types().await,
        ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "charge.updated"]
    );
    let again = harness.post(&path(&intent, "confirm"), &[("payment_method", "pm_card_visa")]).await.error(400);
    assert_eq!(
        (&again["code"], &again["payment_intent"]["status"]),
        (&"payment_intent_unexpected_state".into(), &"succeeded".into())
    );
    assert_eq!(harness.post(&path(&intent, "cancel"), &[]).await.error(400)["code"], "payment_intent_unexpected_state");
    assert_eq!(harness.control.effects_of_booking("b-1").charges, 1);
}

#[tokio::test]
async fn declined_card_is_card_error_and_can_be_retried() {
    let harness = Harness::start().await;
    let intent = create(&harness, &[]).await;
    let error =
        harness.post(&path(&intent, "confirm"), &[("payment_method", "pm_card_chargeDeclined")]).await.error(402);
    assert_eq!(
        (&error["type"], &error["code"], &error["decline_code"]),
        (&"card_error".into(), &"card_declined".into(), &"generic_decline".into())
    );
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    let canceled = harness.post(&path(&intent, "cancel"), &[("cancellation_reason", "abandoned")]).await.ok();
    assert_eq!((&canceled["status"], &canceled["cancellation_reason"]), (&"canceled".into(), &"abandoned".into()));
    assert_eq!(
        harness.event_types().await,
        ["payment_intent.created", "charge.failed", "payment_intent.payment_failed", "payment_intent.canceled"]
    );
    assert_eq!(harness.control.effects_of_booking("b-1").charges, 0);
}

#[tokio::test]
async fn authorized_amount_is_captured_partially_or_released() {
    let harness = Harness::start().await;
    let manual = [("capture_method", "manual"), ("confirm", "true"), ("payment_method", "pm_card_visa")];
    let intent = create(&harness, &manual).await;
    assert_eq!(
        (&intent["status"], &intent["amount_capturable"], &intent["amount_received"]),
        (&"requires_capture".into(), &5_000.into(), &0.into())
    );
    assert_eq!(
        harness.post(&path(&intent, "capture"), &[("amount_to_capture", "5001")]).await.error(400)["code"],
        "amount_too_large"
    );
    let captured = harness.post(&path(&intent, "capture"), &[("amount_to_capture", "3000")]).await.ok();
    assert_eq!(
        (&captured["status"], &captured["amount_received"], &captured["amount_capturable"]),
        (&"succeeded".into(), &3_000.into(), &0.into())
    );
    assert_eq!(harness.event_types().await[2], "payment_intent.amount_capturable_updated");

    let other = create(&harness, &manual).await;
    harness.post(&path(&other, "cancel"), &[]).await.ok();
    assert!(
        harness.event_types().await.ends_with(&["charge.refunded".to_owned(), "payment_intent.canceled".to_owned()])
    );
    assert_eq!(harness.control.total().captured_amount, 3_000);
    assert_eq!(
        harness.post("/v1/refunds", &[("payment_intent", captured["id"].as_str().unwrap())]).await.ok()["amount"],
        3_000,
        "not more than was captured"
    );
}

#[tokio::test]
async fn test_cards_cause_disputes_and_failing_refunds() {
    let harness = Harness::start().await;
    create(&harness, &[("confirm", "true"), ("payment_method", "pm_card_createDispute")]).await;
    assert_eq!(harness.control.total().disputes, 1);
    let pending = create(&harness, &[("confirm", "true"), ("payment_method", "pm_card_pendingRefund")]).await;
    assert_eq!(
        harness.post("/v1/refunds", &[("payment_intent", pending["id"].as_str().unwrap())]).await.ok()["status"],
        "pending"
    );
    let debit = create(&harness, &[("confirm", "true"), ("payment_method", "pm_bankDebit")]).await;
    assert_eq!(debit["status"], "processing");
    assert_eq!(
        harness
            .post("/v1/payment_intents", &[("amount", "5000"), ("currency", "cad"), ("payment_method", "pm_nonsense")])
            .await
            .error(404)["code"],
        "resource_missing"
    );
}
