//! Broker policies: settings that can change on a live broker without a new declaration of the queue.
//!
//! They hold limits and backstops only. What the safety of a message depends on (queue type, single active consumer,
//! time to live of retry delays) is an argument of the queue, so that a broker without policies loses nothing.

use super::{QueueRole, Topology};
use serde_json::{Map, Value, json};

/// Deliveries after which the broker dead-letters a message. The runtime does so earlier and records the cause.
pub const CRASH_BACKSTOP_DELIVERIES: u32 = 20;

/// Length at which a work queue refuses publishes.
pub const WORK_QUEUE_MAX_MESSAGES: u32 = 1_000_000;

/// Length at which a queue without consumers refuses publishes.
pub const DEAD_QUEUE_MAX_MESSAGES: u32 = 1_000_000;

/// Inspecting a dead letter counts as a delivery, and RabbitMQ 4 drops a message after 20 of them by default. No value
/// means "unlimited" to both 3.x and 4.x, so a very large one is used.
const PARKED_DELIVERIES: u32 = 1_000_000_000;

const WORK_PRIORITY: u32 = 10;
const PARKED_PRIORITY: u32 = 5;

/// One RabbitMQ policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Its name, which starts with the prefix.
    pub name: String,
    /// Anchored regular expression over queue names.
    pub pattern: String,
    /// The broker applies the matching policy of the highest priority only.
    pub priority: u32,
    /// Its keys, in the form of the management API.
    pub definition: Map<String, Value>,
}

impl Topology {
    /// One policy for each work queue, whose dead letters carry its name as routing key, and one for all queues without
    /// consumers.
    pub fn policies(&self) -> Vec<Policy> {
        let queues = self.queues();
        let mut all: Vec<_> = queues
            .iter()
            .filter(|queue| matches!(queue.role, QueueRole::Work { .. }))
            .map(|queue| self.work_policy(&queue.name))
            .collect();
        let parked: Vec<_> = queues
            .iter()
            .filter(|queue| matches!(queue.role, QueueRole::Dead { .. } | QueueRole::Unroutable))
            .map(|queue| escaped(&queue.name))
            .collect();
        all.push(Policy {
            name: self.name("parked"),
            pattern: format!("^({})$", parked.join("|")),
            priority: PARKED_PRIORITY,
            definition: definition(json!({ "max-length": DEAD_QUEUE_MAX_MESSAGES, "overflow": "reject-publish",
                "delivery-limit": PARKED_DELIVERIES })),
        });
        all
    }

    fn work_policy(&self, queue: &str) -> Policy {
        Policy {
            name: queue.to_owned(),
            pattern: format!("^{}$", escaped(queue)),
            priority: WORK_PRIORITY,
            definition: definition(json!({
                "delivery-limit": CRASH_BACKSTOP_DELIVERIES,
                "dead-letter-exchange": self.dead_exchange(),
                "dead-letter-routing-key": queue,
                "dead-letter-strategy": "at-least-once",
                "max-length": WORK_QUEUE_MAX_MESSAGES,
                "overflow": "reject-publish",
            })),
        }
    }
}

fn definition(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The name with the special characters of regular expressions escaped.
fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() && c != '_' && c != '-' {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
