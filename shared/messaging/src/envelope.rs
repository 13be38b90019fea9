//! The envelope: the properties and headers of a message as plain values.
//!
//! It carries ids only, never a guest's data, because operators see headers.

use chrono::{DateTime, Utc};
use std::borrow::Cow;
use uuid::Uuid;

/// Header: the number of times handling has begun, this delivery included. Absent means 1.
pub const HEADER_ATTEMPT: &str = "attempt";
/// Header: W3C trace context.
pub const HEADER_TRACEPARENT: &str = "traceparent";
/// Header: the actor who caused the message, such as `user:…` or `worker:payments`.
pub const HEADER_ACTOR: &str = "actor";

/// The attempt of a message that was not handled yet.
pub const FIRST_ATTEMPT: u32 = 1;

/// Everything of a message except its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `message_id`; nil when absent or not a UUID. A repeated publish repeats it: receivers deduplicate by it.
    pub id: Uuid,
    /// AMQP `type`: the wire name with its version; empty when absent.
    pub kind: Cow<'static, str>,
    /// The booking, or whatever the message is about.
    pub correlation_id: Option<Uuid>,
    /// The queue in which a reply is awaited.
    pub reply_to: Option<String>,
    /// Header `attempt`: [`FIRST_ATTEMPT`] unless the message is a retry.
    pub attempt: u32,
    /// Header `traceparent`.
    pub traceparent: Option<String>,
    /// Header `actor`.
    pub actor: Option<String>,
    /// Time of the first publish, in whole seconds; `None` on publish means now. A retry keeps it, so that the age of a
    /// message is its true age.
    pub timestamp: Option<DateTime<Utc>>,
    /// Further text headers, without those of the broker (`x-…`).
    pub headers: Vec<(Cow<'static, str>, String)>,
}

impl Default for Envelope {
    fn default() -> Self {
        Self {
            id: Uuid::nil(),
            kind: Cow::Borrowed(""),
            correlation_id: None,
            reply_to: None,
            attempt: FIRST_ATTEMPT,
            traceparent: None,
            actor: None,
            timestamp: None,
            headers: Vec::new(),
        }
    }
}

impl Envelope {
    /// Takes a received header, given as text and as a number if it is one.
    pub(crate) fn read_header(
        &mut self,
        name: &str,
        text: impl FnOnce() -> Option<String>,
        number: impl FnOnce() -> Option<u32>,
    ) {
        match name {
            HEADER_ATTEMPT => self.attempt = number().unwrap_or(FIRST_ATTEMPT).max(FIRST_ATTEMPT),
            HEADER_TRACEPARENT => self.traceparent = text(),
            HEADER_ACTOR => self.actor = text(),
            name if name.starts_with("x-") => {}
            name => self.headers.extend(text().map(|value| (Cow::Owned(name.to_owned()), value))),
        }
    }

    /// The value of a further header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Sets a further header, replacing any value of that name.
    pub fn set_header(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let name = name.into();
        self.headers.retain(|(key, _)| *key != name);
        self.headers.push((name, value.into()));
    }
}
