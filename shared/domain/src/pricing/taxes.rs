//! Taxes of a price.
//!
//! Percentages that prices include are taken out of the nights exactly, without rounding, and rounded once in the end.

use crate::inventory::{TaxAmount, TaxRule};
use crate::values::price::{TaxBasis, TaxLine};
use crate::values::stay::StayRequest;
use chrono::NaiveDate;
use std::collections::HashSet;

/// Parts of a minor unit in which exact amounts are counted: a percentage of a percentage has so many decimals.
const ONE: i128 = 1_000_000_000_000;
/// The whole of an amount, in parts per million.
const PPM: i128 = 1_000_000;

/// Nights that the same percentages tax, together.
struct Period {
    /// Their room amount.
    room: i128,
    /// The room amount without the taxes that it includes, in parts of [`ONE`].
    net: i128,
    /// What each rule taxes of them.
    taxes: Vec<PeriodTax>,
}

/// A rule and the nights of a period.
#[derive(Default)]
struct PeriodTax {
    /// Whether it is a percentage that taxes them.
    is_percentage: bool,
    /// The fixed tax that their room amount includes.
    fixed: i128,
    /// The fixed tax that is added to it.
    added: i128,
}

/// The lines of these taxes, in their order, on these amounts per stay and night; `None` when one overflows.
///
/// The base of a percentage is the room amount of its nights without the taxes that it includes, plus the taxes that it
/// compounds on. Unused nights are taxed by the percentages of the first night, because the price does not say which
/// they are; nobody sleeps in them, so there are no person-nights.
pub(super) fn lines(
    rules: &[TaxRule],
    stays: &[StayRequest],
    amounts: &[Vec<i64>],
    unused_nights: i64,
) -> Option<Vec<TaxLine>> {
    let mut periods = periods(rules, stays, amounts, unused_nights)?;
    let included = take_out_included(rules, &mut periods)?;
    let mut left: i128 = periods.iter().map(|period| period.room).sum();
    let mut charged = vec![0_i128; rules.len()];
    let mut lines = Vec::with_capacity(rules.len());
    for (index, rule) in rules.iter().enumerate() {
        let (basis, amount) = match &rule.amount {
            TaxAmount::PersonNight { amount, .. } | TaxAmount::Stay { amount } => {
                let (unit_amount, count) = (*amount, count(rule, stays)?);
                if count == 0 {
                    continue;
                }
                let basis = match rule.amount {
                    TaxAmount::PersonNight { .. } => TaxBasis::PersonNight { unit_amount, count },
                    _ => TaxBasis::Stay { unit_amount, count },
                };
                (basis, i128::from(unit_amount).checked_mul(i128::from(count))?)
            }
            TaxAmount::Percent { rate_ppm, compounds_on } => {
                let taxed = || periods.iter().filter(|period| period.taxes[index].is_percentage);
                let room: i128 = taxed().map(|period| period.room).sum();
                let (mut fixed, mut earlier) = (0_i128, 0_i128);
                for base in (0..index).filter(|base| compounds_on.contains(&rules[*base].code)) {
                    // Of fixed taxes, those of the nights that it taxes.
                    fixed += taxed().map(|period| period.taxes[base].fixed + period.taxes[base].added).sum::<i128>();
                    earlier += charged[base];
                }
                if room == 0 && fixed == 0 {
                    continue;
                }
                let earlier = earlier.checked_add(fixed)?;
                let base = taxed().map(|period| period.net).sum::<i128>().checked_add(earlier.checked_mul(ONE)?)?;
                let exact = base.checked_mul(i128::from(*rate_ppm))?;
                (TaxBasis::Percent { rate_ppm: *rate_ppm }, rounded(exact, ONE * PPM))
            }
        };
        // Each period's share was cut off below.
        let exact = included[index].checked_add(i128::try_from(periods.len()).ok()?)?;
        let amount = if rule.included { rounded(exact, ONE).min(left) } else { amount };
        if rule.included {
            left -= amount;
        }
        if !is_fixed(rule) {
            charged[index] = amount;
        }
        let amount = i64::try_from(amount).ok()?;
        let (code, name) = (rule.code.clone(), rule.name.clone());
        lines.push(TaxLine { code, name, basis, included: rule.included, amount });
    }
    Some(lines)
}

/// How many person-nights or stays the rule taxes; none of a percentage.
fn count(rule: &TaxRule, stays: &[StayRequest]) -> Option<u32> {
    let count = match &rule.amount {
        TaxAmount::PersonNight { .. } => stays.iter().map(|stay| person_nights(rule, stay).sum::<u64>()).sum(),
        TaxAmount::Stay { .. } => u64::try_from(stays_taxed(rule, stays).count()).ok()?,
        TaxAmount::Percent { .. } => 0,
    };
    u32::try_from(count).ok()
}

/// How many guests of the stay are taxed on each of its nights.
fn person_nights(rule: &TaxRule, stay: &StayRequest) -> impl Iterator<Item = u64> {
    let (most, under) = match rule.amount {
        TaxAmount::PersonNight { max_nights, exempt_under, .. } => (max_nights, exempt_under),
        TaxAmount::Stay { .. } | TaxAmount::Percent { .. } => (Some(0), None),
    };
    let declared = stay.tax_exemptions.iter().filter(|exemption| {
        exemption.code == rule.code && rule.exemptions().iter().any(|reason| reason.code == exemption.reason)
    });
    let exempt: u64 = declared.map(|exemption| u64::from(exemption.guests)).sum();
    let exempt = exempt.saturating_add(under.map_or(0, |age| stay.guests_under(age).into()));
    let taxed = u64::from(stay.guests).saturating_sub(exempt);
    let most = most.map_or(usize::MAX, usize::from);
    let nights = stay.nights().iter().enumerate();
    nights.map(move |(index, night)| if index < most && rule.applies_to(night) { taxed } else { 0 })
}

/// The stays that a tax per stay is about, by their indexes: of the parts of a stay, the first.
fn stays_taxed(rule: &TaxRule, stays: &[StayRequest]) -> impl Iterator<Item = usize> {
    let taxed = |stay: &StayRequest| matches!(rule.amount, TaxAmount::Stay { .. }) && rule.applies_to(stay.arrival);
    let mut divided = HashSet::new();
    let all = stays.iter().enumerate().filter(move |(_, stay)| taxed(stay));
    all.filter(move |(_, stay)| stay.part_of.is_none_or(|id| divided.insert(id))).map(|(index, _)| index)
}

/// The nights of the stays by the percentages that tax them. The fixed taxes that a night includes are at most its
/// price; what a tax per stay leaves of the first night is in the next one.
fn periods(rules: &[TaxRule], stays: &[StayRequest], amounts: &[Vec<i64>], unused_nights: i64) -> Option<Vec<Period>> {
    let mut periods: Vec<Period> = Vec::new();
    let mut period_of = |night: NaiveDate, room: i64, fixed: &[i128], added: &[i128]| {
        let taxes = |rule: &TaxRule| !is_fixed(rule) && rule.applies_to(night);
        let is_same = |period: &Period| period.taxes.iter().map(|tax| tax.is_percentage).eq(rules.iter().map(taxes));
        let found = periods.iter().position(is_same).unwrap_or_else(|| {
            let of = |rule| PeriodTax { is_percentage: taxes(rule), ..PeriodTax::default() };
            periods.push(Period { room: 0, net: 0, taxes: rules.iter().map(of).collect() });
            periods.len() - 1
        });
        let period = &mut periods[found];
        period.room += i128::from(room);
        period.taxes.iter_mut().zip(fixed).for_each(|(tax, part)| tax.fixed += part);
        period.taxes.iter_mut().zip(added).for_each(|(tax, part)| tax.added += part);
    };
    let has_fixed = rules.iter().any(is_fixed);
    for (stay_index, (stay, amounts)) in stays.iter().zip(amounts).enumerate() {
        if !has_fixed {
            stay.nights().iter().zip(amounts).for_each(|(night, room)| period_of(night, *room, &[], &[]));
            continue;
        }
        // What the nights of this stay still include of each fixed tax: of one per stay all of it from the beginning.
        let mut open: Vec<i128> = vec![0; rules.len()];
        let mut persons: Vec<_> = rules.iter().map(|rule| person_nights(rule, stay)).collect();
        let mut added: Vec<i128> = vec![0; rules.len()];
        for (index, rule) in rules.iter().enumerate() {
            if let TaxAmount::Stay { amount } = rule.amount
                && stays_taxed(rule, stays).any(|taxed| taxed == stay_index)
            {
                let sums = if rule.included { &mut open } else { &mut added };
                sums[index] = i128::from(amount);
            }
        }
        // What is added to the stay goes by its first night, whether or not it is slept.
        if added.iter().any(|amount| *amount != 0) {
            period_of(stay.arrival, 0, &[], &added);
        }
        let mut fixed = vec![0; rules.len()];
        for (night, room) in stay.nights().iter().zip(amounts) {
            let mut left = i128::from(*room).max(0);
            added.fill(0);
            for (index, rule) in rules.iter().enumerate() {
                let taxed = i128::from(persons[index].next().unwrap_or(0));
                if let TaxAmount::PersonNight { amount, .. } = rule.amount {
                    let sums = if rule.included { &mut open } else { &mut added };
                    sums[index] = taxed.checked_mul(i128::from(amount))?;
                }
                fixed[index] = open[index].min(left);
                left -= fixed[index];
                open[index] -= fixed[index];
            }
            period_of(night, *room, &fixed, &added);
        }
    }
    let first = stays.iter().map(|stay| stay.arrival).min().filter(|_| unused_nights != 0);
    if let Some(night) = first {
        period_of(night, unused_nights, &[], &[]);
    }
    Some(periods)
}

/// The included taxes by rule, in parts of [`ONE`], which are taken out of the room amount of each period.
///
/// In a period each included percentage is `a × net + b`: `b` is what it taxes of included fixed taxes, `net` is what
/// is left of the room amount when all of them are taken out of it.
fn take_out_included(rules: &[TaxRule], periods: &mut [Period]) -> Option<Vec<i128>> {
    let mut sums: Vec<i128> = vec![0; rules.len()];
    if !rules.iter().any(|rule| rule.included) {
        for period in periods {
            period.net = period.room.checked_mul(ONE)?;
        }
        return Some(sums);
    }
    for period in periods {
        let mut of_net: Vec<i128> = vec![0; rules.len()];
        let mut of_fixed: Vec<i128> = vec![0; rules.len()];
        let taxed = |(index, rule): &(usize, &TaxRule)| rule.included && period.taxes[*index].is_percentage;
        for (index, rule) in rules.iter().enumerate().filter(taxed) {
            let TaxAmount::Percent { rate_ppm, compounds_on } = &rule.amount else { continue };
            let (mut net, mut fixed) = (ONE, 0_i128);
            for base in (0..index).filter(|base| rules[*base].included && compounds_on.contains(&rules[*base].code)) {
                net = net.checked_add(of_net[base])?;
                fixed = fixed.checked_add(of_fixed[base])?.checked_add(period.taxes[base].fixed.checked_mul(ONE)?)?;
            }
            of_net[index] = net.checked_mul(i128::from(*rate_ppm))? / PPM;
            of_fixed[index] = fixed.checked_mul(i128::from(*rate_ppm))? / PPM;
        }
        let room = period.room.checked_mul(ONE)?;
        let fixed: i128 = period.taxes.iter().map(|tax| tax.fixed).sum::<i128>().checked_mul(ONE)?;
        let rest = (room - fixed - of_fixed.iter().sum::<i128>()).max(0);
        let whole = ONE + of_net.iter().sum::<i128>();
        let mut taxes = fixed;
        for (index, sum) in sums.iter_mut().enumerate() {
            let of_rest = if of_net[index] == 0 { 0 } else { of_net[index].checked_mul(rest)? / whole };
            let percentage = of_fixed[index].checked_add(of_rest)?;
            *sum = sum.checked_add(percentage)?.checked_add(period.taxes[index].fixed.checked_mul(ONE)?)?;
            taxes = taxes.checked_add(percentage)?;
        }
        period.net = if taxes == 0 { room } else { (room - taxes).max(0) };
    }
    Some(sums)
}

fn is_fixed(rule: &TaxRule) -> bool {
    !matches!(rule.amount, TaxAmount::Percent { .. })
}

/// `exact / unit`, halves away from zero (the usual commercial rounding of sales taxes).
fn rounded(exact: i128, unit: i128) -> i128 {
    let half = if exact < 0 { -unit / 2 } else { unit / 2 };
    (exact + half) / unit
}

#[cfg(test)]
mod tests;
