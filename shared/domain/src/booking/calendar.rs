//! Entries of a booking in calendars, under ids that last while its stays change.

use super::{Booking, Stay};
use chrono::NaiveDate;

/// An entry in a guest's calendar: all stays with the same dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarEntry {
    /// Its `UID`: the booking's id; further entries are numbered.
    pub uid: String,
    /// Arrival.
    pub arrival: NaiveDate,
    /// Departure.
    pub departure: NaiveDate,
    /// Whether an earlier revision had it and the booking no longer has: a calendar that knows it must cancel it.
    pub is_dropped: bool,
}

impl Booking {
    /// Its entries in calendars, in the order of its stays. A calendar may know any revision, by a mail or a download;
    /// so the entries that a revision had and that are gone follow, each with its newest dates.
    pub fn calendar_entries(&self) -> Vec<CalendarEntry> {
        let mut dates = distinct_dates(&self.stays);
        let kept = dates.len();
        let mut state = self.state_at(self.rev);
        for changes in self.history.iter().rev().filter_map(|entry| entry.changes.as_deref()) {
            changes.undo(&mut state);
            if !changes.stays.is_empty() {
                let known = dates.len();
                dates.extend(distinct_dates(&state.stays).into_iter().skip(known));
            }
        }
        let entry = |(index, (arrival, departure))| {
            let uid = if index == 0 { self.id.to_string() } else { format!("{}-{index}", self.id) };
            CalendarEntry { uid, arrival, departure, is_dropped: index >= kept }
        };
        dates.into_iter().enumerate().map(entry).collect()
    }
}

/// Every pair of arrival and departure once, in the order of the stays: a group that travels together has one entry.
fn distinct_dates(stays: &[Stay]) -> Vec<(NaiveDate, NaiveDate)> {
    let mut dates: Vec<(NaiveDate, NaiveDate)> = Vec::new();
    for stay in stays {
        if !dates.contains(&(stay.arrival, stay.departure)) {
            dates.push((stay.arrival, stay.departure));
        }
    }
    dates
}
