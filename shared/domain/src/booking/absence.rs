//! Guests who did not arrive while others of their booking did.

use super::{Booking, ChangeFees, Stay};
use crate::money::is_zero;
use crate::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

/// A stay that left its booking because its guests did not arrive, with what it takes to bring it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// The stay; its beds are released.
    #[serde(flatten)]
    pub stay: Stay,
    /// What its nights cost, in minor units of the price's currency. Empty in bookings without a price, and in those
    /// from before absences could be undone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nights: Vec<i64>,
    /// What the absence added to the sum of change fees; zero once it was waived.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fee: i64,
    /// What the absence added to [`ChangeFees::below_highest_price`](super::ChangeFees); zero once its fee was waived.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub below_highest_price: i64,
    /// When it was entered; absent in bookings from before absences could be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Booking {
    /// The part of the change fee that is owed because guests did not arrive.
    pub fn absence_fee(&self) -> i64 {
        let all: i64 = self.no_shows.iter().map(|absence| absence.fee).sum();
        all.min(self.change_fee())
    }
}

impl Absence {
    /// Divides what these absences added to the change fees by what their nights cost.
    pub(crate) fn share_fees(absences: &mut [Self], before: ChangeFees, after: ChangeFees) {
        let cost = |absence: &Self| absence.nights.iter().map(|amount| i128::from(*amount)).sum::<i128>();
        let all: i128 = absences.iter().map(cost).sum();
        let share = |amount: i64, cost: i128| match all {
            0 => amount,
            _ => i64::try_from(i128::from(amount) * cost / all).unwrap_or(amount),
        };
        let (fee, below) = (after.sum - before.sum, after.below_highest_price - before.below_highest_price);
        let (mut cost_so_far, mut fee_so_far, mut below_so_far) = (0, 0, 0);
        for absence in absences {
            cost_so_far += cost(absence);
            let (fee, below) = (share(fee, cost_so_far), share(below, cost_so_far));
            (absence.fee, absence.below_highest_price) = (fee - fee_so_far, below - below_so_far);
            (fee_so_far, below_so_far) = (fee, below);
        }
    }

    /// Waives its fee.
    pub(crate) fn waive_fee(&mut self) {
        (self.fee, self.below_highest_price) = (0, 0);
    }
}
