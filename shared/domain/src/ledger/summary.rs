//! What a ledger comes to.

use super::facts::{DisputeStage, IntentFact, SessionState};
use super::{InstructionState, Ledger};
use crate::money::is_zero;
use crate::stripe::IntentStatus;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a booking is told of its money. All amounts are minor units of its currency and never negative.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The ledger's revision at which it came to this: a later one replaces an earlier one, and two of one revision are
    /// the same.
    pub ledger_rev: u64,
    /// What was paid, in all.
    pub captured: i64,
    /// What was given back, or is on its way.
    pub refunded: i64,
    /// What banks took back and did not give back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub charged_back: i64,
    /// What of `captured` was paid exactly as it was asked for, each demand once.
    pub cleared: i64,
    /// What was paid for a demand that had been paid already.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub surplus: i64,
    /// Whether money is on its way that may take days.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub processing: bool,
}

impl Summary {
    /// Whether both say the same, of whichever revisions.
    pub fn same_totals_as(&self, other: &Self) -> bool {
        Self { ledger_rev: other.ledger_rev, ..self.clone() } == *other
    }

    /// What the hostel has of it.
    pub fn kept(&self) -> i64 {
        self.captured - self.refunded - self.charged_back
    }
}

/// Something that staff must look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// Another amount was paid than was asked for.
    AmountMismatch,
    /// It was paid in another currency.
    CurrencyMismatch,
    /// A refund failed or was refused: the guest still has to get the money.
    RefundFailed,
    /// A bank wants money back, and may be answered.
    DisputeOpen,
    /// A bank took money back for good.
    DisputeLost,
}

impl Attention {
    /// Every kind with its wire name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("amount_mismatch", Self::AmountMismatch),
        ("currency_mismatch", Self::CurrencyMismatch),
        ("refund_failed", Self::RefundFailed),
        ("dispute_open", Self::DisputeOpen),
        ("dispute_lost", Self::DisputeLost),
    ];

    /// The wire name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("refund_failed", |(name, _)| name)
    }
}

impl Ledger {
    /// What it comes to.
    pub fn summary(&self) -> Summary {
        let recorded = |sign: i64| self.records.iter().map(move |record| (record.amount * sign).max(0)).sum::<i64>();
        let refunds: i64 = self
            .refunds
            .iter()
            .filter(|refund| refund.status.is_effective() && self.is_ours(&refund.currency))
            .map(|refund| refund.amount)
            .sum();
        let movements = self
            .disputes
            .iter()
            .flat_map(|dispute| &dispute.movements)
            .filter(|movement| self.is_ours(&movement.currency));
        let demands: BTreeSet<u32> = self.attempts.iter().map(|attempt| attempt.demand).collect();
        let (mut cleared, mut surplus) = (0, 0);
        for demand in demands {
            let mut paid = self.paying(demand).map(|intent| intent.received);
            cleared += paid.next().unwrap_or(0);
            surplus += paid.sum::<i64>();
        }
        Summary {
            ledger_rev: self.sums_rev,
            captured: self.succeeded().map(|intent| intent.received).sum::<i64>() + recorded(1),
            refunded: refunds + recorded(-1),
            charged_back: (-movements.map(|movement| movement.amount).sum::<i64>()).max(0),
            // Of what staff noted, a correction takes back what it corrects.
            cleared: cleared + (recorded(1) - recorded(-1)).max(0),
            surplus,
            processing: self.is_processing(),
        }
    }

    /// Payments that came in the currency that counts.
    pub(super) fn succeeded(&self) -> impl Iterator<Item = &IntentFact> {
        self.intents.iter().filter(|intent| intent.status == IntentStatus::Succeeded && self.is_ours(&intent.currency))
    }

    fn is_processing(&self) -> bool {
        let session = |intent: &str| self.sessions.iter().find(|session| session.intent.as_deref() == Some(intent));
        let failed =
            |intent: &IntentFact| session(&intent.id).is_some_and(|session| session.state == SessionState::Failed);
        let ended = |id: &str| self.intents.get(id).is_some_and(|intent| intent.status.is_over());
        self.intents.iter().any(|intent| intent.status == IntentStatus::Processing && !failed(intent))
            || self.sessions.iter().any(|session| {
                session.state == SessionState::Processing && !session.intent.as_deref().is_some_and(ended)
            })
    }

    /// What staff must look at, each kind once.
    pub fn attention(&self) -> BTreeSet<Attention> {
        self.attention_items().into_iter().map(|(kind, _)| kind).collect()
    }

    /// What staff must look at, with the payment, order, refund or dispute that it is about.
    pub fn attention_items(&self) -> BTreeSet<(Attention, &str)> {
        let mut found = BTreeSet::new();
        for intent in self.intents.iter().filter(|intent| intent.status == IntentStatus::Succeeded) {
            let pays = intent.demand.is_some_and(|demand| self.paying(demand).any(|paying| paying.id == intent.id));
            match self.is_ours(&intent.currency) {
                false => found.insert((Attention::CurrencyMismatch, intent.id.as_str())),
                true if !pays => found.insert((Attention::AmountMismatch, intent.id.as_str())),
                true => false,
            };
        }
        let orders = self
            .orders
            .iter()
            .filter(|instruction| self.instruction_state(instruction) == InstructionState::Failed)
            .map(|instruction| instruction.key.as_str());
        // What somebody gave back at Stripe, and came back.
        let foreign = self
            .refunds
            .iter()
            .filter(|refund| refund.key.is_none() && !refund.status.is_effective())
            .map(|refund| refund.id.as_str());
        found.extend(orders.chain(foreign).map(|subject| (Attention::RefundFailed, subject)));
        for dispute in self.disputes.iter() {
            match dispute.stage {
                DisputeStage::Closed if dispute.is_lost() => {
                    found.insert((Attention::DisputeLost, dispute.id.as_str()))
                }
                DisputeStage::Closed => false,
                DisputeStage::Open | DisputeStage::UnderReview => {
                    found.insert((Attention::DisputeOpen, dispute.id.as_str()))
                }
            };
        }
        found
    }
}
