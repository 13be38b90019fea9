//! State of the simulation as plain values, and its transitions. They use no clock and no network: the caller passes
//! the time and sends the resulting events. One lock guards the state, and every change is made whole under it.

pub(crate) mod checkout;
pub(crate) mod disputes;
pub(crate) mod effects;
pub(crate) mod idempotency_keys;
pub(crate) mod payments;
pub(crate) mod refunds;
pub(crate) mod scheduled;

use crate::error::ApiError;
use crate::ids;
use crate::objects::balance::BalanceTransaction;
use crate::objects::charge::Charge;
use crate::objects::dispute::Dispute;
use crate::objects::event::Event;
use crate::objects::intent::Intent;
use crate::objects::refund::{Refund, RefundOutcome};
use crate::objects::session::Session;
use crate::table::Table;
use effects::Effects;
use idempotency_keys::IdempotencyKeys;
use scheduled::ScheduledResults;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};

/// The time and the cause of a change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cause {
    /// Milliseconds since 1970.
    pub(crate) now_ms: i64,
    pub(crate) request_id: Option<String>,
    pub(crate) key: Option<String>,
}

impl Cause {
    /// A cause other than a request: a guest, a bank, time.
    pub(crate) fn external(now_ms: i64) -> Self {
        Self { now_ms, request_id: None, key: None }
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.now_ms / 1_000
    }
}

/// The simulated Stripe.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) sessions: Table<Session>,
    pub(crate) intents: Table<Intent>,
    pub(crate) charges: Table<Charge>,
    pub(crate) refunds: Table<Refund>,
    pub(crate) disputes: Table<Dispute>,
    pub(crate) balance: Table<BalanceTransaction>,
    pub(crate) events: Table<Event>,
    pub(crate) keys: IdempotencyKeys,
    pub(crate) effects: Effects,
    /// Open sessions by their expiry.
    pub(crate) expiring: BTreeSet<(i64, String)>,
    /// Results that are scheduled for later.
    pub(crate) later: ScheduledResults,
    /// Outcomes of the next refunds, in order.
    pub(crate) refund_outcomes: VecDeque<RefundOutcome>,
    /// Base URL of the pages, without a trailing slash.
    #[serde(skip)]
    pub(crate) base: String,
    /// Number of endpoints.
    #[serde(skip)]
    pub(crate) endpoints: usize,
    /// Events that are not queued for delivery yet.
    #[serde(skip)]
    pub(crate) outbox: Vec<Event>,
    /// Incremented by every change.
    #[serde(skip)]
    pub(crate) version: u64,
}

impl State {
    /// Adds an event about an object with its present JSON; `previous` holds the former values of changed fields.
    pub(crate) fn emit(&mut self, cause: &Cause, kind: &str, object: &Value, previous: Option<Value>) {
        let data = match previous {
            Some(previous) => json!({ "object": object, "previous_attributes": previous }),
            None => json!({ "object": object }),
        };
        let (request_id, key) = (cause.request_id.clone(), cause.key.clone());
        let event = Event {
            id: ids::short("evt"),
            created: cause.now(),
            kind: kind.to_owned(),
            data: data.to_string(),
            request_id,
            key,
            pending: self.endpoints,
            lost: false,
        };
        self.outbox.push(event.clone());
        self.events.add(event);
        self.version += 1;
    }

    pub(crate) fn emit_session(&mut self, cause: &Cause, kind: &str, id: &str) {
        if let Some(object) = self.sessions.get(id).map(|session| session.json(&self.base)) {
            self.emit(cause, kind, &object, None);
        }
    }

    pub(crate) fn emit_intent(&mut self, cause: &Cause, kind: &str, id: &str) {
        if let Some(object) = self.intents.get(id).map(Intent::json) {
            self.emit(cause, kind, &object, None);
        }
    }

    pub(crate) fn emit_charge(&mut self, cause: &Cause, kind: &str, id: &str, previous: Option<Value>) {
        if let Some(object) = self.charges.get(id).map(|charge| charge.json(&self.base)) {
            self.emit(cause, kind, &object, previous);
        }
    }

    pub(crate) fn emit_refund(&mut self, cause: &Cause, kind: &str, id: &str, previous: Option<Value>) {
        if let Some(object) = self.refunds.get(id).map(Refund::json) {
            self.emit(cause, kind, &object, previous);
        }
    }

    pub(crate) fn emit_dispute(&mut self, cause: &Cause, kind: &str, id: &str, previous: Option<Value>) {
        if let Some(object) = self.disputes.get(id).map(Dispute::json) {
            self.emit(cause, kind, &object, previous);
        }
    }

    /// Adds a balance transaction and returns its id.
    pub(crate) fn book(&mut self, line: BalanceTransaction) -> String {
        let id = line.id.clone();
        self.balance.add(line);
        self.version += 1;
        id
    }

    pub(crate) fn session(&self, id: &str) -> Result<&Session, ApiError> {
        self.sessions.get(id).ok_or_else(|| ApiError::missing("checkout.session", id, "session"))
    }

    pub(crate) fn intent(&self, id: &str) -> Result<&Intent, ApiError> {
        self.intents.get(id).ok_or_else(|| ApiError::missing("payment_intent", id, "intent"))
    }

    pub(crate) fn charge(&self, id: &str) -> Result<&Charge, ApiError> {
        self.charges.get(id).ok_or_else(|| ApiError::missing("charge", id, "charge"))
    }

    pub(crate) fn refund(&self, id: &str) -> Result<&Refund, ApiError> {
        self.refunds.get(id).ok_or_else(|| ApiError::missing("refund", id, "refund"))
    }

    pub(crate) fn dispute(&self, id: &str) -> Result<&Dispute, ApiError> {
        self.disputes.get(id).ok_or_else(|| ApiError::missing("dispute", id, "dispute"))
    }

    /// The JSON of any object by its id.
    pub(crate) fn json(&self, id: &str) -> Option<Value> {
        match id.split_once('_')?.0 {
            "cs" => self.sessions.get(id).map(|session| session.json(&self.base)),
            "pi" => self.intents.get(id).map(Intent::json),
            "ch" => self.charges.get(id).map(|charge| charge.json(&self.base)),
            "re" => self.refunds.get(id).map(Refund::json),
            "dp" => self.disputes.get(id).map(Dispute::json),
            "txn" => self.balance.get(id).map(BalanceTransaction::json),
            "evt" => self.events.get(id).map(Event::json),
            _ => None,
        }
    }
}
