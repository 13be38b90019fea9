//! Tests of taxes: by hand, and against a sum person by person and night by night.

use super::lines;
use crate::booking::{Stay, StayRequest, TaxExemption};
use crate::fixtures::{city_tax, date, sample_inventory, stay};
use crate::inventory::{TaxAmount, TaxRule};
use crate::pricing::{Price, TaxBasis, TaxLine, total_of};
use chrono::Days;
use proptest::prelude::*;
use proptest::sample::Index;

fn percent(code: &str, rate_ppm: u32, compounds_on: &[&str]) -> TaxRule {
    let compounds_on = compounds_on.iter().map(|code| (*code).to_owned()).collect();
    TaxRule { code: code.to_owned(), amount: TaxAmount::Percent { rate_ppm, compounds_on }, ..city_tax(0) }
}

fn included(rule: TaxRule) -> TaxRule {
    TaxRule { included: true, ..rule }
}

fn per_stay(amount: i64) -> TaxRule {
    TaxRule { code: "linen".to_owned(), amount: TaxAmount::Stay { amount }, ..city_tax(0) }
}

fn exempt(reason: &str, guests: u32) -> TaxExemption {
    TaxExemption { code: "city".to_owned(), reason: reason.to_owned(), guests }
}

/// Three nights of two guests for 240.00, the second night for 100.00.
fn three_nights() -> (Vec<StayRequest>, Vec<Vec<i64>>) {
    (vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 2)], vec![vec![7_000, 10_000, 7_000]])
}

fn amounts(rules: &[TaxRule]) -> Vec<i64> {
    let (stays, nights) = three_nights();
    lines(rules, &stays, &nights, 0).unwrap().iter().map(|line| line.amount).collect()
}

#[test]
fn city_tax_is_per_person_and_night() {
    let (mut stays, nights) = three_nights();
    let taxed = |stays: &[StayRequest], rule: TaxRule| {
        let lines = lines(&[rule], stays, &nights, 0).unwrap();
        lines.first().map(|line| (line.basis, line.amount))
    };
    let of = |count: u32| Some((TaxBasis::PersonNight { unit_amount: 165, count }, 165 * i64::from(count)));
    assert_eq!(taxed(&stays, city_tax(165)), of(6));
    stays[0].youngest_age = Some(17);
    assert_eq!(taxed(&stays, city_tax(165)), of(3), "one guest is under 18");
    stays[0].guest_ages = vec![17, 3];
    assert_eq!(taxed(&stays, city_tax(165)), None, "both are");
    stays[0].guest_ages = vec![18];
    stays[0].tax_exemptions = vec![exempt("business", 1), exempt("unknown", 1)];
    assert_eq!(taxed(&stays, city_tax(165)), of(3), "an unknown reason exempts nobody");
    stays[0] = StayRequest { departure: date("2027-01-20"), ..three_nights().0.remove(0) };
    let nights = vec![vec![7_000; 10]];
    let line = lines(&[city_tax(165)], &stays, &nights, 0).unwrap().remove(0);
    assert_eq!(line.basis, TaxBasis::PersonNight { unit_amount: 165, count: 14 }, "of ten nights seven are taxed");
    let dated =
        TaxRule { valid_from: Some(date("2027-01-12")), valid_until: Some(date("2027-01-14")), ..city_tax(165) };
    let line = lines(&[dated], &stays, &nights, 0).unwrap().remove(0);
    assert_eq!(line.basis, TaxBasis::PersonNight { unit_amount: 165, count: 4 });
}

#[test]
fn included_percentages_are_taken_out_of_the_price() {
    // 240.00 with 10 %: 218.18 and 21.82.
    assert_eq!(amounts(&[included(percent("vat", 100_000, &[]))]), [2_182]);
    // 240.00 = 208.70 + 10 % + 5 %.
    assert_eq!(amounts(&[included(percent("a", 100_000, &[])), included(percent("b", 50_000, &[]))]), [2_087, 1_043]);
    // 240.00 = 207.79 + 10 % + 5 % of both.
    assert_eq!(
        amounts(&[included(percent("a", 100_000, &[])), included(percent("b", 50_000, &["a"]))]),
        [2_078, 1_143]
    );
    // 9.90 of city tax, and 10 % of what is left, or of everything.
    let city = || included(city_tax(165));
    assert_eq!(amounts(&[city(), included(percent("vat", 100_000, &[]))]), [990, 2_092]);
    assert_eq!(amounts(&[city(), included(percent("vat", 100_000, &["city"]))]), [990, 2_182]);
    // A tax that is added is on the net amount, or compounds on the tax that is included.
    assert_eq!(amounts(&[included(percent("vat", 100_000, &[])), percent("levy", 50_000, &[])]), [2_182, 1_091]);
    assert_eq!(amounts(&[included(percent("vat", 100_000, &[])), percent("levy", 50_000, &["vat"])]), [2_182, 1_200]);
}

#[test]
fn rates_follow_each_other_within_a_stay() {
    let until = TaxRule { valid_until: Some(date("2027-01-11")), ..included(percent("vat", 70_000, &[])) };
    let from = TaxRule { valid_from: Some(date("2027-01-11")), ..included(percent("vat", 190_000, &[])) };
    // 70.00 with 7 %, 170.00 with 19 %.
    assert_eq!(amounts(&[until, from]), [458, 2_714]);
    // 33.335 of 200.01, in two periods.
    let second = TaxRule { valid_from: Some(date("2027-01-11")), ..included(percent("other", 0, &[])) };
    let stays = [stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 1)];
    let rules = [included(percent("vat", 200_000, &[])), second];
    assert_eq!(lines(&rules, &stays, &[vec![10_000, 10_001]], 0).unwrap()[0].amount, 3_334);
}

#[test]
fn added_percentages_tax_fixed_taxes_of_their_nights() {
    let stays = [stay("dorm-6-mixed", "2026-12-31", "2027-01-02", 1)];
    let city = TaxRule { code: "city".to_owned(), ..city_tax(500) };
    let until = TaxRule { valid_until: Some(date("2027-01-01")), ..percent("vat", 70_000, &["city"]) };
    let from = TaxRule { valid_from: Some(date("2027-01-01")), ..percent("vat", 190_000, &["city"]) };
    let amounts = |rules: &[TaxRule]| -> Vec<i64> {
        lines(rules, &stays, &[vec![10_000, 10_000]], 0).unwrap().iter().map(|line| line.amount).collect()
    };
    // 7 % and 19 % of 105.00.
    assert_eq!(amounts(&[city.clone(), until.clone(), from.clone()]), [1_000, 735, 1_995]);
    assert_eq!(amounts(&[included(city), until.clone(), from.clone()]), [1_000, 700, 1_900]);
    // Linen goes by the first night.
    let per_stay = TaxRule { code: "city".to_owned(), ..per_stay(500) };
    assert_eq!(amounts(&[per_stay, until, from]), [500, 735, 1_900]);
}

#[test]
fn fixed_taxes_are_in_the_price_at_most_as_far_as_it_goes() {
    assert_eq!(amounts(&[included(city_tax(4_000))]), [7_000 + 8_000 + 7_000]);
    assert_eq!(amounts(&[included(per_stay(9_000))]), [9_000]);
    assert_eq!(amounts(&[included(per_stay(90_000))]), [24_000]);
    assert_eq!(amounts(&[city_tax(4_000), per_stay(90_000)]), [24_000, 90_000], "added ones have no such limit");
}

#[test]
fn tax_per_stay_is_charged_once_for_its_parts() {
    let count = |parts: &[Option<u32>]| {
        let part = |part_of: &Option<u32>| StayRequest { part_of: *part_of, ..three_nights().0.remove(0) };
        super::count(&per_stay(500), &parts.iter().map(part).collect::<Vec<_>>()).unwrap()
    };
    assert_eq!(count(&[Some(0), None, Some(0)]), 2);
    assert_eq!(count(&[None, Some(0)]), 2, "the rest of the stay is gone");
    assert_eq!(count(&[Some(1), Some(0), Some(1), Some(0)]), 2);
}

#[test]
fn unused_nights_have_no_persons() {
    let (stays, nights) = three_nights();
    let rules = [city_tax(165), included(percent("vat", 100_000, &[]))];
    let found: Vec<i64> = lines(&rules, &stays, &nights, 11_000).unwrap().iter().map(|line| line.amount).collect();
    assert_eq!(found, [990, 3_182]);
}

#[test]
fn taxes_that_overflow_are_none() {
    let stays = [stay("dorm-6-mixed", "2027-01-10", "2027-01-13", u32::MAX)];
    assert_eq!(lines(&[city_tax(165)], &stays, &[vec![1, 1, 1]], 0), None);
    let (stays, _) = three_nights();
    assert_eq!(lines(&[city_tax(i64::MAX / 2)], &stays, &[vec![1, 1, 1]], 0), None);
    let vat = included(percent("vat", 1_000_000, &[]));
    assert_eq!(lines(&[vat], &stays, &[vec![i64::MAX, i64::MAX, i64::MAX]], 0), None);
}

/// The amount of a tax per person and night: every guest is asked on every night.
fn by_person(rule: &TaxRule, stays: &[StayRequest]) -> i64 {
    let TaxAmount::PersonNight { amount, max_nights, exempt_under, .. } = &rule.amount else { return 0 };
    let mut sum = 0;
    for stay in stays {
        let mut ages: Vec<Option<u8>> = stay.guest_ages.iter().copied().map(Some).collect();
        if ages.is_empty() {
            ages.extend(stay.youngest_age.map(Some));
        }
        ages.resize(stay.guests as usize, None);
        let mut reasons: u32 =
            stay.tax_exemptions.iter().filter(|one| one.code == rule.code).map(|one| one.guests).sum();
        for age in ages {
            let is_young = exempt_under.is_some_and(|under| age.is_some_and(|age| age < under));
            if !is_young && reasons > 0 {
                reasons -= 1;
                continue;
            }
            for (number, night) in stay.nights().iter().enumerate() {
                let is_within = max_nights.is_none_or(|most| number < usize::from(most));
                sum += if !is_young && is_within && rule.applies_to(night) { *amount } else { 0 };
            }
        }
    }
    sum
}

/// Rules of these codes; percentages compound on earlier rules that they may name.
fn any_rules() -> impl Strategy<Value = Vec<TaxRule>> {
    let amount = prop_oneof![
        (0_u32..300_000).prop_map(|rate_ppm| TaxAmount::Percent { rate_ppm, compounds_on: Vec::new() }),
        (0_i64..3_000, proptest::option::of(1_u16..6), proptest::option::of(1_u8..25)).prop_map(
            |(amount, max_nights, exempt_under)| {
                let TaxAmount::PersonNight { exemptions, .. } = city_tax(0).amount else { unreachable!() };
                TaxAmount::PersonNight { amount, max_nights, exempt_under, exemptions }
            }
        ),
        (0_i64..3_000).prop_map(|amount| TaxAmount::Stay { amount }),
    ];
    let day = || proptest::option::weighted(0.3, (0_u64..12).prop_map(|day| date("2027-01-10") + Days::new(day)));
    let rule = (amount, any::<bool>(), day(), day(), proptest::collection::vec(any::<Index>(), 0..3));
    proptest::collection::vec(rule, 0..6).prop_map(|rules| {
        let mut made: Vec<TaxRule> = Vec::new();
        for (number, (mut amount, included, valid_from, valid_until, bases)) in rules.into_iter().enumerate() {
            if let TaxAmount::Percent { compounds_on, .. } = &mut amount {
                let fit: Vec<&TaxRule> = made.iter().filter(|rule| rule.included || !included).collect();
                let named =
                    bases.iter().filter(|_| !fit.is_empty()).map(|index| fit[index.index(fit.len())].code.clone());
                compounds_on.extend(named);
                compounds_on.sort();
                compounds_on.dedup();
            }
            let code = format!("tax{number}");
            made.push(TaxRule { code, amount, included, valid_from, valid_until, ..city_tax(0) });
        }
        made
    })
}

fn any_stays() -> impl Strategy<Value = Vec<(StayRequest, Vec<i64>)>> {
    let stay =
        (0_u64..8, 1_usize..9, 1_u32..6, proptest::collection::vec(0_u8..40, 0..5), proptest::option::of(0_u8..30))
            .prop_flat_map(|(offset, nights, guests, ages, youngest)| {
                let arrival = date("2027-01-10") + Days::new(offset);
                let mut stay = StayRequest::new("dorm-6-mixed", arrival, arrival + Days::new(nights as u64), guests);
                stay.guest_ages = ages.into_iter().take(guests as usize).collect();
                stay.youngest_age = stay.guest_ages.iter().min().copied().or(youngest);
                let declared = proptest::collection::vec((0_usize..6, any::<bool>(), 1..=guests), 0..3);
                (Just(stay), declared, proptest::collection::vec(0_i64..20_000, nights))
            })
            .prop_map(|(mut stay, declared, amounts)| {
                for (number, is_business, guests) in declared {
                    let (code, reason) = (format!("tax{number}"), if is_business { "business" } else { "disability" });
                    let known =
                        stay.tax_exemptions.iter().filter(|one| one.code == code).map(|one| one.guests).sum::<u32>();
                    if known + guests <= stay.guests {
                        stay.tax_exemptions.push(TaxExemption { code, reason: reason.to_owned(), guests });
                    }
                }
                (stay, amounts)
            });
    proptest::collection::vec(stay, 1..4)
}

fn priced(rules: &[TaxRule], stays: &[StayRequest], nights: &[Vec<i64>], unused: i64) -> Price {
    let mut inventory = sample_inventory();
    inventory.property.taxes = rules.to_vec();
    total_of(&inventory, stays, nights.to_vec(), unused).unwrap()
}

/// The taxes that are added, by code.
fn added(price: &Price) -> Vec<&TaxLine> {
    price.taxes.iter().filter(|line| !line.included).collect()
}

proptest! {
    #[test]
    fn prices_add_up_whatever_is_taxed(rules in any_rules(), stays in any_stays(), unused in 0_i64..30_000) {
        let (stays, nights): (Vec<StayRequest>, Vec<Vec<i64>>) = stays.into_iter().unzip();
        let price = priced(&rules, &stays, &nights, unused);
        let room = nights.iter().flatten().sum::<i64>() + unused;
        prop_assert_eq!(price.total, room + added(&price).iter().map(|line| line.amount).sum::<i64>());
        prop_assert!(price.included_taxes() <= room && price.taxes.iter().all(|line| line.amount >= 0));
        for line in &price.taxes {
            let rule = rules.iter().find(|rule| rule.code == line.code).unwrap();
            prop_assert_eq!(line.included, rule.included);
            match line.basis {
                TaxBasis::PersonNight { unit_amount, count } => {
                    prop_assert_eq!(unit_amount * i64::from(count), by_person(rule, &stays));
                    prop_assert!(line.amount <= by_person(rule, &stays));
                    prop_assert!(line.included || line.amount == by_person(rule, &stays));
                }
                TaxBasis::Stay { unit_amount, count } => {
                    let taxed = stays.iter().filter(|stay| rule.applies_to(stay.arrival)).count();
                    prop_assert_eq!(count as usize, taxed);
                    prop_assert!(line.included || line.amount == unit_amount * i64::from(count));
                }
                TaxBasis::Percent { .. } => {}
            }
        }
        for rule in &rules {
            let is_listed = price.taxes.iter().any(|line| line.code == rule.code);
            prop_assert!(is_listed || by_person(rule, &stays) == 0);
        }
    }

    #[test]
    fn included_taxes_never_change_the_total(rules in any_rules(), stays in any_stays(), unused in 0_i64..30_000) {
        let (stays, nights): (Vec<StayRequest>, Vec<Vec<i64>>) = stays.into_iter().unzip();
        // What is added to a net amount depends on what was taken out of it.
        let rules: Vec<TaxRule> = rules.into_iter()
            .filter(|rule| rule.included || !matches!(rule.amount, TaxAmount::Percent { .. })).collect();
        let without: Vec<TaxRule> = rules.iter().filter(|rule| !rule.included).cloned().collect();
        let (all, rest) = (priced(&rules, &stays, &nights, unused), priced(&without, &stays, &nights, unused));
        prop_assert_eq!(all.total, rest.total);
        prop_assert_eq!(added(&all), rest.taxes.iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_single_included_percentage_is_exact(rate in 0_u32..=1_000_000, stays in any_stays()) {
        let (stays, nights): (Vec<StayRequest>, Vec<Vec<i64>>) = stays.into_iter().unzip();
        let price = priced(&[included(percent("vat", rate, &[]))], &stays, &nights, 0);
        let (room, rate) = (i128::from(nights.iter().flatten().sum::<i64>()), i128::from(rate));
        let expected = (2 * room * rate + 1_000_000 + rate) / (2 * (1_000_000 + rate));
        prop_assert_eq!(i128::from(price.included_taxes()), expected);
        // In two periods it is the same.
        let second = TaxRule { valid_from: Some(date("2027-01-11")), ..included(percent("other", 0, &[])) };
        let vat = included(percent("vat", u32::try_from(rate).unwrap(), &[]));
        prop_assert_eq!(i128::from(priced(&[vat, second], &stays, &nights, 0).included_taxes()), expected);
    }

    #[test]
    fn stays_in_two_parts_are_taxed_as_one(
        rules in any_rules(), stays in any_stays(), which in any::<Index>(), cut in any::<Index>(),
    ) {
        let (stays, nights): (Vec<StayRequest>, Vec<Vec<i64>>) = stays.into_iter().unzip();
        let (which, sum) = (which.index(stays.len()), |rule: &TaxRule, stays: &[StayRequest]| by_person(rule, stays));
        let stay = &stays[which];
        // By nights: only a limit of nights begins again.
        let morning = stay.arrival + Days::new(cut.index(stay.nights().count() as usize) as u64);
        let mut split = stays.clone();
        split[which].departure = morning;
        split.push(StayRequest { arrival: morning, ..stay.clone() });
        for rule in &rules {
            let counts = [&stays, &split].map(|stays| super::count(rule, stays).unwrap());
            if let TaxAmount::PersonNight { max_nights, .. } = rule.amount {
                prop_assert!(counts[0] <= counts[1] && (max_nights.is_some() || counts[0] == counts[1]));
                prop_assert_eq!(sum(rule, &split) == 0, counts[1] == 0 || matches!(rule.amount,
                    TaxAmount::PersonNight { amount: 0, .. }));
            }
        }
        // By guests, as the front desk parts them: nothing changes.
        if stay.guests < 2 {
            return Ok(());
        }
        let beds: Vec<_> = (0..stay.guests).map(|bed| format!("bed-{bed}").as_str().into()).collect();
        let leaving = 1 + cut.index(stay.guests as usize - 1);
        let mut kept = Stay { part_of: Some(7), ..Stay::of(stay, beds.clone()) };
        let parted = kept.part_off(&beds[..leaving], stay.arrival);
        let mut split = stays.clone();
        (split[which], _) = (kept.as_request(), split.push(parted.as_request()));
        prop_assert_eq!((split[which].guests + parted.guests, parted.guests as usize), (stay.guests, leaving));
        for rule in &rules {
            prop_assert_eq!(super::count(rule, &split), super::count(rule, &stays), "{:?}", rule);
        }
        let mut parts = nights.clone();
        let halves: Vec<i64> = parts[which].iter().map(|amount| amount / 3).collect();
        parts[which].iter_mut().zip(&halves).for_each(|(amount, half)| *amount -= half);
        parts.push(halves);
        let rules: Vec<TaxRule> = rules.into_iter().filter(|rule| !rule.included).map(|mut rule| {
            if let TaxAmount::Percent { compounds_on, .. } = &mut rule.amount {
                compounds_on.clear();
            }
            rule
        }).collect();
        prop_assert_eq!(priced(&rules, &split, &parts, 0).taxes, priced(&rules, &stays, &nights, 0).taxes);
    }
}
