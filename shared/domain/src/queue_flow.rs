//! Flow through one queue, derived from what the broker counts: its rates, and since when its first message has waited.
//!
//! From 4.x on RabbitMQ says when the first message of a quorum queue was sent. Before, counts say how long it has
//! waited: a queue delivers in the order of arrival, so its first message is the one after as many as have left it or
//! are being handled, and it arrived between the last reading at which fewer had arrived and the next one. The later of
//! the two counts, so that an age is never exaggerated. Pure: the caller reads the broker and passes the time.

use chrono::{DateTime, TimeDelta, Utc};
use std::collections::VecDeque;

/// Rates are of the readings of this time.
const RATE_WINDOW: TimeDelta = TimeDelta::seconds(60);
/// A message that arrived between readings further apart than this may have waited for much longer than is known.
const LONGEST_GAP: TimeDelta = TimeDelta::seconds(90);
/// Readings that are kept of a queue that does not drain; beyond, every second one is dropped.
const MAX_READINGS: usize = 2_048;

/// The counts of a queue at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueReading {
    /// When it was read.
    pub at: DateTime<Utc>,
    /// Messages ready for delivery.
    pub ready: u64,
    /// Messages delivered and not acknowledged.
    pub unacknowledged: u64,
    /// Messages that were acknowledged since the broker began to count.
    pub acknowledged: u64,
    /// When the first message was sent, where the broker says it.
    pub head_sent_at: Option<DateTime<Utc>>,
}

impl QueueReading {
    /// Messages that have arrived since the broker began to count.
    fn arrived(&self) -> u64 {
        self.acknowledged + self.unacknowledged + self.ready
    }
}

/// Since when the first ready message of a queue has waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oldest {
    /// How long, in whole seconds.
    pub seconds: u64,
    /// Whether it may have waited for much longer: it was there before the readings began, or came in a gap of them.
    pub is_at_least: bool,
}

/// Messages a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// That arrive, those that return from a retry queue included.
    pub arriving: f64,
    /// That are handled: acknowledged, whatever became of them.
    pub handled: f64,
}

/// A count of arrivals, where it differs from its neighbours.
#[derive(Debug, Clone, Copy)]
struct Arrivals {
    at: DateTime<Utc>,
    arrived: u64,
}

/// The readings of one queue that its figures need.
#[derive(Debug, Clone, Default)]
pub struct QueueFlow {
    arrivals: VecDeque<Arrivals>,
    recent: VecDeque<QueueReading>,
}

impl QueueFlow {
    /// Takes a reading; one of the same time as the last is left out. An older one means that a clock was set back, and
    /// begins anew: readings of a time to come would hold every age back until then.
    pub fn observe(&mut self, reading: QueueReading) {
        self.recall(reading, None);
    }

    /// Takes a reading of before, with what was known of its first message: readings that were not kept said more.
    pub fn recall(&mut self, reading: QueueReading, oldest: Option<Oldest>) {
        if let Some(last) = self.recent.back() {
            if reading.at == last.at {
                return;
            }
            if reading.at < last.at {
                *self = Self::default();
            } else if reading.acknowledged < last.acknowledged {
                // The broker has restarted and counts from zero: earlier counts cannot be compared.
                *self = Self::default();
            }
        }
        if let Some(Oldest { seconds, is_at_least }) = oldest {
            let waited = TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 1_000));
            let (at, before) = (reading.at - waited, reading.acknowledged + reading.unacknowledged);
            if self.arrivals.back().is_none_or(|known| known.at < at) {
                if !is_at_least {
                    self.note_arrivals(Arrivals { at, arrived: before });
                }
                self.note_arrivals(Arrivals { at, arrived: before + 1 });
            }
        }
        self.note_arrivals(Arrivals { at: reading.at, arrived: reading.arrived() });
        self.recent.push_back(reading);
        self.forget(&reading);
    }

    /// Of readings with the same count the first and the last matter.
    fn note_arrivals(&mut self, next: Arrivals) {
        let same = self.arrivals.iter().rev().take_while(|known| known.arrived == next.arrived).take(2).count();
        if same == 2 {
            self.arrivals.pop_back();
        }
        self.arrivals.push_back(next);
    }

    /// Drops what no figure will need. What is being handled may return to the front.
    fn forget(&mut self, newest: &QueueReading) {
        let needed = self.last_below(newest.acknowledged + 1).unwrap_or_default();
        self.arrivals.drain(..needed);
        if self.arrivals.len() > MAX_READINGS {
            let mut index = 0_usize;
            self.arrivals.retain(|_| {
                index += 1;
                // The first two say how long the first message has waited, the last one is the newest reading.
                index <= 2 || index % 2 == 1 || index > MAX_READINGS
            });
        }
        // One that is older than the window is kept, as its beginning.
        while self.recent.get(1).is_some_and(|second| newest.at - second.at >= RATE_WINDOW) {
            self.recent.pop_front();
        }
    }

    /// The last reading at which fewer messages had arrived than this.
    fn last_below(&self, arrived: u64) -> Option<usize> {
        self.arrivals.iter().rposition(|known| known.arrived < arrived)
    }

    /// Since when the first ready message has waited, as of the last reading; `None` without one, or without a reading.
    pub fn oldest(&self) -> Option<Oldest> {
        let last = self.recent.back().filter(|last| last.ready > 0)?;
        let seconds = |since: DateTime<Utc>| u64::try_from((last.at - since).num_seconds()).unwrap_or_default();
        if let Some(sent_at) = last.head_sent_at {
            return Some(Oldest { seconds: seconds(sent_at), is_at_least: false });
        }
        let before = self.last_below(last.acknowledged + last.unacknowledged + 1);
        let counted = self.arrivals.get(before.map_or(0, |before| before + 1))?;
        let is_at_least =
            before.and_then(|before| self.arrivals.get(before)).is_none_or(|it| counted.at - it.at > LONGEST_GAP);
        Some(Oldest { seconds: seconds(counted.at), is_at_least })
    }

    /// The rates of the last minute; `None` before there are readings of it.
    pub fn rates(&self) -> Option<Rates> {
        let (first, last) = (self.recent.front()?, self.recent.back()?);
        rates(first, last)
    }
}

/// The rates between two readings of a queue; `None` when they cannot be compared.
fn rates(first: &QueueReading, last: &QueueReading) -> Option<Rates> {
    let seconds = (last.at - first.at).as_seconds_f64();
    let handled = last.acknowledged.checked_sub(first.acknowledged)?;
    let arriving = last.arrived().saturating_sub(first.arrived());
    let rate = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / seconds;
    (seconds >= 1.0).then(|| Rates { arriving: rate(arriving), handled: rate(handled) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn reading(seconds: i64, ready: u64, unacknowledged: u64, acknowledged: u64) -> QueueReading {
        QueueReading { at: at(seconds), ready, unacknowledged, acknowledged, head_sent_at: None }
    }

    fn after(readings: impl IntoIterator<Item = QueueReading>) -> QueueFlow {
        let mut flow = QueueFlow::default();
        readings.into_iter().for_each(|reading| flow.observe(reading));
        flow
    }

    fn oldest(readings: impl IntoIterator<Item = QueueReading>) -> Option<(u64, bool)> {
        after(readings).oldest().map(|oldest| (oldest.seconds, oldest.is_at_least))
    }

    #[test]
    fn first_message_has_waited_since_it_was_first_counted() {
        let empty = reading(0, 0, 0, 7);
        assert_eq!(oldest([empty]), None, "nothing waits");
        assert_eq!(oldest([empty, reading(15, 1, 0, 7), reading(75, 3, 0, 7)]), Some((60, false)));
        // The first one has been handled; the second came at 30.
        let second = [empty, reading(15, 1, 0, 7), reading(30, 2, 0, 7), reading(75, 1, 0, 8)];
        assert_eq!(oldest(second), Some((45, false)));
        // The first is being handled: the second waits.
        assert_eq!(
            oldest([empty, reading(15, 1, 0, 7), reading(30, 2, 0, 7), reading(75, 1, 1, 7)]),
            Some((45, false))
        );
        // And returns.
        let returned = [empty, reading(15, 1, 0, 7), reading(30, 1, 1, 7), reading(75, 2, 0, 7)];
        assert_eq!(oldest(returned), Some((60, false)));
    }

    #[test]
    fn messages_from_before_the_readings_have_waited_at_least_since_then() {
        assert_eq!(oldest([reading(0, 5, 0, 7), reading(60, 9, 0, 7)]), Some((60, true)));
        let those_are_gone = [reading(0, 5, 0, 7), reading(15, 9, 0, 7), reading(60, 3, 0, 13)];
        assert_eq!(oldest(those_are_gone), Some((45, false)));
        let after_a_gap = [reading(0, 0, 0, 7), reading(3_600, 2, 0, 7), reading(3_615, 2, 0, 7)];
        assert_eq!(oldest(after_a_gap), Some((15, true)), "it came at any time of an hour");
        let broker_restarted = [reading(0, 0, 0, 7), reading(15, 2, 0, 7), reading(30, 2, 0, 0), reading(60, 2, 0, 0)];
        assert_eq!(oldest(broker_restarted), Some((30, true)));
    }

    #[test]
    fn clock_that_was_set_back_begins_anew() {
        let set_back = [reading(3_600, 2, 0, 7), reading(0, 2, 0, 7), reading(0, 9, 0, 7), reading(60, 2, 0, 7)];
        assert_eq!(oldest(set_back), Some((60, true)));
    }

    #[test]
    fn known_age_of_the_first_message_is_recalled() {
        let recalled = |is_at_least, newer: &[QueueReading]| {
            let mut flow = QueueFlow::default();
            flow.recall(reading(0, 3, 1, 7), Some(Oldest { seconds: 300, is_at_least }));
            newer.iter().for_each(|reading| flow.observe(*reading));
            flow.oldest().map(|oldest| (oldest.seconds, oldest.is_at_least))
        };
        assert_eq!((recalled(false, &[]), recalled(true, &[])), (Some((300, false)), Some((300, true))));
        assert_eq!(recalled(false, &[reading(15, 3, 1, 7)]), Some((315, false)));
        assert_eq!(recalled(false, &[reading(15, 2, 1, 8)]), Some((15, true)), "the second one may be older");
        let mut later = after([reading(0, 0, 0, 7)]);
        later.recall(reading(60, 2, 0, 7), Some(Oldest { seconds: 45, is_at_least: false }));
        assert_eq!(later.oldest(), Some(Oldest { seconds: 45, is_at_least: false }), "not that of the sample");
    }

    #[test]
    fn broker_that_knows_the_first_message_is_believed() {
        let known = QueueReading { head_sent_at: Some(at(-100)), ..reading(60, 2, 0, 7) };
        assert_eq!(oldest([reading(0, 0, 0, 7), known]), Some((160, false)));
        assert_eq!(oldest([QueueReading { ready: 0, ..known }]), None, "the head may be one that is being handled");
    }

    #[test]
    fn readings_are_bounded_and_the_age_of_a_long_backlog_stays() {
        let growing = (0..20_000_u64).map(|count| reading(i64::try_from(count).unwrap() * 15, count, 0, 7));
        let flow = after(growing);
        assert!(flow.arrivals.len() <= MAX_READINGS && flow.recent.len() <= 6, "{}", flow.arrivals.len());
        let Oldest { seconds, is_at_least } = flow.oldest().unwrap();
        assert_eq!((seconds, is_at_least), (19_998 * 15, false));
        let idle = after((0..20_000).map(|count| reading(count, 0, 0, 7)));
        assert!(idle.arrivals.len() <= 2);
    }

    #[test]
    fn rates_are_those_of_the_last_minute() {
        let busy = after([reading(0, 0, 0, 0), reading(30, 10, 2, 18), reading(60, 40, 0, 80)]);
        assert_eq!(busy.rates(), Some(Rates { arriving: 2.0, handled: 80.0 / 60.0 }));
        let idle = after([reading(0, 0, 0, 0), reading(30, 0, 0, 90), reading(90, 0, 0, 90), reading(150, 0, 0, 90)]);
        assert_eq!(idle.rates(), Some(Rates { arriving: 0.0, handled: 0.0 }));
        assert_eq!(after([reading(0, 0, 0, 0)]).rates(), None);
    }
}
