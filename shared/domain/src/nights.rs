//! Nights: property-local dates, and half-open ranges of them.

use chrono::{Days, NaiveDate};

/// The nights of a stay: `[arrival, departure)`. The night of a date is the one that begins on its evening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nights {
    /// First night.
    pub arrival: NaiveDate,
    /// Morning of departure: the night of this date is not part of the stay.
    pub departure: NaiveDate,
}

impl Nights {
    /// The nights from `arrival` up to but excluding `departure`.
    pub fn new(arrival: NaiveDate, departure: NaiveDate) -> Self {
        Self { arrival, departure }
    }

    /// Number of nights; negative when departure lies before arrival.
    pub fn count(&self) -> i64 {
        (self.departure - self.arrival).num_days()
    }

    /// Each night in order.
    pub fn iter(&self) -> impl Iterator<Item = NaiveDate> + use<> {
        let departure = self.departure;
        std::iter::successors(Some(self.arrival), |night| night.checked_add_days(Days::new(1)))
            .take_while(move |night| *night < departure)
    }
}
