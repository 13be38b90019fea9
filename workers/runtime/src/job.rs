//! Jobs: a decoded message with its envelope and the messages to publish when its handler succeeds.

use crate::disposition::{HEADER_DEFERRALS, HEADER_ERROR_CLASS, HEADER_FIRST_FAILED_AT, HEADER_REPLAY};
use chrono::{DateTime, Utc};
use pvt_domain::QueueHop;
use pvt_domain::failure::Failure;
use pvt_messaging::{Delivery, Envelope, Outgoing};
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
    /// When this process received it.
    received_at: DateTime<Utc>,
    /// Its earlier deliveries, as the broker counts them.
    redeliveries: u32,
    /// Its index in the batch as delivered; a handler may reorder the items.
    pub(crate) position: usize,
    pub(crate) outbox: Vec<Outgoing>,
    pub(crate) failure: Option<Failure>,
}

impl<M> Job<M> {
    /// A job outside the engine, for tests of a worker.
    pub fn new(message: M, meta: Meta) -> Self {
        Self::at_position(message, Delivery { envelope: Arc::new(meta), ..Delivery::default() }, 0)
    }

    pub(crate) fn at_position(message: M, delivery: Delivery, position: usize) -> Self {
        let Delivery { envelope: meta, received_at, delivery_count: redeliveries, .. } = delivery;
        Self { message, meta, received_at, redeliveries, position, outbox: Vec::new(), failure: None }
    }

    /// The hop of the message through its queue, to be stored with what its handler writes.
    pub fn hop(&self) -> QueueHop {
        let header = |name: &str| self.meta.header(name);
        let replayed = header(HEADER_REPLAY).is_some();
        let has_failed = self.meta.attempt > 1 || replayed;
        let first_failed_at = header(HEADER_FIRST_FAILED_AT).and_then(|at| DateTime::parse_from_rfc3339(at).ok());
        QueueHop {
            requested_at: None,
            published_at: self.meta.timestamp.map(Into::into),
            delivered_at: self.received_at.into(),
            attempt: self.meta.attempt,
            deferrals: header(HEADER_DEFERRALS).and_then(|count| count.parse().ok()).unwrap_or_default(),
            redeliveries: self.redeliveries,
            first_failed_at: first_failed_at.map(|at| at.to_utc().into()),
            // A message that was only delayed has not failed.
            failed_with: header(HEADER_ERROR_CLASS).filter(|_| has_failed).map(str::to_owned),
            replayed,
        }
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
    fn hop_of_a_retried_message_says_what_failed_before() {
        let published = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let header = |name: &'static str, value: &str| (name.into(), value.to_owned());
        let meta = Meta {
            attempt: 3,
            timestamp: Some(published),
            headers: vec![
                header(HEADER_FIRST_FAILED_AT, "2027-01-15T08:00:01.500Z"),
                header(HEADER_ERROR_CLASS, "store_error"),
                header(HEADER_DEFERRALS, "2"),
                header(HEADER_REPLAY, "operation"),
            ],
            ..Meta::default()
        };
        let received_at = published + chrono::TimeDelta::milliseconds(5_250);
        let delivery = Delivery { envelope: Arc::new(meta), received_at, delivery_count: 1, ..Delivery::default() };
        let hop = Job::at_position((), delivery, 0).hop();
        assert_eq!((hop.published_at, hop.delivered_at), (Some(published.into()), received_at.into()));
        assert_eq!((hop.attempt, hop.deferrals, hop.redeliveries, hop.replayed), (3, 2, 1, true));
        assert_eq!(hop.failed_with.as_deref(), Some("store_error"));
        assert_eq!(hop.first_failed_at.unwrap().to_string(), "2027-01-15T08:00:01.500Z");
        let headers = vec![header(HEADER_ERROR_CLASS, "mongodb_unavailable")];
        let waited = Job::new((), Meta { attempt: 1, headers, ..Meta::default() }).hop();
        assert_eq!(waited.failed_with, None, "it waited for a store, and did not fail");
    }

    #[test]
    fn first_failure_of_a_job_wins() {
        let mut job = Job::new((), Meta::default());
        job.fail(Failure::reject("first", ""));
        job.fail(Failure::retry("second", ""));
        assert!(matches!(job.failed(), Some(Failure::Reject(cause)) if cause.class == "first"));
    }
}
