//! What a worker says about itself: a constant, so that names, queues and bounds are known before anything runs.

use pvt_messaging::{Queue, RetryDelay};
use std::time::Duration;

/// The most unacknowledged deliveries one consumer may hold.
pub const PREFETCH_CAP: u16 = 600;
/// Deliveries held for each one that can be handled: one part is being handled, one is being confirmed, one waits.
const PREFETCH_FACTOR: u16 = 3;
/// A broker may cut off a consumer that acknowledges nothing for half an hour; handlers stay far below.
pub const TIMEOUT_CAP: Duration = Duration::from_secs(300);

/// The declaration of a worker.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Its name: in logs, metrics, dead letters and on the command line. Unique in a process.
    pub name: &'static str,
    /// What it consumes. Unique in a process.
    pub queue: Queue,
    /// Where a message waits after its first, second, … failed attempt. Past the end it becomes a dead letter.
    pub retry_schedule: &'static [RetryDelay],
    /// How long handling one message, or one batch, may take.
    pub timeout: Duration,
    /// One message at a time or many.
    pub shape: Shape,
}

/// How messages are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One by one, so many at once.
    Single {
        /// Messages of one queue that are handled at the same time.
        concurrency: u16,
    },
    /// In batches, one batch of a queue at a time.
    Batch {
        /// The most messages in a batch. Above [`PREFETCH_CAP`] / 3 batches no longer overlap with their confirms.
        max: u16,
        /// How long the first message of a batch waits for company when there is none yet.
        linger: Duration,
    },
}

impl Spec {
    /// Messages handled at the same time per queue.
    pub(crate) fn slots(&self) -> usize {
        match self.shape {
            Shape::Single { concurrency } => usize::from(concurrency),
            Shape::Batch { .. } => 1,
        }
    }

    /// The most messages handed over at once.
    pub(crate) fn batch_max(&self) -> usize {
        match self.shape {
            Shape::Single { .. } => 1,
            Shape::Batch { max, .. } => usize::from(max),
        }
    }

    /// How long an unfilled batch waits.
    pub(crate) fn linger(&self) -> Duration {
        match self.shape {
            Shape::Single { .. } => Duration::ZERO,
            Shape::Batch { linger, .. } => linger,
        }
    }

    /// How many deliveries the broker may send ahead.
    pub(crate) fn prefetch(&self) -> u16 {
        let at_once = match self.shape {
            Shape::Single { concurrency } => concurrency,
            Shape::Batch { max, .. } => max,
        };
        at_once.saturating_mul(PREFETCH_FACTOR).clamp(1, PREFETCH_CAP.max(at_once))
    }

    /// What is wrong with it, if anything.
    pub(crate) fn invalid_reason(&self) -> Option<&'static str> {
        let at_once = match self.shape {
            Shape::Single { concurrency } => concurrency,
            Shape::Batch { max, .. } => max,
        };
        if self.name.is_empty() {
            return Some("its name is empty");
        }
        if at_once == 0 || at_once > PREFETCH_CAP {
            return Some("concurrency and batch size are between 1 and 600");
        }
        if self.timeout.is_zero() || self.timeout > TIMEOUT_CAP {
            return Some("its timeout is between 1 ms and 5 minutes");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(shape: Shape) -> Spec {
        Spec { name: "w", queue: Queue::One("emails"), retry_schedule: &[], timeout: Duration::from_secs(1), shape }
    }

    #[test]
    fn prefetch_follows_from_the_shape() {
        assert_eq!(spec(Shape::Single { concurrency: 8 }).prefetch(), 24);
        assert_eq!(spec(Shape::Batch { max: 100, linger: Duration::ZERO }).prefetch(), 300);
        assert_eq!(spec(Shape::Batch { max: 500, linger: Duration::ZERO }).prefetch(), PREFETCH_CAP);
    }

    #[test]
    fn invalid_specs_are_refused() {
        assert!(spec(Shape::Single { concurrency: 0 }).invalid_reason().is_some());
        assert!(spec(Shape::Batch { max: 601, linger: Duration::ZERO }).invalid_reason().is_some());
        assert!(
            Spec { timeout: Duration::from_secs(301), ..spec(Shape::Single { concurrency: 1 }) }
                .invalid_reason()
                .is_some()
        );
        assert!(spec(Shape::Single { concurrency: 1 }).invalid_reason().is_none());
    }
}
