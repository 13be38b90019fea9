//! Health of running workers.

use crate::breaker::{Breaker, Pause};
use crate::metrics::WorkerMetrics;
use crate::queue_pauses::{QueuePause, QueuePauses};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Messages that wait for an operation fail again within a minute while it is unavailable.
const FAILURE_COUNTS_FOR: TimeDelta = TimeDelta::minutes(3);

/// The state of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerState {
    /// Consuming all of its queues, except for those that are paused.
    Running,
    /// Handling nothing because a dependency is unavailable.
    Paused {
        /// The failure class.
        class: &'static str,
        /// When the pause began.
        since: DateTime<Utc>,
    },
    /// At least one of its queues is not being consumed, though it is not paused.
    Reconnecting,
    /// Finishing running handlers; takes no new messages.
    Draining,
}

/// An operation for which messages wait, while those of other operations are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnavailableOperation {
    /// Its name.
    pub operation: &'static str,
    /// The failure class.
    pub class: &'static str,
    /// Since when messages have waited.
    pub since: DateTime<Utc>,
    /// When a message last failed because of it.
    pub failed_at: DateTime<Utc>,
}

impl UnavailableOperation {
    /// Whether messages still wait for it.
    fn counts(&self, now: DateTime<Utc>) -> bool {
        now - self.failed_at <= FAILURE_COUNTS_FOR
    }
}

/// An error of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The error.
    pub text: String,
}

/// A snapshot of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerHealth {
    /// Its name.
    pub name: &'static str,
    /// Its state.
    pub state: WorkerState,
    /// Operations for which messages wait, by name.
    pub unavailable: Vec<UnavailableOperation>,
    /// Its queues that an operator has paused and of which it handles nothing any more.
    pub paused_queues: QueuePauses,
    /// The last error of a handler or of the broker, never cleared.
    pub last_error: Option<LastError>,
    /// The queues that it consumes now, with the tags of the consumers.
    pub consumers: BTreeMap<String, String>,
    /// Messages being handled or published for.
    pub in_flight: usize,
    /// When the oldest of these was sent, by queue; absent where none is in hand.
    pub oldest_in_hand: BTreeMap<String, DateTime<Utc>>,
}

impl WorkerHealth {
    /// A worker in this state, with no queues, messages or errors.
    pub fn new(name: &'static str, state: WorkerState) -> Self {
        Self {
            name,
            state,
            unavailable: Vec::new(),
            paused_queues: QueuePauses::new(),
            last_error: None,
            consumers: BTreeMap::new(),
            in_flight: 0,
            oldest_in_hand: BTreeMap::new(),
        }
    }
}

/// The health of all workers of an engine. Cheap to clone, outlives the engine.
#[derive(Clone, Default)]
pub struct Health {
    workers: Arc<Mutex<Vec<Arc<Status>>>>,
}

impl Health {
    /// A snapshot of every worker.
    pub fn snapshot(&self) -> Vec<WorkerHealth> {
        self.lock().iter().map(|status| status.snapshot(Utc::now())).collect()
    }

    /// Whether every worker is connected to the broker.
    pub fn is_ready(&self) -> bool {
        self.snapshot().iter().all(|worker| worker.state != WorkerState::Reconnecting)
    }

    pub(crate) fn add(&self, status: Arc<Status>) {
        self.lock().push(status);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Status>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Messages of one queue in hand: a batch.
struct InHand {
    queue: String,
    /// When the oldest of them was sent.
    sent_at: DateTime<Utc>,
}

/// The live state of one worker.
pub(crate) struct Status {
    name: &'static str,
    queues: usize,
    consumers: Mutex<BTreeMap<String, String>>,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) draining: AtomicBool,
    pub(crate) breaker: Breaker,
    unavailable: Mutex<BTreeMap<&'static str, UnavailableOperation>>,
    paused_queues: Mutex<QueuePauses>,
    last_error: Mutex<Option<LastError>>,
    /// By the number of the batch.
    in_hand: Mutex<BTreeMap<u64, InHand>>,
    batches: AtomicU64,
}

impl Status {
    pub(crate) fn new(name: &'static str, queues: usize) -> Self {
        Self {
            name,
            queues,
            consumers: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            breaker: Breaker::default(),
            unavailable: Mutex::default(),
            paused_queues: Mutex::default(),
            last_error: Mutex::new(None),
            in_hand: Mutex::default(),
            batches: AtomicU64::new(0),
        }
    }

    /// The number of a batch that is taken in hand.
    pub(crate) fn next_batch(&self) -> u64 {
        self.batches.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes when the oldest message of a batch was sent that is still in hand; `None` when none is.
    pub(crate) fn set_oldest_in_hand(&self, batch: u64, queue: &str, sent_at: Option<DateTime<Utc>>) {
        let mut in_hand = self.in_hand();
        match sent_at {
            Some(sent_at) => drop(in_hand.insert(batch, InHand { queue: queue.to_owned(), sent_at })),
            None => drop(in_hand.remove(&batch)),
        }
    }

    fn in_hand(&self) -> MutexGuard<'_, BTreeMap<u64, InHand>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the oldest message in hand was sent, by queue.
    fn oldest_in_hand(&self) -> BTreeMap<String, DateTime<Utc>> {
        let mut oldest = BTreeMap::new();
        for InHand { queue, sent_at } in self.in_hand().values() {
            let known = oldest.entry(queue.clone()).or_insert(*sent_at);
            *known = (*known).min(*sent_at);
        }
        oldest
    }

    pub(crate) fn record_error(&self, text: String) {
        let error = LastError { at: Utc::now(), text };
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// The pause that holds messages. Without a message that waits, a breaker stays open until the next one comes.
    pub(crate) fn pause(&self) -> Option<Pause> {
        self.breaker.paused().filter(|_| self.in_flight.load(Ordering::Relaxed) > 0)
    }

    /// Notes that a message waits for this operation from now on; whether it is the first.
    pub(crate) fn operation_failed(
        &self,
        operation: &'static str,
        class: &'static str,
        now: DateTime<Utc>,
        metrics: &WorkerMetrics,
    ) -> bool {
        let mut unavailable = self.operations();
        let earlier = unavailable.get(operation).filter(|failed| failed.counts(now)).map(|failed| failed.since);
        let failed = UnavailableOperation { operation, class, since: earlier.unwrap_or(now), failed_at: now };
        unavailable.insert(operation, failed);
        metrics.operation_unavailable(operation, true);
        earlier.is_none()
    }

    /// Since when messages wait for this operation.
    pub(crate) fn unavailable_since(&self, operation: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.operations().get(operation).filter(|failed| failed.counts(now)).map(|failed| failed.since)
    }

    /// Removes and returns the operations that are available again as far as this knows, or for which no message has
    /// failed for a while.
    pub(crate) fn take_recovered(
        &self,
        now: DateTime<Utc>,
        answered_since: impl Fn(&'static str, DateTime<Utc>) -> bool,
        metrics: &WorkerMetrics,
    ) -> Vec<&'static str> {
        let mut recovered = Vec::new();
        self.operations().retain(|operation, failed| {
            let is_unavailable = failed.counts(now) && !answered_since(operation, failed.failed_at);
            if !is_unavailable {
                // Under the lock, so that it does not overwrite what a failure at the same time sets.
                metrics.operation_unavailable(operation, false);
                recovered.push(*operation);
            }
            is_unavailable
        });
        recovered
    }

    /// Notes that a queue is not consumed because it is paused.
    pub(crate) fn set_queue_pause(&self, queue: &str, pause: QueuePause) {
        self.queue_pauses().insert(queue.to_owned(), pause);
    }

    /// Notes that a queue is to be consumed.
    pub(crate) fn clear_queue_pause(&self, queue: &str) {
        self.queue_pauses().remove(queue);
    }

    /// Notes that a consumer of this tag has begun.
    pub(crate) fn consumer_began(&self, queue: &str, tag: String) {
        self.consumers().insert(queue.to_owned(), tag);
    }

    /// Notes that the consumer of a queue has ended.
    pub(crate) fn consumer_ended(&self, queue: &str) {
        self.consumers().remove(queue);
    }

    fn consumers(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.consumers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue_pauses(&self) -> MutexGuard<'_, QueuePauses> {
        self.paused_queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn operations(&self) -> MutexGuard<'_, BTreeMap<&'static str, UnavailableOperation>> {
        self.unavailable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self, now: DateTime<Utc>) -> WorkerHealth {
        // The pauses first: a consumer is noted until the pause of its queue is.
        let paused_queues = self.queue_pauses().clone();
        let consumers = self.consumers().clone();
        let state = if self.draining.load(Ordering::Relaxed) {
            WorkerState::Draining
        } else if let Some(Pause { class, since }) = self.pause() {
            WorkerState::Paused { class, since }
        } else if consumers.len() + paused_queues.len() < self.queues {
            WorkerState::Reconnecting
        } else {
            WorkerState::Running
        };
        let last_error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let unavailable = self.operations().values().filter(|failed| failed.counts(now)).copied().collect();
        WorkerHealth {
            name: self.name,
            state,
            unavailable,
            paused_queues,
            last_error,
            consumers,
            in_flight: self.in_flight.load(Ordering::Relaxed),
            oldest_in_hand: self.oldest_in_hand(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_message_in_hand_is_that_of_all_batches_of_its_queue() {
        let status = Status::new("confirmations", 2);
        let sent = |seconds| DateTime::from_timestamp(seconds, 0);
        let (first, second, other) = (status.next_batch(), status.next_batch(), status.next_batch());
        status.set_oldest_in_hand(first, "bookings.0", sent(20));
        status.set_oldest_in_hand(second, "bookings.0", sent(10));
        status.set_oldest_in_hand(other, "bookings.1", sent(30));
        let oldest = || {
            let oldest = status.snapshot(Utc::now()).oldest_in_hand;
            ["bookings.0", "bookings.1"].map(|queue| oldest.get(queue).map(|at| at.timestamp()))
        };
        assert_eq!(oldest(), [Some(10), Some(30)]);
        status.set_oldest_in_hand(second, "bookings.0", sent(15));
        assert_eq!(oldest(), [Some(15), Some(30)], "the oldest of the batch is handled");
        status.set_oldest_in_hand(second, "bookings.0", None);
        status.set_oldest_in_hand(other, "bookings.1", None);
        assert_eq!(oldest(), [Some(20), None]);
    }

    #[test]
    fn operation_that_fails_again_after_a_while_is_unavailable_since_then() {
        let (status, metrics) = (Status::new("stripe", 1), WorkerMetrics::of("stripe"));
        let begun = Utc::now();
        let at = |minutes| begun + TimeDelta::minutes(minutes);
        let fail = |now| status.operation_failed("create_refund", "stripe_unavailable", now, &metrics);
        let since = |now| status.snapshot(now).unavailable.first().map(|failed| failed.since);
        assert!(fail(begun), "the first");
        assert!(!fail(at(1)));
        assert_eq!(since(at(1)), Some(begun));
        assert_eq!((since(at(60)), status.unavailable_since("create_refund", at(60))), (None, None));
        assert!(fail(at(60)), "an outage of its own");
        assert_eq!(since(at(60)), Some(at(60)));
        assert!(status.take_recovered(at(61), |_, _| false, &metrics).is_empty());
        assert_eq!(status.take_recovered(at(64), |_, _| false, &metrics), ["create_refund"]);
        assert!(fail(at(65)));
        assert_eq!(status.take_recovered(at(66), |_, failed_at| failed_at == at(65), &metrics), ["create_refund"]);
    }
}
