//! Pricing: nights by the rate plan and its calendar, then the property's taxes.
//!
//! Every tax is computed once on the sum of its nights, not night by night, so that rounding neither adds nor loses a
//! cent.

pub use crate::values::price::{NightPrice, Price, TaxLine};

use crate::inventory::{Inventory, RatePlan, RoomKind};
use crate::money::{apply_rate, shares};
use crate::nights::Nights;
use crate::rates::Rates;
use crate::values::stay::StayRequest;
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// Prices the stays on the plan and its calendar; `None` when the plan does not sell one of the room types, or the sum
/// overflows.
pub fn price(inventory: &Inventory, rates: &Rates, plan: &RatePlan, stays: &[StayRequest]) -> Option<Price> {
    let nights = stays.iter().map(|stay| stay_amounts(inventory, rates, plan, stay)).collect::<Option<_>>()?;
    total_of(inventory, stays, nights, 0)
}

/// The price of these amounts per stay and night, with taxes; `None` when the sum overflows.
pub fn total_of(
    inventory: &Inventory,
    stays: &[StayRequest],
    nights: Vec<Vec<i64>>,
    unused_nights: i64,
) -> Option<Price> {
    let taxes = taxes(inventory, stays, &nights, unused_nights);
    let parts = nights.iter().flatten().copied().chain([unused_nights]).chain(taxes.iter().map(|tax| tax.amount));
    let total = parts.into_iter().try_fold(0_i64, i64::checked_add)?;
    Some(Price { currency: inventory.property.currency, nights, unused_nights, taxes, total })
}

/// The amount of each night of one stay, for all its guests, before tax; `None` when the plan does not sell its type.
pub fn stay_amounts(inventory: &Inventory, rates: &Rates, plan: &RatePlan, stay: &StayRequest) -> Option<Vec<i64>> {
    let usual = *plan.nightly.get(&stay.room_type_id)?;
    let times = match inventory.room_type(&stay.room_type_id)?.kind {
        RoomKind::Private => 1,
        RoomKind::Dorm => i64::from(stay.guests),
    };
    let calendar = rates.calendar(&plan.id, &stay.room_type_id);
    let on = |night: NaiveDate| calendar.and_then(|calendar| calendar.prices.get(&night)).copied().unwrap_or(usual);
    stay.nights().iter().map(|night| on(night).checked_mul(times)).collect()
}

/// Spreads the same total and taxes over other nights: the price of a modified stay without repricing.
///
/// The room amount is shared equally, so that the parts add up to the agreed amount, to the last minor unit.
pub fn spread(agreed: &Price, stays: &[Nights]) -> Price {
    let counts: Vec<usize> = stays.iter().map(|nights| usize::try_from(nights.count()).unwrap_or(0)).collect();
    let room: i64 = agreed.nights.iter().flatten().sum();
    let mut amounts = shares(room, counts.iter().sum());
    let nights = counts.iter().map(|count| amounts.by_ref().take(*count).collect()).collect();
    Price { nights, ..agreed.clone() }
}

/// The base of a tax is the room amount of its nights, plus the taxes it compounds on. Unused nights are taxed as the
/// first night is: the price does not say which they are.
fn taxes(inventory: &Inventory, stays: &[StayRequest], amounts: &[Vec<i64>], unused_nights: i64) -> Vec<TaxLine> {
    let first = stays.iter().map(|stay| stay.arrival).min();
    let mut charged: BTreeMap<&str, i64> = BTreeMap::new();
    let mut lines = Vec::new();
    for rule in &inventory.property.taxes {
        let nights = stays.iter().zip(amounts).flat_map(|(stay, amounts)| stay.nights().iter().zip(amounts));
        let unused = first.filter(|night| rule.applies_to(*night)).map_or(0, |_| unused_nights);
        let room = nights
            .filter(|(night, _)| rule.applies_to(*night))
            .fold(unused, |sum, (_, amount)| sum.saturating_add(*amount));
        if room == 0 {
            continue;
        }
        let earlier: i64 = rule.compounds_on.iter().filter_map(|code| charged.get(code.as_str())).sum();
        let amount = apply_rate(room.saturating_add(earlier), rule.rate_ppm);
        charged.insert(&rule.code, amount);
        lines.push(TaxLine { code: rule.code.clone(), name: rule.name.clone(), rate_ppm: rule.rate_ppm, amount });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{price, spread};
    use crate::fixtures::{date, sample_inventory, stay};
    use crate::money::{Currency, Money};
    use crate::nights::Nights;
    use crate::rates::{RateCalendar, Rates};
    use proptest::prelude::*;

    #[test]
    fn gst_and_qst_compound_on_the_lodging_tax() {
        let sample_inventory = sample_inventory();
        let stays = [stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 2)];
        let price = price(&sample_inventory, &Rates::default(), &sample_inventory.rate_plans[0], &stays).unwrap();
        // 3 nights × 2 guests × 40.00 = 240.00; lodging 3.5 % = 8.40; GST 5 % and QST 9.975 % of 248.40.
        assert_eq!(price.nights.iter().flatten().sum::<i64>(), 24_000);
        assert_eq!(
            price.taxes.iter().map(|t| (t.code.as_str(), t.amount)).collect::<Vec<_>>(),
            [("lodging", 840), ("gst", 1_242), ("qst", 2_478)]
        );
        assert_eq!(price.total, 28_560);
    }

    #[test]
    fn private_room_price_is_independent_of_guests() {
        let sample_inventory = sample_inventory();
        let one = price(
            &sample_inventory,
            &Rates::default(),
            &sample_inventory.rate_plans[0],
            &[stay("private-double", "2027-01-10", "2027-01-11", 1)],
        )
        .unwrap();
        let two = price(
            &sample_inventory,
            &Rates::default(),
            &sample_inventory.rate_plans[0],
            &[stay("private-double", "2027-01-10", "2027-01-11", 2)],
        )
        .unwrap();
        assert_eq!(one, two);
    }

    #[test]
    fn dated_tax_applies_to_its_own_nights() {
        let mut sample_inventory = sample_inventory();
        sample_inventory.property.taxes.truncate(1);
        sample_inventory.property.taxes[0].valid_from = Some(date("2027-01-12"));
        let stays = [stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 1)];
        let price = price(&sample_inventory, &Rates::default(), &sample_inventory.rate_plans[0], &stays).unwrap();
        assert_eq!(price.taxes[0].amount, 140);
    }

    #[test]
    fn room_type_outside_the_plan_has_no_price() {
        let mut sample_inventory = sample_inventory();
        sample_inventory.rate_plans[0].nightly.clear();
        assert_eq!(
            price(
                &sample_inventory,
                &Rates::default(),
                &sample_inventory.rate_plans[0],
                &[stay("dorm-6-mixed", "2027-01-10", "2027-01-11", 1)]
            ),
            None
        );
    }

    #[test]
    fn calendar_price_replaces_the_plan_price() {
        let sample_inventory = sample_inventory();
        let mut calendar = RateCalendar::new("pvt-montreal".into(), "standard".into(), "dorm-6-mixed".into());
        calendar.prices.insert(date("2028-02-29"), 9_000);
        let stays = [
            stay("dorm-6-mixed", "2028-02-28", "2028-03-02", 2),
            stay("private-double", "2028-02-28", "2028-03-01", 2),
        ];
        let price = price(&sample_inventory, &Rates::new([calendar]), &sample_inventory.rate_plans[0], &stays).unwrap();
        assert_eq!(price.nights, [vec![8_000, 18_000, 8_000], vec![12_000, 12_000]]);
    }

    #[test]
    fn price_that_overflows_is_none() {
        let mut sample_inventory = sample_inventory();
        sample_inventory.rate_plans[0].nightly.values_mut().for_each(|price| *price = i64::MAX / 2);
        assert_eq!(
            price(
                &sample_inventory,
                &Rates::default(),
                &sample_inventory.rate_plans[0],
                &[stay("dorm-6-mixed", "2027-01-10", "2027-01-20", 1)]
            ),
            None
        );
    }

    #[test]
    fn spreading_keeps_the_agreed_total() {
        let sample_inventory = sample_inventory();
        let agreed = price(
            &sample_inventory,
            &Rates::default(),
            &sample_inventory.rate_plans[0],
            &[stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 1)],
        )
        .unwrap();
        let longer = spread(&agreed, &[Nights::new(date("2027-01-10"), date("2027-01-13"))]);
        assert_eq!(
            (longer.total, &longer.taxes, longer.nights),
            (agreed.total, &agreed.taxes, vec![vec![2_667, 2_667, 2_666]])
        );
    }

    proptest! {
        #[test]
        fn nights_and_taxes_add_up_to_the_total(
            currency in prop::sample::select(vec![Currency::JPY, Currency::CAD, Currency::KWD]),
            unit in 0_i64..5_000_000, guests in 1_u32..9, nights in 1_u64..60,
            rates in proptest::collection::vec(0_u32..300_000, 0..4),
        ) {
            let mut sample_inventory = sample_inventory();
            sample_inventory.property.currency = currency;
            let arrival = date("2027-01-10");
            sample_inventory.rate_plans[0].nightly.values_mut().for_each(|price| *price = unit);
            sample_inventory.property.taxes.truncate(rates.len());
            for (rule, rate) in sample_inventory.property.taxes.iter_mut().zip(&rates) {
                rule.rate_ppm = *rate;
            }
            let mut requested = stay("dorm-6-mixed", "2027-01-10", "2027-01-11", guests);
            requested.departure = arrival + chrono::Days::new(nights);
            let plan = &sample_inventory.rate_plans[0];
            let price = price(&sample_inventory, &Rates::default(), plan, &[requested]).unwrap();
            let parts = price.nights.iter().flatten().sum::<i64>() + price.taxes.iter().map(|t| t.amount).sum::<i64>();
            prop_assert_eq!((price.total, price.currency), (parts, currency));
            let shown = Money::new(price.total, currency).to_string();
            let decimals = shown.split_once(' ').and_then(|(number, _)| number.split_once('.')).map_or(0,
                |(_, decimals)| decimals.len());
            prop_assert_eq!(decimals, usize::from(currency.exponent().unwrap()));
            prop_assert_eq!(price.nights[0].len() as u64, nights);
        }
    }
}
