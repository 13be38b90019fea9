//! Ledger entries in the order of time, with fees and running balance.

use super::Ledger;
use crate::timestamp::Timestamp;
use crate::wire_enum;
use chrono::DateTime;
use serde::{Deserialize, Serialize};

wire_enum! {
    /// Kind of a ledger entry.
    #[derive(PartialOrd, Ord)]
    pub enum EntryKind {
        /// A payment.
        Payment = "payment",
        /// A refund.
        Refund = "refund",
        /// A chargeback.
        Chargeback = "chargeback",
        /// A reversed chargeback.
        ChargebackReversal = "chargeback_reversal",
    }
}

/// A ledger entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its object: `pi_…`, `re_…`, `txn_…`, or the id of a record.
    pub id: String,
    /// Kind.
    pub kind: EntryKind,
    /// Its payment: `pi_…`, or the id of a record.
    pub payment: String,
    /// Minor units of the ledger's currency; negative for outgoing amounts.
    pub amount: i64,
    /// Stripe's fee, as far as known.
    pub fee: i64,
    /// Time.
    pub at: Timestamp,
    /// Running balance.
    pub balance: i64,
}

fn instant(unix_seconds: i64) -> Timestamp {
    DateTime::from_timestamp(unix_seconds, 0).unwrap_or_default().into()
}

impl Ledger {
    /// All entries, oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        let fee = |id: &str| self.fees.get(id).copied().unwrap_or(0);
        let mut entries = Vec::new();
        let mut add = |id: &str, kind, payment: &str, amount, fee, at| {
            entries.push(Entry { id: id.to_owned(), kind, payment: payment.to_owned(), amount, fee, at, balance: 0 });
        };
        for intent in self.succeeded() {
            add(
                &intent.id,
                EntryKind::Payment,
                &intent.id,
                intent.received,
                fee(&intent.id),
                instant(self.status_since(intent)),
            );
        }
        for refund in
            self.refunds.iter().filter(|refund| refund.status.is_effective() && self.is_ours(&refund.currency))
        {
            add(
                &refund.id,
                EntryKind::Refund,
                &refund.intent,
                -refund.amount,
                fee(&refund.id),
                instant(refund.created),
            );
        }
        for dispute in self.disputes.iter().filter(|dispute| self.is_ours(self.currency_of(dispute))) {
            let kind = |amount: i64| if amount < 0 { EntryKind::Chargeback } else { EntryKind::ChargebackReversal };
            let mut moved = 0;
            for movement in dispute.movements.iter().filter(|movement| self.is_ours(&movement.currency)) {
                let at = instant(movement.created);
                moved += movement.amount;
                add(&movement.id, kind(movement.amount), &dispute.intent, movement.amount, movement.fee, at);
            }
            // Charged back without a balance transaction in this currency.
            let rest = -self.charged_back(dispute) - moved;
            if rest != 0 {
                add(&dispute.id, kind(rest), &dispute.intent, rest, 0, instant(dispute.observation.at));
            }
        }
        for record in &self.records {
            let kind = if record.amount < 0 { EntryKind::Refund } else { EntryKind::Payment };
            let id = record.id.to_string();
            add(&id, kind, &id, record.amount, 0, record.at);
        }
        entries.sort_by(|one, two| (one.at, &one.id).cmp(&(two.at, &two.id)));
        let mut balance = 0;
        for entry in &mut entries {
            balance += entry.amount;
            entry.balance = balance;
        }
        entries
    }
}
