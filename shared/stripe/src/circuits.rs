//! Circuit breakers, one for each operation of Stripe: when creating refunds fails, sessions are opened all the same.
//!
//! A circuit opens when several calls in a row were unavailable. Then calls of its operation fail at once, except one
//! now and then that finds out whether Stripe answers again. It also limits how many calls of one operation wait for
//! Stripe at the same time, so that an operation that hangs leaves room for others.

use crate::error::StripeError;
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

/// Unavailable calls in a row that open a circuit: one object that always fails is among others that succeed.
const FAILURES_TO_OPEN: u32 = 3;
/// First pause of an open circuit; it doubles with each failure.
const MIN_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// Most calls of an operation at the same time. Less than the worker handles, so that others have room.
const MAX_IN_FLIGHT: usize = 12;
/// An operation with so many calls of which none was answered for this long takes no more.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// The circuits of all operations that were called.
#[derive(Debug, Default)]
pub(crate) struct Circuits {
    all: Mutex<HashMap<&'static str, Arc<Circuit>>>,
}

impl Circuits {
    pub(crate) fn of(&self, operation: &'static str) -> Arc<Circuit> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(operation).or_insert_with(|| Arc::new(Circuit::new(operation))).clone()
    }

    pub(crate) fn answered_since(&self, operation: &str, since: DateTime<Utc>) -> bool {
        let circuit = self.all.lock().unwrap_or_else(PoisonError::into_inner).get(operation).cloned();
        circuit.is_some_and(|circuit| circuit.lock().answered_at.is_some_and(|at| at > since))
    }
}

/// The circuit of one operation.
#[derive(Debug)]
pub(crate) struct Circuit {
    operation: &'static str,
    in_flight: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Unavailable calls since the last answer.
    failures: u32,
    /// What the last of them failed with.
    error: Option<StripeError>,
    /// While open: when the next call may find out.
    retry_at: Instant,
    /// Whether such a call is under way.
    probing: bool,
    /// When a call last began or ended.
    moved_at: Instant,
    answered_at: Option<DateTime<Utc>>,
}

/// Permission for one call.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    circuit: &'a Circuit,
    probes: bool,
    _in_flight: SemaphorePermit<'a>,
}

impl Circuit {
    fn new(operation: &'static str) -> Self {
        let now = Instant::now();
        let state = State { failures: 0, error: None, retry_at: now, probing: false, moved_at: now, answered_at: None };
        Self { operation, in_flight: Semaphore::new(MAX_IN_FLIGHT), state: Mutex::new(state) }
    }

    /// Permission to call Stripe now.
    ///
    /// # Errors
    /// [`StripeError::NotCalled`] while the operation is unavailable, or stalled.
    pub(crate) async fn enter(&self) -> Result<Pass<'_>, StripeError> {
        let permit = loop {
            if let Ok(permit) = self.in_flight.try_acquire() {
                break permit;
            }
            let stalled_at = self.lock().moved_at + STALLED_AFTER;
            match timeout_at(stalled_at, self.in_flight.acquire()).await {
                Ok(Ok(permit)) => break permit,
                // Others moved meanwhile.
                _ if self.lock().moved_at + STALLED_AFTER > Instant::now() => {}
                _ => return Err(self.refusal(None)),
            }
        };
        let now = Instant::now();
        let mut state = self.lock();
        let is_open = state.failures >= FAILURES_TO_OPEN;
        if is_open && (state.probing || now < state.retry_at) {
            return Err(self.refusal(state.error.clone()));
        }
        state.probing |= is_open;
        state.moved_at = now;
        Ok(Pass { circuit: self, probes: is_open, _in_flight: permit })
    }

    /// A refusal of the class that the last call failed with; without one, calls wait for their answer.
    fn refusal(&self, last: Option<StripeError>) -> StripeError {
        let stalled = || {
            let message = "earlier calls wait for their answer".to_owned();
            StripeError::Unavailable { operation: self.operation, message }
        };
        StripeError::NotCalled(Box::new(last.unwrap_or_else(stalled)))
    }

    /// No panic can happen while it is held, so a poisoned lock is still consistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Notes the outcome of the call.
    pub(crate) fn report(self, error: Option<&StripeError>) {
        let mut state = self.circuit.lock();
        match error {
            Some(error @ (StripeError::Unavailable { .. } | StripeError::Unauthorized(_))) => {
                let pause = MIN_PAUSE * 2_u32.pow(state.failures.saturating_sub(FAILURES_TO_OPEN).min(5));
                state.retry_at = Instant::now() + pause.min(MAX_PAUSE);
                state.failures = state.failures.saturating_add(1);
                state.error = Some(error.clone());
            }
            // These do not say whether Stripe does what is asked for.
            Some(
                StripeError::RateLimited { .. }
                | StripeError::Transient(_)
                | StripeError::Unreadable(_)
                | StripeError::NotCalled(_),
            ) => {}
            None | Some(StripeError::Refused { .. } | StripeError::Forbidden(_) | StripeError::Idempotency(_)) => {
                state.failures = 0;
                state.answered_at = Some(Utc::now());
            }
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.circuit.lock();
        state.moved_at = Instant::now();
        state.probing &= !self.probes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, sleep};

    fn down() -> StripeError {
        StripeError::Unavailable { operation: "create_refund", message: "down".into() }
    }

    async fn fail(circuit: &Circuit) {
        circuit.enter().await.unwrap().report(Some(&down()));
    }

    #[tokio::test(start_paused = true)]
    async fn open_circuit_admits_one_call_after_its_pause_and_an_answer_closes_it() {
        let circuit = Circuit::new("create_refund");
        for _ in 0..FAILURES_TO_OPEN {
            fail(&circuit).await;
        }
        assert_eq!(circuit.enter().await.unwrap_err(), StripeError::NotCalled(Box::new(down())), "open");
        advance(MAX_PAUSE).await;
        let probe = circuit.enter().await.unwrap();
        assert!(circuit.enter().await.is_err(), "one call finds out");
        drop(probe);
        circuit.enter().await.unwrap().report(None);
        circuit.enter().await.unwrap().report(None);
    }

    #[tokio::test(start_paused = true)]
    async fn open_circuit_refuses_as_its_last_call_failed() {
        let circuit = Circuit::new("create_refund");
        let wrong_key = StripeError::Unauthorized("expired".into());
        fail(&circuit).await;
        for _ in 1..FAILURES_TO_OPEN {
            circuit.enter().await.unwrap().report(Some(&wrong_key));
        }
        assert_eq!(circuit.enter().await.unwrap_err(), StripeError::NotCalled(Box::new(wrong_key)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_object_that_fails_among_others_opens_nothing() {
        let circuits = Circuits::default();
        let circuit = circuits.of("create_refund");
        for _ in 0..10 {
            let since = Utc::now();
            fail(&circuit).await;
            fail(&circuit).await;
            assert!(!circuits.answered_since("create_refund", since));
            circuit.enter().await.unwrap().report(None);
            assert!(circuits.answered_since("create_refund", since));
        }
        for _ in 0..FAILURES_TO_OPEN {
            fail(&circuit).await;
        }
        assert!(circuit.enter().await.is_err());
        assert!(circuits.of("session").enter().await.is_ok(), "another operation goes on");
    }

    #[tokio::test(start_paused = true)]
    async fn operation_that_hangs_takes_no_more_calls_than_its_share() {
        let circuit = Circuit::new("expire_session");
        let mut hanging = Vec::new();
        for _ in 0..MAX_IN_FLIGHT {
            hanging.push(circuit.enter().await.unwrap());
        }
        let begun = Instant::now();
        assert!(circuit.enter().await.is_err());
        assert_eq!(begun.elapsed(), STALLED_AFTER);
        assert!(circuit.enter().await.is_err());
        assert_eq!(begun.elapsed(), STALLED_AFTER, "the next is refused at once");
    }

    /// Ten times as many calls at once as may be in flight, each answered after this time.
    async fn many_calls(circuit: &Arc<Circuit>, latency: Duration) -> Vec<Result<(), StripeError>> {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..10 * MAX_IN_FLIGHT {
            let circuit = circuit.clone();
            calls.spawn(async move {
                let pass = circuit.enter().await?;
                sleep(latency).await;
                pass.report(None);
                Ok(())
            });
        }
        calls.join_all().await
    }

    #[tokio::test(start_paused = true)]
    async fn busy_operation_that_goes_on_keeps_others_waiting_only() {
        let circuit = Arc::new(Circuit::new("create_refund"));
        assert!(many_calls(&circuit, STALLED_AFTER / 2).await.iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_operation_refuses_without_a_call_and_fails_none_that_it_admits() {
        let circuit = Arc::new(Circuit::new("create_refund"));
        let calls = many_calls(&circuit, STALLED_AFTER * 5 / 2).await;
        let (answered, refused): (Vec<_>, Vec<_>) = calls.into_iter().partition(Result::is_ok);
        assert_eq!((answered.len(), refused.len()), (MAX_IN_FLIGHT, 9 * MAX_IN_FLIGHT));
        for refusal in refused {
            assert!(matches!(refusal, Err(StripeError::NotCalled(_))), "{refusal:?}");
        }
        assert!(circuit.enter().await.is_ok(), "not open");
    }
}
