//! Pauses of queues: an operator stops the consumption of a queue until it is resumed, in every process.
//!
//! The engine is given the pauses and does not know where they are stored. Until they are known for the first time
//! nothing is consumed, because a queue that was paused before a restart must not be consumed after it.

use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;
use tokio::sync::watch;

/// How often every process must read the pauses: after twice this time all have noticed a change.
pub const PAUSES_READ_EVERY: Duration = Duration::from_secs(1);

/// The pause of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePause {
    /// When it began.
    pub since: DateTime<Utc>,
    /// Who paused the queue.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// Paused queues by their full names.
pub type QueuePauses = BTreeMap<String, QueuePause>;

/// The pauses as one runner sees them; `None` until they are known.
#[derive(Debug, Clone)]
pub(crate) struct PauseWatch(watch::Receiver<Option<QueuePauses>>);

impl PauseWatch {
    pub(crate) fn new(pauses: watch::Receiver<Option<QueuePauses>>) -> Self {
        Self(pauses)
    }

    /// Without pauses.
    pub(crate) fn none() -> Self {
        Self(watch::channel(Some(QueuePauses::new())).1)
    }

    /// Whether the pauses are known and this queue has none.
    pub(crate) fn may_consume(&self, queue: &str) -> bool {
        self.0.borrow().as_ref().is_some_and(|pauses| !pauses.contains_key(queue))
    }

    /// The pause of a queue.
    pub(crate) fn of(&self, queue: &str) -> Option<QueuePause> {
        self.0.borrow().as_ref()?.get(queue).cloned()
    }

    /// Waits for the next change. Without a source that changes them, the last pauses stand.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            pending().await
        }
    }

    /// Waits until the queue is paused.
    pub(crate) async fn until_paused(&mut self, queue: &str) {
        let is_paused = |pauses: &Option<QueuePauses>| pauses.as_ref().is_some_and(|all| all.contains_key(queue));
        if self.0.wait_for(is_paused).await.is_err() {
            pending().await
        }
    }
}
