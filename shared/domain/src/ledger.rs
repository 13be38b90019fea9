//! The money of one booking: what was asked for, what Stripe and staff say was paid and given back, and what that comes
//! to.
//!
//! Stripe tells of every object again and again, late, twice and in any order. So the ledger keeps, of each object, the
//! furthest state that anybody has told of: telling is joining, and joins may be repeated and reordered ([`facts`]).
//! Everything else, the [`entries`](Ledger::entries) among it, is computed from that and never stored.

mod apply;
mod attempts;
mod changes;
mod entries;
pub mod facts;
mod refunds;
mod summary;

pub use apply::Refetch;
pub use attempts::{Attempt, OpenedAttempt, PaymentChannel};
pub use changes::{LedgerChange, LedgerChangeKind};
pub use entries::{Entry, EntryKind};
pub use refunds::{InstructionState, RefundInstruction, RefundReason};
pub use summary::{Attention, Summary};

use crate::ids::{BookingId, PropertyId, uuid_text};
use crate::money::Currency;
use crate::stripe::IntentStatus;
use crate::timestamp::Timestamp;
use facts::{ChargeFact, DisputeFact, Facts, IntentFact, RefundFact, SessionFact};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The money of one booking. One document, so that whatever is decided upon it is decided upon all of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// The booking's id.
    #[serde(rename = "_id")]
    pub booking_id: BookingId,
    /// Its hostel.
    pub property_id: PropertyId,
    /// Of every amount that counts; payments in another one are for staff to look at.
    pub currency: Currency,
    /// Counts the changes.
    pub rev: u64,
    /// The revision at which what it comes to last changed: whoever knows it as of this one or a later one knows
    /// enough.
    #[serde(default)]
    pub sums_rev: u64,
    /// Whether the hold is over, so that no guest is sent to pay any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
    /// What guests were sent to pay, in the order in which they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Checkout sessions.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub sessions: Facts<SessionFact>,
    /// Payments.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub intents: Facts<IntentFact>,
    /// Attempts of payments, for what they say was given back.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub charges: Facts<ChargeFact>,
    /// Money on its way back.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub refunds: Facts<RefundFact>,
    /// Money that banks want back.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub disputes: Facts<DisputeFact>,
    /// Refunds that were decided here, whether or not Stripe has made them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<RefundInstruction>,
    /// Cash and terminal payments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
    /// What Stripe kept, by the object for which it did; known after its own ledger was read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fees: BTreeMap<String, i64>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// How money came that Stripe did not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordMethod {
    /// Notes and coins.
    Cash,
    /// A card terminal of the hostel's own.
    Terminal,
    /// To the hostel's account.
    BankTransfer,
}

impl RecordMethod {
    /// Every method with its wire name.
    pub const ALL: [(&'static str, Self); 3] =
        [("cash", Self::Cash), ("terminal", Self::Terminal), ("bank_transfer", Self::BankTransfer)];
}

/// Money that staff took or gave back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// A function of who asked and their idempotency key: the same wish twice is one record.
    #[serde(with = "uuid_text")]
    pub id: Uuid,
    /// How.
    pub method: RecordMethod,
    /// Minor units of the ledger's currency; negative when it was given back.
    pub amount: i64,
    /// Who took it: `staff:<id>`.
    pub actor: String,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl Ledger {
    /// The ledger of a booking of which no money is known.
    pub fn new(booking_id: BookingId, property_id: PropertyId, currency: Currency, now: Timestamp) -> Self {
        Self {
            booking_id,
            property_id,
            currency,
            rev: 0,
            sums_rev: 0,
            closed: false,
            attempts: Vec::new(),
            sessions: Facts::default(),
            intents: Facts::default(),
            charges: Facts::default(),
            refunds: Facts::default(),
            disputes: Facts::default(),
            orders: Vec::new(),
            records: Vec::new(),
            fees: BTreeMap::new(),
            updated_at: now,
        }
    }

    /// Counts the change that made this of `before`.
    pub fn advance_rev(&mut self, before: &Self, now: Timestamp) {
        (self.rev, self.updated_at) = (before.rev + 1, now);
        if !self.summary().same_totals_as(&before.summary()) {
            self.sums_rev = self.rev;
        }
    }

    /// Notes what staff took or gave back; whether it was new.
    pub fn record(&mut self, record: Record) -> bool {
        let is_new = !self.records.iter().any(|known| known.id == record.id);
        if is_new {
            self.records.push(record);
        }
        is_new
    }

    /// Whether this is the currency that counts, as Stripe writes it.
    fn is_ours(&self, currency: &str) -> bool {
        self.currency.code().eq_ignore_ascii_case(currency)
    }
}

#[cfg(test)]
mod tests;
