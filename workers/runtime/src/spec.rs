//! Worker specs: constants, so that names, queues and limits are known before anything runs.

use pvt_messaging::{Queue, RetryDelay};
use std::time::Duration;

/// Maximum number of unacknowledged deliveries of one consumer.
pub const PREFETCH_CAP: u16 = 600;
/// Deliveries per handler slot: one being handled, one being confirmed, one waiting.
const PREFETCH_FACTOR: u16 = 3;
/// Maximum timeout. RabbitMQ docs, "Delivery Acknowledgement Timeout": after 30 minutes without an acknowledgement the
/// broker closes the channel.
pub const TIMEOUT_CAP: Duration = Duration::from_secs(300);

/// The spec of a worker.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Its name in logs, metrics and dead letters. Unique in a process.
    pub name: &'static str,
    /// The queue it consumes. Unique in a process.
    pub queue: Queue,
    /// The delay after the first, second, … failed attempt. After the last one a message becomes a dead letter.
    pub retry_schedule: &'static [RetryDelay],
    /// Timeout of one message, or one batch.
    pub timeout: Duration,
    /// Single messages or batches.
    pub shape: Shape,
}

/// How messages are passed to the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One by one.
    Single {
        /// Messages of one queue that are handled concurrently.
        concurrency: u16,
    },
    /// In batches, one batch of a queue at a time.
    Batch {
        /// Maximum size of a batch. Above [`PREFETCH_CAP`] / 3, handling no longer overlaps with confirms.
        max: u16,
        /// How long a batch that is not full waits for more messages.
        linger: Duration,
    },
}

impl Spec {
    /// Concurrent handlers per queue.
    pub(crate) fn slots(&self) -> usize {
        match self.shape {
            Shape::Single { concurrency } => usize::from(concurrency),
            Shape::Batch { .. } => 1,
        }
    }

    /// Maximum number of messages per call.
    pub(crate) fn batch_max(&self) -> usize {
        match self.shape {
            Shape::Single { .. } => 1,
            Shape::Batch { max, .. } => usize::from(max),
        }
    }

    /// How long a batch that is not full waits.
    pub(crate) fn linger(&self) -> Duration {
        match self.shape {
            Shape::Single { .. } => Duration::ZERO,
            Shape::Batch { linger, .. } => linger,
        }
    }

    /// Unacknowledged deliveries that the broker may send (RabbitMQ docs, "Consumer Prefetch").
    pub(crate) fn prefetch(&self) -> u16 {
        let at_once = match self.shape {
            Shape::Single { concurrency } => concurrency,
            Shape::Batch { max, .. } => max,
        };
        at_once.saturating_mul(PREFETCH_FACTOR).clamp(1, PREFETCH_CAP.max(at_once))
    }

    /// The first invalid setting.
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
