//! Validation of tax rules.

use super::{MAX_NIGHTLY, PPM, check_id, check_name, check_names};
use crate::intake::MAX_AGE_YEARS;
use crate::inventory::{ExemptionReason, TaxAmount, TaxRule};
use crate::values::field_error::FieldError;
use std::collections::HashSet;
use std::ops::RangeInclusive;

/// Ages below which guests may be exempt, in years.
pub const EXEMPT_UNDER: RangeInclusive<u8> = 1..=MAX_AGE_YEARS;
/// Limits of taxed nights.
pub const MAX_TAXED_NIGHTS: RangeInclusive<u16> = 1..=365;

/// Every violation of the rules, in their order.
pub(super) fn check_taxes(rules: &[TaxRule], violations: &mut Vec<FieldError>) {
    for (index, rule) in rules.iter().enumerate() {
        let at = |field: &str| format!("/property/taxes/{index}/{field}");
        let earlier = &rules[..index];
        if earlier.iter().any(|other| other.code == rule.code && other.overlaps(rule)) {
            let message = format!("`{}` is used before, for some of the same nights", rule.code);
            violations.push(FieldError::new(at("code"), "duplicate", message));
        }
        check_names(&at("names"), &rule.names, violations);
        match &rule.amount {
            TaxAmount::Percent { rate_ppm, compounds_on } => {
                if *rate_ppm > PPM {
                    violations.push(FieldError::new(at("rate_ppm"), "out_of_range", "at most 1000000, which is 100 %"));
                }
                violations.extend(check_base(rule, compounds_on, earlier, at("compounds_on")));
            }
            TaxAmount::PersonNight { amount, max_nights, exempt_under, exemptions } => {
                check_amount(*amount, at("amount"), violations);
                if max_nights.is_some_and(|most| !MAX_TAXED_NIGHTS.contains(&most)) {
                    violations.push(FieldError::new(at("max_nights"), "out_of_range", "1 to 365 nights"));
                }
                if exempt_under.is_some_and(|age| !EXEMPT_UNDER.contains(&age)) {
                    let message = format!("1 to {MAX_AGE_YEARS} years");
                    violations.push(FieldError::new(at("exempt_under"), "out_of_range", message));
                }
                check_exemptions(&at("exemptions"), exemptions, violations);
            }
            TaxAmount::Stay { amount } => check_amount(*amount, at("amount"), violations),
        }
        if rule.valid_from.zip(rule.valid_until).is_some_and(|(from, until)| until <= from) {
            violations.push(FieldError::new(at("valid_until"), "empty_range", "must lie after valid_from"));
        }
    }
}

fn check_base(rule: &TaxRule, compounds_on: &[String], earlier: &[TaxRule], at: String) -> Option<FieldError> {
    if compounds_on.iter().any(|code| earlier.iter().all(|other| other.code != *code)) {
        return Some(FieldError::new(at, "unknown_tax", "name taxes listed before this one"));
    }
    let is_on_added = earlier.iter().any(|other| !other.included && compounds_on.contains(&other.code));
    let advice = "prices that include this tax include those that it is on";
    (rule.included && is_on_added).then(|| FieldError::new(at, "not_included", advice))
}

fn check_amount(amount: i64, at: String, violations: &mut Vec<FieldError>) {
    if !(0..=MAX_NIGHTLY).contains(&amount) {
        violations.push(FieldError::new(at, "out_of_range", format!("0 to {MAX_NIGHTLY} minor units")));
    }
}

fn check_exemptions(at: &str, exemptions: &[ExemptionReason], violations: &mut Vec<FieldError>) {
    let mut codes = HashSet::new();
    for (index, reason) in exemptions.iter().enumerate() {
        let at = |field: &str| format!("{at}/{index}/{field}");
        check_id(&at("code"), &reason.code, violations);
        check_name(&at("name"), &reason.name, violations);
        check_names(&at("names"), &reason.names, violations);
        if !codes.insert(&reason.code) {
            violations.push(FieldError::new(at("code"), "duplicate", format!("`{}` is used before", reason.code)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check_taxes;
    use crate::fixtures::{date, sample_inventory};
    use crate::inventory::{ExemptionReason, TaxAmount, TaxRule};
    use crate::values::names::Names;

    fn named_by(rules: &[TaxRule]) -> Vec<(String, &'static str)> {
        let mut violations = Vec::new();
        check_taxes(rules, &mut violations);
        let at = |pointer: &str| pointer.strip_prefix("/property/taxes/").unwrap().to_owned();
        violations.into_iter().map(|violation| (at(&violation.pointer), violation.code)).collect()
    }

    fn rule(code: &str, amount: TaxAmount) -> TaxRule {
        let like = sample_inventory().property.taxes.remove(0);
        TaxRule { code: code.to_owned(), amount, ..like }
    }

    fn percent(rate_ppm: u32, compounds_on: &[&str]) -> TaxAmount {
        TaxAmount::Percent { rate_ppm, compounds_on: compounds_on.iter().map(|code| (*code).to_owned()).collect() }
    }

    #[test]
    fn every_violation_of_a_tax_is_named() {
        let reason = |code: &str, name: &str| ExemptionReason {
            code: code.to_owned(),
            name: name.to_owned(),
            names: Names::default(),
            by_guests: false,
        };
        let exemptions = vec![reason("business", "Business"), reason("business", " "), reason("a b", "A")];
        let city = TaxAmount::PersonNight { amount: -1, max_nights: Some(0), exempt_under: Some(0), exemptions };
        let empty = |rule: TaxRule| TaxRule {
            valid_from: Some(date("2027-01-01")),
            valid_until: Some(date("2027-01-01")),
            names: Names::from([("french", ""), ("FR", "Taxe")]),
            ..rule
        };
        let rules = [
            rule("city", city),
            empty(rule("stay", TaxAmount::Stay { amount: 1_000_000_001 })),
            rule("vat", percent(1_000_001, &["gst"])),
            rule("gst", percent(0, &["city"])),
        ];
        let expected = [
            ("0/amount", "out_of_range"),
            ("0/max_nights", "out_of_range"),
            ("0/exempt_under", "out_of_range"),
            ("0/exemptions/1/name", "invalid_name"),
            ("0/exemptions/1/code", "duplicate"),
            ("0/exemptions/2/code", "invalid_id"),
            ("1/names/FR", "invalid_locale"),
            ("1/names/french", "invalid_name"),
            ("1/amount", "out_of_range"),
            ("1/valid_until", "empty_range"),
            ("2/rate_ppm", "out_of_range"),
            ("2/compounds_on", "unknown_tax"),
        ];
        assert_eq!(named_by(&rules), expected.map(|(at, code)| (at.to_owned(), code)));
    }

    #[test]
    fn prices_include_what_an_included_tax_is_on() {
        let included = |rule| TaxRule { included: true, ..rule };
        let city = rule("city", TaxAmount::Stay { amount: 5 });
        let vat = || included(rule("vat", percent(70_000, &["city"])));
        assert_eq!(named_by(&[city.clone(), vat()]), [("1/compounds_on".to_owned(), "not_included")]);
        assert_eq!(named_by(&[included(city), vat()]), []);
    }

    #[test]
    fn rules_of_one_code_follow_each_other() {
        let from = |from: &str| TaxRule { valid_from: Some(date(from)), ..rule("vat", percent(70_000, &[])) };
        let until = |until: &str| TaxRule { valid_until: Some(date(until)), ..rule("vat", percent(190_000, &[])) };
        assert_eq!(named_by(&[until("2027-01-01"), from("2027-01-01")]), []);
        assert_eq!(named_by(&[from("2027-01-01"), until("2027-01-01")]), []);
        assert_eq!(named_by(&[until("2027-01-02"), from("2027-01-01")]), [("1/code".to_owned(), "duplicate")]);
        assert_eq!(named_by(&[rule("vat", percent(0, &[])), from("2027-01-01")]), [("1/code".to_owned(), "duplicate")]);
    }
}
