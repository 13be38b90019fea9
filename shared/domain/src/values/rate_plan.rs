//! Rate plans and the deposit they require.

use super::names::Names;
use super::price::Price;
use crate::ids::{PolicyId, RatePlanId, RoomTypeId};
use crate::money::apply_rate;
use crate::stripe::amounts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A rate plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RatePlan {
    /// Unique within the property.
    pub id: RatePlanId,
    /// Display name.
    pub name: String,
    /// The display name by language.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub names: Names,
    /// Price of one night in minor units: per guest in a dorm, per room in a private room type. A type that is not
    /// listed is not sold on this plan.
    pub nightly: BTreeMap<RoomTypeId, i64>,
    /// Cancellation policy; absent means [`super::policy::CancellationPolicy::standard`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation_policy_id: Option<PolicyId>,
    /// Deposit required before a booking is confirmed; absent when guests pay on arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposit: Option<Deposit>,
}

/// Default deposit in parts per million: 20 %.
pub const DEFAULT_DEPOSIT_PPM: u32 = 200_000;

/// The part of the total that is paid at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schemars(transform = crate::schema::as_one_object)]
pub enum Deposit {
    /// A part of the total.
    Percent {
        /// Parts per million: 20 % is 200,000.
        #[schemars(range(min = 1))]
        ppm: u32,
    },
    /// The first night of every stay, with its share of the taxes.
    FirstNight,
    /// All of it.
    Full,
}

impl Deposit {
    /// Minor units of the price's currency, as Stripe takes them: at least its minimum, never more than the total, and
    /// zero where it takes nothing of the total.
    pub fn amount(self, price: &Price) -> i64 {
        let amount = match self {
            Self::Percent { ppm } => apply_rate(price.total, ppm),
            Self::FirstNight => price.of_first_nights(1),
            Self::Full => price.total,
        };
        let least = amounts::limits(price.currency).map_or(0, |limits| limits.min);
        let amount = if amount > 0 { amount.max(least) } else { 0 };
        amounts::payable_part(amount.min(price.total), price.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_DEPOSIT_PPM, Deposit};
    use crate::fixtures::{sample_inventory, stay};
    use crate::money::Currency;
    use crate::pricing::price;
    use crate::rates::Rates;
    use crate::values::price::Price;

    #[test]
    fn deposits_are_computed_from_the_price() {
        let sample_inventory = sample_inventory();
        let stays = [stay("dorm-6-mixed", "2027-03-14", "2027-03-17", 2)];
        let price = price(&sample_inventory, &Rates::default(), &sample_inventory.rate_plans[0], &stays).unwrap();
        assert_eq!(price.total, 28_560);
        assert_eq!(Deposit::Full.amount(&price), 28_560);
        assert_eq!(Deposit::FirstNight.amount(&price), 9_520);
        assert_eq!(Deposit::Percent { ppm: DEFAULT_DEPOSIT_PPM }.amount(&price), 5_712);
        assert_eq!(Deposit::Percent { ppm: 2_000_000 }.amount(&price), 28_560, "never more than the total");
    }

    #[test]
    fn deposit_is_what_stripe_takes() {
        let inventory = sample_inventory();
        let stays = [stay("dorm-6-mixed", "2027-03-14", "2027-03-17", 2)];
        let priced = |currency, total| {
            let price = price(&inventory, &Rates::default(), &inventory.rate_plans[0], &stays).unwrap();
            Price { currency, total, ..price }
        };
        let part = |currency, total| Deposit::Percent { ppm: 10_000 }.amount(&priced(currency, total));
        assert_eq!(part(Currency::CAD, 2_000), 50, "1 % would be 0.20, less than the minimum");
        assert_eq!([part(Currency::CAD, 40), part(Currency::ISK, 20_000)], [0, 0], "nothing is taken of it");
        assert_eq!(part(Currency::KWD, 5_127), 50);
        assert_eq!(Deposit::Full.amount(&priced(Currency::KWD, 5_127)), 5_120, "the rest is paid on arrival");
        assert_eq!(Deposit::Full.amount(&priced(Currency::CAD, 250_000_000)), 99_999_999);
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
