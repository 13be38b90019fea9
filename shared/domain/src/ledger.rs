//! Ledger of one booking: payment attempts, Stripe's objects, manual records and refund instructions.
//!
//! Stripe sends events late, repeatedly and in any order. The ledger therefore keeps the most advanced observed state
//! per object, and observations merge as a join-semilattice ([`facts`]): they may be repeated and reordered. Everything
//! else, the [`entries`](Ledger::entries) among it, is computed from that and never stored.

mod apply;
mod attempts;
mod attention;
mod changes;
mod entries;
pub mod facts;
mod failed_refunds;
mod provenance;
mod refunds;
mod summary;

pub use apply::Refetch;
pub use attempts::{Attempt, OpenedAttempt, PaymentChannel};
pub use attention::{Attention, AttentionItem};
pub use changes::{LedgerChange, PaymentEventKind};
pub use entries::{Entry, EntryKind};
pub use refunds::{InstructionState, RefundInstruction, RefundReason};
pub use summary::{RefundsDue, Summary, TOTALS_VERSION};

use crate::actor::Actor;
use crate::ids::{BookingId, PropertyId, uuid_text};
use crate::money::Currency;
use crate::stripe::IntentStatus;
use crate::timestamp::Timestamp;
use crate::values::queue_hop::QueueHop;
use crate::wire_enum;
use facts::{ChargeFact, DisputeFact, Facts, IntentFact, RefundFact, SessionFact};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Ledger of one booking. One document, so that every decision sees all of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// The booking's id.
    #[serde(rename = "_id")]
    pub booking_id: BookingId,
    /// Its property.
    pub property_id: PropertyId,
    /// Currency of every amount that counts; payments in another one need the attention of staff.
    pub currency: Currency,
    /// Revision: counts the changes.
    pub rev: u64,
    /// Revision at which the totals last changed: a reader with this one or a later one has the present totals.
    #[serde(default, rename = "sums_rev")]
    pub totals_rev: u64,
    /// Whether the hold is over, so that no further attempt is opened.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
    /// Payment attempts, in the order in which they were opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Checkout sessions.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub sessions: Facts<SessionFact>,
    /// Payment intents.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub intents: Facts<IntentFact>,
    /// Charges, for their refunded amounts.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub charges: Facts<ChargeFact>,
    /// Refunds.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub refunds: Facts<RefundFact>,
    /// Disputes.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub disputes: Facts<DisputeFact>,
    /// Refund instructions, whether or not Stripe has executed them.
    #[serde(default, rename = "orders", skip_serializing_if = "Vec::is_empty")]
    pub refund_instructions: Vec<RefundInstruction>,
    /// Total to refund as the booking last decided it, including what was refunded; absent while that is nothing.
    #[serde(default, rename = "to_return", skip_serializing_if = "Option::is_none")]
    pub to_refund: Option<i64>,
    /// Cash and terminal payments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
    /// Stripe's fees by object; known once its balance transactions were read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fees: BTreeMap<String, i64>,
    /// Stripe's events that changed it, the last hundred; absent in ledgers from before they were noted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// How the commands came that opened attempts and recorded payments, by the ids of these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hops: BTreeMap<String, QueueHop>,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

wire_enum! {
    /// Method of a payment made outside Stripe.
    pub enum RecordMethod {
        /// Cash.
        Cash = "cash",
        /// A card terminal of the property.
        Terminal = "terminal",
        /// Transfer to the property's account.
        BankTransfer = "bank_transfer",
    }
}

/// Payment or refund made outside Stripe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// A function of the caller and their idempotency key: a retry is the same record.
    #[serde(with = "uuid_text")]
    #[schemars(with = "Uuid")]
    pub id: Uuid,
    /// Method.
    pub method: RecordMethod,
    /// Minor units of the ledger's currency; negative for a refund.
    pub amount: i64,
    /// Who recorded it.
    pub actor: Actor,
    /// Note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Time.
    pub at: Timestamp,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(booking_id: BookingId, property_id: PropertyId, currency: Currency, now: Timestamp) -> Self {
        Self {
            booking_id,
            property_id,
            currency,
            rev: 0,
            totals_rev: 0,
            closed: false,
            attempts: Vec::new(),
            sessions: Facts::default(),
            intents: Facts::default(),
            charges: Facts::default(),
            refunds: Facts::default(),
            disputes: Facts::default(),
            refund_instructions: Vec::new(),
            to_refund: None,
            records: Vec::new(),
            fees: BTreeMap::new(),
            events: Vec::new(),
            hops: BTreeMap::new(),
            updated_at: now,
        }
    }

    /// Advances the revision after a change from `before`.
    pub fn advance_rev(&mut self, before: &Self, now: Timestamp) {
        (self.rev, self.updated_at) = (before.rev + 1, now);
        if !self.summary().same_totals_as(&before.summary()) {
            self.totals_rev = self.rev;
        }
    }

    /// Advances the revision because the rules of the totals changed, and nothing else.
    pub fn advance_totals_rev(&mut self, now: Timestamp) {
        self.rev += 1;
        (self.totals_rev, self.updated_at) = (self.rev, now);
    }

    /// Adds a record; returns whether it was new.
    pub fn record(&mut self, record: Record) -> bool {
        let is_new = !self.records.iter().any(|known| known.id == record.id);
        if is_new {
            self.records.push(record);
        }
        is_new
    }

    /// Whether this is the ledger's currency, as Stripe writes it.
    fn is_ours(&self, currency: &str) -> bool {
        self.currency.code().eq_ignore_ascii_case(currency)
    }
}

#[cfg(test)]
mod tests;
