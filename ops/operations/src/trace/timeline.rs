//! The timeline of a booking, computed from what the stores hold. Pure.

mod mails;
mod order;
mod payments;
mod queues;
mod revisions;
mod summary;
#[cfg(test)]
mod tests;

pub(super) use payments::source_events;

use order::Step;
use pvt_domain::booking::Booking;
use pvt_domain::ledger::Ledger;
use pvt_domain::money::{Currency, Money};
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::dead_letters::DeadLetter;
use pvt_stores::mongo::notifications::Notification;
use pvt_stores::mongo::stripe_events::StoredStripeEvent;
use serde::Serialize;
use std::collections::HashMap;
use uuid::Uuid;

/// One event of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimelineEvent {
    /// When, by the clock of its place.
    pub at: Timestamp,
    /// `api`, `scheduler`, `worker`, `queue`, `booking`, `stripe`, `ledger`, `mail`, `mart` or `dead letter`.
    pub place: &'static str,
    /// What happened.
    pub what: String,
    /// Milliseconds since the event before; absent for the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<i64>,
    /// Whether its clock has only whole seconds: then its place follows from its cause.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_seconds: bool,
    /// Names it within the timeline.
    pub id: String,
    /// The event that caused it, where the stores know that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The message that it is about, as in log lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<Uuid>,
}

/// Everything that is stored about a booking.
pub(super) struct Timeline<'a> {
    pub(super) booking: &'a Booking,
    /// The queue of its commands.
    pub(super) bookings_queue: String,
    pub(super) ledger: Option<&'a Ledger>,
    pub(super) stripe_events: &'a [StoredStripeEvent],
    pub(super) mails: &'a [Notification],
    pub(super) dead_letters: &'a [DeadLetter],
    pub(super) claims: u64,
    /// When the mart loaded the events that it has; absent when the mart could not be read.
    pub(super) loads: Option<HashMap<Uuid, Option<Timestamp>>>,
}

/// Text of unknown origin, safe for a terminal: control characters and direction marks become blanks.
fn sanitized(text: &str) -> String {
    let is_control = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_control(c) { ' ' } else { c }).collect()
}

impl<'a> Timeline<'a> {
    /// That of a booking of which nothing else is known.
    pub(super) fn of(booking: &'a Booking) -> Self {
        Self {
            booking,
            bookings_queue: "bookings".to_owned(),
            ledger: None,
            stripe_events: &[],
            mails: &[],
            dead_letters: &[],
            claims: 0,
            loads: None,
        }
    }

    /// All events, by time and cause.
    pub(super) fn events(&self) -> Vec<TimelineEvent> {
        let mut steps: Vec<Step> = self.revision_steps();
        steps.extend(self.ledger.into_iter().flat_map(payments::of_ledger));
        steps.extend(self.stripe_events.iter().flat_map(|event| payments::stripe_event(event, self.ledger)));
        steps.extend(self.mails.iter().enumerate().flat_map(|(index, mail)| mails::mail(index, mail)));
        steps.extend(self.dead_letters.iter().flat_map(queues::dead_letter));
        order::ordered(steps)
    }

    fn amount(&self, amount: i64) -> String {
        let currency = self.booking.price.as_ref().map_or(Currency::XXX, |price| price.currency);
        Money::new(amount, currency).to_string()
    }
}
