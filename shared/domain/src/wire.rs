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
/// [`DecodeError::Oversize`] or [`DecodeError::InvalidBody`]. The latter names field and position, never the content: a
/// body may hold personal data.
pub fn decode_body<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, DecodeError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(DecodeError::Oversize(body.len()));
    }
    serde_json::from_slice(body).map_err(|error| {
        let what = if error.is_data() { mismatch::<T>(body, &error) } else { "not JSON".to_owned() };
        DecodeError::InvalidBody(format!("{what} (line {}, column {})", error.line(), error.column()))
    })
}

/// Which field does not match, read once more to learn its path. What is sent in its place is not quoted.
fn mismatch<'de, T: Deserialize<'de>>(body: &'de [u8], error: &serde_json::Error) -> String {
    let read = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(body));
    let path = read.err().map(|error| error.path().to_string()).filter(|path| path != ".");
    let text = error.to_string();
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match (path, missing) {
        (Some(path), Some(missing)) if path.ends_with(missing) => format!("field {path} is missing"),
        (Some(path), Some(missing)) => format!("field {path}.{missing} is missing"),
        (None, Some(missing)) => format!("field {missing} is missing"),
        (Some(path), None) => format!("field {path} is of the wrong type or value"),
        (None, None) => "a field is missing or of the wrong type".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::decode_body;
    use crate::commands::{CancelBooking, RequestBooking};
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    fn refused<T: DeserializeOwned>(body: &Value) -> String {
        let error = decode_body::<T>(&serde_json::to_vec(body).unwrap()).err().unwrap().to_string();
        let (what, position) = error.split_once(" (line ").unwrap();
        assert!(position.starts_with("1, column "), "{error}");
        what.strip_prefix("the body does not match its type: ").unwrap().to_owned()
    }

    #[test]
    fn invalid_body_names_the_field_and_quotes_nothing() {
        let stay = json!({ "room_type_id": "dorm", "arrival": "2027-01-10", "departure": "2027-01-11", "guests": 1 });
        let body = json!({ "booking_id": "11111111-2222-5333-8444-555555555555", "fingerprint": "f",
            "property_id": "p", "rate_plan_id": "standard", "source": "direct", "stays": [stay],
            "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
            "requested_at": "2026-12-01T12:00:00.000Z" });
        let with = |pointer: &str, value: Value| {
            let mut body = body.clone();
            *body.pointer_mut(pointer).unwrap() = value;
            refused::<RequestBooking>(&body)
        };
        assert_eq!(with("/stays/0/guests", json!("Ada")), "field stays[0].guests is of the wrong type or value");
        assert_eq!(with("/source", json!("Ada")), "field source is of the wrong type or value");
        let mut without = body.clone();
        without.as_object_mut().unwrap().remove("fingerprint");
        assert_eq!(refused::<RequestBooking>(&without), "field fingerprint is missing");
        let mut without = body.clone();
        without["stays"][0].as_object_mut().unwrap().remove("arrival");
        assert_eq!(refused::<RequestBooking>(&without), "field stays[0].arrival is missing");
        assert!(refused::<CancelBooking>(&json!({})).starts_with("field booking_id is missing"));
    }
}
