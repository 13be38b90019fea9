//! Totals of a ledger, and what in it needs the attention of staff.

use super::facts::{DisputeStage, IntentFact, SessionFact, SessionState};
use super::{InstructionState, Ledger};
use crate::money::is_zero;
use crate::stripe::IntentStatus;
use crate::wire_enum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Totals of a ledger, as its booking knows them. Amounts are minor units of its currency and never negative.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Revision of the ledger at which the totals last changed: later totals replace earlier ones.
    pub ledger_rev: u64,
    /// Total captured.
    pub captured: i64,
    /// Total refunded, pending refunds included.
    pub refunded: i64,
    /// Total charged back and not reversed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub charged_back: i64,
    /// The part of `captured` that pays a demand exactly, each demand once.
    pub cleared: i64,
    /// Payments for demands that had been paid already.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub surplus: i64,
    /// Whether a payment is processing, which may take days.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub processing: bool,
}

impl Summary {
    /// Whether both have the same totals, whatever their revisions.
    pub fn same_totals_as(&self, other: &Self) -> bool {
        Self { ledger_rev: other.ledger_rev, ..self.clone() } == *other
    }

    /// Net amount: captured, less refunds and chargebacks.
    pub fn kept(&self) -> i64 {
        self.captured - self.refunded - self.charged_back
    }
}

wire_enum! {
    /// Reason for which a booking's payments need the attention of staff.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum Attention {
        /// The amount paid is not the amount due.
        AmountMismatch = "amount_mismatch",
        /// Paid in another currency.
        CurrencyMismatch = "currency_mismatch",
        /// A refund failed or was refused: the guest must be refunded in another way.
        RefundFailed = "refund_failed",
        /// A dispute is open and may be answered.
        DisputeOpen = "dispute_open",
        /// A dispute was lost.
        DisputeLost = "dispute_lost",
    }
}

impl Ledger {
    /// Its totals.
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
            ledger_rev: self.totals_rev,
            captured: self.succeeded().map(|intent| intent.received).sum::<i64>() + recorded(1),
            refunded: refunds + recorded(-1),
            charged_back: (-movements.map(|movement| movement.amount).sum::<i64>()).max(0),
            // A negative record corrects a positive one.
            cleared: cleared + (recorded(1) - recorded(-1)).max(0),
            surplus,
            processing: self.is_processing(),
        }
    }

    /// Succeeded intents in the ledger's currency.
    pub(super) fn succeeded(&self) -> impl Iterator<Item = &IntentFact> {
        self.intents.iter().filter(|intent| intent.status == IntentStatus::Succeeded && self.is_ours(&intent.currency))
    }

    fn is_processing(&self) -> bool {
        let session = |intent: &str| self.sessions.iter().find(|session| session.intent.as_deref() == Some(intent));
        let failed =
            |intent: &IntentFact| session(&intent.id).is_some_and(|session| session.state == SessionState::Failed);
        // A failure before the session was completed was of an earlier attempt.
        let ended = |session: &SessionFact| {
            let intent = session.intent.as_deref().and_then(|id| self.intents.get(id));
            intent.is_some_and(|intent| intent.status.is_over() || intent.failed_at > Some(session.observation.at))
        };
        self.intents.iter().any(|intent| self.status_of(intent) == IntentStatus::Processing && !failed(intent))
            || self.sessions.iter().any(|session| session.state == SessionState::Processing && !ended(session))
    }

    /// Reasons for attention, each once.
    pub fn attention(&self) -> BTreeSet<Attention> {
        self.attention_items().into_iter().map(|(kind, _)| kind).collect()
    }

    /// Reasons for attention, each with its payment, instruction, refund or dispute.
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
            .refund_instructions
            .iter()
            .filter(|instruction| self.instruction_state(instruction) == InstructionState::Failed)
            .map(|instruction| instruction.key.as_str());
        // Failed refunds made in Stripe's dashboard.
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
