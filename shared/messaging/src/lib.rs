//! Messaging over RabbitMQ: the topology, publishing with confirms, consuming, and the envelope of every message.
//!
//! It knows AMQP and nothing of bookings or stores. It must never acknowledge a message by itself, never retry a
//! publish under a new id, and never wait without a bound.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod acks;
mod consumer;
mod delivery;
mod envelope;
mod held_messages;
mod link;
pub mod management;
pub mod metrics;
mod outgoing;
mod publisher;
mod queue_depths;
mod queue_flows;
mod queue_sender;
pub mod topology;
mod unroutable;

pub use acks::{Ack, UnackedDeliveries};
pub use consumer::{Acker, ConsumeError, Subscriber, Subscription};
pub use delivery::Delivery;
pub use envelope::{Envelope, FIRST_ATTEMPT, HEADER_ACTOR, HEADER_ATTEMPT, HEADER_TRACEPARENT};
pub use held_messages::{HeldMessages, QueueReader, ReadMessages};
pub use outgoing::{EncodeError, Outgoing, Target, encode};
pub use publisher::{CONFIRM_TIMEOUT, PublishError, Publisher};
pub use pvt_domain::queue_flow::{Oldest, QueueFlow, QueueReading, Rates};
pub use pvt_traces::{TraceParent, trace_context};
pub use queue_depths::{QueueDepth, begin_counting_queues, queue_depths};
pub use queue_flows::QueueFlows;
pub use queue_sender::{QueueSender, SendOutcome};
pub use topology::{Queue, QueueRole, QueueSpec, RetryDelay, Topology, definitions_json, queue_arguments, unversioned};
pub use unroutable::{UnroutableMessages, UnroutablePass, UnroutableRouter};
