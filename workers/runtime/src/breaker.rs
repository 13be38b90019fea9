//! Circuit breaker of one worker: while a dependency is unavailable no message is handled, and none loses an attempt.
//!
//! Closed: all batches pass. Open: none passes until the pause is over. Half-open: one batch passes as a probe while
//! the others wait, and its outcome closes or opens the breaker.

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use chrono::{DateTime, Utc};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

const MAX_PAUSE: Duration = Duration::from_millis(2_500);
/// 50–100 ms, doubling to 2.5–5 s with jitter.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_max_delay(MAX_PAUSE)
    .with_jitter()
    .without_max_times();

#[derive(Debug)]
pub(crate) struct Breaker {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug)]
struct Inner {
    state: State,
    pauses: ExponentialBackoff,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed,
    Open { pause: Pause, until: Instant, probing: bool },
}

/// A pause of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pause {
    /// The last failure class.
    pub(crate) class: &'static str,
    /// When it began.
    pub(crate) since: DateTime<Utc>,
}

/// Permission to handle a batch. Its holder reports the outcome; a dropped probe lets the next batch probe.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Default for Breaker {
    fn default() -> Self {
        let inner = Inner { state: State::Closed, pauses: PAUSES.build() };
        Self { inner: Mutex::new(inner), changed: Notify::new() }
    }
}

impl Breaker {
    /// The pause while open.
    pub(crate) fn paused(&self) -> Option<Pause> {
        match self.lock().state {
            State::Closed => None,
            State::Open { pause, .. } => Some(pause),
        }
    }

    /// Waits until a batch may be handled. Safe to drop while waiting.
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
    /// Reports that the dependency responded, with success or not.
    pub(crate) fn answered(self) {
        let mut inner = self.breaker.lock();
        // Batches that were running when the breaker opened do not close it; only a probe does.
        if self.probe || matches!(inner.state, State::Closed) {
            inner.state = State::Closed;
            inner.pauses = PAUSES.build();
        }
    }

    /// Reports that the dependency is unavailable.
    pub(crate) fn unavailable(self, class: &'static str) {
        let mut inner = self.breaker.lock();
        if self.probe || matches!(inner.state, State::Closed) {
            let until = Instant::now() + inner.pauses.next().unwrap_or(MAX_PAUSE);
            let since = if let State::Open { pause, .. } = inner.state { pause.since } else { Utc::now() };
            inner.state = State::Open { pause: Pause { class, since }, until, probing: false };
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

    /// The longest first pause.
    const FIRST_PAUSE: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn half_open_breaker_admits_one_probe_and_its_success_closes_it() {
        let breaker = Breaker::default();
        breaker.enter().await.unavailable("db_down");
        assert_eq!(breaker.paused().map(|pause| pause.class), Some("db_down"));
        assert!(breaker.enter().now_or_never().is_none(), "open: none passes");

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
        let begun = breaker.paused().map(|pause| pause.since);
        advance(FIRST_PAUSE).await;
        breaker.enter().await.unavailable("y");
        assert_eq!(breaker.paused().map(|pause| (pause.class, Some(pause.since))), Some(("y", begun)));
        advance(FIRST_PAUSE / 2).await;
        assert!(breaker.enter().now_or_never().is_none(), "the second pause is at least as long as the first step");
        advance(FIRST_PAUSE * 2).await;
        drop(breaker.enter().await);
        assert!(breaker.enter().now_or_never().is_some(), "a dropped probe is replaced");
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
