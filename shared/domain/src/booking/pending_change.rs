//! A guest's change whose addition is held until its deposit is paid.
//!
//! The booking itself stays as it was meanwhile: it keeps its beds, and the beds of the change are held beside them.

use super::{Booking, ChangeFees, Payment, Status, Stay};
use crate::ids::RatePlanId;
use crate::ledger::Summary;
use crate::money::is_zero;
use crate::timestamp::Timestamp;
use crate::values::policy::CancellationPolicy;
use crate::values::price::Price;
use serde::{Deserialize, Serialize};

/// A change that takes effect once the booking's payments cover `required`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingChange {
    /// All stays after the change.
    pub stays: Vec<Stay>,
    /// Price after the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Rate plan after the change.
    pub rate_plan_id: RatePlanId,
    /// Cancellation policy after the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation_policy: Option<CancellationPolicy>,
    /// Fees of the guest's changes after this one.
    #[serde(default, skip_serializing_if = "ChangeFees::is_none")]
    pub change_fees: ChangeFees,
    /// Deposit of the changed booking: the amount that must be paid in total.
    pub required: i64,
    /// Total that the booking had decided to refund before the change. It may have been instructed already, so it is
    /// refunded whatever the change costs, and pays for nothing.
    #[serde(default, rename = "to_return", skip_serializing_if = "is_zero")]
    pub to_refund: i64,
    /// When the beds of the change are released, unless it is paid.
    pub expires_at: Timestamp,
}

impl PendingChange {
    /// Locks or unlocks the stays that keep a bed of this one for a night.
    pub(crate) fn lock_as(&mut self, stay: &Stay) {
        let shares = |own: &Stay| own.bed_nights().any(|night| stay.bed_nights().any(|other| other == night));
        self.stays.iter_mut().filter(|own| shares(own)).for_each(|own| own.locked = stay.locked);
    }
}

/// When beds are released unless they are paid, for a booking in this status whose pending change, if there is one, is
/// held until `pending_ends`.
pub fn hold_ends(status: Status, payment: &Payment, pending_ends: Option<Timestamp>) -> Option<Timestamp> {
    pending_ends.or(payment.expires_at.filter(|_| status == Status::Held))
}

/// Whether the money in the ledger keeps beds whose hold has ended. A payment that is processing may still be for them.
/// Any money keeps a held booking, even if it confirms nothing, because staff must look at it; a pending change is
/// dropped all the same, and what was paid towards it is a payment for the booking.
pub fn keeps_hold(status: Status, ledger: &Summary) -> bool {
    ledger.processing || (status == Status::Held && ledger.has_money())
}

impl Booking {
    /// When beds are released unless they are paid: those of a held booking, or those of a pending change.
    pub fn hold_ends(&self) -> Option<Timestamp> {
        hold_ends(self.status, &self.payment, self.pending_change.as_ref().map(|pending| pending.expires_at))
    }

    /// Whether the payments cover the pending change, if there is one.
    pub(crate) fn pending_is_paid(&self) -> bool {
        self.pending_change.as_ref().is_some_and(|pending| self.missing(pending.required) == 0)
    }

    /// Whether this change, which was pending, is neither pending still nor made.
    pub(super) fn has_dropped(&self, pending: &PendingChange) -> bool {
        let is_made = self.stays == pending.stays && self.price == pending.price;
        self.pending_change.as_deref().map(|now| now.expires_at) != Some(pending.expires_at) && !is_made
    }

    /// Makes the pending change effective.
    pub fn apply_pending(&mut self) {
        let Some(pending) = self.pending_change.take() else { return };
        self.stays = pending.stays;
        self.price = pending.price;
        self.rate_plan_id = pending.rate_plan_id;
        self.cancellation_policy = pending.cancellation_policy;
        self.payment.change_fees = pending.change_fees;
        self.payment.required = pending.required;
    }
}
