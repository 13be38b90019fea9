//! Catalog entries: one per wire name.

use super::{DecodeError, MessageType};
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

/// How a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageClass {
    /// To the queue of the one worker that executes it.
    Command,
    /// To every queue that subscribes to it.
    Event,
    /// To the API instance that waits for it.
    Reply,
}

/// A message type, as declared.
#[derive(Debug, Clone, Copy)]
pub struct CatalogEntry {
    /// The wire name with its version.
    pub kind: &'static str,
    /// How it travels.
    pub class: MessageClass,
    /// Base names of its queues: the one of a command; those that subscribe to an event by name (queues of
    /// [`super::queues::ALL_EVENTS`] receive it anyway); none for a reply.
    pub queues: &'static [&'static str],
    /// Its meaning.
    pub description: &'static str,
    /// A complete body, as JSON. The tests decode it forever.
    pub example: &'static str,
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
    pub(crate) decode: fn(&[u8]) -> Result<Decoded, DecodeError>,
}

/// A message that was decoded and encoded again.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The wire name under which it would be sent.
    pub kind: &'static str,
    /// Its body.
    pub body: Value,
}

impl Decoded {
    pub(crate) fn of(message: &impl MessageType) -> Result<Self, DecodeError> {
        let body = serde_json::to_value(message).map_err(|error| DecodeError::InvalidBody(error.to_string()))?;
        Ok(Self { kind: message.kind(), body })
    }
}

/// The schema of a family whose bodies are the same for each of its wire names.
pub(crate) fn any_body(_kind: &str, schema: Schema) -> Schema {
    schema
}

impl CatalogEntry {
    /// Decodes a body as a consumer of this message does.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(&self, body: &[u8]) -> Result<Decoded, DecodeError> {
        (self.decode)(body)
    }

    /// The JSON schema of its body, as a consumer of this message requires it.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }

    /// Whether a consumer of this message accepts this body.
    pub fn accepts(&self, body: &[u8]) -> bool {
        self.decode(body).is_ok()
    }
}
