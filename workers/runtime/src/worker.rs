//! The two traits a worker implements. They differ in what `handle` is given.

use crate::job::{Batch, Job};
use crate::spec::Spec;
use pvt_domain::failure::Failure;
use pvt_domain::messages::Inbox;

/// Handles messages one by one.
///
/// What a handler must know: it runs in a task of its own and is never dropped half-way while it keeps within its
/// timeout; a message may come again after any failure, also after `Ok`, so its effects are idempotent; a panic counts
/// as `Retry`.
pub trait Worker: Send + Sync + 'static {
    /// Its declaration; the shape is [`Shape::Single`](crate::Shape::Single).
    const SPEC: Spec;
    /// What its queue carries.
    type Message: Inbox;

    /// Handles one message. `Ok` publishes what the job emitted and acknowledges.
    fn handle(&self, job: &mut Job<Self::Message>) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Handles messages in batches, one batch of a queue at a time.
///
/// As [`Worker`]. After a panic, a timeout, a `Retry` or a `Reject` of the whole batch, each message is handled again
/// alone, so that only the guilty one suffers: the effects of the failed batch must have been undone, or be idempotent.
pub trait BatchWorker: Send + Sync + 'static {
    /// Its declaration; the shape is [`Shape::Batch`](crate::Shape::Batch).
    const SPEC: Spec;
    /// What its queue carries.
    type Message: Inbox;

    /// Handles a batch. `Ok` settles every item by its own [`Job::fail`](crate::Job::fail), or as done.
    fn handle(&self, batch: &mut Batch<Self::Message>) -> impl Future<Output = Result<(), Failure>> + Send;
}
