//! Waiting times between tries: doubling, jittered, without end.

use rand::RngExt as _;
use std::time::Duration;

/// The state of one sequence of tries.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    next: Duration,
}

impl Backoff {
    /// Begins at `first` and doubles up to `cap`.
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, next: first }
    }

    /// How long to wait before the next try: between half and all of the current step, so that many processes that lost
    /// the same broker do not come back in step.
    pub fn step(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.cap);
        full.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Begins anew after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_to_the_cap_and_begin_anew() {
        let (first, cap) = (Duration::from_millis(200), Duration::from_secs(5));
        let mut backoff = Backoff::new(first, cap);
        for expected_ms in [200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let step = backoff.step().as_millis();
            assert!((expected_ms / 2..=expected_ms).contains(&step), "{step} is not within half of {expected_ms}");
        }
        backoff.reset();
        assert!(backoff.step() <= first);
    }
}
