//! Rate calendars: prices and restrictions by date. A date that a calendar does not set has the plan's own price and no
//! restriction.

use crate::ids::{PropertyId, RatePlanId, RoomTypeId};
use crate::nights::Nights;
use chrono::{Datelike, NaiveDate, Weekday};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Restrictions of one date.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restriction {
    /// The night of this date is not sold.
    #[serde(default)]
    pub stop_sell: bool,
    /// Closed to arrival (CTA).
    #[serde(default)]
    pub closed_to_arrival: bool,
    /// Closed to departure (CTD).
    #[serde(default)]
    pub closed_to_departure: bool,
    /// Fewest nights of a stay that begins on this date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_stay_arrival: Option<u16>,
    /// Fewest nights of a stay that contains the night of this date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_stay_through: Option<u16>,
    /// Most nights of a stay that begins on this date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_stay: Option<u16>,
    /// Fewest days between booking and arrival on this date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_advance_days: Option<u16>,
    /// Most days between booking and arrival on this date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_advance_days: Option<u16>,
}

/// Prices and restrictions of one room type on one rate plan, by date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateCalendar {
    /// Property.
    pub property_id: PropertyId,
    /// Rate plan.
    pub rate_plan_id: RatePlanId,
    /// Room type.
    pub room_type_id: RoomTypeId,
    /// Price of the night of this date in minor units, in place of the plan's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<NaiveDate, i64>,
    /// Restrictions of this date.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub restrictions: BTreeMap<NaiveDate, Restriction>,
    /// Revision.
    #[serde(default)]
    pub rev: u64,
}

/// A set of dates that are changed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateSet {
    /// First and last date, the last excluded.
    pub range: Nights,
    /// Only these weekdays; empty means every day.
    pub weekdays: Vec<Weekday>,
}

impl DateSet {
    /// Its dates in order.
    pub fn iter(&self) -> impl Iterator<Item = NaiveDate> {
        self.range.iter().filter(|date| self.is_weekday(*date))
    }

    /// Whether it has this date.
    pub fn contains(&self, date: NaiveDate) -> bool {
        (self.range.arrival..self.range.departure).contains(&date) && self.is_weekday(date)
    }

    fn is_weekday(&self, date: NaiveDate) -> bool {
        self.weekdays.is_empty() || self.weekdays.contains(&date.weekday())
    }
}

impl RateCalendar {
    /// An empty calendar.
    pub fn new(property_id: PropertyId, rate_plan_id: RatePlanId, room_type_id: RoomTypeId) -> Self {
        Self { property_id, rate_plan_id, room_type_id, prices: BTreeMap::new(), restrictions: BTreeMap::new(), rev: 0 }
    }

    /// Sets the price of these dates, in minor units; `None` returns them to the plan's price.
    pub fn set_prices(&mut self, dates: &DateSet, amount: Option<i64>) {
        for date in dates.iter() {
            match amount {
                Some(amount) => self.prices.insert(date, amount),
                None => self.prices.remove(&date),
            };
        }
    }

    /// Replaces the restrictions of these dates; a restriction that restricts nothing removes them.
    pub fn set_restrictions(&mut self, dates: &DateSet, restriction: &Restriction) {
        for date in dates.iter() {
            if *restriction == Restriction::default() {
                self.restrictions.remove(&date);
            } else {
                self.restrictions.insert(date, restriction.clone());
            }
        }
    }

    /// Drops dates before `date`, so that a calendar does not grow without bound.
    pub fn forget_before(&mut self, date: NaiveDate) {
        self.prices = self.prices.split_off(&date);
        self.restrictions = self.restrictions.split_off(&date);
    }
}

/// Every calendar of one property.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates {
    calendars: BTreeMap<RatePlanId, BTreeMap<RoomTypeId, RateCalendar>>,
}

impl Rates {
    /// The calendars of one property, in any order.
    pub fn new(calendars: impl IntoIterator<Item = RateCalendar>) -> Self {
        let mut rates = Self::default();
        for calendar in calendars {
            rates
                .calendars
                .entry(calendar.rate_plan_id.clone())
                .or_default()
                .insert(calendar.room_type_id.clone(), calendar);
        }
        rates
    }

    /// The calendar of a room type on a plan, if it was ever set.
    pub fn calendar(&self, plan: &RatePlanId, room_type: &RoomTypeId) -> Option<&RateCalendar> {
        self.calendars.get(plan)?.get(room_type)
    }
}

#[cfg(test)]
mod tests {
    use super::{DateSet, RateCalendar, Restriction};
    use crate::fixtures::date;
    use crate::nights::Nights;
    use chrono::Weekday;

    fn calendar() -> RateCalendar {
        RateCalendar::new("p".into(), "standard".into(), "dorm".into())
    }

    #[test]
    fn prices_are_set_by_weekday() {
        let mut calendar = calendar();
        let weekends = DateSet {
            range: Nights::new(date("2028-02-25"), date("2028-03-06")),
            weekdays: vec![Weekday::Fri, Weekday::Sat],
        };
        calendar.set_prices(&weekends, Some(9_000));
        assert_eq!(
            calendar.prices.keys().map(ToString::to_string).collect::<Vec<_>>(),
            ["2028-02-25", "2028-02-26", "2028-03-03", "2028-03-04"]
        );
        calendar.set_prices(&DateSet { range: weekends.range, weekdays: vec![Weekday::Sat] }, None);
        assert_eq!(calendar.prices.len(), 2);
    }

    #[test]
    fn empty_restriction_is_removed() {
        let mut calendar = calendar();
        let week = DateSet { range: Nights::new(date("2028-02-25"), date("2028-03-03")), weekdays: Vec::new() };
        calendar.set_restrictions(&week, &Restriction { stop_sell: true, ..Restriction::default() });
        assert_eq!(calendar.restrictions.len(), 7);
        calendar.forget_before(date("2028-02-29"));
        assert_eq!(calendar.restrictions.len(), 3);
        calendar.set_restrictions(&week, &Restriction::default());
        assert!(calendar.restrictions.is_empty());
    }

    #[test]
    fn calendar_serializes_dates_as_keys() {
        let mut calendar = calendar();
        calendar.set_prices(
            &DateSet { range: Nights::new(date("2028-02-29"), date("2028-03-01")), weekdays: Vec::new() },
            Some(5),
        );
        let stored = serde_json::to_value(&calendar).unwrap();
        assert_eq!(stored["prices"]["2028-02-29"], 5);
        assert_eq!(serde_json::from_value::<RateCalendar>(stored).unwrap(), calendar);
    }
}
