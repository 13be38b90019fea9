//! Taxes: the rules of a property, and what a stay declares of its guests for them.

use super::names::Names;
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A tax on nights from `valid_from` (inclusive) until `valid_until` (exclusive); one per stay goes by its first night.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaxRule {
    /// Short stable name, for example `gst`.
    pub code: String,
    /// Display name, for example `GST`.
    pub name: String,
    /// The display name by language.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub names: Names,
    /// How much it is.
    #[serde(flatten)]
    pub amount: TaxAmount,
    /// Whether the prices of nights contain it. Then it is shown, and never changes the total.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub included: bool,
    /// First night the rule applies to; absent means always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<NaiveDate>,
    /// First night the rule no longer applies to; absent means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<NaiveDate>,
}

/// How much a tax is. Percentages have no tag: they were the only kind once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "per", rename_all = "snake_case")]
#[schemars(transform = crate::schema::as_one_of_members)]
pub enum TaxAmount {
    /// A fixed amount for each person and night.
    PersonNight {
        /// Minor units of the property's currency.
        amount: i64,
        /// Only so many nights of a stay are taxed, the first ones.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_nights: Option<u16>,
        /// Guests below this age, in years, are exempt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exempt_under: Option<u8>,
        /// Other reasons for which guests are exempt.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        exemptions: Vec<ExemptionReason>,
    },
    /// A fixed amount for each stay.
    Stay {
        /// Minor units of the property's currency.
        amount: i64,
    },
    /// A part of the room amount.
    #[serde(untagged)]
    Percent {
        /// Parts per million of the base: 5 % is 50,000.
        rate_ppm: u32,
        /// Codes of earlier rules whose amount belongs to the base; empty means the room alone.
        #[serde(default)]
        compounds_on: Vec<String>,
    },
}

/// A reason for which guests are exempt from a tax, for example `business`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct ExemptionReason {
    /// Short stable name, unique within the tax.
    pub code: String,
    /// Display name.
    pub name: String,
    /// The display name by language.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub names: Names,
    /// Whether guests may declare it themselves; otherwise staff do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_guests: bool,
}

/// Guests of a stay who are exempt from a tax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaxExemption {
    /// Code of the tax.
    pub code: String,
    /// Code of the reason.
    pub reason: String,
    /// How many of the guests.
    #[schemars(range(min = 1))]
    pub guests: u32,
}

impl TaxRule {
    /// Whether the night is taxed by this rule.
    pub fn applies_to(&self, night: NaiveDate) -> bool {
        self.valid_from.is_none_or(|from| night >= from) && self.valid_until.is_none_or(|until| night < until)
    }

    /// The reasons for which guests are exempt, beside their age.
    pub fn exemptions(&self) -> &[ExemptionReason] {
        match &self.amount {
            TaxAmount::PersonNight { exemptions, .. } => exemptions,
            TaxAmount::Stay { .. } | TaxAmount::Percent { .. } => &[],
        }
    }

    /// Whether some night is taxed by both rules.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let begins_before = |one: &Self, other: &Self| match (one.valid_from, other.valid_until) {
            (Some(from), Some(until)) => from < until,
            _ => true,
        };
        begins_before(self, other) && begins_before(other, self)
    }
}

#[cfg(test)]
mod tests {
    use super::{ExemptionReason, TaxAmount, TaxRule};
    use serde_json::json;

    #[test]
    fn percentages_read_and_serialize_as_before_there_were_amounts() {
        let before = json!({ "code": "gst", "name": "GST", "rate_ppm": 50_000, "compounds_on": ["lodging"],
            "valid_from": "2027-01-01" });
        let rule: TaxRule = serde_json::from_value(before.clone()).unwrap();
        assert!(
            matches!(&rule.amount, TaxAmount::Percent { rate_ppm: 50_000, compounds_on } if compounds_on.len() == 1)
        );
        assert_eq!(serde_json::to_value(&rule).unwrap(), before);
        let text = serde_json::to_string(&rule).unwrap();
        assert!(
            text.starts_with(r#"{"code":"gst","name":"GST","rate_ppm":50000,"compounds_on":["lodging"]"#),
            "{text}"
        );
        let shortest: TaxRule = serde_json::from_value(json!({ "code": "gst", "name": "GST", "rate_ppm": 1 })).unwrap();
        assert_eq!(shortest.amount, TaxAmount::Percent { rate_ppm: 1, compounds_on: Vec::new() });
    }

    #[test]
    fn fixed_amounts_name_what_they_are_per() {
        let business = ExemptionReason {
            code: "business".to_owned(),
            name: "Business travel".to_owned(),
            names: Default::default(),
            by_guests: true,
        };
        for (amount, expected) in [
            (
                TaxAmount::PersonNight {
                    amount: 165,
                    max_nights: Some(7),
                    exempt_under: Some(18),
                    exemptions: vec![business],
                },
                json!({ "code": "city", "name": "City tax", "per": "person_night", "amount": 165, "max_nights": 7,
                    "exempt_under": 18, "included": true,
                    "exemptions": [{ "code": "business", "name": "Business travel", "by_guests": true }] }),
            ),
            (
                TaxAmount::Stay { amount: 500 },
                json!({ "code": "city", "name": "City tax", "per": "stay", "amount": 500, "included": true }),
            ),
        ] {
            let rule = TaxRule {
                code: "city".to_owned(),
                name: "City tax".to_owned(),
                names: Default::default(),
                amount,
                included: true,
                valid_from: None,
                valid_until: None,
            };
            assert_eq!(serde_json::to_value(&rule).unwrap(), expected);
            assert_eq!(serde_json::from_value::<TaxRule>(expected).unwrap(), rule);
        }
    }
}
