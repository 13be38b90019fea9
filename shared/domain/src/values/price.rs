//! A price with its parts.

use super::stay::Stay;
use crate::money::{Currency, is_zero};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// A price with its parts, in minor units of one currency: `total = Σ nights + unused_nights + Σ taxes`
/// that are not included in the nights.
///
/// Compact on purpose: the longest booking that is accepted has thousands of nights, and its event must fit a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// Of every amount here.
    #[schemars(with = "String", extend("pattern" = "^[A-Z]{3}$"))]
    pub currency: Currency,
    /// For each stay, in the booking's order: the amount of each of its nights, from arrival on, for all its guests,
    /// before the taxes that are added.
    pub nights: Vec<Vec<i64>>,
    /// Nights that guests gave up by an early departure and owe all the same, likewise.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unused_nights: i64,
    /// One line per tax.
    pub taxes: Vec<TaxLine>,
    /// The total owed by the guest.
    pub total: i64,
}

impl Price {
    /// The room amount, with the taxes that it includes.
    pub fn room_amount(&self) -> i64 {
        self.nights.iter().flatten().sum::<i64>() + self.unused_nights
    }

    /// The sum of the taxes that the room amount includes.
    pub fn included_taxes(&self) -> i64 {
        self.taxes.iter().filter(|tax| tax.included).map(|tax| tax.amount).sum()
    }

    /// The price of each night of each stay; `stays` are those that were priced.
    pub fn night_prices<'a>(&'a self, stays: &'a [Stay]) -> impl Iterator<Item = NightPrice> + 'a {
        stays.iter().enumerate().zip(&self.nights).flat_map(|((stay, nights), amounts)| {
            nights.nights().iter().zip(amounts).map(move |(night, amount)| NightPrice { stay, night, amount: *amount })
        })
    }

    /// The first `count` nights of every stay with taxes in proportion, halves rounded up.
    pub fn of_first_nights(&self, count: usize) -> i64 {
        let used: i128 = self.nights.iter().flatten().map(|amount| i128::from(*amount)).sum();
        let all = used + i128::from(self.unused_nights);
        let first: i128 =
            self.nights.iter().flat_map(|stay| stay.iter().take(count)).map(|amount| i128::from(*amount)).sum();
        if all <= 0 {
            return 0;
        }
        i64::try_from((i128::from(self.total) * first * 2 + all) / (all * 2)).unwrap_or(i64::MAX)
    }
}

/// The price of one night of one stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NightPrice {
    /// Index of the stay in the booking.
    pub stay: usize,
    /// The night.
    pub night: NaiveDate,
    /// For all guests of the stay, before the taxes that are added, in minor units.
    pub amount: i64,
}

/// One tax of a booking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TaxLine {
    /// The rule's code.
    pub code: String,
    /// The rule's name at the time.
    pub name: String,
    /// How it was computed.
    #[serde(flatten)]
    pub basis: TaxBasis,
    /// Whether the room amount contains it, so that the total does not count it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub included: bool,
    /// The amount.
    pub amount: i64,
}

impl<'de> Deserialize<'de> for TaxLine {
    /// A derived one would copy every field of every tax into a buffer, because of `flatten`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = StoredTaxLine::deserialize(deserializer)?;
        let missing = |name| D::Error::missing_field(name);
        let each = || {
            let unit_amount = stored.unit_amount.ok_or_else(|| missing("unit_amount"))?;
            Ok((unit_amount, stored.count.ok_or_else(|| missing("count"))?))
        };
        let basis = match stored.per {
            Some(Per::PersonNight) => {
                each().map(|(unit_amount, count)| TaxBasis::PersonNight { unit_amount, count })?
            }
            Some(Per::Stay) => each().map(|(unit_amount, count)| TaxBasis::Stay { unit_amount, count })?,
            None => TaxBasis::Percent { rate_ppm: stored.rate_ppm.ok_or_else(|| missing("rate_ppm"))? },
        };
        let StoredTaxLine { code, name, included, amount, .. } = stored;
        Ok(Self { code, name, basis, included, amount })
    }
}

/// The fields of a [`TaxLine`] side by side.
#[derive(Deserialize)]
struct StoredTaxLine {
    code: String,
    name: String,
    per: Option<Per>,
    unit_amount: Option<i64>,
    count: Option<u32>,
    rate_ppm: Option<u32>,
    #[serde(default)]
    included: bool,
    amount: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Per {
    PersonNight,
    Stay,
}

/// How a tax was computed, by its rule at the time. Percentages have no tag: they were the only kind once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "per", rename_all = "snake_case")]
#[schemars(transform = crate::schema::as_one_of_members)]
pub enum TaxBasis {
    /// An amount for each person and night.
    PersonNight {
        /// Of one, in minor units.
        unit_amount: i64,
        /// How many person-nights were taxed.
        count: u32,
    },
    /// An amount for each stay.
    Stay {
        /// Of one, in minor units.
        unit_amount: i64,
        /// How many stays were taxed.
        count: u32,
    },
    /// A part of the room amount.
    #[serde(untagged)]
    Percent {
        /// Parts per million.
        rate_ppm: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::{TaxBasis, TaxLine};
    use serde_json::json;

    #[test]
    fn lines_of_before_read_and_serialize_unchanged() {
        let before = json!({ "code": "gst", "name": "GST", "rate_ppm": 50_000, "amount": 425 });
        let line: TaxLine = serde_json::from_value(before.clone()).unwrap();
        assert_eq!((line.basis, line.included), (TaxBasis::Percent { rate_ppm: 50_000 }, false));
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"code":"gst","name":"GST","rate_ppm":50000,"amount":425}"#
        );
        let city = json!({ "code": "city", "name": "City tax", "per": "person_night", "unit_amount": 165, "count": 6,
            "included": true, "amount": 990 });
        let line: TaxLine = serde_json::from_value(city.clone()).unwrap();
        assert_eq!(line.basis, TaxBasis::PersonNight { unit_amount: 165, count: 6 });
        assert_eq!(serde_json::to_value(&line).unwrap(), city);
    }

    #[test]
    fn line_without_a_part_of_its_basis_is_refused_by_name() {
        let line = |basis: serde_json::Value| {
            let mut line = json!({ "code": "city", "name": "City tax", "amount": 990 });
            line.as_object_mut().unwrap().extend(basis.as_object().unwrap().clone());
            serde_json::from_value::<TaxLine>(line).map(|line| line.basis).map_err(|error| error.to_string())
        };
        assert_eq!(
            line(json!({ "per": "stay", "unit_amount": 165, "count": 1 })),
            Ok(TaxBasis::Stay { unit_amount: 165, count: 1 })
        );
        for (basis, named) in [
            (json!({}), "rate_ppm"),
            (json!({ "per": "stay", "count": 1 }), "unit_amount"),
            (json!({ "per": "person_night", "unit_amount": 165, "rate_ppm": 1 }), "count"),
            (json!({ "per": "moon", "unit_amount": 165, "count": 1 }), "moon"),
        ] {
            assert!(line(basis.clone()).unwrap_err().contains(named), "{basis}");
        }
    }
}
