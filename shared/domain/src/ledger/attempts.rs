//! Sending guests to pay: what was asked for, so that what comes back can be compared with it.
//!
//! A demand is an amount that is owed at one moment. A guest may try several times to pay it (another page, another
//! card); whatever is paid more than once for one demand is given back.

use super::facts::SessionState;
use super::{IntentFact, Ledger};
use crate::ids::uuid_text;
use crate::stripe::IntentStatus;
use crate::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Where a guest pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentChannel {
    /// On Stripe's page.
    Checkout,
    /// In an app that takes cards by Stripe's own fields.
    App,
}

/// A guest was, or is to be, sent to pay. Written before Stripe is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// A function of who asked and their idempotency key. Also the payment's id for everybody but Stripe.
    #[serde(with = "uuid_text")]
    pub id: Uuid,
    /// Which demand it pays, counting from 1.
    pub demand: u32,
    /// What is owed, in minor units of the ledger's currency.
    pub amount: i64,
    /// Where.
    pub channel: PaymentChannel,
    /// `cs_…` or `pi_…`, once Stripe has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// When.
    pub opened_at: Timestamp,
}

/// What opening an attempt comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedAttempt {
    /// The attempt: the one that was asked for, or one that is open already and just as good.
    pub attempt: Attempt,
    /// Sessions and payments of the guest that must not be paid any more.
    pub superseded: Vec<String>,
}

/// An open page that ends sooner than this is replaced.
const LEAST_LEFT_SECS: i64 = 120;
/// Most attempts of a booking that Stripe knows, and most that it does not: whoever needs more is no guest who pays.
const MAX_ATTEMPTS: usize = 50;
/// Stripe will not know an attempt any more that it did not know after this, in seconds.
const UNKNOWN_FOR_SECS: i64 = 600;

impl Ledger {
    /// The attempt of this id, made if it is not there; what is open for the same amount is used again. `None` when
    /// there were too many. Attempts that never came to Stripe are dropped after some time, so that a Stripe that was
    /// away keeps nobody from paying.
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
        let attempt = Attempt { id, demand, amount, channel, object: None, opened_at: now };
        self.prune_attempts(now).then(|| {
            self.attempts.push(attempt.clone());
            OpenedAttempt { attempt, superseded }
        })
    }

    /// Whether there is room for one more attempt, once those are dropped that Stripe will not know any more.
    fn prune_attempts(&mut self, now: Timestamp) -> bool {
        let age = |attempt: &Attempt| now.as_datetime().timestamp() - attempt.opened_at.as_datetime().timestamp();
        self.attempts.retain(|attempt| attempt.object.is_some() || age(attempt) < UNKNOWN_FOR_SECS);
        let known = self.attempts.iter().filter(|attempt| attempt.object.is_some()).count();
        known < MAX_ATTEMPTS && self.attempts.len() - known < MAX_ATTEMPTS
    }

    /// Stripe has made the object of an attempt.
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
        }) || intent.is_some_and(|intent| intent.status != IntentStatus::Processing && !intent.status.is_over())
    }

    /// Objects at Stripe by which money could still come: sessions and payments that are not over, and sessions that no
    /// attempt names, because two deliveries of one wish made two.
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

    /// Payments that pay this demand, to the last minor unit.
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
