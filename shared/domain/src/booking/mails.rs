//! Mails about a booking: which kinds are right for it as it is now, and which revision each is about.
//!
//! Beds alone are not noticed: no guest is promised one, and guests are reassigned to make room for others.

use super::history::PaymentChange;
use super::{Action, Booking, Changes, HistoryEntry, Status, Stay};
use crate::ledger::Summary;
use crate::values::notification::NotificationKind;
use chrono::NaiveDate;
use std::ops::RangeInclusive;

/// How many days before arrival guests are reminded.
pub const REMINDER_DAYS_BEFORE: i64 = 3;

/// Whether a mail of this kind is right for the booking as it is now.
pub fn applies(kind: NotificationKind, booking: &Booking) -> bool {
    use NotificationKind as Kind;
    match kind {
        Kind::BookingConfirmed | Kind::ArrivalSoon | Kind::ArrivalToday => booking.status == Status::Confirmed,
        Kind::BookingModified => booking.status.is_changeable(),
        Kind::BookingCancelled => booking.status == Status::Cancelled,
        Kind::BookingNoShow => booking.status == Status::NoShow,
        Kind::PaymentLink => booking.status == Status::Held,
        Kind::ChangePaymentLink => booking.pending_change.is_some(),
        Kind::ChangeReleased => booking.status.is_changeable() && is_change_released(booking),
        Kind::PaymentReceived => booking.status.holds_beds(),
        Kind::PaymentFailed => booking.hold_ends().is_some() && booking.payable() > 0,
        Kind::HoldExpired => {
            let ledger = booking.payment.ledger();
            booking.status == Status::Expired && ledger.captured == 0 && ledger.other_currencies.is_empty()
        }
        // The notice stays true, whatever becomes of the booking.
        Kind::PaymentRefunded | Kind::AddressChanged => true,
        Kind::PaymentReturned => booking.status == Status::Expired,
        Kind::RefundFailed => is_refund_failed(booking),
    }
}

/// The mail that says how the booking stands, as long as it can be sent; `None` where none does.
pub fn of_status(booking: &Booking) -> Option<NotificationKind> {
    use NotificationKind as Kind;
    let kind = match booking.status {
        Status::Held => Kind::PaymentLink,
        Status::Confirmed => Kind::BookingConfirmed,
        Status::Cancelled => Kind::BookingCancelled,
        Status::NoShow => Kind::BookingNoShow,
        Status::Expired => Kind::HoldExpired,
        // Guests in house, and those who have left, need no mail that says so.
        Status::CheckedIn | Status::CheckedOut | Status::Requested | Status::Rejected => return None,
    };
    Some(kind).filter(|kind| applies(*kind, booking))
}

/// The newest revision that a mail of this kind, sent on request, can be about; `None` if there is none, if what it did
/// was undone since, or if no one may ask for such a mail.
pub fn reported(kind: NotificationKind, booking: &Booking) -> Option<&HistoryEntry> {
    use NotificationKind as Kind;
    let is_undone = match kind {
        Kind::PaymentReceived => booking.payment.ledger().kept() <= 0,
        Kind::PaymentRefunded => is_refund_failed(booking),
        _ => false,
    };
    if is_undone || !kind.is_requestable() {
        return None;
    }
    let reports = |entry: &&HistoryEntry| match kind {
        Kind::BookingModified => is_guest_visible_change(entry),
        Kind::PaymentLink => enters_hold(entry) || readdresses_hold(entry),
        Kind::ChangePaymentLink => entry.action == Action::HoldChange,
        Kind::ChangeReleased => releases_change(entry),
        Kind::PaymentReceived => captured_more(entry),
        Kind::PaymentRefunded => refunded_more(entry),
        Kind::PaymentReturned => captured_more(entry) && entry.to == Status::Expired,
        Kind::RefundFailed => refund_failed(entry),
        _ => entry.to == booking.status,
    };
    booking.history.iter().rev().find(reports)
}

/// The days before arrival on which a mail of this kind is of use; `None` on any.
pub fn days_before_arrival(kind: NotificationKind) -> Option<RangeInclusive<i64>> {
    match kind {
        NotificationKind::ArrivalSoon => Some(1..=REMINDER_DAYS_BEFORE),
        NotificationKind::ArrivalToday => Some(0..=0),
        _ => None,
    }
}

/// Whether a mail of this kind is of use on `today`, the calendar's date at the property.
pub fn is_timely(kind: NotificationKind, booking: &Booking, today: NaiveDate) -> bool {
    let ahead = || booking.stays.iter().map(|stay| (stay.arrival - today).num_days()).min();
    days_before_arrival(kind).is_none_or(|days| ahead().is_some_and(|ahead| days.contains(&ahead)))
}

/// The kinds of mails that are sent if they are requested on `today`, the calendar's date at the property.
pub fn sendable(booking: &Booking, today: NaiveDate) -> Vec<NotificationKind> {
    let is_sendable = |kind: &NotificationKind| {
        applies(*kind, booking) && reported(*kind, booking).is_some() && is_timely(*kind, booking, today)
    };
    NotificationKind::REQUESTABLE.iter().map(|(_, kind)| *kind).filter(is_sendable).collect()
}

/// Whether beds are held from this revision on.
fn enters_hold(entry: &HistoryEntry) -> bool {
    entry.from != Status::Held && entry.to == Status::Held
}

/// Whether this revision gave a held booking another address, which ends the links to the one before.
pub fn readdresses_hold(entry: &HistoryEntry) -> bool {
    entry.action == Action::Modify && entry.to == Status::Held && changes_address(entry)
}

/// Whether this revision gave the guest another address, or none: only that ends the links together with a change of
/// the guest.
pub fn changes_address(entry: &HistoryEntry) -> bool {
    entry.changes.as_deref().is_some_and(|changes| changes.guest && changes.links_revoked)
}

/// Whether a modification, or the absence of some guests or its reversal, changed what a guest was promised.
pub fn is_guest_visible_change(entry: &HistoryEntry) -> bool {
    let request = |stay: &Option<Stay>| stay.as_ref().map(Stay::as_request);
    let is_visible = |changes: &Changes| {
        changes.guest
            || changes.price.is_some()
            || changes.stays.iter().any(|change| request(&change.before) != request(&change.after))
    };
    matches!(entry.action, Action::Modify | Action::NoShow | Action::Reinstate)
        && entry.changes.as_deref().is_some_and(is_visible)
}

/// Whether this revision dropped a change that was held until payment.
pub fn releases_change(entry: &HistoryEntry) -> bool {
    entry.changes.as_deref().is_some_and(|changes| changes.change_released)
}

/// Whether the guest's latest change was dropped unpaid.
fn is_change_released(booking: &Booking) -> bool {
    let concerns_change = |entry: &&HistoryEntry| {
        releases_change(entry) || entry.action == Action::HoldChange || is_guest_visible_change(entry)
    };
    let latest = booking.history.iter().rev().find(concerns_change);
    booking.pending_change.is_none()
        && latest.is_some_and(|entry| releases_change(entry) && !is_guest_visible_change(entry))
}

/// Whether the captured amount rose with this revision.
pub fn captured_more(entry: &HistoryEntry) -> bool {
    increase(entry, |ledger| ledger.captured) > 0
}

/// Whether the refunded amount rose with this revision.
pub fn refunded_more(entry: &HistoryEntry) -> bool {
    increase(entry, |ledger| ledger.refunded) > 0
}

/// Whether a refund failed with this revision: less is refunded than before, or more is left to staff, although nothing
/// else was paid or refunded.
pub fn refund_failed(entry: &HistoryEntry) -> bool {
    let change = entry.changes.as_deref().and_then(|changes| changes.payment.as_ref());
    let is_failure = |change: &PaymentChange| {
        change.after.ledger().refunded < change.before.ledger().refunded
            || change.after.refunds_due().failed > change.before.refunds_due().failed
    };
    entry.action == Action::RecordPayment
        && change.is_some_and(is_failure)
        && !captured_more(entry)
        && !refunded_more(entry)
}

/// Whether a refund failed that was not made good since.
fn is_refund_failed(booking: &Booking) -> bool {
    let mut latest = booking.history.iter().rev().filter(|entry| refund_failed(entry) || refunded_more(entry));
    latest.next().is_some_and(refund_failed)
}

/// How much a part of the ledger rose with this revision.
pub fn increase(entry: &HistoryEntry, part: impl Fn(&Summary) -> i64) -> i64 {
    let change: Option<&PaymentChange> = entry.changes.as_deref().and_then(|changes| changes.payment.as_ref());
    change.map_or(0, |change| part(&change.after.ledger()) - part(&change.before.ledger()))
}

#[cfg(test)]
mod tests {
    use super::sendable;
    use crate::booking::{Booking, Changes};
    use crate::fixtures::date;
    use crate::values::notification::NotificationKind as Kind;
    use serde_json::{Value, json};
    use std::collections::HashSet;

    /// Confirmed for the 10th, by this step from another status.
    fn booking(status: &str, action: &str, from: &str) -> Booking {
        serde_json::from_value(json!({
            "_id": "11111111-2222-5333-8444-555555555555", "reference": "PVT-0000000000", "status": status, "rev": 2,
            "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "direct",
            "stays": [{ "room_type_id": "dorm", "arrival": "2027-01-10", "departure": "2027-01-12", "guests": 1,
                "assigned_beds": [] }],
            "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
            "price": { "currency": "CAD", "nights": [[4200, 4200]], "taxes": [], "total": 8400 },
            "payment": { "required": 4_200, "expires_at": "2027-01-08T12:00:00.000Z" },
            "fingerprint": "f", "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z",
            "history": [{ "rev": 2, "at": "2026-12-01T12:00:01.000Z", "action": action, "from": from, "to": status,
                "command_id": "11111111-2222-5333-8444-555555555556",
                "event_id": "11111111-2222-5333-8444-555555555557", "actor": "guest" }],
        }))
        .unwrap()
    }

    #[test]
    fn only_what_the_booking_shows_can_be_sent() {
        for (status, action, from, today, expected) in [
            ("confirmed", "request", "requested", "2026-12-01", vec![Kind::BookingConfirmed]),
            ("confirmed", "request", "requested", "2027-01-07", vec![Kind::BookingConfirmed, Kind::ArrivalSoon]),
            ("confirmed", "request", "requested", "2027-01-10", vec![Kind::BookingConfirmed, Kind::ArrivalToday]),
            ("cancelled", "cancel", "confirmed", "2027-01-07", vec![Kind::BookingCancelled]),
            ("no_show", "no_show", "confirmed", "2027-01-11", vec![Kind::BookingNoShow]),
            ("checked_in", "check_in", "confirmed", "2027-01-10", vec![]),
            ("held", "request", "requested", "2027-01-07", vec![Kind::PaymentLink]),
            ("expired", "expire", "held", "2027-01-07", vec![Kind::HoldExpired]),
        ] {
            let booking = booking(status, action, from);
            assert_eq!(sendable(&booking, date(today)), expected, "{status} on {today}");
        }
    }

    /// The same with these changes of its newest revision, and the totals that follow from them.
    fn changed(status: &str, action: &str, changes: Value) -> Booking {
        let mut booking = booking(status, action, status);
        let changes: Changes = serde_json::from_value(changes).unwrap();
        if let Some(payment) = &changes.payment {
            booking.payment = payment.after.clone();
        }
        booking.history[0].changes = Some(Box::new(changes));
        booking
    }

    /// A booking of which so much was captured and refunded, before its newest revision and after.
    fn paid(status: &str, [before, after]: [(i64, i64); 2]) -> Booking {
        let ledger = |(captured, refunded): (i64, i64)| {
            let ledger = json!({ "ledger_rev": 1, "captured": captured, "refunded": refunded, "cleared": captured });
            json!({ "ledger": ledger })
        };
        let payment = json!({ "payment": { "before": ledger(before), "after": ledger(after) } });
        changed(status, "record_payment", payment)
    }

    #[test]
    fn every_mail_that_may_be_requested_can_be_sent_of_some_booking() {
        let mut held = booking("confirmed", "hold_change", "confirmed");
        let pending = json!({ "stays": [], "rate_plan_id": "standard", "required": 100,
            "expires_at": "2027-01-08T12:00:00.000Z" });
        held.pending_change = serde_json::from_value(pending).unwrap();
        let bookings = [
            booking("confirmed", "request", "requested"),
            booking("cancelled", "cancel", "confirmed"),
            booking("no_show", "no_show", "confirmed"),
            booking("held", "request", "requested"),
            booking("expired", "expire", "held"),
            changed("confirmed", "modify", json!({ "guest": true })),
            changed("confirmed", "release_change", json!({ "change_released": true })),
            held,
            paid("confirmed", [(0, 0), (8_400, 0)]),
            paid("confirmed", [(8_400, 0), (8_400, 8_400)]),
            paid("confirmed", [(8_400, 8_400), (8_400, 0)]),
            paid("expired", [(0, 0), (8_400, 0)]),
        ];
        let days = ["2027-01-07", "2027-01-10"].map(date);
        let sent = bookings.iter().flat_map(|booking| days.into_iter().flat_map(|day| sendable(booking, day)));
        let sent: HashSet<Kind> = sent.collect();
        assert_eq!(sent, Kind::REQUESTABLE.iter().map(|(_, kind)| *kind).collect());
    }
}
