//! Payment of a booking: what it takes to confirm it, and the totals of its ledger.

use super::change_fees::ChangeFees;
use crate::ledger::{RefundsDue, Summary};
use crate::money::is_zero;
use crate::timestamp::Timestamp;
use crate::wire_enum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Payment of a booking, as the booking knows it. Amounts are minor units of its price's currency.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Payment {
    /// Amount that must be paid before the booking is confirmed; zero when it is paid on arrival.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub required: i64,
    /// End of the hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Totals of the ledger; absent while it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Summary>,
    /// Total to refund, including what was refunded already. Decided with the booking, so that no payment is both
    /// refunded and counted.
    #[serde(default, rename = "to_return", skip_serializing_if = "is_zero")]
    pub to_refund: i64,
    /// Fees of the guest's changes.
    #[serde(default, skip_serializing_if = "ChangeFees::is_none")]
    pub change_fees: ChangeFees,
}

wire_enum! {
    /// Payment status of a booking, for display.
    #[derive(Hash)]
    pub enum PaymentStatus {
        /// Nothing is owed.
        NotDue = "not_due",
        /// Nothing is owed before arrival.
        PayOnArrival = "pay_on_arrival",
        /// The booking has ended, and nothing of its fee is paid. It is not collected by itself.
        FeeOwed = "fee_owed",
        /// Beds are held until payment.
        Pending = "pending",
        /// A payment is processing, which may take days.
        Processing = "processing",
        /// Paid in part, in another amount than requested, or in another currency.
        PartiallyPaid = "partially_paid",
        /// Paid in full.
        Paid = "paid",
        /// Refunded in part.
        PartiallyRefunded = "partially_refunded",
        /// Refunded in full.
        Refunded = "refunded",
        /// Charged back.
        ChargedBack = "charged_back",
    }
}

impl Payment {
    /// Whether nothing is required, paid or refunded.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Totals of the ledger.
    pub fn ledger(&self) -> Summary {
        self.ledger.clone().unwrap_or_default()
    }

    /// Amount still to refund: never more than is kept.
    pub fn refund_due(&self) -> i64 {
        self.refunds_due().total()
    }

    /// Amount still to refund, by the way in which it is returned.
    pub fn refunds_due(&self) -> RefundsDue {
        self.ledger.as_ref().map_or_else(RefundsDue::default, |ledger| ledger.refunds_due(self.to_refund))
    }

    /// Whether the payments confirm a hold. Amounts to refund do not count, except payments that never did.
    /// A refund made in Stripe's dashboard does count: observed in order, it would have followed the confirmation.
    pub fn covers(&self) -> bool {
        self.counted() >= self.required
    }

    /// What pays a demand exactly, less what is to be refunded of it. The rest of what was captured is refunded first:
    /// surplus payments, other amounts than requested, and what negative records have taken out of `cleared` already.
    fn counted(&self) -> i64 {
        self.ledger.as_ref().map_or(0, |ledger| ledger.cleared.min(ledger.captured - self.to_refund))
    }

    /// Amount that the property has and keeps: counted as for a hold, but without what was refunded or charged back.
    pub(crate) fn retained(&self) -> i64 {
        let kept = self.ledger.as_ref().map_or(0, Summary::kept);
        self.counted().min(kept - self.refund_due()).max(0)
    }

    /// Whether, beyond that, the amount has not been refunded. Released beds are not claimed again for less: the
    /// payment may have been refunded because there were none.
    pub fn covers_late(&self) -> bool {
        self.retained() >= self.required
    }
}
