//! Operations on stores and broker that the command line, the console and the development tools share: checks, traces
//! of bookings, pauses of queues, maintenance, dead letters, reconciliation and schedules on request, migrations,
//! topology, demonstration data, and output to the terminal.
//!
//! It knows no command-line arguments and starts no process.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod actor_names;
pub mod broker;
pub mod checks;
pub mod dead_letters;
mod error;
pub mod maintenance;
pub mod migrate;
mod oldest;
pub mod queue_outages;
pub mod queue_pauses;
pub mod readiness;
pub mod reading;
mod reason;
pub mod reconcile;
pub mod schedules;
pub mod seed;
pub mod terminal;
pub mod topology;
pub mod trace;

pub use error::OperationError;
pub use oldest::waited;

/// The actor of what an operator does, as the audit and reconciliation reports name it.
pub const OPERATOR: &str = "operator";
