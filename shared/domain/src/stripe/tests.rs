//! Events read as Stripe documents them.

use super::{Event, EventError, IntentStatus, Object, RefundStatus, SessionPayment, SessionStatus};
use serde_json::{Value, json};

fn event(kind: &str, object: Value) -> Value {
    json!({ "id": "evt_1", "object": "event", "api_version": "2025-09-30.clover", "created": 1_800_000_000,
        "livemode": false, "pending_webhooks": 1,
            "request": { "id": null, "idempotency_key": null }, "type": kind, "data": { "object": object } })
}

#[test]
fn session_names_its_booking_and_payment() {
    let booking = "11111111-2222-5333-8444-555555555555";
    let session = json!({ "id": "cs_test_1", "object": "checkout.session", "status": "complete",
        "payment_status": "paid", "payment_intent": "pi_1",
        "amount_total": 4_410, "currency": "cad", "url": null, "expires_at": 1_800_001_800, "created": 1_799_999_000,
        "mode": "payment",
        "metadata": { "booking_id": booking, "demand": "1" }, "a_field_of_tomorrow": {} });
    let read = Event::read(&event("checkout.session.completed", session)).unwrap();
    let Object::Session(session) = &read.object else { panic!("{read:?}") };
    assert_eq!((session.status, session.payment_status), (SessionStatus::Complete, SessionPayment::Paid));
    assert_eq!(read.object.booking_id().map(|id| id.to_string()).as_deref(), Some(booking));
    assert_eq!(read.object.intent_id(), Some("pi_1"));
}

#[test]
fn references_may_be_expanded_or_null() {
    let refund = json!({ "id": "re_1", "amount": 5, "currency": "cad", "status": "pending",
        "payment_intent": { "id": "pi_1" }, "charge": "ch_1",
        "metadata": null, "created": null });
    let read = Event::read(&event("refund.created", refund.clone())).unwrap();
    assert_eq!(read.object.intent_id(), Some("pi_1"));
    assert_eq!(Event::read(&event("charge.refund.updated", refund)).unwrap().object, read.object, "the older name");
}

#[test]
fn unknown_event_types_and_statuses_are_accepted() {
    assert_eq!(Event::read(&event("invoice.paid", json!({ "id": "in_1" }))).unwrap().object, Object::Other);
    let intent = json!({ "id": "pi_1", "amount": 5, "currency": "cad", "status": "requires_patience" });
    let Object::Intent(intent) = Event::read(&event("payment_intent.created", intent)).unwrap().object else {
        panic!()
    };
    assert_eq!(intent.status, IntentStatus::Unknown);
    assert!(
        IntentStatus::Unknown < IntentStatus::RequiresPaymentMethod && RefundStatus::Succeeded < RefundStatus::Failed
    );
}

#[test]
fn required_fields_must_be_present() {
    let broken = Event::read(&event(
        "payment_intent.succeeded",
        json!({ "id": "pi_1", "status": "succeeded", "currency": "cad" }),
    ));
    assert!(matches!(broken, Err(EventError::Object { .. })), "{broken:?}");
    assert!(matches!(Event::read(&json!({ "id": "evt_1" })), Err(EventError::Envelope(_))));
}
