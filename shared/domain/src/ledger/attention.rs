//! Reasons for which the payments of a booking need the attention of staff, each until its cause has ended.

use super::Ledger;
use super::facts::DisputeStage;
use crate::money::{Currency, Money};
use crate::stripe::IntentStatus;
use crate::stripe::amounts::limits;
use crate::wire_enum;
use std::collections::BTreeSet;

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
        /// The guest is owed a refund that Stripe cannot make, of cash for example: staff must pay it and record it.
        RefundManual = "refund_manual",
        /// Stripe has not made an instructed refund for more than an hour.
        RefundPending = "refund_pending",
    }
}

/// A reason for attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttentionItem {
    /// Reason.
    pub kind: Attention,
    /// The payment, instruction, refund or dispute; of a manual refund the total that is owed. Staff are notified once
    /// for each subject.
    pub subject: String,
    /// The payment that it is about; absent when it is about all of them.
    pub payment: Option<String>,
    /// The amount that was paid, is to be refunded, or is disputed; absent for an unknown
    /// currency, and for one that Stripe counts in other units than ISO 4217.
    pub amount: Option<Money>,
}

impl Ledger {
    /// Reasons for attention, each once.
    pub fn attention(&self) -> BTreeSet<Attention> {
        self.attention_items().into_iter().map(|item| item.kind).collect()
    }

    /// Reasons for attention, each with its subject, by kind and subject.
    pub fn attention_items(&self) -> Vec<AttentionItem> {
        let item = |kind, subject: &str, payment: &str, (amount, currency): (i64, &str)| AttentionItem {
            kind,
            subject: subject.to_owned(),
            payment: Some(payment.to_owned()),
            // In a currency that Stripe counts in other units than ISO 4217, the amount is not Stripe's number.
            amount: Currency::from_code(&currency.to_ascii_uppercase())
                .filter(|currency| limits(*currency).is_some())
                .map(|currency| Money::new(amount, currency)),
        };
        let currency_of =
            |payment: &str| self.intents.get(payment).map_or(self.currency.code(), |payment| &*payment.currency);
        let mut found = Vec::new();
        for intent in self.intents.iter().filter(|intent| intent.status == IntentStatus::Succeeded) {
            let pays = intent.demand.is_some_and(|demand| self.paying(demand).any(|paying| paying.id == intent.id));
            // Once all of it was returned, there is nothing left to decide.
            if pays || self.unreturned(intent) == 0 {
                continue;
            }
            let is_ours = self.is_ours(&intent.currency);
            let kind = if is_ours { Attention::AmountMismatch } else { Attention::CurrencyMismatch };
            found.push(item(kind, &intent.id, &intent.id, (intent.received, &intent.currency)));
        }
        let due = self.refunds_due();
        let failed = self.failed_refunds().into_iter().filter(|failed| {
            let has_money = self.intents.get(failed.intent).is_none_or(|payment| self.unreturned(payment) > 0);
            // A booking that was reinstated, for example, is owed nothing any more.
            has_money && (!failed.owed || self.to_refund.is_none() || due.failed > 0)
        });
        found.extend(failed.map(|failed| {
            let amount = (failed.amount, currency_of(failed.intent));
            item(Attention::RefundFailed, failed.subject, failed.intent, amount)
        }));
        if due.manual > due.failed {
            let subject = format!("{}", self.to_refund.unwrap_or(0));
            let amount = Some(Money::new(due.manual - due.failed, self.currency));
            found.push(AttentionItem { kind: Attention::RefundManual, subject, payment: None, amount });
        }
        let overdue = self.open_instructions().filter(|instruction| instruction.overdue);
        found.extend(overdue.map(|instruction| {
            let amount = (instruction.amount, currency_of(&instruction.intent));
            item(Attention::RefundPending, &instruction.key, &instruction.intent, amount)
        }));
        for dispute in self.disputes.iter() {
            let kind = match dispute.stage {
                DisputeStage::Closed if dispute.is_lost() => Attention::DisputeLost,
                DisputeStage::Closed => continue,
                DisputeStage::Open | DisputeStage::UnderReview => Attention::DisputeOpen,
            };
            found.push(item(kind, &dispute.id, &dispute.intent, (dispute.amount, &dispute.currency)));
        }
        found.sort_by(|one, other| (one.kind, &one.subject).cmp(&(other.kind, &other.subject)));
        found.dedup_by(|one, other| (one.kind, &one.subject) == (other.kind, &other.subject));
        found
    }
}
