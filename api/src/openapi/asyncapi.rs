//! AsyncAPI 3 description of the queues, from the message catalog.
//!
//! The schema of a message is that of its type, so the document promises exactly what consumers rely on.

use super::schemas::normalize;
use crate::state::ABOUT;
use pvt_domain::messages::catalog::{self, CatalogEntry, MessageClass};
use pvt_messaging::Topology;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

const INFO: &str = "Messages between the API and its workers: JSON of at most 64 KiB. Consumers ignore unknown \
    fields; removing or retyping a field makes a new version. Delivery is at least once; `message_id` identifies \
    duplicates.";

/// The document of these queues.
pub(crate) fn document(topology: &Topology) -> Value {
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    // AsyncAPI's own dialect is a superset of draft 7.
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    for entry in catalog::entries() {
        let channel = channel_of(entry, topology);
        let at = channels.entry(channel.name.clone()).or_insert_with(|| channel.object());
        at["messages"][entry.kind] = json!({ "$ref": format!("#/components/messages/{}", entry.kind) });
        messages.insert(entry.kind.to_owned(), message(entry, &mut generator));
        operations.entry(channel.name.clone()).or_insert_with(|| channel.operation());
    }
    json!({
        "asyncapi": "3.0.0",
        "info": { "title": "PVT Booking", "version": ABOUT.version, "description": INFO },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages },
    })
}

struct Channel {
    name: String,
    address: Value,
    exchange: Option<(String, &'static str)>,
    about: &'static str,
}

fn channel_of(entry: &CatalogEntry, topology: &Topology) -> Channel {
    let unversioned = entry.kind.rsplit_once(".v").map_or(entry.kind, |(stem, _)| stem);
    match entry.class {
        MessageClass::Command => {
            let key = topology.command_key(entry.kind, "");
            // Partitioned ones end in a number.
            let partitioned = key
                .rsplit_once('.')
                .filter(|(_, partition)| partition.parse::<u16>().is_ok())
                .map(|(base, _)| base.to_owned());
            let (name, address) = partitioned
                .map_or_else(|| (key.clone(), key.clone()), |base| (base.clone(), format!("{base}.{{partition}}")));
            Channel {
                name,
                address: address.into(),
                exchange: Some((topology.commands_exchange(), "direct")),
                about: "Commands, each for one worker.",
            }
        }
        MessageClass::Event => Channel {
            name: unversioned.to_owned(),
            address: unversioned.into(),
            exchange: Some((topology.events_exchange(), "topic")),
            about: "Events, for every subscriber.",
        },
        MessageClass::Reply => Channel {
            name: "replies".to_owned(),
            address: Value::Null,
            exchange: None,
            about: "Replies, sent to the queue in the command's `reply_to`.",
        },
    }
}

impl Channel {
    fn object(&self) -> Value {
        let mut channel = json!({ "address": self.address, "description": self.about, "messages": {} });
        if self.address.as_str().is_some_and(|address| address.contains("{partition}")) {
            channel["parameters"] = json!({ "partition": { "description": "The first eight bytes of SHA-256 of the \
                property's id, modulo the number of partitions." } });
        }
        if let Some((exchange, kind)) = &self.exchange {
            let exchange = json!({ "name": exchange, "type": kind, "durable": true });
            channel["bindings"] =
                json!({ "amqp": { "is": "routingKey", "exchange": exchange, "bindingVersion": "0.3.0" } });
        }
        channel
    }

    fn operation(&self) -> Value {
        // As JSON pointers have it (RFC 6901); names hold neither of the two characters that need it today.
        let name = self.name.replace('~', "~0").replace('/', "~1");
        json!({ "action": "send", "channel": { "$ref": format!("#/channels/{name}") } })
    }
}

fn message(entry: &CatalogEntry, generator: &mut SchemaGenerator) -> Value {
    // The examples are compiled in, and a test reads every one.
    let example: Value = serde_json::from_str(entry.example).unwrap_or_default();
    let mut payload = entry.schema(generator).to_value();
    normalize(&mut payload);
    let text = |words: &str| json!({ "type": "string", "description": words });
    let headers = json!({
        "type": "object",
        "properties": {
            "attempt": { "type": "integer", "minimum": 1, "description": "1 when absent." },
            "traceparent": text("The trace that it belongs to (W3C)."),
            "actor": text("The actor on whose behalf it was sent."),
        },
    });
    json!({
        "name": entry.kind,
        "title": entry.kind,
        "summary": entry.description,
        "contentType": "application/json",
        "headers": headers,
        "payload": payload,
        "bindings": { "amqp": { "contentEncoding": "utf-8", "messageType": entry.kind, "bindingVersion": "0.3.0" } },
        "examples": [{ "name": "example", "payload": example }],
    })
}

#[cfg(test)]
mod tests {
    use super::document;
    use pvt_domain::messages::catalog;
    use pvt_messaging::Topology;

    #[test]
    fn every_message_has_a_channel() {
        let document = document(&Topology::new("", 4));
        let channels = document["channels"].as_object().unwrap();
        for entry in catalog::entries() {
            let message = &document["components"]["messages"][entry.kind];
            assert_eq!(message["name"], entry.kind);
            assert_eq!(message["payload"]["type"], "object", "{}", entry.kind);
            assert!(!message["payload"]["required"].as_array().unwrap().is_empty(), "{}", entry.kind);
            assert!(
                channels.values().any(|channel| channel["messages"].get(entry.kind).is_some()),
                "{} is in no channel",
                entry.kind
            );
        }
        assert_eq!(document["channels"]["bookings"]["address"], "bookings.{partition}");
        assert!(channels["bookings"]["messages"].get("inventory.block.v1").is_some());
        assert_eq!(document["channels"]["booking.confirmed"]["bindings"]["amqp"]["exchange"]["type"], "topic");
        assert!(document["channels"]["replies"]["address"].is_null());
        assert_eq!(document["operations"].as_object().unwrap().len(), channels.len());
    }

    #[test]
    fn payload_schema_matches_the_decoder() {
        let document = document(&Topology::new("", 4));
        let request = &document["components"]["messages"]["booking.request.v1"]["payload"];
        let required: Vec<_> =
            request["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert!(required.contains(&"property_id") && !required.contains(&"client"), "{required:?}");
        assert_eq!(request["properties"]["stays"]["items"]["properties"]["arrival"]["format"], "date");
        assert_eq!(request["properties"]["client"]["type"], serde_json::json!(["string", "null"]));
        let event = &document["components"]["messages"]["stripe.event.v1"]["payload"]["properties"]["payload"];
        let constraints: Vec<&String> = event.as_object().unwrap().keys().filter(|key| *key != "description").collect();
        assert!(constraints.is_empty(), "what Stripe writes is Stripe's: {constraints:?}");
    }
}
