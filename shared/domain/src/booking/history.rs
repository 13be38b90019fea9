//! History of a booking: one entry per revision, with the changes it made.

use super::lifecycle::Status;
use super::payment::Payment;
use crate::actor::Actor;
use crate::ids::{BookingId, RatePlanId, uuid_text};
use crate::timestamp::Timestamp;
use crate::values::price::Price;
use crate::values::queue_hop::QueueHop;
use crate::values::stay::{BedMove, Stay};
use crate::wire_enum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

wire_enum! {
    /// Cause of a revision. The first history entry is always `request`.
    pub enum Action {
        /// The guest's request was decided.
        Request = "request",
        /// The booking was cancelled.
        Cancel = "cancel",
        /// Dates, guests, room types or prices were changed.
        Modify = "modify",
        /// A guest's change was accepted and its addition held until its deposit is paid.
        HoldChange = "hold_change",
        /// A held change expired unpaid, or gave way to something else.
        ReleaseChange = "release_change",
        /// Beds were assigned, pinned or unpinned by staff.
        Assign = "assign",
        /// Other beds were assigned to make room for another booking.
        Move = "move",
        /// The guests checked in.
        CheckIn = "check_in",
        /// The guests checked out.
        CheckOut = "check_out",
        /// The guests did not arrive.
        NoShow = "no_show",
        /// A check-in or a no-show was undone.
        Reinstate = "reinstate",
        /// The booking was paid, or staff confirmed it unpaid.
        Confirm = "confirm",
        /// The hold expired unpaid.
        Expire = "expire",
        /// The ledger changed without changing the status.
        RecordPayment = "record_payment",
        /// Staff revoked the links that were given to the guest.
        RevokeLinks = "revoke_links",
    }
}

/// A stay before and after; absent means that it was not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct StayChange {
    /// Its index in the booking.
    pub index: usize,
    /// Before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Stay>,
    /// After.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Stay>,
}

/// The price before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceChange {
    /// Before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Price>,
    /// After.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Price>,
}

/// The rate plan before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct RatePlanChange {
    /// Before.
    pub before: RatePlanId,
    /// After.
    pub after: RatePlanId,
}

/// The payment before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentChange {
    /// Before.
    pub before: Payment,
    /// After.
    pub after: Payment,
}

/// Changes of a revision beside the status. Compact: only what differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Stays that differ, by index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<StayChange>,
    /// The price, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceChange>,
    /// The rate plan, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_plan: Option<RatePlanChange>,
    /// The payment, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentChange>,
    /// Whether the guest's data were changed; the values are kept in the booking alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guest: bool,
    /// Whether the rooming list was changed; the names are kept in the booking alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rooming_list: bool,
    /// Whether the tokens issued before were revoked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub links_revoked: bool,
    /// Whether a pending change was dropped: it expired unpaid, or gave way to something else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub change_released: bool,
}

impl Changes {
    /// Reverts a state to the revision before this one.
    pub(super) fn undo(&self, RevisionState { stays, price, rate_plan_id, payment }: &mut RevisionState) {
        for change in self.stays.iter().rev() {
            match (&change.before, stays.get_mut(change.index)) {
                (Some(before), Some(stay)) => *stay = before.clone(),
                (Some(_), None) => {}
                (None, _) => stays.truncate(change.index),
            }
        }
        // Stays that the change dropped follow those that are left, in order.
        let kept = stays.len();
        stays
            .extend(self.stays.iter().filter(|change| change.index >= kept).filter_map(|change| change.before.clone()));
        if let Some(change) = &self.price {
            price.clone_from(&change.before);
        }
        if let Some(change) = &self.rate_plan {
            rate_plan_id.clone_from(&change.before);
        }
        if let Some(change) = &self.payment {
            payment.clone_from(&change.before);
        }
    }
}

/// One revision, with its reason and the message that caused it.
///
/// Because it names the command and the event, a redelivered command finds its own entry and publishes the same event
/// again: the booking is inbox and outbox in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Revision that this entry made, counting from 1 without gaps.
    pub rev: u32,
    /// Time of the decision.
    pub at: Timestamp,
    /// Its cause.
    pub action: Action,
    /// Status before; `requested` for the first entry.
    pub from: Status,
    /// Status after.
    pub to: Status,
    /// The command's message id.
    #[serde(with = "uuid_text")]
    pub command_id: Uuid,
    /// The event's message id.
    #[serde(with = "uuid_text")]
    pub event_id: Uuid,
    /// Who requested it.
    pub actor: Actor,
    /// Reason, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Changes beside the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Box<Changes>>,
    /// Bookings that were reassigned to make this revision possible: a redelivered command republishes their events,
    /// too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<BookingId>,
    /// Moves of the checked-in guests that this revision orders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bed_moves: Vec<BedMove>,
    /// The way of its command through the queue; absent in entries from before it was stored, and where another
    /// booking's command caused the revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<Box<QueueHop>>,
}

impl HistoryEntry {
    /// The moves that it orders, each with the id of its stay.
    pub fn numbered_bed_moves(&self) -> Vec<BedMove> {
        let numbered = |one: &BedMove| BedMove { id: one.id.or_else(|| u32::try_from(one.stay).ok()), ..one.clone() };
        self.bed_moves.iter().map(numbered).collect()
    }
}

impl StayChange {
    /// The same, each stay with its id.
    pub fn numbered(&self) -> Self {
        let numbered = |stay: &Stay| Stay { id: stay.id.or_else(|| u32::try_from(self.index).ok()), ..stay.clone() };
        Self { index: self.index, before: self.before.as_ref().map(numbered), after: self.after.as_ref().map(numbered) }
    }
}

/// Stays, price, rate plan and payment as they were at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionState {
    /// Stays.
    pub stays: Vec<Stay>,
    /// Price.
    pub price: Option<Price>,
    /// Rate plan.
    pub rate_plan_id: RatePlanId,
    /// Payment.
    pub payment: Payment,
}
