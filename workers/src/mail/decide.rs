//! Whether a message asks for a mail, judged against the newest state of its booking.
//!
//! An event tells what was true once; the mail is about what is true now. So nothing is sent that the stored booking
//! contradicts, however late or often an event comes.

use super::identity::{LedgerKey, Version};
use pvt_domain::booking::history::PaymentChange;
use pvt_domain::booking::{Action, Booking, Changes, HistoryEntry, Status, Stay};
use pvt_domain::events::{BookingEvent, PaymentEvent, What};
use pvt_domain::inventory::Property;
use pvt_domain::messages::{EmailCommand, NotificationKind, SendNotification};
use pvt_domain::timestamp::Timestamp;

/// How many days before arrival guests are reminded.
pub const REMINDED_DAYS_BEFORE: i64 = 3;

/// What to do about one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Send this mail, unless the ledger says it was sent.
    Send(Errand),
    /// Send nothing, for this reason (a metric label).
    Nothing(&'static str),
    /// The store does not know yet what the message tells of: come back.
    NotYet(&'static str),
}

/// A mail to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// Which mail.
    pub kind: NotificationKind,
    /// The revision that it tells of.
    pub rev: u32,
    /// Its name in the ledger.
    pub key: LedgerKey,
}

/// The mail that goes out when a booking enters `status`.
fn entered(status: Status) -> Option<NotificationKind> {
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
fn is_true(kind: NotificationKind, booking: &Booking) -> bool {
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
) -> Decision {
    let Some(booking) = booking else { return Decision::NotYet("booking_missing") };
    match command {
        EmailCommand::Happened(event) => happened(event, booking),
        EmailCommand::Send(wish) => wished(wish, booking, property, now),
        EmailCommand::Paid(event) => paid(event, booking, now),
        EmailCommand::Account(_) => Decision::Nothing("not_about_a_booking"),
    }
}

fn happened(event: &BookingEvent, booking: &Booking) -> Decision {
    if booking.rev < event.rev {
        return Decision::NotYet("booking_behind_event");
    }
    let Some(kind) = news_of(event, booking) else { return Decision::Nothing("not_notified") };
    // A later modification tells of the state that this mail would show.
    let told_later = kind == NotificationKind::BookingModified
        && newest_modification(booking).is_some_and(|newest| newest.rev > event.rev);
    if told_later || !is_true(kind, booking) {
        return Decision::Nothing("superseded");
    }
    send(booking, kind, event.rev, Version::Rev(event.rev))
}

/// The mail that an event is worth. Beds alone are not: nobody is promised one, and guests are moved to make room for
/// others.
fn news_of(event: &BookingEvent, booking: &Booking) -> Option<NotificationKind> {
    let entry = booking.history.iter().find(|entry| entry.rev == event.rev);
    match event.action {
        None | Some(Action::Request | Action::Cancel | Action::NoShow | Action::Confirm | Action::Expire) => {
            entered(event.status)
        }
        Some(Action::Modify) => entry.filter(|entry| is_news(entry)).map(|_| NotificationKind::BookingModified),
        // Whoever was told that nobody came must hear that the beds are kept after all.
        Some(Action::Reinstate) => {
            entry.filter(|entry| entry.from == Status::NoShow).map(|_| NotificationKind::BookingConfirmed)
        }
        Some(Action::RecordPayment) => entry.and_then(money_of),
        Some(Action::Assign | Action::Move | Action::CheckIn | Action::CheckOut) => None,
    }
}

/// The mail that money which came or went is worth. To whoever paid too late the apology says that all of it goes back;
/// that it went is no further news. After a cancellation only the refund is.
fn money_of(entry: &HistoryEntry) -> Option<NotificationKind> {
    if came(entry) {
        return match entry.to {
            Status::Expired => Some(NotificationKind::PaymentReturned),
            to => to.holds_beds().then_some(NotificationKind::PaymentReceived),
        };
    }
    (went(entry) && entry.to != Status::Expired).then_some(NotificationKind::PaymentRefunded)
}

/// Whether money came with this revision.
fn came(entry: &HistoryEntry) -> bool {
    money(entry).is_some_and(|change| change.after.ledger().captured > change.before.ledger().captured)
}

/// Whether money was given back with this revision.
fn went(entry: &HistoryEntry) -> bool {
    money(entry).is_some_and(|change| change.after.ledger().refunded > change.before.ledger().refunded)
}

fn money(entry: &HistoryEntry) -> Option<&PaymentChange> {
    entry.changes.as_deref()?.payment.as_ref()
}

/// Decides about news of money that changed no booking: an attempt that failed is told while it can be repeated.
fn paid(event: &PaymentEvent, booking: &Booking, now: Timestamp) -> Decision {
    if event.what != What::Failed {
        return Decision::Nothing("not_notified");
    }
    let is_over = booking.payment.expires_at.is_some_and(|expires_at| expires_at <= now);
    if !is_true(NotificationKind::PaymentFailed, booking) || is_over {
        return Decision::Nothing("superseded");
    }
    // The first entry, which no later revision replaces: a repetition tells of the same one.
    let Some(held) = booking.history.iter().find(|entry| entry.to == Status::Held) else {
        return Decision::Nothing("superseded");
    };
    send(booking, NotificationKind::PaymentFailed, held.rev, Version::Event(event.event_id))
}

fn newest_modification(booking: &Booking) -> Option<&HistoryEntry> {
    booking.history.iter().rev().find(|entry| is_news(entry))
}

/// Whether somebody changed what a guest was told.
fn is_news(entry: &HistoryEntry) -> bool {
    let asked_otherwise = |changes: &Changes| {
        changes
            .stays
            .iter()
            .any(|change| change.before.as_ref().map(Stay::as_request) != change.after.as_ref().map(Stay::as_request))
    };
    let told = |changes: &Changes| changes.guest || changes.price.is_some() || asked_otherwise(changes);
    entry.action == Action::Modify && entry.changes.as_deref().is_some_and(told)
}

fn wished(wish: &SendNotification, booking: &Booking, property: Option<&Property>, now: Timestamp) -> Decision {
    if !is_true(wish.kind, booking) {
        return Decision::Nothing("contradicts_state");
    }
    let entry = match wish.kind {
        NotificationKind::BookingModified => newest_modification(booking),
        NotificationKind::PaymentReceived => booking.history.iter().rev().find(|entry| came(entry)),
        NotificationKind::PaymentReturned => {
            booking.history.iter().rev().find(|entry| came(entry) && entry.to == Status::Expired)
        }
        NotificationKind::PaymentRefunded => booking.history.iter().rev().find(|entry| went(entry)),
        _ => booking.history.iter().rev().find(|entry| entry.to == booking.status),
    };
    let Some(entry) = entry else { return Decision::Nothing("contradicts_state") };
    if let Some(reminded) = reminded_days(wish.kind) {
        let Some(property) = property else { return Decision::NotYet("property_missing") };
        let arrival = booking.stays.iter().map(|stay| stay.arrival).min();
        let ahead = arrival.map(|arrival| (arrival - now.local_date(property.time_zone)).num_days());
        if !ahead.is_some_and(|ahead| reminded.contains(&ahead)) {
            return Decision::Nothing("expired");
        }
    }
    send(booking, wish.kind, entry.rev, Version::Wish(wish.notification_id))
}

/// How many days before arrival a reminder is of use: one that is late is dropped, and so is one about a stay that was
/// put off.
fn reminded_days(kind: NotificationKind) -> Option<std::ops::RangeInclusive<i64>> {
    match kind {
        NotificationKind::ArrivalSoon => Some(1..=REMINDED_DAYS_BEFORE),
        NotificationKind::ArrivalToday => Some(0..=0),
        _ => None,
    }
}

fn send(booking: &Booking, kind: NotificationKind, rev: u32, version: Version) -> Decision {
    Decision::Send(Errand { kind, rev, key: LedgerKey::new(booking.id, kind, version, &booking.guest.email) })
}

#[cfg(test)]
mod tests;
