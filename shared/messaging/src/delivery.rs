//! Received messages: the envelope decoded into plain values, the body untouched.
//!
//! Decoding an envelope never fails. Missing or malformed properties are absent here, and the runtime decides what
//! that means.

use crate::envelope::Envelope;
use crate::outgoing::{Outgoing, Target};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use std::sync::Arc;
use uuid::Uuid;

/// RabbitMQ docs, "Quorum Queues", "Poison Message Handling": the number of earlier deliveries.
const HEADER_DELIVERY_COUNT: &str = "x-delivery-count";

/// RabbitMQ docs, "Dead Letter Exchanges": the queues that dead-lettered a message, the last one first.
const HEADER_DEATHS: &str = "x-death";
/// The reason in [`HEADER_DEATHS`] of a message whose time to live was over.
const EXPIRED: &str = "expired";

/// One delivery of a message.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    /// The channel's delivery tag, for acknowledgement.
    pub tag: u64,
    /// Delivered before, as far as the broker knows.
    pub redelivered: bool,
    /// Earlier deliveries that ended without acknowledgement, as counted by the quorum queue.
    pub delivery_count: u32,
    /// Came back from a queue of the retry schedule, as the broker noted in its headers. Otherwise the headers that
    /// count attempts are left over from an earlier stay.
    pub is_retry: bool,
    /// When this process read it.
    pub received_at: DateTime<Utc>,
    /// The exchange that it was published to; empty for the default one.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// Envelope; shared with the job while the delivery waits for its acknowledgement.
    pub envelope: Arc<Envelope>,
    /// Body as sent.
    pub body: Bytes,
}

impl Delivery {
    /// Decodes lapin's delivery without copying the body. `retry_queues` are the full names of the retry queues.
    pub(crate) fn read(raw: lapin::message::Delivery, retry_queues: &[String]) -> Self {
        let properties = &raw.properties;
        let text = |value: &Option<ShortString>| value.as_ref().map(|value| value.as_str().to_owned());
        let id = |value: &Option<ShortString>| value.as_ref().and_then(|value| Uuid::try_parse(value.as_str()).ok());
        let mut envelope = Envelope {
            id: id(properties.message_id()).unwrap_or_default(),
            kind: text(properties.kind()).unwrap_or_default().into(),
            correlation_id: id(properties.correlation_id()),
            reply_to: text(properties.reply_to()),
            timestamp: properties.timestamp().and_then(|secs| DateTime::from_timestamp(i64::try_from(secs).ok()?, 0)),
            ..Envelope::default()
        };
        let delivery_count = properties.headers().as_ref().map_or(0, |headers| read_headers(headers, &mut envelope));
        let expired_in = properties.headers().as_ref().and_then(last_expiry);
        let is_retry = expired_in.is_some_and(|queue| retry_queues.contains(&queue));
        Self {
            tag: raw.delivery_tag,
            redelivered: raw.redelivered,
            delivery_count,
            is_retry,
            received_at: Utc::now(),
            exchange: raw.exchange.as_str().to_owned(),
            routing_key: raw.routing_key.as_str().to_owned(),
            envelope: Arc::new(envelope),
            body: Bytes::from(raw.data),
        }
    }

    /// The same message for another destination: same id, envelope and body.
    pub fn republish(&self, target: Target, key: impl Into<String>) -> Outgoing {
        Outgoing {
            target,
            routing_key: key.into().into(),
            envelope: Envelope::clone(&self.envelope),
            body: self.body.clone(),
        }
    }
}

/// Fills the envelope from the headers and returns the delivery count of the broker.
fn read_headers(headers: &FieldTable, envelope: &mut Envelope) -> u32 {
    let mut delivery_count = 0;
    for (name, value) in headers {
        match name.as_str() {
            HEADER_DELIVERY_COUNT => delivery_count = number(value).unwrap_or_default(),
            name => envelope.read_header(name, || text(value), || number(value)),
        }
    }
    delivery_count
}

/// The queue in which its time to live was over, if that is the last thing that happened to the message.
fn last_expiry(headers: &FieldTable) -> Option<String> {
    let AMQPValue::FieldArray(deaths) = headers.inner().get(HEADER_DEATHS)? else { return None };
    let Some(AMQPValue::FieldTable(last)) = deaths.as_slice().first() else { return None };
    let member = |name: &str| last.inner().get(name).and_then(text);
    if member("reason").as_deref() == Some(EXPIRED) { member("queue") } else { None }
}

fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(value) => std::str::from_utf8(value.as_bytes()).ok().map(str::to_owned),
        AMQPValue::ShortString(value) => Some(value.as_str().to_owned()),
        _ => None,
    }
}

/// An integer of any width: clients and brokers choose their own.
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
        let read = Delivery::read(raw(BasicProperties::default()), &[]);
        assert_eq!((read.tag, read.redelivered, read.delivery_count), (7, true, 0));
        assert_eq!((read.envelope.id, read.envelope.attempt, &*read.envelope.kind), (Uuid::nil(), 1, ""));
    }

    #[test]
    fn integer_headers_of_any_width_are_read_and_broker_headers_dropped() {
        let mut headers = FieldTable::default();
        headers.insert("attempt".into(), AMQPValue::LongLongInt(3));
        headers.insert("x-delivery-count".into(), AMQPValue::LongInt(5));
        headers.insert("x-death".into(), AMQPValue::LongString("long story".into()));
        headers.insert("deferrals".into(), AMQPValue::LongString("2".into()));
        let read = Delivery::read(raw(BasicProperties::default().with_headers(headers)), &[]);
        assert_eq!((read.envelope.attempt, read.delivery_count), (3, 5));
        assert_eq!(read.envelope.headers, [("deferrals".into(), "2".to_owned())]);
        assert_eq!(read.envelope.header("deferrals"), Some("2"));
    }

    fn death(queue: &str, reason: &str) -> AMQPValue {
        let mut death = FieldTable::default();
        death.insert("queue".into(), AMQPValue::LongString(queue.into()));
        death.insert("reason".into(), AMQPValue::LongString(reason.into()));
        AMQPValue::FieldTable(death)
    }

    #[test]
    fn only_the_last_death_in_a_retry_queue_makes_a_retry() {
        let is_retry = |deaths: Vec<AMQPValue>| {
            let mut headers = FieldTable::default();
            headers.insert("x-death".into(), AMQPValue::FieldArray(deaths.into()));
            let properties = BasicProperties::default().with_headers(headers);
            Delivery::read(raw(properties), &["t.retry.5s".to_owned()]).is_retry
        };
        assert!(is_retry(vec![death("t.retry.5s", "expired")]));
        assert!(!is_retry(vec![death("retry.5s", "expired")]), "a queue of another prefix");
        assert!(!is_retry(vec![death("t.retry.5s", "rejected")]));
        assert!(!is_retry(vec![death("t.emails", "delivery_limit"), death("t.retry.5s", "expired")]));
        assert!(!is_retry(Vec::new()));
    }

    #[test]
    fn a_republished_message_keeps_its_identity() {
        let id = Uuid::from_u128(42);
        let properties =
            BasicProperties::default().with_message_id(id.to_string().as_str().into()).with_type("a.b.v1".into());
        let sent = Delivery::read(raw(properties), &[]).republish(Target::Dead, "emails");
        assert_eq!((sent.envelope.id, &*sent.envelope.kind), (id, "a.b.v1"));
        assert_eq!((&*sent.routing_key, &*sent.body), ("emails", &b"{}"[..]));
    }
}
