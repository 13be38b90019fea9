//! Changes between two states of a ledger, from which payment events are derived.

use super::facts::{DisputeFact, IntentFact, RefundFact};
use super::{Entry, EntryKind, Ledger};
use crate::stripe::{IntentStatus, Object};
use crate::timestamp::Timestamp;
use crate::wire_enum;
use chrono::DateTime;
use std::collections::BTreeMap;

wire_enum! {
    /// Kind of a change of a booking's payments.
    #[derive(PartialOrd, Ord)]
    pub enum PaymentEventKind {
        /// A payment attempt was opened.
        Opened = "opened",
        /// A payment was captured.
        Captured = "captured",
        /// A payment attempt failed.
        Failed = "failed",
        /// A refund was made, or reversed because it failed.
        Refunded = "refunded",
        /// A dispute was opened, updated or closed.
        Disputed = "disputed",
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerChange {
    /// Kind.
    pub kind: PaymentEventKind,
    /// Object and state: two changes with the same subject are one.
    pub subject: String,
    /// The payment: `pi_…`, or the id of a record or an attempt.
    pub payment: String,
    /// The ledger entry, with the amount 0 when it was reversed; absent where no entry changed.
    pub entry: Option<Entry>,
    /// Amount in minor units.
    pub amount: i64,
}

impl Ledger {
    /// Every change of one object: the difference from a ledger that does not know it.
    pub fn changes_of(&self, object: &Object) -> Vec<LedgerChange> {
        let mut without = self.clone();
        match object {
            Object::Session(session) => {
                without.sessions.forget(&session.id);
                session.payment_intent.iter().for_each(|intent| without.intents.forget(intent));
            }
            Object::Intent(intent) => without.intents.forget(&intent.id),
            Object::Refund(refund) => without.refunds.forget(&refund.id),
            Object::Dispute(dispute) => without.disputes.forget(&dispute.id),
            Object::Charge(_) | Object::Other => return Vec::new(),
        }
        let mut changes = self.changes_since(&without);
        if let Object::Refund(refund) = object {
            changes.extend(self.refunds.get(&refund.id).and_then(returned_refund));
        }
        if let Object::Dispute(dispute) = object {
            changes.extend(self.disputes.get(&dispute.id).and_then(|dispute| self.replaced_chargeback(dispute)));
        }
        changes
    }

    /// Every change: the difference from an empty ledger.
    pub fn changes(&self) -> Vec<LedgerChange> {
        let nothing = Self::new(self.booking_id, self.property_id.clone(), self.currency, self.updated_at);
        let mut changes = self.changes_since(&nothing);
        changes.extend(self.refunds.iter().filter_map(returned_refund));
        changes.extend(self.disputes.iter().filter_map(|dispute| self.replaced_chargeback(dispute)));
        changes
    }

    /// The change of a chargeback that may have had an entry of its own before its balance transactions were observed.
    fn replaced_chargeback(&self, dispute: &DisputeFact) -> Option<LedgerChange> {
        let may_have_had = dispute.is_lost()
            || dispute.movements.iter().any(|movement| !movement.currency.eq_ignore_ascii_case(&dispute.currency));
        let is_entry = || self.entries().iter().any(|entry| entry.id == dispute.id);
        (may_have_had && !is_entry()).then(|| {
            let at = DateTime::from_timestamp(dispute.created, 0).unwrap_or_default().into();
            taken_back(&dispute.id, EntryKind::Chargeback, &dispute.intent, dispute.amount, at)
        })
    }

    /// Changes since `before`.
    pub fn changes_since(&self, before: &Self) -> Vec<LedgerChange> {
        let mut changes = Vec::new();
        for attempt in self.attempts.iter().filter(|attempt| attempt.object.is_some()) {
            if !before.attempts.iter().any(|known| known.id == attempt.id && known.object.is_some()) {
                let id = attempt.id.to_string();
                changes.push(LedgerChange {
                    kind: PaymentEventKind::Opened,
                    subject: id.clone(),
                    payment: id,
                    entry: None,
                    amount: attempt.amount,
                });
            }
        }
        let by_id = |ledger: &Self| {
            ledger.entries().into_iter().map(|entry| (entry.id.clone(), entry)).collect::<BTreeMap<_, _>>()
        };
        let (old, new) = (by_id(before), by_id(self));
        let moved = |id: &str| {
            old.get(id).map(|entry| (entry.amount, entry.fee)) != new.get(id).map(|entry| (entry.amount, entry.fee))
        };
        for id in old.keys().chain(new.keys().filter(|id| !old.contains_key(*id))).filter(|id| moved(id)) {
            let Some(known) = new.get(id).or(old.get(id)) else { continue };
            let taken_back = !new.contains_key(id);
            let entry = Some(Entry { amount: if taken_back { 0 } else { known.amount }, balance: 0, ..known.clone() });
            let kind = match known.kind {
                EntryKind::Payment => PaymentEventKind::Captured,
                EntryKind::Refund => PaymentEventKind::Refunded,
                EntryKind::Chargeback | EntryKind::ChargebackReversal => PaymentEventKind::Disputed,
            };
            let subject = format!("{id}|{}|{}", known.fee, if taken_back { "taken_back" } else { "booked" });
            changes.push(LedgerChange {
                kind,
                subject,
                payment: known.payment.clone(),
                entry,
                amount: known.amount.abs(),
            });
        }
        changes.extend(self.intents.iter().filter_map(|intent| failure(before, intent)));
        changes.extend(self.disputes.iter().filter_map(|dispute| dispute_change(before, dispute)));
        changes
    }
}

/// The change of a refund that failed: it has no entry that could be missing.
fn returned_refund(refund: &RefundFact) -> Option<LedgerChange> {
    let at = DateTime::from_timestamp(refund.created, 0).unwrap_or_default().into();
    (!refund.status.is_effective())
        .then(|| taken_back(&refund.id, EntryKind::Refund, &refund.intent, refund.amount, at))
}

/// The change of an entry that is no entry any more.
fn taken_back(id: &str, kind: EntryKind, payment: &str, amount: i64, at: Timestamp) -> LedgerChange {
    let (id, payment) = (id.to_owned(), payment.to_owned());
    LedgerChange {
        kind: if kind == EntryKind::Refund { PaymentEventKind::Refunded } else { PaymentEventKind::Disputed },
        subject: format!("{id}|0|taken_back"),
        payment: payment.clone(),
        entry: Some(Entry { id, kind, payment, amount: 0, fee: 0, at, balance: 0 }),
        amount,
    }
}

fn failure(before: &Ledger, intent: &IntentFact) -> Option<LedgerChange> {
    let at = intent.failed_at.filter(|_| intent.status != IntentStatus::Succeeded)?;
    let known = before.intents.get(&intent.id).and_then(|known| known.failed_at);
    (known < Some(at)).then(|| LedgerChange {
        kind: PaymentEventKind::Failed,
        subject: format!("{}|{at}", intent.id),
        payment: intent.id.clone(),
        entry: None,
        amount: intent.amount,
    })
}

fn dispute_change(before: &Ledger, dispute: &DisputeFact) -> Option<LedgerChange> {
    let known = before.disputes.get(&dispute.id).map(|known| (known.stage, known.status.as_str()));
    (known != Some((dispute.stage, dispute.status.as_str()))).then(|| LedgerChange {
        kind: PaymentEventKind::Disputed,
        subject: format!("{}|{}", dispute.id, dispute.status),
        payment: dispute.intent.clone(),
        entry: None,
        amount: dispute.amount,
    })
}
