//! Attempts of one request: how many, how long and how far apart.
//!
//! What takes longer belongs to the worker's retry schedule: a worker that waits for Stripe holds up other bookings.

use crate::error::StripeError;
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;
use tokio::time::Instant;

/// Most attempts of one request, the first included.
pub(crate) const MAX_ATTEMPTS: usize = 3;
/// How much longer than one attempt all of them together may take.
pub(crate) const EXTRA_BUDGET: Duration = Duration::from_secs(2);
/// Waits of 100–200 ms at first, doubling. The jitter adds up to the delay itself, so that requests that failed
/// together are not repeated together.
const DELAYS: ExponentialBuilder =
    ExponentialBuilder::new().with_min_delay(Duration::from_millis(100)).with_max_times(MAX_ATTEMPTS - 1).with_jitter();

/// The attempts of one request.
pub(crate) struct Attempts {
    call_timeout: Duration,
    deadline: Instant,
    delays: ExponentialBackoff,
}

impl Attempts {
    pub(crate) fn new(call_timeout: Duration) -> Self {
        Self { call_timeout, deadline: Instant::now() + call_timeout + EXTRA_BUDGET, delays: DELAYS.build() }
    }

    /// How long the attempt that begins now may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.call_timeout.min(self.deadline.saturating_duration_since(Instant::now()))
    }

    /// How long to wait before the next attempt; `None` when there is to be none.
    pub(crate) fn wait(&mut self, error: &StripeError) -> Option<Duration> {
        if !error.is_worth_retrying() {
            return None;
        }
        let own = self.delays.next()?;
        let requested = match error {
            StripeError::RateLimited { retry_after } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let wait = own.max(requested);
        let left = self.deadline.saturating_duration_since(Instant::now());
        (wait <= EXTRA_BUDGET && wait < left).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempts, EXTRA_BUDGET, MAX_ATTEMPTS};
    use crate::error::StripeError;
    use std::time::Duration;

    #[test]
    fn attempts_are_bounded() {
        let down = StripeError::Unavailable { operation: "create_refund", message: "down".into() };
        let mut attempts = Attempts::new(Duration::from_secs(10));
        let mut made = 0;
        loop {
            assert!(attempts.timeout() <= Duration::from_secs(10));
            made += 1;
            let Some(wait) = attempts.wait(&down) else { break };
            assert!(wait <= EXTRA_BUDGET);
        }
        assert_eq!(made, MAX_ATTEMPTS);
    }

    #[test]
    fn refusals_and_long_waits_are_not_retried() {
        let mut attempts = Attempts::new(Duration::from_secs(10));
        assert_eq!(attempts.wait(&StripeError::Idempotency("defect".into())), None);
        assert_eq!(attempts.wait(&StripeError::RateLimited { retry_after: Some(Duration::from_secs(30)) }), None);
        let soon = Duration::from_secs(1);
        assert_eq!(attempts.wait(&StripeError::RateLimited { retry_after: Some(soon) }), Some(soon));
    }
}
