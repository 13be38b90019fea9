//! Confirmed, held, modified and cancelled bookings of the demo property, as the confirmations worker stores them.

use pvt_domain::booking::{Booking, HistoryEntry, Status};
use pvt_domain::demo;
use pvt_domain::events::{BookingEvent, event_kind};
use pvt_domain::ids::BookingId;
use serde_json::json;
use uuid::Uuid;

const DECIDED_AT: &str = "2026-12-01T12:00:00.000Z";

/// The booking of guest number `number`.
pub(crate) fn confirmed(number: usize) -> Booking {
    let id = BookingId::derive(None, &format!("guest-{number}"), "emails");
    let booking = json!({
        "_id": id, "reference": id.reference(), "status": "confirmed", "rev": 1,
        "property_id": demo::PROPERTY_ID, "rate_plan_id": "standard", "source": "direct",
        "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13", "guests": 2,
        "assigned_beds": ["d6a-1", "d6a-2"] }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": format!("guest-{number}@example.com"),
        "locale": "en" },
        "price": { "currency": "CAD", "nights": [[8_400, 8_400, 8_400]],
        "taxes": [{ "code": "gst", "name": "GST", "rate_ppm": 50_000, "amount": 1_260 }], "total": 26_460 },
        "payment_status": "pay_on_arrival", "fingerprint": "emails", "created_at": DECIDED_AT, "updated_at": DECIDED_AT,
        "history": [entry(id, 1, "request", Status::Requested, Status::Confirmed)],
    });
    serde_json::from_value(booking).unwrap()
}

/// A booking that is held until it is paid, for decades.
pub(crate) fn held(number: usize) -> Booking {
    let mut booking = confirmed(number);
    booking.history = vec![entry(booking.id, 1, "request", Status::Requested, Status::Held)];
    booking.status = Status::Held;
    booking.payment.required = 26_460;
    booking.payment.expires_at = Some(chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap().into());
    booking
}

/// The booking after it was cancelled.
pub(crate) fn cancelled(number: usize) -> Booking {
    cancel(confirmed(number))
}

/// A booking after its cancellation.
pub(crate) fn cancel(mut booking: Booking) -> Booking {
    booking.rev += 1;
    booking.history.push(entry(booking.id, booking.rev, "cancel", Status::Confirmed, Status::Cancelled));
    booking.status = Status::Cancelled;
    booking
}

/// The booking after it was postponed for decades and shortened by a night.
pub(crate) fn modified(number: usize) -> Booking {
    changed(&confirmed(number), |booking| {
        (booking.stays[0].arrival, booking.stays[0].departure) =
            ("2097-01-10".parse().unwrap(), "2097-01-12".parse().unwrap());
    })
}

/// The next revision of a booking, after this change.
pub(crate) fn changed(before: &Booking, change: impl FnOnce(&mut Booking)) -> Booking {
    let mut booking = before.clone();
    change(&mut booking);
    booking.rev += 1;
    let mut entry = entry(booking.id, booking.rev, "modify", Status::Confirmed, Status::Confirmed);
    entry.changes = booking.changes_since(before);
    booking.history.push(entry);
    booking
}

fn entry(id: BookingId, rev: u32, action: &str, from: Status, to: Status) -> HistoryEntry {
    let event_id = id.event_id(rev, event_kind(to).unwrap());
    let command_id = Uuid::from_u128(u128::from(rev));
    serde_json::from_value(json!({
        "rev": rev, "at": DECIDED_AT, "action": action, "from": from, "to": to, "command_id": command_id,
        "event_id": event_id, "actor": "guest",
    }))
    .unwrap()
}

/// The event that announced revision `rev`.
pub(crate) fn event(booking: &Booking, rev: u32) -> BookingEvent {
    let entry = booking.history.iter().find(|entry| entry.rev == rev).unwrap();
    BookingEvent::of(booking, entry)
}
