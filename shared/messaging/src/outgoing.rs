//! Outgoing messages: destination, envelope and the body as JSON bytes.
//!
//! Building one does no I/O.

use crate::envelope::Envelope;
use crate::topology::{RetryDelay, unversioned};
use bytes::Bytes;
use pvt_domain::failure::Failure;
use pvt_domain::messages::{MAX_BODY_BYTES, MessageType};
use std::borrow::Cow;
use uuid::Uuid;

/// The destination of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Exchange `commands`; the key is unprefixed (`bookings.3`, `payment.refund`).
    Commands,
    /// Exchange `events`; the key is the unversioned type.
    Events,
    /// A delay of the retry schedule; the key is the full name of the queue that the message returns to.
    Retry(RetryDelay),
    /// The dead letters; the key is the full name of the work queue that rejected the message.
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
    /// Properties and headers.
    pub envelope: Envelope,
    /// JSON, at most [`MAX_BODY_BYTES`].
    pub body: Bytes,
}

/// A message that cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Its JSON form is larger than the cap.
    #[error("body of `{kind}` has {bytes} bytes, the limit is {MAX_BODY_BYTES}")]
    Oversize {
        /// Wire name.
        kind: &'static str,
        /// Size of the encoded body.
        bytes: usize,
    },
    /// It cannot be represented as JSON.
    #[error("`{kind}` cannot be represented as JSON: {source}")]
    Json {
        /// Wire name.
        kind: &'static str,
        /// Error of the serializer.
        source: serde_json::Error,
    },
}

/// Encoding the same message again would fail again.
impl From<EncodeError> for Failure {
    fn from(error: EncodeError) -> Self {
        Self::reject("encode_failed", error)
    }
}

impl Outgoing {
    /// A command with this routing key (see `Topology::command_key`).
    ///
    /// # Errors
    /// When the message is too large or cannot be represented as JSON.
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
    /// When the message is too large or cannot be represented as JSON.
    pub fn event(id: Uuid, message: &impl MessageType) -> Result<Self, EncodeError> {
        let kind = message.kind();
        Ok(Self::raw(Target::Events, unversioned(kind), id, kind, encode(message)?))
    }

    /// The same message for this queue (full name) alone, whatever is bound to its exchange.
    #[must_use]
    pub fn to_queue(self, queue: impl Into<Cow<'static, str>>) -> Self {
        Self { target: Target::Queue, routing_key: queue.into(), ..self }
    }

    /// A reply to `queue`, the `reply_to` of the message that it answers.
    ///
    /// # Errors
    /// When the message is too large or cannot be represented as JSON.
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
        let envelope = Envelope { id, kind: kind.into(), ..Envelope::default() };
        Self { target, routing_key: key.into(), envelope, body: body.into() }
    }

    /// Sets `correlation_id`, the booking.
    #[must_use]
    pub fn with_correlation_id(mut self, booking: Uuid) -> Self {
        self.envelope.correlation_id = Some(booking);
        self
    }

    /// Requests a reply in `queue`, if there is one.
    #[must_use]
    pub fn with_reply_to(mut self, queue: Option<String>) -> Self {
        self.envelope.reply_to = queue;
        self
    }

    /// Continues a trace.
    #[must_use]
    pub fn with_traceparent(mut self, traceparent: Option<String>) -> Self {
        self.envelope.traceparent = traceparent;
        self
    }

    /// Sets the actor who caused the message.
    #[must_use]
    pub fn with_actor(mut self, actor: impl Into<String>) -> Self {
        self.envelope.actor = Some(actor.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.envelope.headers.push((name.into(), value.into()));
        self
    }
}

/// Encodes a message as JSON.
///
/// # Errors
/// When it is too large or cannot be represented as JSON.
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
        assert_eq!((sent.target, &*sent.routing_key), (Target::Events, "note.taken"));
        assert_eq!((&*sent.envelope.kind, sent.envelope.attempt), ("note.taken.v3", 1));
        assert_eq!(&*sent.body, br#"{"text":"hi"}"#);
    }

    #[test]
    fn oversize_body_is_refused() {
        let error = Outgoing::command("k", Uuid::nil(), &Note { text: "x".repeat(MAX_BODY_BYTES) }).unwrap_err();
        assert!(matches!(Failure::from(error), Failure::Reject(cause) if cause.class == "encode_failed"));
    }
}
