//! The way to the broker: topology, publishing with confirms, consuming, and the envelope of every message.
//!
//! It knows AMQP and nothing of bookings or stores. It must never acknowledge a message by itself, never retry a
//! publish under a new id, and never wait without a bound.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod acks;
mod backoff;
mod census;
mod consumer;
mod delivery;
mod link;
pub mod management;
mod outgoing;
mod publisher;
pub mod signals;
pub mod topology;
pub mod trace_context;

pub use acks::{Ack, Outstanding};
pub use backoff::Backoff;
pub use census::{QueueCount, count_queues};
pub use consumer::{Acks, ConsumeError, Subscriber, Subscription};
pub use delivery::{Delivery, Envelope};
pub use outgoing::{
    EncodeError, FIRST_ATTEMPT, HEADER_ACTOR, HEADER_ATTEMPT, HEADER_TRACEPARENT, Outgoing, Target, encode,
};
pub use publisher::{CONFIRM_TIMEOUT, PublishError, Publisher};
pub use topology::{Queue, QueueRole, QueueSpec, Rung, Topology, definitions_json, unversioned};
pub use trace_context::TraceParent;
