//! How a booking is paid: what it takes to confirm it, and what its ledger comes to.

use super::{Booking, Status};
use crate::ledger::Summary;
use crate::money::is_zero;
use crate::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

/// The money of a booking, as the booking knows it. Amounts are minor units of its price's currency.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// What has to be paid before the booking is confirmed; nothing when it is paid on arrival.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub required: i64,
    /// Until when the beds are held for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What the ledger comes to; absent while it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Summary>,
    /// What is to be given back in all, what was given back already included. Decided with the booking, so that no
    /// payment is both given back and counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub to_return: i64,
}

/// How the payment of a booking looks to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Nothing is owed at all.
    NotDue,
    /// Nothing is owed before arrival.
    PayOnArrival,
    /// Beds are held until it is paid.
    Pending,
    /// It is on its way, which may take days.
    Processing,
    /// A part is paid.
    PartiallyPaid,
    /// All of it is paid.
    Paid,
    /// A part of what was paid was given back.
    PartiallyRefunded,
    /// All that was paid was given back.
    Refunded,
    /// A bank took it back.
    ChargedBack,
}

impl PaymentStatus {
    /// Every status with its wire name.
    pub const ALL: [(&'static str, Self); 9] = [
        ("not_due", Self::NotDue),
        ("pay_on_arrival", Self::PayOnArrival),
        ("pending", Self::Pending),
        ("processing", Self::Processing),
        ("partially_paid", Self::PartiallyPaid),
        ("paid", Self::Paid),
        ("partially_refunded", Self::PartiallyRefunded),
        ("refunded", Self::Refunded),
        ("charged_back", Self::ChargedBack),
    ];

    /// The wire name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, status)| *status == self).map_or("not_due", |(name, _)| name)
    }
}

impl Payment {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What the ledger comes to.
    pub fn ledger(&self) -> Summary {
        self.ledger.clone().unwrap_or_default()
    }

    /// What is to be given back and was not yet.
    pub fn return_due(&self) -> i64 {
        (self.to_return - self.ledger.as_ref().map_or(0, |ledger| ledger.refunded)).max(0)
    }

    /// Whether what was paid confirms a hold. What is to be given back does not count, except what was paid twice,
    /// which never did. What somebody gave back at Stripe does: told in the order in which it happened, it would have
    /// come after the confirmation.
    pub fn covers(&self) -> bool {
        let Some(ledger) = &self.ledger else { return self.required == 0 };
        ledger.cleared - (self.to_return - ledger.surplus).max(0) >= self.required
    }

    /// Whether, beyond that, the hostel still has it. Beds that were released are claimed again for nothing less: the
    /// money may have gone back because there were none.
    pub fn covers_late(&self) -> bool {
        let kept = self.ledger.as_ref().map_or(0, Summary::kept);
        self.covers() && kept - self.return_due() >= self.required
    }
}

impl Booking {
    /// What the hostel may keep of what was paid, as the booking stands.
    fn owed(&self) -> i64 {
        let total = || self.price.as_ref().map_or(0, |price| price.total);
        match self.status {
            Status::Requested | Status::Held | Status::Confirmed | Status::CheckedIn | Status::CheckedOut => total(),
            Status::NoShow | Status::Cancelled => self.cancellation_fee.unwrap_or(0),
            Status::Expired | Status::Rejected => 0,
        }
    }

    /// What is still owed, in minor units of the price's currency. What a cancelled booking owes is not asked for by
    /// itself.
    pub fn balance(&self) -> i64 {
        if !self.status.holds_beds() {
            return 0;
        }
        (self.owed() - self.payment.ledger.as_ref().map_or(0, Summary::kept)).max(0)
    }

    /// What a guest can pay now: what confirms a held booking, else the balance.
    pub fn payable(&self) -> i64 {
        match self.status {
            Status::Held => {
                (self.payment.required - self.payment.ledger.as_ref().map_or(0, |ledger| ledger.cleared)).max(0)
            }
            _ => self.balance(),
        }
    }

    /// What is to be given back in all, as the booking stands: whatever was paid beyond what is owed, and what was paid
    /// twice.
    ///
    /// `refund = max(0, captured − refunded − fee)`, with what banks took not being ours to give.
    pub fn returnable(&self) -> i64 {
        let Some(ledger) = &self.payment.ledger else { return 0 };
        (ledger.captured - ledger.charged_back - self.owed()).max(ledger.surplus).max(0)
    }

    /// How its payment looks to people.
    pub fn payment_status(&self) -> PaymentStatus {
        let ledger = self.payment.ledger();
        let is_live = self.status.holds_beds();
        match ledger {
            Summary { captured: 1.., charged_back: 1.., .. } if ledger.kept() <= 0 => PaymentStatus::ChargedBack,
            Summary { captured: 1.., refunded: 1.., .. } if ledger.kept() <= 0 => PaymentStatus::Refunded,
            Summary { captured: 1.., refunded: 1.., .. } if !is_live || self.balance() > 0 => {
                PaymentStatus::PartiallyRefunded
            }
            Summary { captured: 1.., .. } if self.balance() > 0 => PaymentStatus::PartiallyPaid,
            Summary { captured: 1.., .. } => PaymentStatus::Paid,
            Summary { processing: true, .. } => PaymentStatus::Processing,
            _ if self.status == Status::Held => PaymentStatus::Pending,
            _ if is_live && self.balance() > 0 => PaymentStatus::PayOnArrival,
            _ => PaymentStatus::NotDue,
        }
    }
}
