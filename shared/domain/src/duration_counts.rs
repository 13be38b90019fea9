//! Counts of durations by size, from which percentiles are read. Pure.
//!
//! Sizes grow by a twelfth or less, so a percentile is at most that much longer than the exact one, however many
//! durations were counted. Counts of several processes and minutes add up, which percentiles do not.

use std::collections::BTreeMap;
use std::time::Duration;

/// Sizes between a duration and its double. A size is an eighth root of two longer than the one before.
const SIZES_PER_DOUBLING: f64 = 8.0;
/// The last size, about a day and a half; longer durations count as this.
const MAX_SIZE: u16 = 27 * 8;

/// Counts of durations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DurationCounts(BTreeMap<u16, u64>);

impl DurationCounts {
    /// Counts one more.
    pub fn add(&mut self, duration: Duration) {
        *self.0.entry(size_of(duration)).or_default() += 1;
    }

    /// Counts those of another count, too.
    pub fn merge(&mut self, other: &Self) {
        for (size, count) in &other.0 {
            *self.0.entry(*size).or_default() += count;
        }
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The duration that this share of the counted ones (0 to 1) does not exceed; `None` when none were counted.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let total = self.total();
        let rank = ((total as f64 * share).ceil() as u64).clamp(1, total.max(1));
        let mut counted = 0;
        let reached = self.0.iter().find(|(_, count)| {
            counted += **count;
            counted >= rank
        });
        reached.map(|(size, _)| upper_bound(*size))
    }

    /// Sizes with their counts, as they are stored.
    pub fn pairs(&self) -> impl Iterator<Item = (u16, u64)> {
        self.0.iter().map(|(size, count)| (*size, *count))
    }
}

impl FromIterator<(u16, u64)> for DurationCounts {
    fn from_iter<I: IntoIterator<Item = (u16, u64)>>(pairs: I) -> Self {
        let mut counts = Self::default();
        for (size, count) in pairs {
            *counts.0.entry(size.min(MAX_SIZE)).or_default() += count;
        }
        counts
    }
}

/// The smallest size whose bound is not shorter than the duration.
fn size_of(duration: Duration) -> u16 {
    let milliseconds = (duration.as_secs_f64() * 1_000.0).max(1.0);
    let size = (milliseconds.log2() * SIZES_PER_DOUBLING).ceil().min(f64::from(MAX_SIZE));
    size as u16
}

fn upper_bound(size: u16) -> Duration {
    Duration::from_secs_f64((f64::from(size) / SIZES_PER_DOUBLING).exp2() / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::DurationCounts;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn nothing_counted_has_no_percentile() {
        assert_eq!(DurationCounts::default().percentile(0.5), None);
    }

    proptest! {
        #[test]
        fn percentile_is_at_most_a_tenth_above_the_exact_one(
            mut milliseconds in prop::collection::vec(1_u64..50_000_000, 1..200),
            share in 0.01_f64..=1.0,
        ) {
            let (mut counts, mut other) = (DurationCounts::default(), DurationCounts::default());
            for (index, value) in milliseconds.iter().enumerate() {
                let part = if index % 2 == 0 { &mut counts } else { &mut other };
                part.add(Duration::from_millis(*value));
            }
            counts.merge(&other);
            let counts: DurationCounts = counts.pairs().collect();
            milliseconds.sort_unstable();
            let rank = (milliseconds.len() as f64 * share).ceil().max(1.0) as usize;
            let exact = milliseconds[rank - 1] as f64 / 1_000.0;
            let read = counts.percentile(share).unwrap().as_secs_f64();
            prop_assert!(read >= exact * 0.999 && read <= exact * 1.1, "{read} for {exact}");
            prop_assert_eq!(counts.total(), milliseconds.len() as u64);
        }
    }
}
