//! Cancellation policies: fees by the time before arrival.

use super::names::Names;
use super::price::Price;
use crate::ids::PolicyId;
use crate::money::apply_rate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A cancellation fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schemars(transform = crate::schema::as_one_object)]
pub enum Fee {
    /// A fixed amount for the whole booking.
    Fixed {
        /// Minor units of the property's currency.
        #[schemars(range(min = 0))]
        amount: i64,
    },
    /// A part of the total.
    Percent {
        /// Parts per million: 10 % is 100,000.
        ppm: u32,
    },
    /// The first nights of every stay, with their share of the taxes.
    Nights {
        /// Number of nights.
        count: u16,
    },
}

impl Fee {
    /// The fee in minor units of the price's currency: never negative, never more than the total.
    pub fn amount(self, price: &Price) -> i64 {
        let amount = match self {
            Self::Fixed { amount } => amount,
            Self::Percent { ppm } => apply_rate(price.total, ppm),
            Self::Nights { count } => price.of_first_nights(usize::from(count)),
        };
        amount.clamp(0, price.total.max(0))
    }
}

/// A fee and its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tier {
    /// The fee of cancelling at least so many hours, in local time at the property, before check-in opens on the day
    /// of arrival.
    pub hours_before: u32,
    /// The fee.
    pub fee: Fee,
}

/// A cancellation policy. The first tier whose deadline has not passed applies; when all have, the last one does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancellationPolicy {
    /// Unique within the property.
    pub id: PolicyId,
    /// Display name.
    pub name: String,
    /// The display name by language.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub names: Names,
    /// From the longest time before arrival to the shortest; none means that cancellation is free.
    pub tiers: Vec<Tier>,
    /// A guest's change is free of charge while it is made at least so many hours, in local time at the property,
    /// before check-in opens on the day of arrival. Absent: a guest who shortens or moves a booking
    /// pays the cancellation fee for the part given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_changes_hours_before: Option<u32>,
}

impl CancellationPolicy {
    /// The policy of plans that name none, from the original system: 10 % until 7 days before arrival, 25 % until 2
    /// days, 50 % until one day, then everything.
    pub fn standard() -> Self {
        let tier =
            |days: u32, percent: u32| Tier { hours_before: days * 24, fee: Fee::Percent { ppm: percent * 10_000 } };
        Self {
            id: "standard".into(),
            name: "Standard".to_owned(),
            names: Names::default(),
            tiers: vec![tier(7, 10), tier(2, 25), tier(1, 50), tier(0, 100)],
            free_changes_hours_before: None,
        }
    }
}
