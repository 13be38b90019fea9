//! Restrictions that a stay violates, as they are named to callers.

use crate::money::is_zero;
use crate::wire_enum;
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

wire_enum! {
    /// Kind of a restriction.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum RestrictionKind {
        /// One of the nights is not sold.
        StopSell = "stop_sell",
        /// Closed to arrival.
        ClosedToArrival = "closed_to_arrival",
        /// Closed to departure.
        ClosedToDeparture = "closed_to_departure",
        /// Too short for its arrival.
        MinStayArrival = "min_stay_arrival",
        /// Too short for one of its nights.
        MinStayThrough = "min_stay_through",
        /// Too long.
        MaxStay = "max_stay",
        /// Booked too late.
        AdvanceTooShort = "advance_too_short",
        /// Booked too early.
        AdvanceTooLong = "advance_too_long",
    }
}

/// A restriction that a stay violates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestrictionViolation {
    /// Index of the stay.
    pub stay: usize,
    /// Date that has the restriction.
    pub date: NaiveDate,
    /// Kind.
    pub kind: RestrictionKind,
    /// Its limit in nights or days; absent where it has none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub limit: u16,
}
