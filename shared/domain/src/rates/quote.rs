//! Quotes: prices that are guaranteed for some minutes. The issuer signs [`Quote::to_bytes`], and verifies the
//! signature before it accepts a quote back.

use crate::ids::{PropertyId, RatePlanId};
use crate::timestamp::Timestamp;
use crate::values::price::Price;
use crate::values::stay::StayRequest;
use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Validity of a quote, in minutes.
pub const QUOTE_MINUTES: i64 = 15;

/// Prefix of the signed bytes, so that a signature of something else is never one of a quote.
const DOMAIN: &[u8] = b"pvt quote 1\n";

/// A price for exactly these stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quote {
    /// Property.
    pub property_id: PropertyId,
    /// Rate plan.
    pub rate_plan_id: RatePlanId,
    /// The stays, in this order.
    pub stays: Vec<StayRequest>,
    /// Their price.
    pub price: Price,
    /// The first instant at which the quote is no longer valid.
    pub expires_at: Timestamp,
}

impl Quote {
    /// A quote issued at `now`.
    pub fn new(
        property_id: PropertyId,
        rate_plan_id: RatePlanId,
        stays: Vec<StayRequest>,
        price: Price,
        now: Timestamp,
    ) -> Self {
        let expires_at = (now.as_datetime() + TimeDelta::minutes(QUOTE_MINUTES)).into();
        Self { property_id, rate_plan_id, stays, price, expires_at }
    }

    /// The bytes to sign and to send, in one canonical form.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Fields in the order of their declaration and no maps: equal quotes have equal bytes. Serialization of plain
        // values cannot fail.
        let mut bytes = DOMAIN.to_vec();
        bytes.extend(serde_json::to_vec(self).unwrap_or_default());
        bytes
    }

    /// Reads the bytes of [`Quote::to_bytes`]; `None` for anything else. Does not check the signature.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes.strip_prefix(DOMAIN)?).ok()
    }

    /// Whether the quote is valid for these stays, requested at `now`.
    pub fn covers(&self, property: &PropertyId, plan: &RatePlanId, stays: &[StayRequest], now: Timestamp) -> bool {
        self.property_id == *property && self.rate_plan_id == *plan && self.stays == stays && now < self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::Quote;
    use crate::fixtures::{at, now, sample_inventory, stay};
    use crate::pricing::price;
    use crate::rates::Rates;

    fn quote() -> Quote {
        let sample_inventory = sample_inventory();
        let stays = vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 2)];
        let price = price(&sample_inventory, &Rates::default(), &sample_inventory.rate_plans[0], &stays).unwrap();
        Quote::new(sample_inventory.property.id, "standard".into(), stays, price, now())
    }

    #[test]
    fn quote_round_trips_and_has_one_signed_form() {
        let bytes = quote().to_bytes();
        let back = Quote::from_bytes(&bytes).unwrap();
        assert_eq!((back.to_bytes(), &back), (bytes.clone(), &quote()));
        assert!(Quote::from_bytes(&bytes[1..]).is_none());
    }

    #[test]
    fn quote_is_valid_for_its_stays_for_fifteen_minutes() {
        let quote = quote();
        let covers = |stays: &[_], at| quote.covers(&"pvt-montreal".into(), &"standard".into(), stays, at);
        assert!(covers(&quote.stays, at("2026-12-01T12:14:59.999Z")));
        assert!(!covers(&quote.stays, at("2026-12-01T12:15:00Z")));
        assert!(!covers(&[stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 1)], now()));
        assert!(!quote.covers(&"pvt-montreal".into(), &"other".into(), &quote.stays, now()));
    }
}
