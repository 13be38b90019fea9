//! A message as it arrived: its envelope decoded into plain values, its body untouched.
//!
//! Reading an envelope never fails. What a sender left out or spoilt is absent here, and the runtime decides what that
//! means.

use crate::outgoing::{FIRST_ATTEMPT, HEADER_ACTOR, HEADER_ATTEMPT, HEADER_TRACEPARENT, Outgoing, Target};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use std::sync::Arc;
use uuid::Uuid;

/// The header in which a quorum queue counts earlier deliveries.
const HEADER_DELIVERY_COUNT: &str = "x-delivery-count";

/// Everything about a message except its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// `message_id`; nil when absent or not a UUID.
    pub id: Uuid,
    /// AMQP `type`; empty when absent.
    pub kind: String,
    /// The booking.
    pub correlation_id: Option<Uuid>,
    /// Where a reply is awaited.
    pub reply_to: Option<String>,
    /// How many times handling has begun, this time included: 1 on first delivery.
    pub attempt: u32,
    /// Trace context.
    pub traceparent: Option<String>,
    /// Who asked.
    pub actor: Option<String>,
    /// When it was first published; whole seconds.
    pub timestamp: Option<DateTime<Utc>>,
    /// Further text headers. Those that the broker adds (`x-…`) are left out.
    pub headers: Vec<(String, String)>,
}

impl Envelope {
    /// The value of a further header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// One delivery of a message.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The channel's delivery tag, for acknowledgement.
    pub tag: u64,
    /// Whether the broker delivered it before.
    pub redelivered: bool,
    /// How many earlier deliveries ended without acknowledgement, as the quorum queue counts them.
    pub delivery_count: u32,
    /// Envelope; shared, because a job keeps it while the delivery waits for its acknowledgement.
    pub envelope: Arc<Envelope>,
    /// Body as sent.
    pub body: Bytes,
}

impl Delivery {
    /// Takes a delivery apart. Copies no body.
    pub(crate) fn read(raw: lapin::message::Delivery) -> Self {
        let properties = &raw.properties;
        let text = |value: &Option<ShortString>| value.as_ref().map(|value| value.as_str().to_owned());
        let id = |value: &Option<ShortString>| value.as_ref().and_then(|value| Uuid::try_parse(value.as_str()).ok());
        let mut envelope = Envelope {
            id: id(properties.message_id()).unwrap_or_default(),
            kind: text(properties.kind()).unwrap_or_default(),
            correlation_id: id(properties.correlation_id()),
            reply_to: text(properties.reply_to()),
            attempt: FIRST_ATTEMPT,
            timestamp: properties.timestamp().and_then(|secs| DateTime::from_timestamp(i64::try_from(secs).ok()?, 0)),
            ..Envelope::default()
        };
        let delivery_count = properties.headers().as_ref().map_or(0, |headers| read_headers(headers, &mut envelope));
        Self {
            tag: raw.delivery_tag,
            redelivered: raw.redelivered,
            delivery_count,
            envelope: Arc::new(envelope),
            body: Bytes::from(raw.data),
        }
    }

    /// The same message again, to another place: same id, same body, same envelope.
    pub fn republish(&self, target: Target, key: impl Into<String>) -> Outgoing {
        let envelope = &self.envelope;
        Outgoing {
            target,
            routing_key: key.into().into(),
            id: envelope.id,
            kind: envelope.kind.clone().into(),
            correlation_id: envelope.correlation_id,
            reply_to: envelope.reply_to.clone(),
            attempt: envelope.attempt,
            traceparent: envelope.traceparent.clone(),
            actor: envelope.actor.clone(),
            timestamp: envelope.timestamp,
            headers: envelope.headers.iter().map(|(name, value)| (name.clone().into(), value.clone())).collect(),
            body: self.body.clone(),
        }
    }
}

/// Fills the envelope from the headers and returns the broker's delivery count.
fn read_headers(headers: &FieldTable, envelope: &mut Envelope) -> u32 {
    let mut delivery_count = 0;
    for (name, value) in headers {
        match name.as_str() {
            HEADER_ATTEMPT => envelope.attempt = number(value).unwrap_or(FIRST_ATTEMPT).max(FIRST_ATTEMPT),
            HEADER_TRACEPARENT => envelope.traceparent = text(value),
            HEADER_ACTOR => envelope.actor = text(value),
            HEADER_DELIVERY_COUNT => delivery_count = number(value).unwrap_or_default(),
            name if name.starts_with("x-") => {}
            name => envelope.headers.extend(text(value).map(|value| (name.to_owned(), value))),
        }
    }
    delivery_count
}

fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(value) => std::str::from_utf8(value.as_bytes()).ok().map(str::to_owned),
        AMQPValue::ShortString(value) => Some(value.as_str().to_owned()),
        _ => None,
    }
}

/// Integers come in whatever width a client or the broker chose.
fn number(value: &AMQPValue) -> Option<u32> {
    match value {
        AMQPValue::ShortShortInt(n) => u32::try_from(*n).ok(),
        AMQPValue::ShortShortUInt(n) => Some(u32::from(*n)),
        AMQPValue::ShortInt(n) => u32::try_from(*n).ok(),
        AMQPValue::ShortUInt(n) => Some(u32::from(*n)),
        AMQPValue::LongInt(n) => u32::try_from(*n).ok(),
        AMQPValue::LongUInt(n) => Some(*n),
        AMQPValue::LongLongInt(n) => u32::try_from(*n).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::BasicProperties;

    fn raw(properties: BasicProperties) -> lapin::message::Delivery {
        let mut raw = lapin::message::Delivery::mock(7, "e".into(), "k".into(), true, b"{}".to_vec());
        raw.properties = properties;
        raw
    }

    #[test]
    fn an_empty_envelope_reads_as_a_first_attempt() {
        let read = Delivery::read(raw(BasicProperties::default()));
        assert_eq!((read.tag, read.redelivered, read.delivery_count), (7, true, 0));
        assert_eq!((read.envelope.id, read.envelope.attempt, read.envelope.kind.as_str()), (Uuid::nil(), 1, ""));
    }

    #[test]
    fn integer_headers_of_any_width_are_read_and_broker_headers_dropped() {
        let mut headers = FieldTable::default();
        headers.insert("attempt".into(), AMQPValue::LongLongInt(3));
        headers.insert("x-delivery-count".into(), AMQPValue::LongInt(5));
        headers.insert("x-death".into(), AMQPValue::LongString("long story".into()));
        headers.insert("deferrals".into(), AMQPValue::LongString("2".into()));
        let read = Delivery::read(raw(BasicProperties::default().with_headers(headers)));
        assert_eq!((read.envelope.attempt, read.delivery_count), (3, 5));
        assert_eq!(read.envelope.headers, [("deferrals".to_owned(), "2".to_owned())]);
        assert_eq!(read.envelope.header("deferrals"), Some("2"));
    }

    #[test]
    fn a_republished_message_keeps_its_identity() {
        let id = Uuid::from_u128(42);
        let properties =
            BasicProperties::default().with_message_id(id.to_string().as_str().into()).with_type("a.b.v1".into());
        let sent = Delivery::read(raw(properties)).republish(Target::Dead, "emails");
        assert_eq!((sent.id, &*sent.kind, &*sent.routing_key, &*sent.body), (id, "a.b.v1", "emails", &b"{}"[..]));
    }
}
