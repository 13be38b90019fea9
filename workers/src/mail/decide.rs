//! The decision whether a message calls for a mail, from the newest state of its booking.
//!
//! An event reports what was true once; the mail is about what is true now. Nothing is sent that contradicts the stored
//! booking, however late or often an event arrives.

use super::change::Change;
use super::identity::{LedgerKey, Version};
use super::kinds::{self, Trigger, When};
use pvt_domain::booking::mails::{applies, days_before_arrival, is_timely, reported};
use pvt_domain::booking::{Action, Booking, FormerAddress, HistoryEntry, Status};
use pvt_domain::events::{BookingEvent, PaymentEvent};
use pvt_domain::inventory::Property;
use pvt_domain::maintenance::{Deferral, hold_is_over};
use pvt_domain::messages::{EmailCommand, NotificationKind, SendNotification};
use pvt_domain::timestamp::Timestamp;

/// What to do about one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailDecision {
    /// Send this mail, unless the ledger says it was sent.
    Send(PlannedMail),
    /// Send nothing, for this reason (a metric label).
    Skip(&'static str),
    /// Send this mail no more, for this reason (a metric label). An earlier delivery of the message may have sent it.
    Outdated(LedgerKey, &'static str),
    /// The store is behind the message: retry later.
    NotYet(&'static str),
}

/// A mail to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedMail {
    /// Which mail.
    pub kind: NotificationKind,
    /// The revision that it reports.
    pub rev: u32,
    /// Its name in the ledger.
    pub key: LedgerKey,
}

/// Decides about one message at `now`, with what a maintenance puts off. `booking` and `property` are those stored now,
/// if they are stored.
pub fn decide(
    command: &EmailCommand,
    booking: Option<&Booking>,
    property: Option<&Property>,
    (now, deferral): (Timestamp, Option<Deferral>),
) -> MailDecision {
    let Some(booking) = booking else { return MailDecision::NotYet("booking_missing") };
    let decision = match command {
        EmailCommand::Happened(event) => on_booking_event(event, booking),
        EmailCommand::Send(request) => on_request(request, booking, property, now),
        EmailCommand::Paid(event) => on_payment_event(event, booking, (now, deferral)),
        EmailCommand::Account(_) => MailDecision::Skip("not_about_a_booking"),
    };
    match decision {
        MailDecision::Send(plan) if booking.guest.mail_address().is_none() => {
            MailDecision::Outdated(plan.key, "no_address")
        }
        decision => decision,
    }
}

/// Decides about the mail to the address that the revision of an event took from its booking; `None` when it took none.
/// `former` is that address, while it is kept. What the booking became since makes no difference, unless it has the
/// address again.
pub fn decide_for_former(
    command: &EmailCommand,
    booking: &Booking,
    former: Option<&FormerAddress>,
) -> Option<MailDecision> {
    let EmailCommand::Happened(event) = command else { return None };
    let change = Change::of(event, booking);
    let (kind, _) = triggered(|trigger| matches!(trigger, Trigger::FormerAddress(holds) if holds(&change)))?;
    let recipient = former.map_or("", |former| &former.email);
    let key = LedgerKey::new(booking.id, kind, Version::Rev(event.rev), recipient);
    Some(match former {
        None => MailDecision::Outdated(key, "no_former_address"),
        Some(former) if former.is_of(&booking.guest) => MailDecision::Outdated(key, "superseded"),
        Some(_) => MailDecision::Send(PlannedMail { kind, rev: event.rev, key }),
    })
}

fn on_booking_event(event: &BookingEvent, booking: &Booking) -> MailDecision {
    if booking.rev < event.rev {
        return MailDecision::NotYet("booking_behind_event");
    }
    let change = Change::of(event, booking);
    let Some((kind, when)) = triggered(|trigger| matches!(trigger, Trigger::Change(holds) if holds(&change))) else {
        return MailDecision::Skip("not_notified");
    };
    let key = key(booking, kind, Version::Rev(event.rev));
    let is_superseded = when.latest_only && reported(kind, booking).is_some_and(|newest| newest.rev > event.rev);
    if is_superseded || !applies(kind, booking) {
        return MailDecision::Outdated(key, "superseded");
    }
    MailDecision::Send(PlannedMail { kind, rev: event.rev, key })
}

/// A payment event that changed no booking: a failed attempt is mailed while it can be repeated.
fn on_payment_event(
    event: &PaymentEvent,
    booking: &Booking,
    (now, deferral): (Timestamp, Option<Deferral>),
) -> MailDecision {
    let Some((kind, _)) = triggered(|trigger| matches!(trigger, Trigger::Payment(holds) if holds(event))) else {
        return MailDecision::Skip("not_notified");
    };
    let key = key(booking, kind, Version::Event(event.event_id));
    let is_over = booking.hold_ends().is_some_and(|ends| hold_is_over(ends, now, deferral));
    // The first entry, which no later revision replaces: a redelivery reports the same one.
    let holds = |entry: &&HistoryEntry| entry.to == Status::Held || entry.action == Action::HoldChange;
    match booking.history.iter().find(holds) {
        Some(held) if applies(kind, booking) && !is_over => {
            MailDecision::Send(PlannedMail { kind, rev: held.rev, key })
        }
        _ => MailDecision::Outdated(key, "superseded"),
    }
}

fn on_request(
    request: &SendNotification,
    booking: &Booking,
    property: Option<&Property>,
    now: Timestamp,
) -> MailDecision {
    let key = key(booking, request.kind, Version::Request(request.notification_id));
    let Some(entry) = reported(request.kind, booking).filter(|_| applies(request.kind, booking)) else {
        return MailDecision::Outdated(key, "contradicts_state");
    };
    if days_before_arrival(request.kind).is_some() {
        let Some(property) = property else { return MailDecision::NotYet("property_missing") };
        if !is_timely(request.kind, booking, now.local_date(property.time_zone)) {
            return MailDecision::Outdated(key, "expired");
        }
    }
    MailDecision::Send(PlannedMail { kind: request.kind, rev: entry.rev, key })
}

/// The kind whose trigger this is; no two kinds share one.
fn triggered(is_trigger: impl Fn(&Trigger) -> bool) -> Option<(NotificationKind, &'static When)> {
    let all = NotificationKind::ALL.iter().map(|(_, kind)| (*kind, &kinds::of(*kind).when));
    all.into_iter().find(|(_, when)| is_trigger(&when.trigger))
}

fn key(booking: &Booking, kind: NotificationKind, version: Version) -> LedgerKey {
    LedgerKey::new(booking.id, kind, version, &booking.guest.email)
}

#[cfg(test)]
mod tests;
