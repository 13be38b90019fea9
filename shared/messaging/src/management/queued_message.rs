//! Messages as the management API shows them.

use super::PeekedMessage;
use crate::delivery::Delivery;
use crate::envelope::Envelope;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use chrono::DateTime;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

#[derive(Debug, Deserialize)]
pub(super) struct QueuedMessage {
    exchange: String,
    routing_key: String,
    redelivered: bool,
    payload: String,
    /// `string` or `base64`.
    payload_encoding: String,
    /// An object, or an empty array when there are none.
    properties: Value,
}

impl QueuedMessage {
    /// As [`Delivery::read`] decodes it, as far as the API shows the same.
    pub(super) fn read(self) -> PeekedMessage {
        let text = |name: &str| self.properties[name].as_str().map(str::to_owned);
        let id = |name: &str| self.properties[name].as_str().and_then(|text| Uuid::try_parse(text).ok());
        let mut envelope = Envelope {
            id: id("message_id").unwrap_or_default(),
            kind: text("type").unwrap_or_default().into(),
            correlation_id: id("correlation_id"),
            reply_to: text("reply_to"),
            timestamp: self.properties["timestamp"].as_i64().and_then(|secs| DateTime::from_timestamp(secs, 0)),
            ..Envelope::default()
        };
        for (name, value) in self.properties["headers"].as_object().into_iter().flatten() {
            let number = || value.as_u64().and_then(|number| u32::try_from(number).ok());
            envelope.read_header(name, || value.as_str().map(str::to_owned), number);
        }
        let decoded = (self.payload_encoding == "base64").then(|| BASE64_STANDARD.decode(&self.payload).ok()).flatten();
        let properties_len = self.properties.to_string().len();
        let delivery = Delivery {
            redelivered: self.redelivered,
            exchange: self.exchange,
            routing_key: self.routing_key,
            envelope: Arc::new(envelope),
            body: decoded.map_or_else(|| Bytes::from(self.payload), Bytes::from),
            ..Delivery::default()
        };
        PeekedMessage { delivery, properties_len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn messages_are_decoded_as_over_amqp() {
        let id = Uuid::from_u128(7);
        let shown = json!({
            "payload_bytes": 2, "redelivered": true, "exchange": "dead", "routing_key": "emails", "message_count": 0,
            "properties": { "message_id": id, "type": "note.take.v1", "timestamp": 1_700_000_000, "delivery_mode": 2,
                "headers": { "attempt": 3, "actor": "user:1", "error-class": "panic", "x-delivery-count": 20 } },
            "payload": "{}", "payload_encoding": "string",
        });
        let delivery = serde_json::from_value::<QueuedMessage>(shown).unwrap().read().delivery;
        assert_eq!((delivery.envelope.id, &*delivery.envelope.kind), (id, "note.take.v1"));
        assert_eq!((delivery.envelope.attempt, delivery.envelope.actor.as_deref()), (3, Some("user:1")));
        assert_eq!(delivery.envelope.headers, [("error-class".into(), "panic".to_owned())]);
        assert_eq!((delivery.exchange.as_str(), delivery.routing_key.as_str()), ("dead", "emails"));
        assert_eq!(delivery.envelope.timestamp.map(|time| time.timestamp()), Some(1_700_000_000));
        assert_eq!(&*delivery.body, b"{}");
    }

    #[test]
    fn messages_without_properties_and_binary_bodies_are_decoded() {
        let shown = json!({ "redelivered": false, "exchange": "", "routing_key": "emails.dead", "properties": [],
            "payload": "/wA=", "payload_encoding": "base64" });
        let delivery = serde_json::from_value::<QueuedMessage>(shown).unwrap().read().delivery;
        assert_eq!((delivery.envelope.id, delivery.envelope.attempt), (Uuid::nil(), 1));
        assert_eq!(&*delivery.body, [0xff, 0]);
    }
}
