//! The traits of workers, one for single messages and one for batches.

use crate::job::{Batch, Job};
use crate::spec::Spec;
use chrono::{DateTime, Utc};
use pvt_domain::failure::Failure;
use pvt_domain::messages::Inbox;

/// Handles messages one by one.
///
/// A handler runs in a task of its own and is never dropped within its timeout. A message may be redelivered after any
/// failure, and even after `Ok`, so its effects must be idempotent. A panic counts as `Retry`.
pub trait Worker: Send + Sync + 'static {
    /// Its spec; the shape is [`Shape::Single`](crate::Shape::Single).
    const SPEC: Spec;
    /// The messages of its queue.
    type Message: Inbox;

    /// Handles one message. After `Ok` the emitted messages are published and the job's own is acknowledged.
    fn handle(&self, job: &mut Job<Self::Message>) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Whether the dependency that this failure class names answers, found out without any message; `None` when that
    /// cannot be found out. If it answers, an `Unavailable` is a message's own failure: the message is isolated and
    /// follows its retry schedule. Otherwise the worker waits.
    fn probe(&self, class: &'static str) -> impl Future<Output = Option<bool>> + Send {
        let _ = class;
        std::future::ready(None)
    }

    /// Whether this operation of a dependency was answered for some message after this time. Then a message whose call
    /// failed again as [unavailable](Failure::Unavailable) follows its retry schedule; until then it waits.
    fn answered_since(&self, operation: &'static str, since: DateTime<Utc>) -> bool {
        let _ = (operation, since);
        false
    }
}

/// Handles messages in batches, one batch of a queue at a time.
///
/// As [`Worker`]. After a panic, a timeout, a `Retry` or a `Reject` of the whole batch, its messages are handled one by
/// one, so that only the poison message fails. The effects of a failed batch must be rolled back or idempotent.
pub trait BatchWorker: Send + Sync + 'static {
    /// Its spec; the shape is [`Shape::Batch`](crate::Shape::Batch).
    const SPEC: Spec;
    /// The messages of its queue.
    type Message: Inbox;

    /// Handles a batch. After `Ok`, each item succeeds unless it [failed](crate::Job::fail) by itself.
    fn handle(&self, batch: &mut Batch<Self::Message>) -> impl Future<Output = Result<(), Failure>> + Send;

    /// As [`Worker::probe`].
    fn probe(&self, class: &'static str) -> impl Future<Output = Option<bool>> + Send {
        let _ = class;
        std::future::ready(None)
    }
}
