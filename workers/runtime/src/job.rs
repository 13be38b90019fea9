//! Jobs: a decoded message with its envelope and the messages to publish when its handler succeeds.

use pvt_domain::failure::Failure;
use pvt_messaging::{Envelope, Outgoing};
use std::sync::Arc;

/// The envelope of a message: `id`, `kind`, `correlation_id`, `attempt` (1 at first), `reply_to`, `traceparent`,
/// `actor`, `timestamp`.
pub type Meta = Envelope;

/// One message to handle.
#[derive(Debug)]
pub struct Job<M> {
    /// The decoded message.
    pub message: M,
    /// Its envelope.
    pub meta: Arc<Meta>,
    /// Its index in the batch as delivered; a handler may reorder the items.
    pub(crate) position: usize,
    pub(crate) outbox: Vec<Outgoing>,
    pub(crate) failure: Option<Failure>,
}

impl<M> Job<M> {
    /// A job outside the engine, for tests of a worker.
    pub fn new(message: M, meta: Meta) -> Self {
        Self::at_position(message, Arc::new(meta), 0)
    }

    pub(crate) fn at_position(message: M, meta: Arc<Meta>, position: usize) -> Self {
        Self { message, meta, position, outbox: Vec::new(), failure: None }
    }

    /// Publishes `message`, with the broker's confirm, after the handler returned `Ok` and before its own message is
    /// acknowledged; a failed job discards it. Correlation id, trace and actor default to those of the job.
    pub fn emit(&mut self, mut message: Outgoing) {
        let envelope = &mut message.envelope;
        envelope.correlation_id = envelope.correlation_id.or(self.meta.correlation_id);
        envelope.traceparent = envelope.traceparent.take().or_else(|| self.meta.traceparent.clone());
        envelope.actor = envelope.actor.take().or_else(|| self.meta.actor.clone());
        self.outbox.push(message);
    }

    /// Fails this message alone, independent of the result of its batch. The first failure wins.
    pub fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    /// The messages emitted so far, for tests of a worker.
    pub fn emitted(&self) -> &[Outgoing] {
        &self.outbox
    }

    /// Its own failure, for tests of a worker.
    pub fn failed(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
}

/// Messages of one queue that are handled together.
#[derive(Debug)]
pub struct Batch<M> {
    /// Full name of the queue.
    pub queue: Arc<str>,
    /// The partition, for partitioned queues.
    pub partition: Option<u16>,
    /// The messages in order of delivery: at least one, at most the worker's `max`.
    pub items: Vec<Job<M>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvt_messaging::Target;
    use uuid::Uuid;

    #[test]
    fn emitted_messages_inherit_trace_and_correlation_id() {
        let meta =
            Meta { correlation_id: Some(Uuid::from_u128(7)), traceparent: Some("00-a".into()), ..Meta::default() };
        let mut job = Job::new((), meta);
        job.emit(Outgoing::raw(Target::Events, "a.b", Uuid::nil(), "a.b.v1", "{}"));
        let sent = job.emitted().first().unwrap();
        let sent = &sent.envelope;
        assert_eq!((sent.correlation_id, sent.traceparent.as_deref()), (Some(Uuid::from_u128(7)), Some("00-a")));
    }

    #[test]
    fn first_failure_of_a_job_wins() {
        let mut job = Job::new((), Meta::default());
        job.fail(Failure::reject("first", ""));
        job.fail(Failure::retry("second", ""));
        assert!(matches!(job.failed(), Some(Failure::Reject(cause)) if cause.class == "first"));
    }
}
