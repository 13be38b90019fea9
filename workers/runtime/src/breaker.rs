//! The circuit breaker of one worker: while a dependency is wholly down nothing is handled, and no message pays for it.
//!
//! Closed: all pass. Open: nobody passes until the waiting time is over. Then one passes as a probe while the others
//! wait; its outcome closes or opens the breaker again.

use pvt_messaging::Backoff;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const PAUSE_CAP: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Breaker {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug)]
struct Inner {
    state: State,
    backoff: Backoff,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed,
    Open { class: &'static str, until: Instant, probing: bool },
}

/// Leave to handle. Its holder must report; dropping it unreported lets the next one probe.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Default for Breaker {
    fn default() -> Self {
        let backoff = Backoff::new(FIRST_PAUSE, PAUSE_CAP);
        Self { inner: Mutex::new(Inner { state: State::Closed, backoff }), changed: Notify::new() }
    }
}

impl Breaker {
    /// The class of the failure while paused.
    pub(crate) fn paused(&self) -> Option<&'static str> {
        match self.lock().state {
            State::Closed => None,
            State::Open { class, .. } => Some(class),
        }
    }

    /// Waits until handling makes sense. Safe to drop while waiting.
    pub(crate) async fn enter(&self) -> Pass<'_> {
        loop {
            let changed = self.changed.notified();
            let wake = {
                let mut inner = self.lock();
                match &mut inner.state {
                    State::Closed => return Pass { breaker: self, probe: false },
                    State::Open { until, probing, .. } if !*probing && *until <= Instant::now() => {
                        *probing = true;
                        return Pass { breaker: self, probe: true };
                    }
                    State::Open { probing: true, .. } => None,
                    State::Open { until, .. } => Some(*until),
                }
            };
            match wake {
                Some(until) => sleep_until(until).await,
                None => changed.await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The dependency answered, whatever it said.
    pub(crate) fn answered(self) {
        let mut inner = self.breaker.lock();
        // Of many that ran at once when the breaker opened, only a probe may close it.
        if self.probe || matches!(inner.state, State::Closed) {
            inner.state = State::Closed;
            inner.backoff.reset();
        }
    }

    /// The dependency is down.
    pub(crate) fn unavailable(self, class: &'static str) {
        let mut inner = self.breaker.lock();
        if self.probe || matches!(inner.state, State::Closed) {
            let until = Instant::now() + inner.backoff.step();
            inner.state = State::Open { class, until, probing: false };
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut inner = self.breaker.lock();
        if let State::Open { probing, .. } = &mut inner.state
            && self.probe
        {
            *probing = false;
        }
        drop(inner);
        self.breaker.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn half_open_breaker_admits_one_probe_and_its_success_closes_it() {
        let breaker = Breaker::default();
        breaker.enter().await.unavailable("db_down");
        assert_eq!(breaker.paused(), Some("db_down"));
        assert!(breaker.enter().now_or_never().is_none(), "open: nobody passes");

        advance(FIRST_PAUSE).await;
        let probe = breaker.enter().await;
        assert!(breaker.enter().now_or_never().is_none(), "half-open: one probe at a time");
        probe.answered();
        assert_eq!(breaker.paused(), None);
        breaker.enter().await.answered();
    }

    #[tokio::test(start_paused = true)]
    async fn failed_probe_doubles_the_pause_and_dropped_probe_is_replaced() {
        let breaker = Breaker::default();
        breaker.enter().await.unavailable("x");
        advance(FIRST_PAUSE).await;
        breaker.enter().await.unavailable("x");
        advance(FIRST_PAUSE / 2).await;
        assert!(breaker.enter().now_or_never().is_none(), "the second pause is at least as long as the first step");
        advance(FIRST_PAUSE * 2).await;
        drop(breaker.enter().await);
        assert!(breaker.enter().now_or_never().is_some(), "a probe that vanished blocks nobody");
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_failures_do_not_extend_the_pause() {
        let breaker = Breaker::default();
        let passes = [breaker.enter().await, breaker.enter().await, breaker.enter().await];
        for pass in passes {
            pass.unavailable("x");
        }
        advance(FIRST_PAUSE).await;
        assert!(breaker.enter().now_or_never().is_some());
    }
}
