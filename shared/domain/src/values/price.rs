//! A price with its parts.

use super::stay::Stay;
use crate::money::{Currency, is_zero};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A price with its parts, in minor units of one currency: `total = Σ nights + unused_nights + Σ taxes`.
///
/// Compact on purpose: the longest booking that is accepted has thousands of nights, and its event must fit a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// Of every amount here.
    #[schemars(with = "String", extend("pattern" = "^[A-Z]{3}$"))]
    pub currency: Currency,
    /// For each stay, in the booking's order: the amount of each of its nights, from arrival on, for all its guests,
    /// before tax.
    pub nights: Vec<Vec<i64>>,
    /// Nights that guests gave up by an early departure and owe all the same, before tax.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unused_nights: i64,
    /// One line per tax.
    pub taxes: Vec<TaxLine>,
    /// The total owed by the guest.
    pub total: i64,
}

impl Price {
    /// The price of each night of each stay; `stays` are those that were priced.
    pub fn night_prices<'a>(&'a self, stays: &'a [Stay]) -> impl Iterator<Item = NightPrice> + 'a {
        stays.iter().enumerate().zip(&self.nights).flat_map(|((stay, nights), amounts)| {
            nights.nights().iter().zip(amounts).map(move |(night, amount)| NightPrice { stay, night, amount: *amount })
        })
    }

    /// The first `count` nights of every stay with taxes in proportion, halves rounded up.
    pub fn of_first_nights(&self, count: usize) -> i64 {
        let used: i128 = self.nights.iter().flatten().map(|amount| i128::from(*amount)).sum();
        let all = used + i128::from(self.unused_nights);
        let first: i128 =
            self.nights.iter().flat_map(|stay| stay.iter().take(count)).map(|amount| i128::from(*amount)).sum();
        if all <= 0 {
            return 0;
        }
        i64::try_from((i128::from(self.total) * first * 2 + all) / (all * 2)).unwrap_or(i64::MAX)
    }
}

/// The price of one night of one stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NightPrice {
    /// Index of the stay in the booking.
    pub stay: usize,
    /// The night.
    pub night: NaiveDate,
    /// For all guests of the stay, before tax, in minor units.
    pub amount: i64,
}

/// One tax of a booking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaxLine {
    /// The rule's code.
    pub code: String,
    /// The rule's name at the time.
    pub name: String,
    /// The rule's rate at the time.
    pub rate_ppm: u32,
    /// The amount.
    pub amount: i64,
}
