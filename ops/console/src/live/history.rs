//! History of the queues over the last hours, and of the times to the confirmation of bookings. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use pvt_domain::duration_counts::DurationCounts;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::queue_samples::{QueueCounts, QueueSample, SAMPLES_KEPT_FOR};
use std::collections::BTreeMap;
use std::time::Duration;

/// Percentiles are of the bookings of this time.
const PERCENTILES_OF: TimeDelta = TimeDelta::minutes(15);

/// The last hours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// Samples of the queues, oldest first.
    samples: Vec<QueueSample>,
    /// Times to confirmation by minute.
    times: BTreeMap<Timestamp, DurationCounts>,
}

/// Times to confirmation that a half, 95 and 99 of 100 bookings did not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Percentiles {
    pub(crate) bookings: u64,
    pub(crate) p50: Duration,
    pub(crate) p95: Duration,
    pub(crate) p99: Duration,
}

impl History {
    /// The same with newer samples and times, without what is too old.
    pub(crate) fn with(
        &self,
        newer: Vec<QueueSample>,
        times: BTreeMap<Timestamp, DurationCounts>,
        now: DateTime<Utc>,
    ) -> Self {
        let begin: Timestamp = (now - SAMPLES_KEPT_FOR).into();
        let mut next = self.clone();
        next.samples.extend(newer);
        next.samples.retain(|sample| sample.at >= begin);
        // A minute that is not over is read again.
        next.times.extend(times);
        next.times.retain(|minute, _| *minute >= begin);
        next
    }

    /// The samples, oldest first.
    pub(crate) fn samples(&self) -> &[QueueSample] {
        &self.samples
    }

    /// When the newest sample was taken.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.samples.last().map(|sample| sample.at)
    }

    /// The newest minute of which times are known.
    pub(crate) fn newest_times(&self) -> Option<Timestamp> {
        self.times.last_key_value().map(|(minute, _)| *minute)
    }

    /// A count of one queue (without the prefix) in each sample; absent where the sample has none.
    pub(crate) fn of_queue(&self, queue: &str, count: fn(&QueueCounts) -> u64) -> Vec<(Timestamp, u64)> {
        let counted = self.samples.iter().filter_map(|sample| {
            let counts = sample.queues.iter().find(|counts| counts.queue == queue)?;
            Some((sample.at, count(counts)))
        });
        counted.collect()
    }

    /// The times to confirmation of the last quarter of an hour; `None` when no booking was confirmed in it.
    pub(crate) fn percentiles(&self, now: DateTime<Utc>) -> Option<Percentiles> {
        let begin: Timestamp = (now - PERCENTILES_OF).into();
        let mut counts = DurationCounts::default();
        self.times.range(begin..).for_each(|(_, of_minute)| counts.merge(of_minute));
        let percentile = |share| counts.percentile(share);
        Some(Percentiles {
            bookings: counts.total(),
            p50: percentile(0.5)?,
            p95: percentile(0.95)?,
            p99: percentile(0.99)?,
        })
    }

    /// Of each minute the time that 95 of 100 bookings did not exceed, in milliseconds.
    pub(crate) fn p95_by_minute(&self) -> Vec<(Timestamp, u64)> {
        let p95 = self.times.iter().filter_map(|(minute, counts)| {
            let milliseconds = counts.percentile(0.95)?.as_millis();
            Some((*minute, u64::try_from(milliseconds).unwrap_or(u64::MAX)))
        });
        p95.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::History;
    use chrono::{DateTime, Utc};
    use pvt_domain::duration_counts::DurationCounts;
    use pvt_stores::mongo::queue_samples::{QueueCounts, QueueSample};
    use std::time::Duration;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minutes * 60, 0).unwrap()
    }

    #[test]
    fn history_forgets_what_is_too_old_and_reads_the_last_minute_again() {
        let sample = |minute, ready| {
            let counts = QueueCounts { queue: "emails".to_owned(), ready, ..QueueCounts::default() };
            QueueSample { at: at(minute).into(), queues: vec![counts] }
        };
        let times = |minute, milliseconds: &[u64]| {
            let mut counts = DurationCounts::default();
            milliseconds.iter().for_each(|it| counts.add(Duration::from_millis(*it)));
            [(at(minute).into(), counts)].into()
        };
        let first = History::default().with(vec![sample(0, 1), sample(1, 2)], times(1, &[1_000]), at(1));
        assert_eq!(first.of_queue("emails", |counts| counts.ready), [(at(0).into(), 1), (at(1).into(), 2)]);
        assert!(first.of_queue("payments", |counts| counts.ready).is_empty());
        let second = first.with(Vec::new(), times(1, &[10, 10, 4_000]), at(2));
        let read = second.percentiles(at(2)).unwrap();
        assert_eq!(read.bookings, 3, "not the one of the first reading besides");
        assert!(read.p50 < Duration::from_millis(11) && read.p95 >= Duration::from_secs(4), "{read:?}");
        assert_eq!(second.percentiles(at(17)), None, "a quarter of an hour without a booking");
        let later = second.with(vec![sample(361, 9)], times(361, &[5]), at(361));
        assert_eq!(later.of_queue("emails", |counts| counts.ready), [(at(1).into(), 2), (at(361).into(), 9)]);
        assert_eq!(later.p95_by_minute().len(), 2);
    }
}
