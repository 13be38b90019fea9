//! Ledgers for tests.

use chrono::DateTime;
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::{Ledger, PaymentChannel, Record, RecordMethod};
use pvt_domain::money::Currency;
use pvt_domain::stripe::Event;
use pvt_domain::timestamp::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// The amount due, in cents.
pub(crate) const BALANCE: i64 = 10_000;
/// 2027-01-15T08:00:00Z.
pub(crate) const STARTED: i64 = 1_800_000_000;

/// An instant.
pub(crate) fn at(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc().into()
}

fn booking_id() -> BookingId {
    BookingId::from_uuid(Uuid::from_u128(1))
}

/// A ledger with an open checkout session.
pub(crate) fn opened() -> Ledger {
    let now = at("2027-01-15T08:00:00Z");
    let mut ledger = Ledger::new(booking_id(), "pvt-montreal".into(), Currency::CAD, now);
    ledger.open(Uuid::from_u128(11), PaymentChannel::Checkout, BALANCE, now);
    ledger.opened(Uuid::from_u128(11), "cs_1");
    observe(&mut ledger, 1, "checkout.session.created", session("open", "unpaid", None));
    ledger
}

/// A ledger that is paid in full.
pub(crate) fn paid() -> Ledger {
    let mut ledger = opened();
    observe(&mut ledger, 2, "checkout.session.completed", session("complete", "paid", Some("pi_1")));
    observe(&mut ledger, 3, "payment_intent.succeeded", intent("pi_1", "succeeded", BALANCE, Some("1")));
    ledger
}

/// Records cash that staff took or, negative, refunded.
pub(crate) fn recorded(ledger: &mut Ledger, id: u128, amount: i64, at: Timestamp) {
    ledger.record(Record {
        id: Uuid::from_u128(id),
        method: RecordMethod::Cash,
        amount,
        actor: "staff:1".into(),
        note: None,
        at,
    });
}

/// Applies an event of Stripe's.
pub(crate) fn observe(ledger: &mut Ledger, number: i64, kind: &str, object: Value) {
    let event = json!({ "id": format!("evt_{number}"), "type": kind, "created": STARTED + number,
        "data": { "object": object } });
    ledger.apply(&Event::read(&event).unwrap());
}

/// A checkout session.
pub(crate) fn session(status: &str, payment_status: &str, intent: Option<&str>) -> Value {
    let url = (status == "open").then_some("https://pay.example.com/cs_1");
    json!({ "id": "cs_1", "status": status, "payment_status": payment_status, "payment_intent": intent,
        "amount_total": BALANCE, "currency": "cad", "created": STARTED, "expires_at": STARTED + 1_800, "url": url,
        "metadata": { "booking_id": booking_id().to_string(), "demand": "1" } })
}

/// A payment intent.
pub(crate) fn intent(id: &str, status: &str, received: i64, demand: Option<&str>) -> Value {
    let mut intent = json!({ "id": id, "status": status, "amount": BALANCE, "amount_received": received,
        "currency": "cad", "created": STARTED, "metadata": { "booking_id": booking_id().to_string() } });
    if let Some(demand) = demand {
        intent["metadata"]["demand"] = demand.into();
    }
    intent
}

/// A refund.
pub(crate) fn refund(id: &str, status: &str, amount: i64, key: Option<&str>) -> Value {
    json!({ "id": id, "status": status, "payment_intent": "pi_1", "amount": amount, "currency": "cad",
        "created": STARTED + 100, "metadata": key.map(|key| json!({ "refund_key": key })) })
}

/// A dispute.
pub(crate) fn dispute(status: &str) -> Value {
    json!({ "id": "dp_1", "status": status, "payment_intent": "pi_1", "amount": BALANCE, "currency": "cad",
        "reason": "fraudulent", "created": STARTED + 200,
        "balance_transactions": [{ "id": "txn_1", "amount": -BALANCE, "fee": 1_500, "currency": "cad",
            "created": STARTED + 201 }] })
}
