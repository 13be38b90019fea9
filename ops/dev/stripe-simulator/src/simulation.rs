//! Shared state of requests, pages, deliveries and tests: the state behind its lock, the injected faults, the webhooks.
//! Every change of the state goes through [`Simulation::change`], so that no event is lost.

use crate::error::ApiError;
use crate::fault_injection::FaultInjector;
use crate::state::{Cause, State};
use crate::webhooks::{Endpoint, Webhooks};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// The simulation.
#[derive(Debug)]
pub(crate) struct Simulation {
    state: Mutex<State>,
    pub(crate) faults: FaultInjector,
    pub(crate) webhooks: Webhooks,
    pub(crate) account: String,
    /// Host names that requests may use.
    pub(crate) hosts: Vec<String>,
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

impl Simulation {
    pub(crate) fn new(state: State, webhooks: Webhooks, account: String, hosts: Vec<String>) -> Self {
        Self { state: Mutex::new(state), faults: FaultInjector::default(), webhooks, account, hosts }
    }

    /// Changes the state atomically, then queues the events of the change.
    pub(crate) fn change<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.read();
        let done = work(&mut state);
        state.version += 1;
        let events = std::mem::take(&mut state.outbox);
        // Queued under the lock, so that events are queued in the order of the changes.
        for event in &events {
            match self.faults.of_event(&event.kind) {
                Some(faults) => self.webhooks.send(event, &faults),
                None => {
                    if let Some(event) = state.events.get_mut(&event.id) {
                        event.lost = true;
                    }
                }
            }
        }
        done
    }

    /// Changes the state without an API request as the cause.
    pub(crate) fn act<T>(&self, work: impl FnOnce(&mut State, &Cause) -> Result<T, ApiError>) -> Result<T, ApiError> {
        self.change(|state| work(state, &Cause::external(now_ms())))
    }

    /// The state for reading. No panic can leave it half changed, so a poisoned lock is still consistent.
    pub(crate) fn read(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the endpoints.
    pub(crate) fn set_endpoints(&self, endpoints: Vec<Endpoint>) {
        self.read().endpoints = endpoints.len();
        self.webhooks.set_endpoints(endpoints);
    }

    /// Sends events that an earlier process did not deliver.
    pub(crate) fn send_unsent(&self) {
        let state = self.read();
        let mut unsent: Vec<_> = state.events.newest().filter(|event| event.pending > 0 && !event.lost).collect();
        unsent.reverse();
        unsent.into_iter().for_each(|event| self.webhooks.send(event, &Default::default()));
    }
}

/// Sends due deliveries until `stop`.
pub(crate) async fn deliver(simulation: Arc<Simulation>, stop: CancellationToken) {
    let sending = async {
        while let Some((delivery, place)) = simulation.webhooks.next(|| simulation.faults.outage()).await {
            let simulation = simulation.clone();
            tokio::spawn(async move {
                let outcome = simulation.webhooks.attempt(delivery, now_ms()).await;
                if outcome.delivered {
                    let mut state = simulation.read();
                    state.version += 1;
                    if let Some(event) = state.events.get_mut(&outcome.event) {
                        event.pending = event.pending.saturating_sub(1);
                    }
                }
                drop(place);
            });
        }
    };
    stop.run_until_cancelled(sending).await;
}
