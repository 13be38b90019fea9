//! Tests of prices.

use super::{price, spread};
use crate::fixtures::{date, sample_inventory, stay};
use crate::inventory::TaxAmount;
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
    let stays =
        [stay("dorm-6-mixed", "2028-02-28", "2028-03-02", 2), stay("private-double", "2028-02-28", "2028-03-01", 2)];
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
            if let TaxAmount::Percent { rate_ppm, .. } = &mut rule.amount {
                *rate_ppm = *rate;
            }
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
