//! The broker topology: the only declaration of exchanges, queues, bindings and policies.
//!
//! Work queues and their bindings follow from the message catalog. Publishers, workers, the operator's commands, the
//! generated broker definitions and the tests derive from this module. It must never declare anything outside its own
//! prefix.

mod declare;
mod definitions;
mod policy;
mod retry_delay;

pub use declare::DeclareError;
pub use definitions::{definitions_json, queue_arguments};
pub use policy::{CRASH_BACKSTOP_DELIVERIES, DEAD_QUEUE_MAX_MESSAGES, Policy, WORK_QUEUE_MAX_MESSAGES};
pub use retry_delay::RetryDelay;

use pvt_domain::messages::catalog::{self, CatalogEntry};
use pvt_domain::messages::queues;
use pvt_domain::messages::{MessageClass, PAYMENT_RECORD};
use pvt_domain::partition::partition_of;
use std::collections::BTreeMap;

/// Default number of partition queues over which properties are spread.
pub const DEFAULT_PARTITIONS: u16 = 4;

/// Commands that earlier versions routed to these queues. Their bindings are removed once the present ones exist, else
/// a command would be carried out twice.
const MOVED_COMMANDS: [(&str, &str); 1] = [(queues::STRIPE, PAYMENT_RECORD)];

/// RabbitMQ docs, "Topics": `#` matches every routing key.
const EVERY_EVENT: &str = "#";

/// Maximum number of partitions; each costs a quorum queue and a dead-letter queue.
pub const MAX_PARTITIONS: u16 = 256;

/// The queue, or family of queues, that a worker consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// One queue of this name (without the prefix).
    One(&'static str),
    /// All partitions `name.0 … name.P-1`, each with a single active consumer.
    Partitioned(&'static str),
}

impl Queue {
    /// The name without prefix and partition.
    pub fn base(self) -> &'static str {
        match self {
            Self::One(name) | Self::Partitioned(name) => name,
        }
    }
}

/// The role of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueRole {
    /// Consumed by workers.
    Work {
        /// The partition of its family, for partitioned queues.
        partition: Option<u16>,
    },
    /// Holds the dead letters of one work queue; it has no consumer.
    Dead {
        /// The full name of the work queue.
        of: String,
    },
    /// Holds messages until their time to live returns them to their work queue.
    Retry(RetryDelay),
    /// Holds unroutable messages; must stay empty.
    Unroutable,
}

impl QueueRole {
    /// Stable name, for metrics and listings.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Work { .. } => "work",
            Self::Dead { .. } => "dead",
            Self::Retry(_) => "retry",
            Self::Unroutable => "unroutable",
        }
    }
}

/// A binding of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Full name of the source exchange.
    pub exchange: String,
    /// Routing key or topic pattern.
    pub key: String,
}

/// One queue of the topology, all names in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSpec {
    /// Full name, prefix included.
    pub name: String,
    /// Its role.
    pub role: QueueRole,
    /// Its bindings. Empty only for queues that are published to through the default exchange.
    pub bindings: Vec<Binding>,
}

impl QueueSpec {
    /// Whether the broker delivers to one of its consumers only.
    pub fn single_active_consumer(&self) -> bool {
        matches!(self.role, QueueRole::Work { partition: Some(_) })
    }
}

/// An exchange of the topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeSpec {
    /// Full name, prefix included.
    pub name: String,
    /// `direct`, `topic` or `fanout`.
    pub kind: &'static str,
    /// Full name of the exchange for unroutable messages.
    pub alternate: Option<String>,
}

/// The topology under one prefix. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    prefix: String,
    partitions: u16,
    retry_divisor: u32,
}

impl Topology {
    /// The topology whose names start with `prefix` (empty in production, unique in a test).
    ///
    /// `partitions` is clamped to 1..=[`MAX_PARTITIONS`]. It may be raised while the booking queues are empty; see
    /// `pvt_domain::partition`.
    pub fn new(prefix: &str, partitions: u16) -> Self {
        Self { prefix: prefix.to_owned(), partitions: partitions.clamp(1, MAX_PARTITIONS), retry_divisor: 1 }
    }

    /// The same topology with every retry delay divided by `divisor`, so that tests retry within milliseconds.
    ///
    /// The time to live is an argument of the queue, so one prefix must always use one divisor.
    #[must_use]
    pub fn with_retry_divisor(mut self, divisor: u32) -> Self {
        self.retry_divisor = divisor.max(1);
        self
    }

    /// The prefix of all names.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The number of booking partitions.
    pub fn partitions(&self) -> u16 {
        self.partitions
    }

    /// The divisor of retry delays; 1 in production.
    pub fn retry_divisor(&self) -> u32 {
        self.retry_divisor
    }

    /// A name of this topology: the prefix and `base`.
    pub fn name(&self, base: &str) -> String {
        format!("{}{base}", self.prefix)
    }

    /// `commands`: instructions to workers.
    pub fn commands_exchange(&self) -> String {
        self.name("commands")
    }

    /// `events`: facts.
    pub fn events_exchange(&self) -> String {
        self.name("events")
    }

    /// `dead`: the routing key is the full name of the work queue.
    pub fn dead_exchange(&self) -> String {
        self.name("dead")
    }

    /// `unroutable`: the alternate exchange of `commands`, `events` and `dead`.
    pub fn unroutable_exchange(&self) -> String {
        self.name("unroutable")
    }

    /// `retry.*`: the routing key is the full name of the work queue to return to.
    pub fn retry_exchange(&self, delay: RetryDelay) -> String {
        self.name(delay.base_name())
    }

    /// The full name of the queue for unroutable messages.
    pub fn unroutable_queue(&self) -> String {
        self.name("unroutable")
    }

    /// The full name of the dead-letter queue of a work queue, both in full.
    pub fn dead_queue(&self, work_queue: &str) -> String {
        format!("{work_queue}.dead")
    }

    /// The partition of a property.
    pub fn partition(&self, property_id: &str) -> u16 {
        partition_of(property_id, self.partitions)
    }

    /// The routing key of a command, without the prefix: `bookings.N` for commands that change a property's
    /// availability, else the type without its version (`payment.refund`).
    pub fn command_key(&self, kind: &str, property_id: &str) -> String {
        let name = unversioned(kind);
        let mut commands = catalog::entries().filter(|entry| entry.class == MessageClass::Command);
        match commands.find(|entry| unversioned(entry.kind) == name).and_then(|entry| partitioned_queue(entry)) {
            Some(queue) => format!("{queue}.{}", self.partition(property_id)),
            None => name.to_owned(),
        }
    }

    /// The full names of the queues that a worker of `queue` consumes, each with its partition.
    pub fn work_queues(&self, queue: Queue) -> Vec<(String, Option<u16>)> {
        match queue {
            Queue::One(base) => vec![(self.name(base), None)],
            Queue::Partitioned(base) => (0..self.partitions)
                .map(|partition| (self.name(&format!("{base}.{partition}")), Some(partition)))
                .collect(),
        }
    }

    /// The full names of the work queues that operators mean by `name`, without the prefix: one queue, or all
    /// partitions of a family. None when there is no such queue.
    pub fn work_queues_named(&self, name: &str) -> Vec<String> {
        if let Some(base) = queues::ALL.into_iter().find(|base| *base == name) {
            return self.work_queue_specs(base).into_iter().map(|queue| queue.name).collect();
        }
        let full_name = self.name(name);
        let is_meant = |queue: &QueueSpec| queue.name == full_name && queue.single_active_consumer();
        self.queues().into_iter().filter(is_meant).map(|queue| queue.name).collect()
    }

    /// The items that apply to each work queue (full name), by its own name or by that of its whole family; the
    /// earliest first. `named` returns an item's queue, without the prefix, and its time.
    pub fn by_work_queue<'i, T, K: Ord>(
        &self,
        items: &'i [T],
        named: impl Fn(&'i T) -> (&'i str, K),
    ) -> BTreeMap<String, Vec<&'i T>> {
        let mut in_order: Vec<&T> = items.iter().collect();
        in_order.sort_by_key(|item| named(*item).1);
        let mut found: BTreeMap<String, Vec<&T>> = BTreeMap::new();
        for item in in_order {
            for queue in self.work_queues_named(named(item).0) {
                found.entry(queue).or_default().push(item);
            }
        }
        found
    }

    /// The full names of the queues that are bound to this key of an exchange (full name): where its message belongs.
    pub fn destinations(&self, exchange: &str, key: &str) -> Vec<String> {
        let is_bound = |queue: &QueueSpec| {
            queue
                .bindings
                .iter()
                .any(|binding| binding.exchange == exchange && (binding.key == key || binding.key == EVERY_EVENT))
        };
        self.queues().into_iter().filter(is_bound).map(|queue| queue.name).collect()
    }

    /// All exchanges.
    pub fn exchanges(&self) -> Vec<ExchangeSpec> {
        let unroutable = self.unroutable_exchange();
        let routed = |name: String, kind| ExchangeSpec { name, kind, alternate: Some(unroutable.clone()) };
        let plain = |name: String, kind| ExchangeSpec { name, kind, alternate: None };
        // A command has one receiver, named by its key. Pattern matching would make each publish a fifth more
        // expensive.
        let (commands, events, dead) = (self.commands_exchange(), self.events_exchange(), self.dead_exchange());
        let mut all = vec![
            plain(unroutable.clone(), "fanout"),
            routed(commands, "direct"),
            routed(events, "topic"),
            routed(dead, "direct"),
        ];
        all.extend(RetryDelay::ALL.iter().map(|delay| plain(self.retry_exchange(*delay), "fanout")));
        all
    }

    /// Bindings of earlier versions that must not exist, each with the full name of its queue.
    pub fn obsolete_bindings(&self) -> Vec<(String, Binding)> {
        let binding = |kind: &str| Binding { exchange: self.commands_exchange(), key: unversioned(kind).to_owned() };
        MOVED_COMMANDS.map(|(queue, kind)| (self.name(queue), binding(kind))).into()
    }

    /// All queues: work queues, their dead-letter queues, retry delays and `unroutable`.
    pub fn queues(&self) -> Vec<QueueSpec> {
        let mut all: Vec<_> = queues::ALL.into_iter().flat_map(|base| self.work_queue_specs(base)).collect();
        let dead: Vec<_> = all.iter().map(|work| self.dead_queue_of(&work.name)).collect();
        all.extend(dead);
        all.extend(RetryDelay::ALL.iter().map(|delay| self.retry_queue(*delay)));
        all.push(QueueSpec {
            name: self.unroutable_queue(),
            role: QueueRole::Unroutable,
            bindings: vec![Binding { exchange: self.unroutable_exchange(), key: String::new() }],
        });
        all
    }

    fn work_queue_specs(&self, base: &'static str) -> Vec<QueueSpec> {
        if queues::PARTITIONED.contains(&base) {
            (0..self.partitions).map(|partition| self.partition_queue(base, partition)).collect()
        } else {
            vec![self.unpartitioned_queue(base)]
        }
    }

    fn partition_queue(&self, base: &str, partition: u16) -> QueueSpec {
        let key = format!("{base}.{partition}");
        QueueSpec {
            name: self.name(&key),
            role: QueueRole::Work { partition: Some(partition) },
            bindings: vec![Binding { exchange: self.commands_exchange(), key }],
        }
    }

    /// Commands are bound one by one; of events, those that the catalog lists for this queue, or all of them.
    fn unpartitioned_queue(&self, base: &str) -> QueueSpec {
        let entries =
            |class| catalog::entries().filter(move |entry| entry.class == class && entry.queues.contains(&base));
        let bind = |exchange: String, key: &str| Binding { exchange, key: key.to_owned() };
        let mut bindings: Vec<_> = entries(MessageClass::Command)
            .map(|entry| bind(self.commands_exchange(), unversioned(entry.kind)))
            .collect();
        if queues::ALL_EVENTS.contains(&base) {
            bindings.push(bind(self.events_exchange(), EVERY_EVENT));
        } else {
            bindings.extend(
                entries(MessageClass::Event).map(|entry| bind(self.events_exchange(), unversioned(entry.kind))),
            );
        }
        QueueSpec { name: self.name(base), role: QueueRole::Work { partition: None }, bindings }
    }

    fn dead_queue_of(&self, work_queue: &str) -> QueueSpec {
        QueueSpec {
            name: self.dead_queue(work_queue),
            role: QueueRole::Dead { of: work_queue.to_owned() },
            bindings: vec![Binding { exchange: self.dead_exchange(), key: work_queue.to_owned() }],
        }
    }

    fn retry_queue(&self, delay: RetryDelay) -> QueueSpec {
        let name = self.retry_exchange(delay);
        QueueSpec {
            name: name.clone(),
            role: QueueRole::Retry(delay),
            bindings: vec![Binding { exchange: name, key: String::new() }],
        }
    }
}

/// The partitioned queue of a command, if it has one.
fn partitioned_queue(entry: &CatalogEntry) -> Option<&'static str> {
    entry.queues.iter().copied().find(|queue| queues::PARTITIONED.contains(queue))
}

/// A wire type without its version: `booking.confirmed.v1` → `booking.confirmed`. The routing key of an event.
pub fn unversioned(kind: &str) -> &str {
    match kind.rsplit_once(".v") {
        Some((base, version)) if !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()) => base,
        _ => kind,
    }
}

#[cfg(test)]
mod tests;
