//! RabbitMQ definitions of the topology, which a broker loads at boot (RabbitMQ docs, "Definition Import").

use super::Topology;
use super::declare::Argument;
use serde_json::{Map, Value, json};

/// The virtual host that the product uses unless its URL says otherwise.
const DEFAULT_VHOST: &str = "/";

/// Exchanges, queues, bindings and policies of `topology` as a definitions document, without users or secrets.
pub fn definitions_json(topology: &Topology) -> Value {
    let exchanges: Vec<Value> = topology
        .exchanges()
        .into_iter()
        .map(|exchange| {
            let arguments = exchange.alternate.map_or_else(|| json!({}), |name| json!({ "alternate-exchange": name }));
            json!({
                "name": exchange.name, "vhost": DEFAULT_VHOST, "type": exchange.kind,
                "durable": true, "auto_delete": false, "internal": false, "arguments": arguments,
            })
        })
        .collect();
    let queues = topology.queues();
    let bindings: Vec<Value> = queues
        .iter()
        .flat_map(|queue| queue.bindings.iter().map(move |binding| (queue, binding)))
        .map(|(queue, binding)| {
            json!({
                "source": binding.exchange, "vhost": DEFAULT_VHOST, "destination": queue.name,
                "destination_type": "queue", "routing_key": binding.key, "arguments": {},
            })
        })
        .collect();
    let queues: Vec<Value> = queues
        .iter()
        .map(|queue| {
            let arguments: Map<String, Value> = topology
                .plain_arguments(queue)
                .into_iter()
                .map(|(key, value)| (key.to_owned(), plain(value)))
                .collect();
            json!({
                "name": queue.name, "vhost": DEFAULT_VHOST, "durable": true, "auto_delete": false,
                "arguments": arguments,
            })
        })
        .collect();
    let policies: Vec<Value> = topology
        .policies()
        .into_iter()
        .map(|policy| {
            json!({
                "vhost": DEFAULT_VHOST, "name": policy.name, "pattern": policy.pattern, "apply-to": "queues",
                "priority": policy.priority, "definition": policy.definition,
            })
        })
        .collect();
    json!({
        "vhosts": [{ "name": DEFAULT_VHOST }],
        "exchanges": exchanges, "queues": queues, "bindings": bindings, "policies": policies,
    })
}

fn plain(value: Argument) -> Value {
    match value {
        Argument::Text(value) => json!(value),
        Argument::Number(value) => json!(value),
        Argument::Flag(value) => json!(value),
    }
}
