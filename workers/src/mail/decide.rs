//! Whether a message asks for a mail, judged against the newest state of its booking.
//!
//! An event tells what was true once; the mail is about what is true now. So nothing is sent that the stored booking
//! contradicts, however late or often an event comes.

use super::identity::{LedgerKey, Version};
use pvt_domain::booking::history::PaymentChange;
use pvt_domain::booking::{Action, Booking, Changes, HistoryEntry, Status, Stay};
use pvt_domain::events::{BookingEvent, PaymentEvent, PaymentEventKind};
use pvt_domain::inventory::Property;
use pvt_domain::messages::{EmailCommand, NotificationKind, SendNotification};
use pvt_domain::timestamp::Timestamp;

/// How many days before arrival guests are reminded.
pub const REMINDER_DAYS_BEFORE: i64 = 3;

/// What to do about one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailDecision {
    /// Send this mail, unless the ledger says it was sent.
    Send(PlannedMail),
    /// Send nothing, for this reason (a metric label).
    Skip(&'static str),
    /// The store does not know yet what the message tells of: come back.
    NotYet(&'static str),
}

/// A mail to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedMail {
    /// Which mail.
    pub kind: NotificationKind,
    /// The revision that it tells of.
    pub rev: u32,
    /// Its name in the ledger.
    pub key: LedgerKey,
}

/// The mail that goes out when a booking enters `status`.
fn kind_for_status(status: Status) -> Option<NotificationKind> {
    match status {
        Status::Held => Some(NotificationKind::PaymentLink),
        Status::Expired => Some(NotificationKind::HoldExpired),
        Status::Confirmed => Some(NotificationKind::BookingConfirmed),
        Status::Cancelled => Some(NotificationKind::BookingCancelled),
        Status::NoShow => Some(NotificationKind::BookingNoShow),
        Status::Requested | Status::Rejected | Status::CheckedIn | Status::CheckedOut => None,
    }
}

/// Whether a mail of this kind is true about this booking as it is.
fn still_applies(kind: NotificationKind, booking: &Booking) -> bool {
    let status = booking.status;
    let is_unpaid = || booking.payment.ledger.as_ref().is_none_or(|ledger| ledger.captured == 0);
    match kind {
        NotificationKind::BookingConfirmed | NotificationKind::ArrivalSoon | NotificationKind::ArrivalToday => {
            status == Status::Confirmed
        }
        NotificationKind::BookingModified => status.is_changeable(),
        NotificationKind::BookingCancelled => status == Status::Cancelled,
        NotificationKind::BookingNoShow => status == Status::NoShow,
        NotificationKind::PaymentLink => status == Status::Held,
        NotificationKind::PaymentFailed => status == Status::Held && booking.payable() > 0,
        NotificationKind::HoldExpired => status == Status::Expired && is_unpaid(),
        NotificationKind::PaymentReturned => status == Status::Expired,
        NotificationKind::PaymentReceived => status.holds_beds(),
        NotificationKind::PaymentRefunded => true,
    }
}

/// Decides about one message at `now`. `booking` is its booking as stored now, if it is stored, and `property` its
/// hostel.
pub fn decide(
    command: &EmailCommand,
    booking: Option<&Booking>,
    property: Option<&Property>,
    now: Timestamp,
) -> MailDecision {
    let Some(booking) = booking else { return MailDecision::NotYet("booking_missing") };
    match command {
        EmailCommand::Happened(event) => on_booking_event(event, booking),
        EmailCommand::Send(request) => on_request(request, booking, property, now),
        EmailCommand::Paid(event) => on_payment_event(event, booking, now),
        EmailCommand::Account(_) => MailDecision::Skip("not_about_a_booking"),
    }
}

fn on_booking_event(event: &BookingEvent, booking: &Booking) -> MailDecision {
    if booking.rev < event.rev {
        return MailDecision::NotYet("booking_behind_event");
    }
    let Some(kind) = kind_for_event(event, booking) else { return MailDecision::Skip("not_notified") };
    // A later modification tells of the state that this mail would show.
    let told_later = kind == NotificationKind::BookingModified
        && newest_modification(booking).is_some_and(|newest| newest.rev > event.rev);
    if told_later || !still_applies(kind, booking) {
        return MailDecision::Skip("superseded");
    }
    send(booking, kind, event.rev, Version::Rev(event.rev))
}

/// The mail that an event is worth. Beds alone are not: nobody is promised one, and guests are moved to make room for
/// others.
fn kind_for_event(event: &BookingEvent, booking: &Booking) -> Option<NotificationKind> {
    let entry = booking.history.iter().find(|entry| entry.rev == event.rev);
    match event.action {
        None | Some(Action::Request | Action::Cancel | Action::NoShow | Action::Confirm | Action::Expire) => {
            kind_for_status(event.status)
        }
        Some(Action::Modify) => {
            entry.filter(|entry| is_guest_visible_change(entry)).map(|_| NotificationKind::BookingModified)
        }
        // Whoever was told that nobody came must hear that the beds are kept after all.
        Some(Action::Reinstate) => {
            entry.filter(|entry| entry.from == Status::NoShow).map(|_| NotificationKind::BookingConfirmed)
        }
        Some(Action::RecordPayment) => entry.and_then(kind_for_payment_change),
        Some(Action::Assign | Action::Move | Action::CheckIn | Action::CheckOut) => None,
    }
}

/// The mail that money which came or went is worth. To whoever paid too late the apology says that all of it goes back;
/// that it went is no further news. After a cancellation only the refund is.
fn kind_for_payment_change(entry: &HistoryEntry) -> Option<NotificationKind> {
    if captured_more(entry) {
        return match entry.to {
            Status::Expired => Some(NotificationKind::PaymentReturned),
            to => to.holds_beds().then_some(NotificationKind::PaymentReceived),
        };
    }
    (refunded_more(entry) && entry.to != Status::Expired).then_some(NotificationKind::PaymentRefunded)
}

/// Whether money came with this revision.
fn captured_more(entry: &HistoryEntry) -> bool {
    payment_change(entry).is_some_and(|change| change.after.ledger().captured > change.before.ledger().captured)
}

/// Whether money was given back with this revision.
fn refunded_more(entry: &HistoryEntry) -> bool {
    payment_change(entry).is_some_and(|change| change.after.ledger().refunded > change.before.ledger().refunded)
}

fn payment_change(entry: &HistoryEntry) -> Option<&PaymentChange> {
    entry.changes.as_deref()?.payment.as_ref()
}

/// Decides about news of money that changed no booking: an attempt that failed is told while it can be repeated.
fn on_payment_event(event: &PaymentEvent, booking: &Booking, now: Timestamp) -> MailDecision {
    if event.change != PaymentEventKind::Failed {
        return MailDecision::Skip("not_notified");
    }
    let is_over = booking.payment.expires_at.is_some_and(|expires_at| expires_at <= now);
    if !still_applies(NotificationKind::PaymentFailed, booking) || is_over {
        return MailDecision::Skip("superseded");
    }
    // The first entry, which no later revision replaces: a repetition tells of the same one.
    let Some(held) = booking.history.iter().find(|entry| entry.to == Status::Held) else {
        return MailDecision::Skip("superseded");
    };
    send(booking, NotificationKind::PaymentFailed, held.rev, Version::Event(event.event_id))
}

fn newest_modification(booking: &Booking) -> Option<&HistoryEntry> {
    booking.history.iter().rev().find(|entry| is_guest_visible_change(entry))
}

/// Whether somebody changed what a guest was told.
fn is_guest_visible_change(entry: &HistoryEntry) -> bool {
    let asked_otherwise = |changes: &Changes| {
        changes
            .stays
            .iter()
            .any(|change| change.before.as_ref().map(Stay::as_request) != change.after.as_ref().map(Stay::as_request))
    };
    let told = |changes: &Changes| changes.guest || changes.price.is_some() || asked_otherwise(changes);
    entry.action == Action::Modify && entry.changes.as_deref().is_some_and(told)
}

fn on_request(
    request: &SendNotification,
    booking: &Booking,
    property: Option<&Property>,
    now: Timestamp,
) -> MailDecision {
    if !still_applies(request.kind, booking) {
        return MailDecision::Skip("contradicts_state");
    }
    let entry = match request.kind {
        NotificationKind::BookingModified => newest_modification(booking),
        NotificationKind::PaymentReceived => booking.history.iter().rev().find(|entry| captured_more(entry)),
        NotificationKind::PaymentReturned => {
            booking.history.iter().rev().find(|entry| captured_more(entry) && entry.to == Status::Expired)
        }
        NotificationKind::PaymentRefunded => booking.history.iter().rev().find(|entry| refunded_more(entry)),
        _ => booking.history.iter().rev().find(|entry| entry.to == booking.status),
    };
    let Some(entry) = entry else { return MailDecision::Skip("contradicts_state") };
    if let Some(reminded) = reminder_window(request.kind) {
        let Some(property) = property else { return MailDecision::NotYet("property_missing") };
        let arrival = booking.stays.iter().map(|stay| stay.arrival).min();
        let ahead = arrival.map(|arrival| (arrival - now.local_date(property.time_zone)).num_days());
        if !ahead.is_some_and(|ahead| reminded.contains(&ahead)) {
            return MailDecision::Skip("expired");
        }
    }
    send(booking, request.kind, entry.rev, Version::Request(request.notification_id))
}

/// How many days before arrival a reminder is of use: one that is late is dropped, and so is one about a stay that was
/// put off.
fn reminder_window(kind: NotificationKind) -> Option<std::ops::RangeInclusive<i64>> {
    match kind {
        NotificationKind::ArrivalSoon => Some(1..=REMINDER_DAYS_BEFORE),
        NotificationKind::ArrivalToday => Some(0..=0),
        _ => None,
    }
}

fn send(booking: &Booking, kind: NotificationKind, rev: u32, version: Version) -> MailDecision {
    MailDecision::Send(PlannedMail { kind, rev, key: LedgerKey::new(booking.id, kind, version, &booking.guest.email) })
}

#[cfg(test)]
mod tests;
