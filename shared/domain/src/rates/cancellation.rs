//! What cancelling costs: tiers by the time before arrival, and the fee of a tier.

use crate::booking::Booking;
use crate::business_day::instant_of;
use crate::ids::PolicyId;
use crate::inventory::Property;
use crate::money::apply_rate;
use crate::pricing::Price;
use crate::timestamp::Timestamp;
use chrono::{NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};

/// A fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fee {
    /// So many minor units, for the whole booking.
    Fixed {
        /// Minor units of the property's currency.
        amount: i64,
    },
    /// A part of the total.
    Percent {
        /// Parts per million: 10 % is 100,000.
        ppm: u32,
    },
    /// The first nights of every stay, with their share of the taxes.
    Nights {
        /// How many.
        count: u16,
    },
}

/// Until when a fee holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// The fee of cancelling at least so many hours, on the clock at the property, before check-in opens on the day of
    /// arrival.
    pub hours_before: u32,
    /// The fee.
    pub fee: Fee,
}

/// What cancelling costs. The first tier whose deadline has not passed holds; when all have, the last one does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancellationPolicy {
    /// Unique within the property.
    pub id: PolicyId,
    /// For people.
    pub name: String,
    /// From the longest time before arrival to the shortest; none means that cancelling is free.
    pub tiers: Vec<Tier>,
}

impl CancellationPolicy {
    /// The policy of plans that name none, from the original system: 10 % until 7 days before arrival, 25 % until 2
    /// days, 50 % until one day, then everything.
    pub fn standard() -> Self {
        let tier =
            |days: u32, percent: u32| Tier { hours_before: days * 24, fee: Fee::Percent { ppm: percent * 10_000 } };
        Self {
            id: "standard".into(),
            name: "Standard".to_owned(),
            tiers: vec![tier(7, 10), tier(2, 25), tier(1, 50), tier(0, 100)],
        }
    }

    /// The fee of cancelling at `now` a booking whose first night is `arrival`.
    pub fn fee_at(&self, property: &Property, arrival: NaiveDate, now: Timestamp) -> Option<Fee> {
        let opens = arrival.and_time(property.check_in_from);
        let still_open = |tier: &&Tier| {
            // On the wall: a change of clocks between deadline and arrival moves neither.
            let deadline = opens.checked_sub_signed(TimeDelta::hours(i64::from(tier.hours_before))).unwrap_or(opens);
            now.as_datetime() <= instant_of(property.time_zone, deadline)
        };
        self.tiers.iter().find(still_open).or(self.tiers.last()).map(|tier| tier.fee)
    }
}

/// The fee in minor units of the price's currency: never negative, never more than the total.
pub fn fee_amount(fee: Fee, price: &Price) -> i64 {
    let amount = match fee {
        Fee::Fixed { amount } => amount,
        Fee::Percent { ppm } => apply_rate(price.total, ppm),
        Fee::Nights { count } => first_nights(price, usize::from(count)),
    };
    amount.clamp(0, price.total.max(0))
}

/// The first nights of every stay, taxes in proportion, halves rounded up.
pub(super) fn first_nights(price: &Price, count: usize) -> i64 {
    let all: i128 = price.nights.iter().flatten().map(|amount| i128::from(*amount)).sum();
    let first: i128 =
        price.nights.iter().flat_map(|stay| stay.iter().take(count)).map(|amount| i128::from(*amount)).sum();
    if all <= 0 {
        return 0;
    }
    i64::try_from((i128::from(price.total) * first * 2 + all) / (all * 2)).unwrap_or(i64::MAX)
}

/// What cancelling this booking at `now` costs, in minor units of its price's currency; nothing for a booking without a
/// price.
pub fn cancellation_fee(booking: &Booking, property: &Property, now: Timestamp) -> i64 {
    let arrival = booking.stays.iter().map(|stay| stay.arrival).min();
    let (Some(price), Some(arrival)) = (&booking.price, arrival) else { return 0 };
    let standard = CancellationPolicy::standard();
    let policy = booking.cancellation_policy.as_ref().unwrap_or(&standard);
    policy.fee_at(property, arrival, now).map_or(0, |fee| fee_amount(fee, price))
}

#[cfg(test)]
mod tests {
    use super::{CancellationPolicy, Fee, fee_amount};
    use crate::fixtures::{at, date, hostel, stay};
    use crate::pricing::{Price, price};
    use crate::rates::Rates;

    fn priced() -> Price {
        let hostel = hostel();
        let stays = [stay("dorm-6-mixed", "2027-03-14", "2027-03-17", 2)];
        price(&hostel, &Rates::default(), &hostel.rate_plans[0], &stays).unwrap()
    }

    /// Fee in percent of cancelling at `now` a stay that arrives on 2027-03-14 at 15:00 in Montréal, 19:00 UTC: clocks
    /// change that night.
    fn percent(now: &str) -> u32 {
        let fee = CancellationPolicy::standard().fee_at(&hostel().property, date("2027-03-14"), at(now));
        let Some(Fee::Percent { ppm }) = fee else { panic!("{fee:?}") };
        ppm / 10_000
    }

    #[test]
    fn fee_deadlines_are_local_times_across_dst() {
        assert_eq!(percent("2027-03-07T20:00:00Z"), 10, "15:00 in winter time");
        assert_eq!(percent("2027-03-07T20:00:00.001Z"), 25);
        assert_eq!(percent("2027-03-12T20:00:00Z"), 25);
        assert_eq!(percent("2027-03-12T20:00:01Z"), 50);
        assert_eq!(percent("2027-03-13T20:00:00Z"), 50, "a day on the wall, 23 hours");
        assert_eq!(percent("2027-03-13T20:00:01Z"), 100);
        assert_eq!(percent("2027-03-20T00:00:00Z"), 100, "long after arrival");
    }

    #[test]
    fn fees_are_computed_from_the_price() {
        let price = priced();
        assert_eq!(price.total, 28_560);
        assert_eq!(fee_amount(Fee::Percent { ppm: 250_000 }, &price), 7_140);
        assert_eq!(fee_amount(Fee::Nights { count: 1 }, &price), 9_520);
        assert_eq!(fee_amount(Fee::Nights { count: 9 }, &price), 28_560);
        assert_eq!(fee_amount(Fee::Fixed { amount: 5_000 }, &price), 5_000);
        assert_eq!(fee_amount(Fee::Fixed { amount: 99_000 }, &price), 28_560, "never more than the booking");
    }

    #[test]
    fn cancellation_without_tiers_is_free() {
        let free = CancellationPolicy { tiers: Vec::new(), ..CancellationPolicy::standard() };
        assert_eq!(free.fee_at(&hostel().property, date("2027-03-14"), at("2027-03-14T00:00:00Z")), None);
    }

    #[test]
    fn policy_serializes_as_documented() {
        let policy = serde_json::to_value(CancellationPolicy::standard()).unwrap();
        assert_eq!(
            policy["tiers"][0],
            serde_json::json!({ "hours_before": 168, "fee": { "kind": "percent", "ppm": 100_000 } })
        );
    }
}
