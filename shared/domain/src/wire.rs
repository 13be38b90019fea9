//! Wire kit of the messages: names, bodies, and how a queue decodes them.
//!
//! Wire names and JSON forms are contracts with messages already queued. Unknown fields are ignored on read; a removed
//! or retyped field is a new version. Nothing here knows a message.

mod declare;
mod entry;
pub mod queues;

pub(crate) use declare::{impl_kind, inbox, message_family, payload};
pub(crate) use entry::any_body;
pub use entry::{CatalogEntry, Decoded, MessageClass};

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thiserror::Error;

/// Largest body of a message, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// A message.
pub trait MessageType: Serialize {
    /// The wire name with its version, for example `booking.request.v1`.
    fn kind(&self) -> &'static str;
}

/// The messages of one queue: a closed set of types.
pub trait Inbox: Sized + Send + 'static {
    /// Decodes a body by its wire name.
    ///
    /// # Errors
    /// [`DecodeError`]: the message can never be handled and is dead-lettered at once.
    fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError>;
}

/// For workers that share messages between tasks.
impl<T: Inbox + Sync> Inbox for Arc<T> {
    fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        T::decode(kind, body).map(Self::new)
    }
}

/// Reason for which a message cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The queue has no such message.
    #[error("`{0}` is not a message of this queue")]
    UnknownType(String),
    /// The message is known, this version of it is not.
    #[error("`{0}` is of a version that this worker does not know; deploy the newer worker and replay")]
    UnknownVersion(String),
    /// The body is not the JSON of its type.
    #[error("the body does not match its type: {0}")]
    InvalidBody(String),
    /// Larger than [`MAX_BODY_BYTES`].
    #[error("the body has {0} bytes, more than {MAX_BODY_BYTES}")]
    Oversize(usize),
}

impl DecodeError {
    /// Stable name for metrics and dead letters.
    pub fn class(&self) -> &'static str {
        match self {
            Self::UnknownType(_) => "unknown_type",
            Self::UnknownVersion(_) => "unknown_version",
            Self::InvalidBody(_) => "invalid_body",
            Self::Oversize(_) => "oversize",
        }
    }

    /// The error for a wire name that is not among those of its queue.
    pub fn unknown(kind: &str, known: &[&str]) -> Self {
        let stem = |name: &str| name.rsplit_once(".v").map(|(stem, _)| stem.to_owned());
        let same_stem =
            stem(kind).is_some_and(|received| known.iter().any(|name| stem(name).as_deref() == Some(&received)));
        if same_stem { Self::UnknownVersion(kind.to_owned()) } else { Self::UnknownType(kind.to_owned()) }
    }
}

/// Decodes one JSON body. Oversize ones are refused before they are parsed.
///
/// # Errors
/// [`DecodeError::Oversize`] or [`DecodeError::InvalidBody`]. The latter names the position, never the content: a body
/// may hold personal data.
pub fn decode_body<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, DecodeError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(DecodeError::Oversize(body.len()));
    }
    serde_json::from_slice(body).map_err(|error| {
        let kind = if error.is_data() { "a field is missing or of the wrong type" } else { "not JSON" };
        DecodeError::InvalidBody(format!("{kind} (line {}, column {})", error.line(), error.column()))
    })
}
