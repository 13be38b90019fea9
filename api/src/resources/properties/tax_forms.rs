//! Forms of the taxes of a property.

use crate::form::form;
use crate::form::names::names;
use crate::form::presence::{defaulted, optional, required};
use crate::form::reader::{Pointer, Reader};
use crate::form::types::{FieldType, boolean, date, integer, inventory_id, list, object, one_of, text, trimmed};
use chrono::NaiveDate;
use pvt_domain::intake::MAX_NAME_CHARS;
use pvt_domain::inventory::check::{EXEMPT_UNDER, MAX_NIGHTLY, MAX_TAXED_NIGHTS, PPM};
use pvt_domain::inventory::{ExemptionReason, Names, TaxAmount, TaxRule};

/// Most tax rules of a property.
pub(crate) const MAX_TAXES: usize = 20;
/// Most reasons for which guests are exempt from one tax.
const MAX_REASONS: usize = 20;

/// What a fixed amount is counted by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Per {
    PersonNight,
    Stay,
}

const PER: [(&str, Per); 2] = [("person_night", Per::PersonNight), ("stay", Per::Stay)];

form! {
    /// A tax: a part of the room amount (`rate_ppm`), or a fixed `amount` `per` person and night or per stay.
    struct TaxForm {
        code: String = required(text()),
        name: String = required(text()),
        /// By language tag.
        names: Option<Names> = optional(names()),
        /// Parts per million: 5 % is 50000.
        rate_ppm: Option<u32> = optional(integer(0..=PPM.into())),
        /// Of a percentage: codes of earlier taxes that belong to the base.
        compounds_on: Option<Vec<String>> = optional(list(text(), MAX_TAXES)),
        /// What `amount` is counted by.
        per: Option<Per> = optional(one_of(&PER)),
        /// A fixed amount, in minor units of the property's currency.
        amount: Option<i64> = optional(integer(0..=MAX_NIGHTLY)),
        /// Per person and night: only so many nights of a stay are taxed, the first ones.
        max_nights: Option<u16> =
            optional(integer(i64::from(*MAX_TAXED_NIGHTS.start())..=i64::from(*MAX_TAXED_NIGHTS.end()))),
        /// Per person and night: guests below this age, in years, are exempt.
        exempt_under: Option<u8> =
            optional(integer(i64::from(*EXEMPT_UNDER.start())..=i64::from(*EXEMPT_UNDER.end()))),
        /// Per person and night: other reasons for which guests are exempt.
        exemptions: Option<Vec<ExemptionReason>> =
            optional(list(object::<ReasonForm>().map(ExemptionReason::from), MAX_REASONS)),
        /// The prices of nights contain it: it is shown, and not added to them.
        included: bool = defaulted(boolean()),
        /// First night.
        valid_from: Option<NaiveDate> = optional(date()),
        /// First night that is no longer taxed.
        valid_until: Option<NaiveDate> = optional(date()),
    }
    check(at, reader) {
        let sent = Sent {
            rate_ppm: rate_ppm.flatten().is_some(),
            compounds_on: compounds_on.iter().flatten().any(|codes: &Vec<String>| !codes.is_empty()),
            per: per.flatten(),
            amount: amount.flatten().is_some(),
            max_nights: max_nights.flatten().is_some(),
            exempt_under: exempt_under.flatten().is_some(),
            exemptions: exemptions.iter().flatten().any(|reasons: &Vec<ExemptionReason>| !reasons.is_empty()),
        };
        sent.check(at, reader);
    }
}

form! {
    /// A reason for which guests are exempt from a tax.
    struct ReasonForm {
        code: String = required(inventory_id()),
        name: String = required(trimmed(1, MAX_NAME_CHARS)),
        /// By language tag.
        names: Option<Names> = optional(names()),
        /// Guests may declare it when they book; otherwise staff do.
        by_guests: bool = defaulted(boolean()),
    }
}

/// Which members of a tax were sent, with values that mean something.
struct Sent {
    rate_ppm: bool,
    compounds_on: bool,
    per: Option<Per>,
    amount: bool,
    max_nights: bool,
    exempt_under: bool,
    exemptions: bool,
}

impl Sent {
    /// Reports members of two kinds of tax, and members that are missing.
    fn check(&self, at: &Pointer<'_>, reader: &mut Reader) {
        // A value that is there and means nothing is not missing.
        let is_kind_unreadable = reader.is_reported(&Pointer::Key(at, "per"));
        let is_unreadable = ["rate_ppm", "per", "amount"].iter().any(|key| reader.is_reported(&Pointer::Key(at, key)));
        let mut violation = |key, code, message: &'static str| reader.violation(&Pointer::Key(at, key), code, message);
        match (self.rate_ppm, self.per) {
            (false, None) if is_unreadable => {}
            (false, None) => violation("rate_ppm", "required", "send rate_ppm, or per with amount"),
            (true, Some(_)) => violation("per", "not_of_this_kind", "a tax is a percentage or a fixed amount"),
            (false, Some(_)) if !self.amount && !is_unreadable => violation("amount", "required", "is missing"),
            _ => {}
        }
        if is_kind_unreadable {
            return;
        }
        let is_per_person = self.per == Some(Per::PersonNight);
        for (key, is_sent, belongs, message) in [
            ("compounds_on", self.compounds_on, self.per.is_none(), "belongs to percentages only"),
            ("amount", self.amount, self.per.is_some() || !self.rate_ppm, "belongs to fixed amounts only"),
            ("max_nights", self.max_nights, is_per_person, "belongs to person_night only"),
            ("exempt_under", self.exempt_under, is_per_person, "belongs to person_night only"),
            ("exemptions", self.exemptions, is_per_person, "belongs to person_night only"),
        ] {
            if is_sent && !belongs {
                violation(key, "not_of_this_kind", message);
            }
        }
    }
}

impl From<ReasonForm> for ExemptionReason {
    fn from(ReasonForm { code, name, names, by_guests }: ReasonForm) -> Self {
        Self { code, name, names: names.unwrap_or_default(), by_guests }
    }
}

impl From<TaxForm> for TaxRule {
    fn from(form: TaxForm) -> Self {
        let amount = match form.per {
            None => TaxAmount::Percent {
                rate_ppm: form.rate_ppm.unwrap_or_default(),
                compounds_on: form.compounds_on.unwrap_or_default(),
            },
            Some(Per::PersonNight) => TaxAmount::PersonNight {
                amount: form.amount.unwrap_or_default(),
                max_nights: form.max_nights,
                exempt_under: form.exempt_under,
                exemptions: form.exemptions.unwrap_or_default(),
            },
            Some(Per::Stay) => TaxAmount::Stay { amount: form.amount.unwrap_or_default() },
        };
        Self {
            code: form.code,
            name: form.name,
            names: form.names.unwrap_or_default(),
            amount,
            included: form.included,
            valid_from: form.valid_from,
            valid_until: form.valid_until,
        }
    }
}

/// The taxes of a property, in the order in which they are added.
pub(super) fn taxes() -> impl FieldType<Value = Vec<TaxRule>> {
    list(object::<TaxForm>().map(TaxRule::from), MAX_TAXES)
}

#[cfg(test)]
mod tests {
    use super::TaxForm;
    use crate::form::RequestForm as _;
    use crate::form::json::parse;
    use crate::form::reader::{Pointer, Reader};
    use pvt_domain::inventory::TaxRule;
    use serde_json::{Value, json};

    fn read(tax: &Value) -> Result<TaxRule, Vec<(String, &'static str)>> {
        let text = tax.to_string();
        let node = parse(text.as_bytes()).unwrap();
        let mut reader = Reader::default();
        let form = TaxForm::read(&node, &Pointer::Root, &mut reader);
        let violations = reader.into_violations();
        if violations.is_empty() {
            return Ok(form.unwrap().into());
        }
        Err(violations.into_iter().map(|violation| (violation.pointer, violation.code)).collect())
    }

    #[test]
    fn shown_taxes_may_be_sent() {
        for tax in [
            json!({ "code": "gst", "name": "GST", "rate_ppm": 50_000, "compounds_on": ["lodging"] }),
            json!({ "code": "vat", "name": "VAT", "names": { "fr": "TVA", "zh-Hant": "稅" }, "rate_ppm": 0,
                "compounds_on": [], "included": true, "valid_from": "2027-01-01", "valid_until": "2028-01-01" }),
            json!({ "code": "city", "name": "City tax", "per": "person_night", "amount": 165, "max_nights": 7,
                "exempt_under": 18, "exemptions": [{ "code": "business", "name": "Business", "by_guests": true }] }),
            json!({ "code": "linen", "name": "Linen", "per": "stay", "amount": 0 }),
        ] {
            let rule = read(&tax).unwrap();
            assert_eq!(serde_json::to_value(rule).unwrap(), tax);
        }
        let spelled = read(&json!({ "code": "vat", "name": "VAT", "names": { "FR-ca": " TVA " }, "rate_ppm": 1 }));
        assert_eq!(spelled.unwrap().names.0.into_iter().collect::<Vec<_>>(), [("fr-CA".to_owned(), "TVA".to_owned())]);
    }

    #[test]
    fn members_of_two_kinds_contradict_each_other() {
        for (tax, expected) in [
            (json!({}), &[("/rate_ppm", "required")][..]),
            (json!({ "amount": 1 }), &[("/rate_ppm", "required")]),
            (json!({ "per": "stay" }), &[("/amount", "required")]),
            (json!({ "per": "week", "amount": 1, "max_nights": 1 }), &[("/per", "unknown_value")]),
            (json!({ "per": "stay", "amount": 1, "rate_ppm": 1 }), &[("/per", "not_of_this_kind")]),
            (json!({ "amount": 1, "rate_ppm": 1 }), &[("/amount", "not_of_this_kind")]),
            (
                json!({ "per": "stay", "amount": 1, "max_nights": 1, "exempt_under": 1, "compounds_on": ["a"],
                    "exemptions": [{ "code": "a", "name": "A" }] }),
                &[
                    ("/compounds_on", "not_of_this_kind"),
                    ("/max_nights", "not_of_this_kind"),
                    ("/exempt_under", "not_of_this_kind"),
                    ("/exemptions", "not_of_this_kind"),
                ],
            ),
            (
                json!({ "per": "person_night", "amount": -1, "max_nights": 0, "exempt_under": 121,
                    "names": { "FR": "a", "fr": "b", "no tag": "c" } }),
                &[
                    ("/names/fr", "duplicate"),
                    ("/names/no tag", "invalid_locale"),
                    ("/amount", "out_of_range"),
                    ("/max_nights", "out_of_range"),
                    ("/exempt_under", "out_of_range"),
                ],
            ),
        ] {
            let mut whole = json!({ "code": "city", "name": "City tax" });
            whole.as_object_mut().unwrap().extend(tax.as_object().unwrap().clone());
            let expected: Vec<_> = expected.iter().map(|(at, code)| ((*at).to_owned(), *code)).collect();
            assert_eq!(read(&whole), Err(expected), "{whole}");
        }
    }
}
