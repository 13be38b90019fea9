//! Disputes and their evidence: what was booked, under which policy, and whether the guests arrived.

use super::view::{EXAMPLE_BOOKING, currency_of, example_money, instant};
use pvt_domain::booking::{Booking, Status, Stay};
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::ledger::Ledger;
use pvt_domain::ledger::facts::{DisputeFact, DisputeStage};
use pvt_domain::money::Money;
use pvt_domain::rates::cancellation::CancellationPolicy;
use pvt_domain::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::cmp::Reverse;

/// A dispute.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Dispute", example = example())]
pub(crate) struct DisputeView {
    id: String,
    booking_id: BookingId,
    property_id: PropertyId,
    /// `pi_…`.
    payment: String,
    amount: Money,
    /// Stripe's reason code.
    reason: String,
    stage: DisputeStage,
    /// Stripe's status.
    status: String,
    opened_at: Timestamp,
    movements: Vec<MovementView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct MovementView {
    id: String,
    /// Negative for a withdrawal by the bank.
    amount: Money,
    fee: Money,
    at: Timestamp,
}

/// Evidence from the booking that was paid.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct Evidence {
    reference: String,
    status: Status,
    booked_at: Timestamp,
    /// The client that requested it, or `anonymous`.
    booked_by: String,
    /// As it was when it was booked.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancellation_policy: Option<CancellationPolicy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checked_in_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checked_out_at: Option<Timestamp>,
    stays: Vec<Stay>,
}

fn example() -> Value {
    json!({
        "id": "dp_1", "booking_id": EXAMPLE_BOOKING, "property_id": "pvt-montreal", "payment": "pi_1",
        "amount": example_money(28_560), "reason": "fraudulent", "stage": "open", "status": "needs_response",
        "opened_at": "2027-02-01T09:00:00.000Z",
        "movements": [{ "id": "txn_1", "amount": example_money(-28_560), "fee": example_money(1_500),
            "at": "2027-02-01T09:00:00.000Z" }],
        "evidence": {
            "reference": "PVT-0000000000", "status": "checked_out", "booked_at": "2026-12-01T12:00:00.000Z",
            "booked_by": "anonymous", "checked_in_at": "2027-01-10T20:10:00.000Z",
            "checked_out_at": "2027-01-13T15:30:00.000Z",
            "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13",
                "guests": 2, "assigned_beds": ["d6a-1", "d6a-2"] }],
        },
    })
}

/// The disputes of a ledger.
pub(crate) fn disputes_of(ledger: &Ledger, booking: Option<&Booking>) -> Vec<DisputeView> {
    ledger.disputes.iter().map(|dispute| DisputeView::new(ledger, dispute, booking)).collect()
}

/// Sorts open ones first, then the newest.
pub(crate) fn sort_open_first(disputes: &mut [DisputeView]) {
    disputes.sort_by_key(|dispute| (dispute.stage, Reverse(dispute.opened_at)));
}

impl DisputeView {
    fn new(ledger: &Ledger, dispute: &DisputeFact, booking: Option<&Booking>) -> Self {
        let money = |amount: i64, code: &str| Money::new(amount, currency_of(code).unwrap_or(ledger.currency));
        let movements = dispute.movements.iter().map(|movement| MovementView {
            id: movement.id.clone(),
            amount: money(movement.amount, &movement.currency),
            fee: money(movement.fee, &movement.currency),
            at: instant(movement.created),
        });
        Self {
            id: dispute.id.clone(),
            booking_id: ledger.booking_id,
            property_id: ledger.property_id.clone(),
            payment: dispute.intent.clone(),
            amount: money(dispute.amount, &dispute.currency),
            reason: dispute.reason.clone(),
            stage: dispute.stage,
            status: dispute.status.clone(),
            opened_at: instant(dispute.created),
            movements: movements.collect(),
            evidence: booking.map(Evidence::of),
        }
    }
}

impl Evidence {
    fn of(booking: &Booking) -> Self {
        let entered = |status| {
            booking.history.iter().rfind(|entry| entry.to == status && entry.from != status).map(|entry| entry.at)
        };
        Self {
            reference: booking.reference.clone(),
            status: booking.status,
            booked_at: booking.created_at,
            booked_by: booking.client.clone().unwrap_or_else(|| "anonymous".to_owned()),
            cancellation_policy: booking.cancellation_policy.clone(),
            checked_in_at: entered(Status::CheckedIn),
            checked_out_at: entered(Status::CheckedOut),
            stays: booking.stays.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{disputes_of, sort_open_first};
    use crate::resources::payments::fixtures::{BALANCE, dispute, observe, paid};
    use pvt_domain::booking::Booking;
    use serde_json::json;

    #[test]
    fn dispute_view_lists_evidence() {
        let mut ledger = paid();
        observe(&mut ledger, 5, "charge.dispute.created", dispute("needs_response"));
        let check_in = json!({ "rev": 2, "at": "2027-01-10T21:00:00.000Z", "action": "check_in",
            "from": "confirmed", "to": "checked_in", "command_id": "11111111-2222-5333-8444-555555555556",
            "event_id": "11111111-2222-5333-8444-555555555557", "actor": "staff:1" });
        let booking: Booking = serde_json::from_value(json!({
            "_id": ledger.booking_id, "reference": "PVT-0000000000", "status": "checked_in", "rev": 2,
            "property_id": "pvt-montreal", "rate_plan_id": "prepaid", "source": "direct", "stays": [],
            "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
            "fingerprint": "f", "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2027-01-10T21:00:00.000Z",
            "history": [check_in],
        }))
        .unwrap();
        let mut disputes = disputes_of(&ledger, Some(&booking));
        sort_open_first(&mut disputes);
        let shown = serde_json::to_value(&disputes[0]).unwrap();
        assert_eq!(
            (&shown["stage"], &shown["payment"], &shown["movements"][0]["amount"]["amount"]),
            (&json!("open"), &json!("pi_1"), &json!(-BALANCE))
        );
        assert_eq!(shown["evidence"]["checked_in_at"], "2027-01-10T21:00:00.000Z");
        assert_eq!(
            (&shown["evidence"]["booked_by"], shown["evidence"].get("checked_out_at")),
            (&json!("anonymous"), None)
        );
        assert!(!shown.to_string().contains("Lovelace"), "the guest is named in the booking only");
    }

    #[test]
    fn open_disputes_are_listed_first() {
        let (mut open, mut lost) = (paid(), paid());
        observe(&mut lost, 5, "charge.dispute.closed", dispute("lost"));
        observe(&mut open, 5, "charge.dispute.created", dispute("needs_response"));
        let mut disputes = disputes_of(&lost, None);
        disputes.extend(disputes_of(&open, None));
        sort_open_first(&mut disputes);
        assert_eq!(disputes.iter().map(|one| one.status.as_str()).collect::<Vec<_>>(), ["needs_response", "lost"]);
    }
}
