//! Cancellation fees by the time before arrival.

pub use crate::values::policy::{CancellationPolicy, Fee, Tier};

use crate::business_day::instant_of;
use crate::timestamp::Timestamp;
use crate::values::price::Price;
use crate::values::property::Property;
use crate::values::stay::Stay;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

/// The fee of cancelling at `now` a booking whose first night is `arrival`.
pub fn fee_at(policy: &CancellationPolicy, property: &Property, arrival: NaiveDate, now: Timestamp) -> Option<Fee> {
    let still_open = |tier: &&Tier| is_before_deadline(property, arrival, tier.hours_before, now);
    policy.tiers.iter().find(still_open).or(policy.tiers.last()).map(|tier| tier.fee)
}

/// Whether `now` is at least so many hours before check-in opens on the day of arrival.
fn is_before_deadline(property: &Property, arrival: NaiveDate, hours_before: u32, now: Timestamp) -> bool {
    now.as_datetime() <= deadline(property, arrival, hours_before)
}

/// So many hours before check-in opens on the day of arrival.
fn deadline(property: &Property, arrival: NaiveDate, hours_before: u32) -> DateTime<Utc> {
    let opens = arrival.and_time(property.check_in_from);
    // In local time: a change of clocks between deadline and arrival moves neither.
    let deadline = opens.checked_sub_signed(TimeDelta::hours(i64::from(hours_before))).unwrap_or(opens);
    instant_of(property.time_zone, deadline)
}

/// The instants at which the fee of cancelling these stays changes, the earliest first.
pub(crate) fn deadlines(
    policy: Option<&CancellationPolicy>,
    stays: &[Stay],
    property: &Property,
) -> Vec<DateTime<Utc>> {
    let standard = CancellationPolicy::standard();
    let tiers = &policy.unwrap_or(&standard).tiers;
    let Some(arrival) = stays.iter().map(|stay| stay.arrival).min() else { return Vec::new() };
    // The last fee has no end.
    let ending = tiers.iter().take(tiers.len().saturating_sub(1));
    ending.map(|tier| deadline(property, arrival, tier.hours_before)).collect()
}

/// When check-in opens for the first of these stays.
pub(crate) fn check_in_opens(stays: &[Stay], property: &Property) -> Option<DateTime<Utc>> {
    stays.iter().map(|stay| stay.arrival).min().map(|arrival| deadline(property, arrival, 0))
}

/// Whether a guest may still change these stays without a fee.
pub fn changes_are_free(
    policy: Option<&CancellationPolicy>,
    stays: &[Stay],
    property: &Property,
    now: Timestamp,
) -> bool {
    let arrival = stays.iter().map(|stay| stay.arrival).min();
    let hours_before = policy.and_then(|policy| policy.free_changes_hours_before);
    arrival
        .zip(hours_before)
        .is_some_and(|(arrival, hours_before)| is_before_deadline(property, arrival, hours_before, now))
}

/// The fee of cancelling these stays at `now`, in minor units of the price's currency; zero without a price. A booking
/// without a policy of its own is under the standard one.
pub fn cancellation_fee(
    policy: Option<&CancellationPolicy>,
    price: Option<&Price>,
    stays: &[Stay],
    property: &Property,
    now: Timestamp,
) -> i64 {
    let arrival = stays.iter().map(|stay| stay.arrival).min();
    let (Some(price), Some(arrival)) = (price, arrival) else { return 0 };
    let standard = CancellationPolicy::standard();
    fee_at(policy.unwrap_or(&standard), property, arrival, now).map_or(0, |fee| fee.amount(price))
}

#[cfg(test)]
mod tests {
    use super::{CancellationPolicy, Fee, fee_at};
    use crate::fixtures::{at, date, sample_inventory, stay};
    use crate::pricing::{Price, price};
    use crate::rates::Rates;

    fn priced() -> Price {
        let sample_inventory = sample_inventory();
        let stays = [stay("dorm-6-mixed", "2027-03-14", "2027-03-17", 2)];
        price(&sample_inventory, &Rates::default(), &sample_inventory.rate_plans[0], &stays).unwrap()
    }

    /// Fee in percent of cancelling at `now` a stay that arrives on 2027-03-14 at 15:00 in Montréal, 19:00 UTC: clocks
    /// change that night.
    fn percent(now: &str) -> u32 {
        let fee = fee_at(&CancellationPolicy::standard(), &sample_inventory().property, date("2027-03-14"), at(now));
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
        assert_eq!(Fee::Percent { ppm: 250_000 }.amount(&price), 7_140);
        assert_eq!(Fee::Nights { count: 1 }.amount(&price), 9_520);
        assert_eq!(Fee::Nights { count: 9 }.amount(&price), 28_560);
        assert_eq!(Fee::Fixed { amount: 5_000 }.amount(&price), 5_000);
        assert_eq!(Fee::Fixed { amount: 99_000 }.amount(&price), 28_560, "never more than the booking");
    }

    #[test]
    fn cancellation_without_tiers_is_free() {
        let free = CancellationPolicy { tiers: Vec::new(), ..CancellationPolicy::standard() };
        assert_eq!(fee_at(&free, &sample_inventory().property, date("2027-03-14"), at("2027-03-14T00:00:00Z")), None);
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
