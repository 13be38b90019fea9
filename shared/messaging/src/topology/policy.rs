//! Policies: what may be changed on a live broker without declaring a queue anew.
//!
//! They are only the backstop and the bounds. What a message's life depends on (type, single active consumer, the
//! ladder's time to live) is an argument of the queue, so that a broker without policies still loses nothing.

use super::{QueueRole, Topology};
use serde_json::{Map, Value, json};

/// After this many deliveries the broker itself dead-letters a message. The runtime gives up earlier and says why.
pub const CRASH_BACKSTOP_DELIVERIES: u32 = 20;

/// A work queue refuses publishes beyond this many messages.
pub const WORK_QUEUE_MAX_MESSAGES: u32 = 1_000_000;

/// A queue that nobody consumes refuses publishes beyond this many messages.
pub const DEAD_QUEUE_MAX_MESSAGES: u32 = 1_000_000;

/// Looking at a dead letter counts as a delivery, and RabbitMQ 4 gives up after 20 of them unless told otherwise. No
/// number means "never" to both 3.x and 4.x; this one comes close.
const PARKED_DELIVERIES: u32 = 1_000_000_000;

const WORK_PRIORITY: u32 = 10;
const PARKED_PRIORITY: u32 = 5;

/// One RabbitMQ policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Its name; begins with the prefix.
    pub name: String,
    /// Regular expression over queue names, anchored.
    pub pattern: String,
    /// The broker applies only the matching policy of the highest priority.
    pub priority: u32,
    /// Its keys, as the management API takes them.
    pub definition: Map<String, Value>,
}

impl Topology {
    /// One policy per work queue (its dead letters carry its name as routing key) and one for all queues that nobody
    /// consumes.
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
            .map(|queue| quoted(&queue.name))
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
            pattern: format!("^{}$", quoted(queue)),
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

/// The name with every character that means something in a regular expression escaped.
fn quoted(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() && c != '_' && c != '-' {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
