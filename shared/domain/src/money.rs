//! Money in minor units, and exact sharing of an amount.

pub use iso_currency::Currency;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount in the currency's minor unit (cents, or whole yen), as JSON `{"amount": 15000, "currency": "CAD"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Money {
    /// Minor units, for example cents.
    pub amount: i64,
    /// ISO 4217 code.
    #[schemars(with = "String", extend("pattern" = "^[A-Z]{3}$"))]
    pub currency: Currency,
}

impl Money {
    /// `amount` minor units of `currency`.
    pub fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }
}

/// Whether an amount or a count is left out of the serialized form.
pub fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

/// For display: `150.00 CAD`, `9000 JPY`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = usize::from(self.currency.exponent().unwrap_or(0));
        let sign = if self.amount < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", self.amount.unsigned_abs(), width = exponent + 1);
        let (whole, fraction) = digits.split_at(digits.len() - exponent);
        let dot = if exponent == 0 { "" } else { "." };
        write!(f, "{sign}{whole}{dot}{fraction} {}", self.currency.code())
    }
}

/// `amount × rate_ppm / 1,000,000`, halves away from zero (the usual commercial rounding of sales taxes).
pub fn apply_rate(amount: i64, rate_ppm: u32) -> i64 {
    let scaled = i128::from(amount) * i128::from(rate_ppm);
    let half = if scaled < 0 { -500_000 } else { 500_000 };
    i64::try_from((scaled + half) / 1_000_000).unwrap_or(i64::MAX)
}

/// A rate as a number of percent, for display: `9.975`.
pub fn percent(rate_ppm: u32) -> String {
    let digits = format!("{}.{:04}", rate_ppm / 10_000, rate_ppm % 10_000);
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Splits `amount` into `parts` parts that differ by at most one and add up to it; the first ones take the remainder.
/// Zero parts share nothing.
pub fn shares(amount: i64, parts: usize) -> impl Iterator<Item = i64> {
    // More parts than an i64 counts cannot exist.
    let count = i64::try_from(parts).unwrap_or(i64::MAX).max(1);
    let (each, left_over) = (amount.div_euclid(count), amount.rem_euclid(count));
    (0..count).take(parts).map(move |part| each + i64::from(part < left_over))
}

#[cfg(test)]
mod tests {
    use super::{Currency, Money, apply_rate, percent, shares};
    use proptest::prelude::*;

    #[test]
    fn shares_add_up() {
        assert_eq!(shares(100, 3).collect::<Vec<_>>(), [34, 33, 33]);
        assert_eq!(shares(-100, 3).collect::<Vec<_>>(), [-33, -33, -34]);
        assert_eq!(shares(100, 0).count(), 0);
    }

    #[test]
    fn amounts_display_as_people_write_them() {
        assert_eq!(Money::new(15_005, Currency::CAD).to_string(), "150.05 CAD");
        assert_eq!(Money::new(-5, Currency::EUR).to_string(), "-0.05 EUR");
        assert_eq!(Money::new(9_000, Currency::JPY).to_string(), "9000 JPY");
        assert_eq!(Money::new(1_234, Currency::KWD).to_string(), "1.234 KWD");
    }

    #[test]
    fn rates_display_as_percentages() {
        assert_eq!([0, 99_750, 100_000, 1_000_000].map(percent), ["0", "9.975", "10", "100"]);
    }

    #[test]
    fn portions_round_halves_away_from_zero() {
        assert_eq!(apply_rate(10_000, 99_750), 998);
        assert_eq!(apply_rate(10, 50_000), 1);
        assert_eq!(apply_rate(-10, 50_000), -1);
    }

    proptest! {
        #[test]
        fn shares_are_nearly_equal(amount in -10_000_000_i64..10_000_000, parts in 1_usize..40) {
            let shares: Vec<i64> = shares(amount, parts).collect();
            prop_assert_eq!((shares.len(), shares.iter().sum::<i64>()), (parts, amount));
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            prop_assert!(most - least <= 1);
        }
    }
}
