//! Times from the acceptance of booking requests to their confirmation, as this process counts them by minute.
//!
//! Counting touches memory only; the heartbeat of the process stores what has changed.

use chrono::{DateTime, Utc};
use pvt_domain::duration_counts::DurationCounts;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Minutes that are kept while MongoDB cannot be written to; the oldest ones are given up.
const MAX_MINUTES: usize = 60;
/// The newest minutes, which are kept when they are stored: one that ends may still be counted in.
const OPEN_MINUTES: usize = 3;

#[derive(Debug, Default)]
struct Minute {
    counts: DurationCounts,
    is_stored: bool,
}

/// Counts by minute since 1970. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct DecisionTimes(Arc<Mutex<BTreeMap<i64, Minute>>>);

impl DecisionTimes {
    /// Counts a booking that has waited this long, now.
    pub(crate) fn add(&self, waited: Duration, now: DateTime<Utc>) {
        let mut minutes = self.minutes();
        let minute = minutes.entry(now.timestamp().div_euclid(60)).or_default();
        minute.counts.add(waited);
        minute.is_stored = false;
        if minutes.len() > MAX_MINUTES {
            minutes.pop_first();
        }
    }

    /// Minutes whose counts have changed since they were last taken. What was taken and is long over is forgotten.
    pub(crate) fn take_changed(&self) -> Vec<(i64, DurationCounts)> {
        let mut minutes = self.minutes();
        let first_open = minutes.keys().rev().take(OPEN_MINUTES).next_back().copied();
        minutes.retain(|minute, it| !it.is_stored || first_open.is_none_or(|open| *minute >= open));
        let changed = minutes.iter_mut().filter(|(_, it)| !it.is_stored);
        changed
            .map(|(minute, it)| {
                it.is_stored = true;
                (*minute, it.counts.clone())
            })
            .collect()
    }

    /// The counts of this minute could not be stored.
    pub(crate) fn not_stored(&self, minute: i64) {
        if let Some(it) = self.minutes().get_mut(&minute) {
            it.is_stored = false;
        }
    }

    fn minutes(&self) -> MutexGuard<'_, BTreeMap<i64, Minute>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{DecisionTimes, MAX_MINUTES};
    use chrono::DateTime;
    use std::time::Duration;

    #[test]
    fn changed_minutes_are_taken_until_they_are_stored() {
        let times = DecisionTimes::default();
        let add =
            |minute: i64| times.add(Duration::from_secs(1), DateTime::from_timestamp(minute * 60 + 7, 0).unwrap());
        let taken = || times.take_changed().iter().map(|(minute, it)| (*minute, it.total())).collect::<Vec<_>>();
        add(10);
        assert_eq!((taken(), taken()), (vec![(10, 1)], vec![]));
        add(10);
        add(11);
        assert_eq!(taken(), [(10, 2), (11, 1)], "a minute is stored as a whole");
        times.not_stored(11);
        assert_eq!(taken(), [(11, 1)]);
        add(10);
        assert_eq!(taken(), [(10, 3)], "a minute that has just ended is still counted in as a whole");
        (0..1_000).for_each(add);
        assert_eq!(times.take_changed().len(), MAX_MINUTES);
    }
}
