//! Payment attempts: what was demanded, so that payments can be compared with it.
//!
//! A demand is the amount due at one moment. A guest may make several attempts at it (another session, another card);
//! what is paid more than once for one demand is surplus, and refunded unless it was charged back.

use super::facts::SessionState;
use super::{IntentFact, Ledger};
use crate::ids::uuid_text;
use crate::stripe::IntentStatus;
use crate::timestamp::Timestamp;
use crate::wire_enum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

wire_enum! {
    /// Channel of a payment attempt.
    pub enum PaymentChannel {
        /// A Stripe Checkout session.
        Checkout = "checkout",
        /// A payment intent, for an app that collects cards with Stripe's own fields.
        App = "app",
    }
}

/// A payment attempt. Stored before Stripe is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// A function of the caller and their idempotency key. Also the payment's public id.
    #[serde(with = "uuid_text")]
    pub id: Uuid,
    /// Number of the demand that it pays, counting from 1.
    pub demand: u32,
    /// Amount due, in minor units of the ledger's currency.
    pub amount: i64,
    /// Channel.
    pub channel: PaymentChannel,
    /// `cs_…` or `pi_…`, once Stripe has created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Time of opening.
    pub opened_at: Timestamp,
    /// When its session ends by itself, in Unix seconds: a parameter of its request, which must be the same whenever
    /// the request is repeated under the same key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The booking's revision for which it was opened, or last reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking_rev: Option<u32>,
}

/// Result of opening an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedAttempt {
    /// The attempt: a new one, or an open one for the same amount.
    pub attempt: Attempt,
    /// Sessions and intents that must no longer be paid.
    pub superseded: Vec<String>,
}

/// An open session that expires sooner than this is replaced.
const LEAST_LEFT_SECS: i64 = 120;
/// Most attempts of a booking known to Stripe, and most unknown to it: more are abuse.
const MAX_ATTEMPTS: usize = 50;
/// Age, in seconds, after which an attempt that Stripe does not know will never be known.
const UNKNOWN_FOR_SECS: i64 = 600;

impl Ledger {
    /// Opens the attempt of this id, or returns it; an open one for the same amount is reused. `None` when there were
    /// too many. Attempts that never reached Stripe are dropped after some time, so that an outage of Stripe locks
    /// no guest out.
    pub fn open(&mut self, id: Uuid, channel: PaymentChannel, amount: i64, now: Timestamp) -> Option<OpenedAttempt> {
        let known = self.attempts.iter().position(|attempt| attempt.id == id);
        let (earlier, amount) = known
            .map_or((self.attempts.as_slice(), amount), |place| (&self.attempts[..place], self.attempts[place].amount));
        let open: Vec<&Attempt> = earlier.iter().filter(|attempt| self.is_open(attempt, now)).collect();
        let superseded = open
            .iter()
            .filter(|attempt| attempt.amount != amount)
            .filter_map(|attempt| attempt.object.clone())
            .collect();
        if let Some(place) = known {
            return Some(OpenedAttempt { attempt: self.attempts[place].clone(), superseded });
        }
        if let Some(reused) = open.into_iter().find(|attempt| attempt.channel == channel && attempt.amount == amount) {
            return Some(OpenedAttempt { attempt: reused.clone(), superseded });
        }
        let last = self.attempts.last();
        let again = last.filter(|last| last.amount == amount && self.paying(last.demand).next().is_none());
        let demand = again.map_or(last.map_or(1, |last| last.demand + 1), |again| again.demand);
        let attempt =
            Attempt { id, demand, amount, channel, object: None, opened_at: now, expires_at: None, booking_rev: None };
        self.prune_attempts(now).then(|| {
            self.attempts.push(attempt.clone());
            OpenedAttempt { attempt, superseded }
        })
    }

    /// Whether one more attempt is allowed, after dropping those that never reached Stripe.
    fn prune_attempts(&mut self, now: Timestamp) -> bool {
        let age = |attempt: &Attempt| now.as_datetime().timestamp() - attempt.opened_at.as_datetime().timestamp();
        self.attempts.retain(|attempt| attempt.object.is_some() || age(attempt) < UNKNOWN_FOR_SECS);
        let known = self.attempts.iter().filter(|attempt| attempt.object.is_some()).count();
        known < MAX_ATTEMPTS && self.attempts.len() - known < MAX_ATTEMPTS
    }

    /// Sets when the session of an attempt ends. Returns the attempt.
    pub fn set_expiry(&mut self, id: Uuid, expires_at: i64) -> Option<&Attempt> {
        let attempt = self.attempts.iter_mut().find(|attempt| attempt.id == id)?;
        attempt.expires_at = Some(expires_at);
        Some(attempt)
    }

    /// Records for which revision of the booking an attempt was opened or reused.
    pub fn set_booking_rev(&mut self, id: Uuid, rev: u32) {
        if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.id == id) {
            attempt.booking_rev = Some(rev);
        }
    }

    /// Records the object that Stripe created for an attempt.
    pub fn opened(&mut self, id: Uuid, object: &str) {
        if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.id == id) {
            attempt.object = Some(object.to_owned());
        }
    }

    fn is_open(&self, attempt: &Attempt, now: Timestamp) -> bool {
        let Some(object) = attempt.object.as_deref() else { return false };
        let (session, intent) = (self.sessions.get(object), self.intents.get(object));
        session.is_some_and(|session| {
            session.state == SessionState::Open && session.expires_at - now.as_datetime().timestamp() >= LEAST_LEFT_SECS
        }) || intent.is_some_and(|intent| {
            let status = self.status_of(intent);
            status != IntentStatus::Processing && !status.is_over()
        })
    }

    /// Objects that can still be paid: sessions and intents that are not over, and sessions that no attempt names,
    /// because two deliveries of one command created two.
    pub fn payable_objects(&self) -> Vec<String> {
        let over = |id: &str| {
            self.sessions.get(id).is_some_and(|session| session.state != SessionState::Open)
                || self.intents.get(id).is_some_and(|intent| intent.status.is_over())
        };
        let named = self.attempts.iter().filter_map(|attempt| attempt.object.as_deref());
        let open: BTreeSet<&str> =
            named.chain(self.sessions.iter().map(|session| session.id.as_str())).filter(|id| !over(id)).collect();
        open.into_iter().map(str::to_owned).collect()
    }

    /// The same, without those that were opened for this revision of the booking or a later one.
    pub fn payable_objects_before(&self, rev: u32) -> Vec<String> {
        let is_later = |id: &str| {
            let named = |attempt: &&Attempt| attempt.object.as_deref() == Some(id);
            self.attempts.iter().filter(named).any(|attempt| attempt.booking_rev >= Some(rev))
        };
        self.payable_objects().into_iter().filter(|id| !is_later(id)).collect()
    }

    /// Intents that pay exactly the amount of this demand.
    pub(super) fn paying(&self, demand: u32) -> impl Iterator<Item = &IntentFact> {
        let requested = self.attempts.iter().find(|attempt| attempt.demand == demand).map(|attempt| attempt.amount);
        self.intents.iter().filter(move |intent| {
            intent.status == IntentStatus::Succeeded
                && intent.demand == Some(demand)
                && Some(intent.received) == requested
                && self.is_ours(&intent.currency)
        })
    }
}
