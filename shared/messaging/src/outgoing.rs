//! A message on its way to the broker: its envelope as plain values and its body as JSON bytes.
//!
//! Building one does no I/O. The envelope carries ids only, never a guest's data: headers are shown to operators.

use crate::topology::{RetryDelay, unversioned};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use pvt_domain::failure::Failure;
use pvt_domain::messages::{MAX_BODY_BYTES, MessageType};
use std::borrow::Cow;
use uuid::Uuid;

/// Header: how many times handling has begun, this delivery included. Absent means 1.
pub const HEADER_ATTEMPT: &str = "attempt";
/// Header: W3C trace context.
pub const HEADER_TRACEPARENT: &str = "traceparent";
/// Header: who asked for it, an id such as `user:…` or `worker:payments`.
pub const HEADER_ACTOR: &str = "actor";

/// The attempt of a message that was not yet handled.
pub const FIRST_ATTEMPT: u32 = 1;

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Exchange `commands`; the key is unprefixed (`bookings.3`, `payment.refund`).
    Commands,
    /// Exchange `events`; the key is the unversioned type.
    Events,
    /// A rung of the ladder; the key is the full name of the home queue.
    Retry(RetryDelay),
    /// The dead letters; the key is the full name of the work queue that gave up.
    Dead,
    /// The default exchange; the key is the full name of the queue.
    Queue,
}

/// A message to publish.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Exchange.
    pub target: Target,
    /// Routing key, see [`Target`].
    pub routing_key: Cow<'static, str>,
    /// `message_id`. A repeated publish must repeat it: receivers deduplicate by it.
    pub id: Uuid,
    /// AMQP `type`: the wire name with its version.
    pub kind: Cow<'static, str>,
    /// The booking.
    pub correlation_id: Option<Uuid>,
    /// The queue a reply is awaited in.
    pub reply_to: Option<String>,
    /// Header `attempt`; [`FIRST_ATTEMPT`] unless it is a retry.
    pub attempt: u32,
    /// Header `traceparent`.
    pub traceparent: Option<String>,
    /// Header `actor`.
    pub actor: Option<String>,
    /// When it was first published; `None` means now. A retry keeps it, so that a message's age is its true age.
    pub timestamp: Option<DateTime<Utc>>,
    /// Further headers.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// JSON, at most [`MAX_BODY_BYTES`].
    pub body: Bytes,
}

/// A message that can't be put into bytes.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Its JSON form is larger than the cap.
    #[error("the body of `{kind}` has {bytes} bytes, more than {MAX_BODY_BYTES}")]
    Oversize {
        /// Wire name.
        kind: &'static str,
        /// Size of the encoded body.
        bytes: usize,
    },
    /// It has no JSON form.
    #[error("`{kind}` has no JSON form: {source}")]
    Json {
        /// Wire name.
        kind: &'static str,
        /// What the serialiser said.
        source: serde_json::Error,
    },
}

/// The same message would fail the same way again.
impl From<EncodeError> for Failure {
    fn from(error: EncodeError) -> Self {
        Self::reject("encode_failed", error)
    }
}

impl Outgoing {
    /// A command with this routing key (see `Topology::command_key`).
    ///
    /// # Errors
    /// When the message is too large or has no JSON form.
    pub fn command(
        key: impl Into<Cow<'static, str>>,
        id: Uuid,
        message: &impl MessageType,
    ) -> Result<Self, EncodeError> {
        Ok(Self::raw(Target::Commands, key, id, message.kind(), encode(message)?))
    }

    /// An event; its routing key is its type without the version.
    ///
    /// # Errors
    /// When the message is too large or has no JSON form.
    pub fn event(id: Uuid, message: &impl MessageType) -> Result<Self, EncodeError> {
        let kind = message.kind();
        Ok(Self::raw(Target::Events, unversioned(kind), id, kind, encode(message)?))
    }

    /// A reply to whoever waits in `queue` (the `reply_to` of the message answered), correlated by the booking.
    ///
    /// # Errors
    /// When the message is too large or has no JSON form.
    pub fn reply(queue: impl Into<String>, id: Uuid, message: &impl MessageType) -> Result<Self, EncodeError> {
        Ok(Self::raw(Target::Queue, queue.into(), id, message.kind(), encode(message)?))
    }

    /// A message whose body is already encoded.
    pub fn raw(
        target: Target,
        key: impl Into<Cow<'static, str>>,
        id: Uuid,
        kind: impl Into<Cow<'static, str>>,
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            target,
            routing_key: key.into(),
            id,
            kind: kind.into(),
            correlation_id: None,
            reply_to: None,
            attempt: FIRST_ATTEMPT,
            traceparent: None,
            actor: None,
            timestamp: None,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// Sets the booking.
    #[must_use]
    pub fn with_correlation_id(mut self, booking: Uuid) -> Self {
        self.correlation_id = Some(booking);
        self
    }

    /// Asks for the result in `queue`.
    #[must_use]
    pub fn with_reply_to(mut self, queue: impl Into<String>) -> Self {
        self.reply_to = Some(queue.into());
        self
    }

    /// Continues this trace.
    #[must_use]
    pub fn with_traceparent(mut self, traceparent: Option<String>) -> Self {
        self.traceparent = traceparent;
        self
    }

    /// Says who asked.
    #[must_use]
    pub fn with_actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// The JSON form of a message.
///
/// # Errors
/// When it is too large or has no JSON form.
pub fn encode(message: &impl MessageType) -> Result<Bytes, EncodeError> {
    let kind = message.kind();
    let body = serde_json::to_vec(message).map_err(|source| EncodeError::Json { kind, source })?;
    if body.len() > MAX_BODY_BYTES {
        return Err(EncodeError::Oversize { kind, bytes: body.len() });
    }
    Ok(Bytes::from(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    #[derive(Serialize)]
    struct Note {
        text: String,
    }

    impl MessageType for Note {
        fn kind(&self) -> &'static str {
            "note.taken.v3"
        }
    }

    #[test]
    fn an_event_is_routed_by_its_unversioned_type() {
        let sent = Outgoing::event(Uuid::nil(), &Note { text: "hi".into() }).unwrap();
        assert_eq!((sent.target, &*sent.routing_key, &*sent.kind), (Target::Events, "note.taken", "note.taken.v3"));
        assert_eq!(&*sent.body, br#"{"text":"hi"}"#);
        assert_eq!(sent.attempt, 1);
    }

    #[test]
    fn oversize_body_is_refused() {
        let error = Outgoing::command("k", Uuid::nil(), &Note { text: "x".repeat(MAX_BODY_BYTES) }).unwrap_err();
        assert!(matches!(Failure::from(error), Failure::Reject(cause) if cause.class == "encode_failed"));
    }
}
