//! Every exchange, queue, binding and policy of the product: the one place that names them.
//!
//! Publishers, workers, the operator's console, the generated broker definitions and the tests all derive from this
//! module. It must never let a name be spelt out anywhere else, and never declare anything outside its own prefix.

mod declare;
mod definitions;
mod policy;
mod retry_delay;

pub use declare::DeclareError;
pub use definitions::definitions_json;
pub use policy::{CRASH_BACKSTOP_DELIVERIES, DEAD_QUEUE_MAX_MESSAGES, Policy, WORK_QUEUE_MAX_MESSAGES};
pub use retry_delay::RetryDelay;

use pvt_domain::partition::partition_of;

/// Bookings are serialised per property in this many queues unless the configuration says otherwise.
pub const DEFAULT_PARTITIONS: u16 = 4;

/// The most partitions one deployment may have; each costs a quorum queue and a dead-letter queue.
pub const MAX_PARTITIONS: u16 = 256;

/// The work queue that is split into partitions.
pub const BOOKINGS: &str = "bookings";

/// A work queue that is not partitioned, and what feeds it.
struct Feed {
    queue: &'static str,
    commands: &'static [&'static str],
    events: &'static [&'static str],
}

/// What feeds the queues that are not partitioned. Commands are named one by one; in keys of events `#` and `*` are
/// wildcards.
const FEEDS: [Feed; 5] = [
    Feed { queue: "payments", commands: &["stripe.event"], events: &[] },
    Feed {
        queue: "stripe",
        commands: &[
            "payment.open_checkout",
            "payment.create_intent",
            "payment.expire_checkout",
            "payment.refund",
            "payment.record",
            "payment.refresh",
            "reconcile.payments",
        ],
        events: &[],
    },
    Feed {
        queue: "emails",
        commands: &["notification.send", "account.mail"],
        events: &[
            "booking.held",
            "booking.confirmed",
            "booking.modified",
            "booking.cancelled",
            "booking.no_show",
            "booking.reinstated",
            "booking.expired",
            "booking.payment_changed",
            "payment.failed",
        ],
    },
    Feed { queue: "analytics", commands: &[], events: &["#"] },
    Feed { queue: "reconciliation", commands: &["reconcile.property"], events: &[] },
];

/// Families of commands that change a property's availability and therefore travel through its partition.
const PARTITIONED_FAMILIES: [&str; 2] = ["booking", "inventory"];

/// What a worker consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// One queue of this name (without the prefix).
    One(&'static str),
    /// All partitions `name.0 … name.P-1`, each with a single active consumer.
    Partitioned(&'static str),
}

impl Queue {
    /// The name without prefix and without partition.
    pub fn base(self) -> &'static str {
        match self {
            Self::One(name) | Self::Partitioned(name) => name,
        }
    }
}

/// What a queue is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueRole {
    /// Workers consume it.
    Work {
        /// Which partition of its family it is, for partitioned queues.
        partition: Option<u16>,
    },
    /// Holds messages of one work queue that were given up; nobody consumes it.
    Dead {
        /// The full name of the work queue.
        of: String,
    },
    /// Holds messages until their time to live sends them home.
    Retry(RetryDelay),
    /// Holds what had no route; must stay empty.
    Unroutable,
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
    /// What it is for.
    pub role: QueueRole,
    /// What feeds it. Empty only for queues fed through the default exchange.
    pub bindings: Vec<Binding>,
}

impl QueueSpec {
    /// Whether only one of its consumers is served at a time.
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
    /// Full name of the exchange that takes what this one cannot route.
    pub alternate: Option<String>,
}

/// All names under one prefix. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    prefix: String,
    partitions: u16,
    retry_divisor: u32,
}

impl Topology {
    /// The topology whose names begin with `prefix` (empty in production, unique in a test).
    ///
    /// `partitions` is clamped to 1..=[`MAX_PARTITIONS`]. It may be raised while queues are empty of bookings'
    /// commands; see `pvt_domain::partition`.
    pub fn new(prefix: &str, partitions: u16) -> Self {
        Self { prefix: prefix.to_owned(), partitions: partitions.clamp(1, MAX_PARTITIONS), retry_divisor: 1 }
    }

    /// The same topology with every rung of the retry ladder shortened by `divisor`: tests climb a ladder in
    /// milliseconds.
    ///
    /// The time to live is an argument of the queue, so one prefix must always use one divisor.
    #[must_use]
    pub fn with_retry_divisor(mut self, divisor: u32) -> Self {
        self.retry_divisor = divisor.max(1);
        self
    }

    /// What all names begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// How many partitions the bookings have.
    pub fn partitions(&self) -> u16 {
        self.partitions
    }

    /// How much shorter than in production the ladder is.
    pub fn retry_divisor(&self) -> u32 {
        self.retry_divisor
    }

    /// A name of this topology: the prefix and `base`.
    pub fn name(&self, base: &str) -> String {
        format!("{}{base}", self.prefix)
    }

    /// `commands`: what someone wants done.
    pub fn commands_exchange(&self) -> String {
        self.name("commands")
    }

    /// `events`: what happened.
    pub fn events_exchange(&self) -> String {
        self.name("events")
    }

    /// `dead`: the routing key is the full name of the work queue that gave up.
    pub fn dead_exchange(&self) -> String {
        self.name("dead")
    }

    /// `unroutable`: the alternate of `commands` and `events`.
    pub fn unroutable_exchange(&self) -> String {
        self.name("unroutable")
    }

    /// `retry.*`: the routing key is the full name of the home queue.
    pub fn retry_exchange(&self, delay: RetryDelay) -> String {
        self.name(delay.base_name())
    }

    /// The full name of the queue that holds what had no route.
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

    /// The routing key of a command: `bookings.N` for the families that change a property's availability, otherwise the
    /// type without its version (`payment.refund`). Never carries the prefix.
    pub fn command_key(&self, kind: &str, property_id: &str) -> String {
        let family = kind.split('.').next().unwrap_or_default();
        if PARTITIONED_FAMILIES.contains(&family) {
            return format!("{BOOKINGS}.{}", self.partition(property_id));
        }
        unversioned(kind).to_owned()
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

    /// All exchanges.
    pub fn exchanges(&self) -> Vec<ExchangeSpec> {
        let unroutable = self.unroutable_exchange();
        let routed = |name: String, kind| ExchangeSpec { name, kind, alternate: Some(unroutable.clone()) };
        let plain = |name: String, kind| ExchangeSpec { name, kind, alternate: None };
        // A command has one receiver, named by its key: matching patterns would cost the broker a fifth of each
        // publish.
        let (commands, events, dead) = (self.commands_exchange(), self.events_exchange(), self.dead_exchange());
        let mut all = vec![
            plain(unroutable.clone(), "fanout"),
            routed(commands, "direct"),
            routed(events, "topic"),
            routed(dead, "direct"),
        ];
        all.extend(RetryDelay::ALL.map(|delay| plain(self.retry_exchange(delay), "fanout")));
        all
    }

    /// All queues: work queues first, then their dead-letter queues, the ladder and `unroutable`.
    pub fn queues(&self) -> Vec<QueueSpec> {
        let mut all = self.partition_queues();
        all.extend(FEEDS.iter().map(|feed| self.feed_queue(feed)));
        let dead: Vec<_> = all.iter().map(|work| self.dead_queue_of(&work.name)).collect();
        all.extend(dead);
        all.extend(RetryDelay::ALL.map(|delay| self.retry_queue(delay)));
        all.push(QueueSpec {
            name: self.unroutable_queue(),
            role: QueueRole::Unroutable,
            bindings: vec![Binding { exchange: self.unroutable_exchange(), key: String::new() }],
        });
        all
    }

    fn partition_queues(&self) -> Vec<QueueSpec> {
        (0..self.partitions)
            .map(|partition| {
                let key = format!("{BOOKINGS}.{partition}");
                QueueSpec {
                    name: self.name(&key),
                    role: QueueRole::Work { partition: Some(partition) },
                    bindings: vec![Binding { exchange: self.commands_exchange(), key }],
                }
            })
            .collect()
    }

    fn feed_queue(&self, feed: &Feed) -> QueueSpec {
        let bind = |exchange: String, keys: &[&str]| -> Vec<Binding> {
            keys.iter().map(|key| Binding { exchange: exchange.clone(), key: (*key).to_owned() }).collect()
        };
        let mut bindings = bind(self.commands_exchange(), feed.commands);
        bindings.extend(bind(self.events_exchange(), feed.events));
        QueueSpec { name: self.name(feed.queue), role: QueueRole::Work { partition: None }, bindings }
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

/// A wire type without its version: `booking.confirmed.v1` → `booking.confirmed`. The routing key of an event.
pub fn unversioned(kind: &str) -> &str {
    match kind.rsplit_once(".v") {
        Some((base, version)) if !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()) => base,
        _ => kind,
    }
}

#[cfg(test)]
mod tests;
