//! How often, when and for how long one call is tried.
//!
//! What takes longer than this is the retry ladder's: a worker that waits for Stripe holds up other guests.

use crate::error::StripeError;
use rand::RngExt as _;
use std::time::Duration;
use tokio::time::Instant;

/// Most tries of one call, the first included.
pub(crate) const MAX_TRIES: u32 = 3;
/// How much longer than one try all of them may take.
pub(crate) const EXTRA_BUDGET: Duration = Duration::from_secs(2);
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The tries of one call.
pub(crate) struct Tries {
    call_timeout: Duration,
    deadline: Instant,
    made: u32,
    next_wait: Duration,
}

impl Tries {
    pub(crate) fn new(call_timeout: Duration) -> Self {
        Self { call_timeout, deadline: Instant::now() + call_timeout + EXTRA_BUDGET, made: 0, next_wait: FIRST_WAIT }
    }

    /// Begins a try: how long it may take.
    pub(crate) fn begin(&mut self) -> Duration {
        self.made += 1;
        self.call_timeout.min(self.deadline.saturating_duration_since(Instant::now()))
    }

    /// How long to wait before the next try; `None` when there is to be none.
    pub(crate) fn wait(&mut self, error: &StripeError) -> Option<Duration> {
        if self.made >= MAX_TRIES || !error.is_worth_retrying() {
            return None;
        }
        // Jittered, so that what failed together does not come back together.
        let own = self.next_wait.mul_f64(rand::rng().random_range(0.5..=1.0));
        self.next_wait *= 2;
        let asked = if let StripeError::RateLimited { retry_after } = error {
            retry_after.unwrap_or_default()
        } else {
            Duration::ZERO
        };
        let wait = own.max(asked);
        let left = self.deadline.saturating_duration_since(Instant::now());
        (wait <= EXTRA_BUDGET && wait < left).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::{EXTRA_BUDGET, MAX_TRIES, Tries};
    use crate::error::StripeError;
    use std::time::Duration;

    #[test]
    fn tries_end() {
        let down = StripeError::Unavailable("down".into());
        let mut tries = Tries::new(Duration::from_secs(10));
        let mut made = 0;
        loop {
            assert!(tries.begin() <= Duration::from_secs(10));
            made += 1;
            let Some(wait) = tries.wait(&down) else { break };
            assert!(wait <= EXTRA_BUDGET);
        }
        assert_eq!(made, MAX_TRIES);
    }

    #[test]
    fn neither_a_refusal_nor_a_long_wait_is_worth_one() {
        let mut tries = Tries::new(Duration::from_secs(10));
        tries.begin();
        assert_eq!(tries.wait(&StripeError::Idempotency("defect".into())), None);
        assert_eq!(tries.wait(&StripeError::RateLimited { retry_after: Some(Duration::from_secs(30)) }), None);
        let soon = Duration::from_secs(1);
        assert_eq!(tries.wait(&StripeError::RateLimited { retry_after: Some(soon) }), Some(soon));
    }
}
