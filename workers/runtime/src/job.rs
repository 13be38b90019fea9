//! What a handler is given: a decoded message, its envelope, and a place to put what should be published when it
//! succeeds.

use pvt_domain::failure::Failure;
use pvt_messaging::{Envelope, Outgoing};
use std::sync::Arc;

/// The envelope of a message: `id`, `kind`, `correlation_id`, `attempt` (1 at first), `reply_to`, `traceparent`,
/// `actor`, `timestamp`.
pub type Meta = Envelope;

/// One message to handle.
#[derive(Debug)]
pub struct Job<M> {
    /// What was sent.
    pub message: M,
    /// How it was sent.
    pub meta: Arc<Meta>,
    /// Its place in the batch, whatever a handler does to the order.
    pub(crate) position: usize,
    pub(crate) outbox: Vec<Outgoing>,
    pub(crate) failure: Option<Failure>,
}

impl<M> Job<M> {
    /// A job outside the engine: for a worker's own tests.
    pub fn new(message: M, meta: Meta) -> Self {
        Self::at_position(message, Arc::new(meta), 0)
    }

    pub(crate) fn at_position(message: M, meta: Arc<Meta>, position: usize) -> Self {
        Self { message, meta, position, outbox: Vec::new(), failure: None }
    }

    /// Publishes this, with the broker's confirm, after the handler returned `Ok` and before the message is
    /// acknowledged. If the message fails it is forgotten. The booking, the trace and the actor of the message handled
    /// are filled in where absent.
    pub fn emit(&mut self, mut message: Outgoing) {
        message.correlation_id = message.correlation_id.or(self.meta.correlation_id);
        message.traceparent = message.traceparent.or_else(|| self.meta.traceparent.clone());
        message.actor = message.actor.or_else(|| self.meta.actor.clone());
        self.outbox.push(message);
    }

    /// Fails this message alone, whatever the batch as a whole returns. The first failure stays.
    pub fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    /// What was emitted so far: for a worker's own tests.
    pub fn emitted(&self) -> &[Outgoing] {
        &self.outbox
    }

    /// Why it failed alone: for a worker's own tests.
    pub fn failed(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
}

/// Messages of one queue to handle together.
#[derive(Debug)]
pub struct Batch<M> {
    /// Full name of the queue.
    pub queue: Arc<str>,
    /// Which partition it is, for partitioned queues.
    pub partition: Option<u16>,
    /// The messages in the order in which the broker sent them. Never empty, never more than the worker's `max`.
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
