//! Health of running workers.

use crate::breaker::{Breaker, Pause};
use chrono::{DateTime, Utc};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The state of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerState {
    /// Consuming all of its queues.
    Running,
    /// Handling nothing because a dependency is unavailable.
    Paused {
        /// The failure class.
        class: &'static str,
        /// When the pause began.
        since: DateTime<Utc>,
    },
    /// At least one of its queues is not being consumed.
    Reconnecting,
    /// Finishing running handlers; takes no new messages.
    Draining,
}

/// A snapshot of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerHealth {
    /// Its name.
    pub name: &'static str,
    /// Its state.
    pub state: WorkerState,
    /// The last error of a handler or of the broker, never cleared.
    pub last_error: Option<String>,
    /// Messages being handled or published for.
    pub in_flight: usize,
}

/// The health of all workers of an engine. Cheap to clone, outlives the engine.
#[derive(Clone, Default)]
pub struct Health {
    workers: Arc<Mutex<Vec<Arc<Status>>>>,
}

impl Health {
    /// A snapshot of every worker.
    pub fn snapshot(&self) -> Vec<WorkerHealth> {
        self.lock().iter().map(|status| status.snapshot()).collect()
    }

    /// Whether every worker is connected to the broker.
    pub fn is_ready(&self) -> bool {
        self.snapshot().iter().all(|worker| worker.state != WorkerState::Reconnecting)
    }

    pub(crate) fn add(&self, status: Arc<Status>) {
        self.lock().push(status);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Status>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The live state of one worker.
pub(crate) struct Status {
    name: &'static str,
    queues: usize,
    pub(crate) consuming: AtomicUsize,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) draining: AtomicBool,
    pub(crate) breaker: Breaker,
    last_error: Mutex<Option<String>>,
}

impl Status {
    pub(crate) fn new(name: &'static str, queues: usize) -> Self {
        Self {
            name,
            queues,
            consuming: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            breaker: Breaker::default(),
            last_error: Mutex::new(None),
        }
    }

    pub(crate) fn record_error(&self, text: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// The pause that holds messages. Without a message that waits, a breaker stays open until the next one comes.
    pub(crate) fn pause(&self) -> Option<Pause> {
        self.breaker.paused().filter(|_| self.in_flight.load(Ordering::Relaxed) > 0)
    }

    fn snapshot(&self) -> WorkerHealth {
        let state = if self.draining.load(Ordering::Relaxed) {
            WorkerState::Draining
        } else if let Some(Pause { class, since }) = self.pause() {
            WorkerState::Paused { class, since }
        } else if self.consuming.load(Ordering::Relaxed) < self.queues {
            WorkerState::Reconnecting
        } else {
            WorkerState::Running
        };
        let last_error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        WorkerHealth { name: self.name, state, last_error, in_flight: self.in_flight.load(Ordering::Relaxed) }
    }
}
