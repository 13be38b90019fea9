//! Fees of guests' changes: a guest who shortens or moves a booking pays the cancellation fee for the part given up.
//!
//! Without them a guest would avoid a cancellation fee by changing first: to one night, or to a date far ahead.

use super::{Absence, Booking, Status, Stay};
use crate::money::is_zero;
use crate::rates::cancellation::{cancellation_fee, changes_are_free, check_in_opens, deadlines};
use crate::timestamp::Timestamp;
use crate::values::price::Price;
use crate::values::property::Property;
use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Fees of a guest's changes, in minor units of the price's currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeFees {
    /// Sum over the guest's changes of `max(0, cancellation fee before − cancellation fee after)`, both at the time of
    /// the change.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sum: i64,
    /// By how much the highest price since the first fee exceeds the present price. It limits what is charged: price
    /// and fees together never exceed that highest price.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub below_highest_price: i64,
}

impl ChangeFees {
    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Amount owed beside the price while the booking stands.
    pub fn beside_price(self) -> i64 {
        self.sum.min(self.below_highest_price)
    }

    /// Amount owed when the booking, whose price is `total`, ends with this cancellation fee.
    fn with_cancellation(self, fee: i64, total: i64) -> i64 {
        (fee + self.sum).min(total + self.below_highest_price)
    }

    /// Without what these absences added, whose guests came after all.
    pub(crate) fn without(self, absences: &[Absence]) -> Self {
        let sum = absences.iter().fold(self.sum, |sum, absence| sum - absence.fee).max(0);
        if sum == 0 {
            return Self::default();
        }
        let below =
            absences.iter().fold(self.below_highest_price, |below, absence| below - absence.below_highest_price);
        Self { sum, below_highest_price: below.max(0) }
    }

    /// With the fee of one more change; each pair is a cancellation fee and a price.
    fn with_change(self, (fee_before, price_before): (i64, i64), (fee_after, price_after): (i64, i64)) -> Self {
        let sum = self.sum + (fee_before - fee_after).max(0);
        if sum == 0 {
            return Self::default();
        }
        Self { sum, below_highest_price: (price_before + self.below_highest_price - price_after).max(0) }
    }
}

/// What cancelling a booking costs until an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancellationTerm {
    /// The last instant at which it costs this; `None` from the end of the term before on.
    pub until: Option<DateTime<Utc>>,
    /// Minor units of the price's currency.
    pub fee: i64,
}

impl Booking {
    /// The change fees once the guests of these stays did not arrive, where `rest` is the price without them: by how
    /// much cancelling at `now` costs more with them than without, at the fee that applies to their arrival.
    pub(crate) fn change_fees_without(
        &self,
        stays: &[Stay],
        rest: &Price,
        property: &Property,
        now: Timestamp,
    ) -> ChangeFees {
        let fee = |price| cancellation_fee(self.cancellation_policy.as_ref(), price, stays, property, now);
        let (before, after) = (fee(self.price.as_ref()), fee(Some(rest)));
        self.payment.change_fees.with_change((before, self.total()), (after, rest.total))
    }

    /// Total of the price; zero without one.
    pub(crate) fn total(&self) -> i64 {
        self.price.as_ref().map_or(0, |price| price.total)
    }

    /// Fees of the guest's changes, owed beside the price; zero once the beds are released, because a cancellation fee
    /// includes them.
    pub fn change_fee(&self) -> i64 {
        if self.status.holds_beds() { self.payment.change_fees.beside_price() } else { 0 }
    }

    /// Fee of the policy alone at `now`.
    fn policy_fee_at(&self, property: &Property, now: Timestamp) -> i64 {
        cancellation_fee(self.cancellation_policy.as_ref(), self.price.as_ref(), &self.stays, property, now)
    }

    /// The fee of cancelling at `now`, including the fees of the guest's changes. A booking that was never confirmed
    /// is cancelled free of charge.
    pub fn cancellation_fee_at(&self, property: &Property, now: Timestamp) -> i64 {
        if self.status == Status::Held {
            return 0;
        }
        self.payment.change_fees.with_cancellation(self.policy_fee_at(property, now), self.total())
    }

    /// Until when cancelling costs nothing from `now` on, while the booking can be cancelled; where it never costs
    /// anything, until check-in opens. `None` where it costs something now, and once that time has passed.
    pub fn free_cancellation_until(&self, property: &Property, now: Timestamp) -> Option<DateTime<Utc>> {
        let present = self.cancellation_terms(property, now).into_iter().next().filter(|term| term.fee == 0)?;
        let until = present.until.or_else(|| check_in_opens(&self.stays, property));
        until.filter(|until| now.as_datetime() <= *until)
    }

    /// What cancelling costs from `now` on, by time, while the booking can be cancelled: each fee until its end.
    pub fn cancellation_terms(&self, property: &Property, now: Timestamp) -> Vec<CancellationTerm> {
        let Some(price) = self.price.as_ref().filter(|_| self.status.may_become(Status::Cancelled)) else {
            return Vec::new();
        };
        let fee_at = |at: DateTime<Utc>| {
            let fee = self.policy_fee_at(property, Timestamp::new(at));
            self.payment.change_fees.with_cancellation(fee, price.total)
        };
        let ends = deadlines(self.cancellation_policy.as_ref(), &self.stays, property);
        let later = ends.last().map_or(DateTime::<Utc>::MAX_UTC, |last| *last + TimeDelta::milliseconds(1));
        let mut terms: Vec<CancellationTerm> = Vec::with_capacity(ends.len() + 1);
        let ahead = ends.iter().filter(|end| now.as_datetime() <= **end);
        let all = ahead.map(|end| (Some(*end), *end)).chain([(None, later)]);
        for (until, at) in all {
            let term = CancellationTerm { until, fee: fee_at(at) };
            match terms.last_mut() {
                Some(same) if same.fee == term.fee => *same = term,
                _ => terms.push(term),
            }
        }
        terms
    }

    /// The change fees after a guest changed this booking into `changed` at `now`.
    pub(crate) fn change_fees_after(&self, changed: &Self, property: &Property, now: Timestamp) -> ChangeFees {
        let fees = self.payment.change_fees;
        if changes_are_free(self.cancellation_policy.as_ref(), &self.stays, property, now) {
            return fees;
        }
        fees.with_change(
            (self.policy_fee_at(property, now), self.total()),
            (changed.policy_fee_at(property, now), changed.total()),
        )
    }
}
