//! Guests who did not arrive while others of their booking did.

use super::{Booking, Stay};
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
    /// Divides a fee between absences by what their nights cost.
    pub(crate) fn share_fee(absences: &mut [Self], fee: i64) {
        let cost = |absence: &Self| absence.nights.iter().map(|amount| i128::from(*amount)).sum::<i128>();
        let all: i128 = absences.iter().map(cost).sum();
        let (mut cost_so_far, mut fee_so_far) = (0, 0);
        for absence in absences {
            cost_so_far += cost(absence);
            let until = if all == 0 { fee } else { i64::try_from(i128::from(fee) * cost_so_far / all).unwrap_or(fee) };
            absence.fee = until - fee_so_far;
            fee_so_far = until;
        }
    }
}
