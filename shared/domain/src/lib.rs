//! Rules of the booking system: values, messages and decisions.
//!
//! Pure by contract: no I/O, no clock, no randomness. The caller passes `now` and the ids, so every rule here can be
//! tested by value and replayed from history.

pub mod accounts;
pub mod actor;
pub mod allocation;
pub mod availability;
pub mod block;
pub mod booking;
pub mod business_day;
pub mod card_numbers;
mod commands;
pub mod dead_letters;
pub mod decide;
pub mod demo;
pub mod duration_counts;
pub mod events;
pub mod failure;
pub mod grid;
pub mod ids;
pub mod intake;
pub mod inventory;
pub mod ledger;
pub mod maintenance;
pub mod messages;
pub mod money;
pub mod nights;
pub mod partition;
pub mod people;
pub mod pricing;
pub mod queue_flow;
pub mod rates;
mod replies;
pub mod rooming_list;
mod schema;
pub mod stripe;
pub mod timestamp;
mod values;
mod wire;
mod wire_enum;

#[cfg(test)]
mod fixtures;

pub use values::queue_hop::QueueHop;

/// For [`wire_enum`].
#[doc(hidden)]
pub use schemars;
