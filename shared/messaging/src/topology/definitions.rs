//! RabbitMQ definitions of the topology, which a broker loads at boot (RabbitMQ docs, "Definition Import").

use super::declare::Argument;
use super::{QueueSpec, Topology};
use serde_json::{Map, Value, json};

/// Exchanges, queues, bindings and policies of `topology` in this virtual host, as a definitions document without users
/// or secrets.
pub fn definitions_json(topology: &Topology, vhost: &str) -> Value {
    let exchanges: Vec<Value> = topology
        .exchanges()
        .into_iter()
        .map(|exchange| {
            let arguments = exchange.alternate.map_or_else(|| json!({}), |name| json!({ "alternate-exchange": name }));
            json!({
                "name": exchange.name, "vhost": vhost, "type": exchange.kind,
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
                "source": binding.exchange, "vhost": vhost, "destination": queue.name,
                "destination_type": "queue", "routing_key": binding.key, "arguments": {},
            })
        })
        .collect();
    let queues: Vec<Value> = queues
        .iter()
        .map(|queue| {
            let arguments: Map<String, Value> = queue_arguments(topology, queue).collect();
            json!({
                "name": queue.name, "vhost": vhost, "durable": true, "auto_delete": false,
                "arguments": arguments,
            })
        })
        .collect();
    let policies: Vec<Value> = topology
        .policies()
        .into_iter()
        .map(|policy| {
            json!({
                "vhost": vhost, "name": policy.name, "pattern": policy.pattern, "apply-to": "queues",
                "priority": policy.priority, "definition": policy.definition,
            })
        })
        .collect();
    json!({
        "vhosts": [{ "name": vhost }],
        "exchanges": exchanges, "queues": queues, "bindings": bindings, "policies": policies,
    })
}

/// The arguments of a queue's declaration, in the form of the management API.
pub fn queue_arguments(topology: &Topology, queue: &QueueSpec) -> impl Iterator<Item = (String, Value)> + use<> {
    topology.plain_arguments(queue).into_iter().map(|(key, value)| (key.to_owned(), plain(value)))
}

fn plain(value: Argument) -> Value {
    match value {
        Argument::Text(value) => json!(value),
        Argument::Number(value) => json!(value),
        Argument::Flag(value) => json!(value),
    }
}
