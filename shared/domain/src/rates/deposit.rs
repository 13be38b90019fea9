//! What has to be paid before a booking is confirmed.

use super::cancellation::first_nights;
use crate::money::apply_rate;
use crate::pricing::Price;
use serde::{Deserialize, Serialize};

/// Parts per million of a deposit that says nothing else: a fifth.
pub const DEFAULT_DEPOSIT_PPM: u32 = 200_000;

/// What of the total is to be paid at once. A plan without one is paid on arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Deposit {
    /// A part of the total.
    Percent {
        /// Parts per million: 20 % is 200,000.
        ppm: u32,
    },
    /// The first night of every stay, with its share of the taxes.
    FirstNight,
    /// All of it.
    Full,
}

impl Deposit {
    /// Minor units of the price's currency: never negative, never more than the total.
    pub fn amount(self, price: &Price) -> i64 {
        let amount = match self {
            Self::Percent { ppm } => apply_rate(price.total, ppm),
            Self::FirstNight => first_nights(price, 1),
            Self::Full => price.total,
        };
        amount.clamp(0, price.total.max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_DEPOSIT_PPM, Deposit};
    use crate::fixtures::{hostel, stay};
    use crate::pricing::price;
    use crate::rates::Rates;

    #[test]
    fn deposits_are_computed_from_the_price() {
        let hostel = hostel();
        let stays = [stay("dorm-6-mixed", "2027-03-14", "2027-03-17", 2)];
        let price = price(&hostel, &Rates::default(), &hostel.rate_plans[0], &stays).unwrap();
        assert_eq!(price.total, 28_560);
        assert_eq!(Deposit::Full.amount(&price), 28_560);
        assert_eq!(Deposit::FirstNight.amount(&price), 9_520);
        assert_eq!(Deposit::Percent { ppm: DEFAULT_DEPOSIT_PPM }.amount(&price), 5_712);
        assert_eq!(Deposit::Percent { ppm: 2_000_000 }.amount(&price), 28_560, "never more than the total");
    }

    #[test]
    fn deposit_serializes_as_documented() {
        assert_eq!(
            serde_json::to_value(Deposit::Percent { ppm: 200_000 }).unwrap(),
            serde_json::json!({ "kind": "percent", "ppm": 200_000 })
        );
        assert_eq!(serde_json::from_str::<Deposit>(r#"{"kind":"first_night"}"#).unwrap(), Deposit::FirstNight);
    }
}
