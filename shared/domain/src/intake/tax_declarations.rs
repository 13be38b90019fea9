//! Checks of what a stay declares of its guests for taxes.

use super::FieldError;
use crate::booking::StayRequest;
use crate::inventory::{ExemptionReason, TaxAmount, TaxRule};
use std::collections::HashMap;

/// Every violation; `at` gives the pointer of a member of the stay.
pub(super) fn check_declared(
    rules: &[TaxRule],
    stay: &StayRequest,
    by_guest: bool,
    at: &dyn Fn(&str) -> String,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if u32::try_from(stay.guest_ages.len()).is_ok_and(|ages| ages > stay.guests) {
        errors.push(FieldError::new(at("guest_ages"), "too_many", "at most one age for each guest of the stay"));
    }
    if let (Some(youngest), Some(least)) = (stay.youngest_age, stay.guest_ages.iter().min())
        && youngest != *least
    {
        errors.push(FieldError::new(
            at("youngest_age"),
            "not_the_youngest",
            "is the lowest of guest_ages, or left out",
        ));
    }
    let mut declared: HashMap<&str, u64> = HashMap::new();
    for (index, exemption) in stay.tax_exemptions.iter().enumerate() {
        let at = |field: &str| at(&format!("tax_exemptions/{index}/{field}"));
        let is_repeated = stay.tax_exemptions[..index]
            .iter()
            .any(|earlier| (&earlier.code, &earlier.reason) == (&exemption.code, &exemption.reason));
        if is_repeated {
            errors.push(FieldError::new(at("reason"), "duplicate", "name each reason of a tax once"));
        }
        match reasons(rules, &exemption.code) {
            None => errors.push(FieldError::new(
                at("code"),
                "unknown_tax",
                "this property has no such tax per person and night",
            )),
            Some(reasons) => match reasons.iter().find(|reason| reason.code == exemption.reason) {
                None => errors.push(FieldError::new(at("reason"), "unknown_exemption", known(&reasons))),
                Some(reason) if by_guest && !reason.by_guests => {
                    errors.push(FieldError::new(at("reason"), "staff_only", "only the property's staff may send this"));
                }
                Some(_) => {}
            },
        }
        let sum = declared.entry(&exemption.code).or_default();
        *sum += u64::from(exemption.guests);
        if exemption.guests == 0 {
            errors.push(FieldError::new(at("guests"), "no_guests", "at least one guest is exempt"));
        } else if *sum > u64::from(stay.guests) {
            errors.push(FieldError::new(at("guests"), "too_many_guests", "more guests than the stay has are exempt"));
        }
    }
    errors
}

/// The reasons of the taxes per person and night of this code; `None` when there is no such tax.
fn reasons<'a>(rules: &'a [TaxRule], code: &str) -> Option<Vec<&'a ExemptionReason>> {
    let is_meant = |rule: &&TaxRule| rule.code == code && matches!(rule.amount, TaxAmount::PersonNight { .. });
    let mut rules = rules.iter().filter(is_meant).peekable();
    rules.peek()?;
    Some(rules.flat_map(TaxRule::exemptions).collect())
}

fn known(reasons: &[&ExemptionReason]) -> String {
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
    format!("guests are exempt from this tax for: {}", codes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::check_declared;
    use crate::booking::TaxExemption;
    use crate::fixtures::{city_tax, sample_inventory, stay};

    fn named_by(ages: &[u8], youngest: Option<u8>, exemptions: &[(&str, &str, u32)], by_guest: bool) -> Vec<String> {
        let mut rules = sample_inventory().property.taxes;
        rules.push(city_tax(165));
        let mut stay = stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 2);
        (stay.guest_ages, stay.youngest_age) = (ages.to_vec(), youngest);
        let exemption = |&(code, reason, guests): &(&str, &str, u32)| TaxExemption {
            code: code.to_owned(),
            reason: reason.to_owned(),
            guests,
        };
        stay.tax_exemptions = exemptions.iter().map(exemption).collect();
        let errors = check_declared(&rules, &stay, by_guest, &str::to_owned);
        errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect()
    }

    #[test]
    fn declared_exemptions_are_those_of_the_property() {
        assert_eq!(named_by(&[3, 40], Some(3), &[("city", "business", 1), ("city", "disability", 1)], false), [""; 0]);
        assert_eq!(named_by(&[], Some(3), &[("city", "business", 2)], true), [""; 0]);
        assert_eq!(named_by(&[3, 40, 5], Some(4), &[], true), ["guest_ages too_many", "youngest_age not_the_youngest"]);
        assert_eq!(
            named_by(
                &[],
                None,
                &[("gst", "business", 1), ("city", "royalty", 0), ("city", "disability", 1), ("city", "business", 2)],
                true
            ),
            [
                "tax_exemptions/0/code unknown_tax",
                "tax_exemptions/1/reason unknown_exemption",
                "tax_exemptions/1/guests no_guests",
                "tax_exemptions/2/reason staff_only",
                "tax_exemptions/3/guests too_many_guests",
            ]
        );
        assert_eq!(
            named_by(&[], None, &[("city", "business", 1), ("city", "business", 1)], false),
            ["tax_exemptions/1/reason duplicate"]
        );
    }
}
