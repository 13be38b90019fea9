//! View of a tax of a price.

use pvt_domain::money::{Currency, Money};
use pvt_domain::pricing::{TaxBasis, TaxLine};
use schemars::JsonSchema;
use serde::Serialize;

/// A tax of a price.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct TaxView<'a> {
    code: &'a str,
    name: &'a str,
    /// Of a percentage: parts per million.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_ppm: Option<u32>,
    /// Of a fixed amount: what it is counted by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("enum" = ["person_night", "stay"]))]
    per: Option<&'static str>,
    /// Of a fixed amount: that of one person and night, or of one stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_amount: Option<Money>,
    /// Of a fixed amount: how many person-nights or stays are taxed.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    /// The prices of the nights contain it: it is not added to them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    included: bool,
    price: Money,
}

impl<'a> TaxView<'a> {
    /// Under this name.
    pub(crate) fn named(self, name: &'a str) -> Self {
        Self { name, ..self }
    }

    pub(crate) fn new(line: &'a TaxLine, currency: Currency) -> Self {
        let money = |amount| Money::new(amount, currency);
        let (rate_ppm, fixed) = match line.basis {
            TaxBasis::Percent { rate_ppm } => (Some(rate_ppm), None),
            TaxBasis::PersonNight { unit_amount, count } => (None, Some(("person_night", unit_amount, count))),
            TaxBasis::Stay { unit_amount, count } => (None, Some(("stay", unit_amount, count))),
        };
        Self {
            code: &line.code,
            name: &line.name,
            rate_ppm,
            per: fixed.map(|(per, ..)| per),
            unit_amount: fixed.map(|(_, unit_amount, _)| money(unit_amount)),
            count: fixed.map(|(.., count)| count),
            included: line.included,
            price: money(line.amount),
        }
    }
}
