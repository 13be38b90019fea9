//! The workers: one module each under `jobs`, which also lists them, and the scheduler.

pub mod cli;
pub mod clock;
pub mod dead_letters;
pub mod decision_times;
mod declaration;
mod heartbeat;
mod hold_expiry;
pub mod jobs;
mod ledgers;
pub mod mail;
mod payment_replies;
mod probes;
mod process;
mod queue_gauges;
mod queue_pauses;
mod queue_samples;
pub mod scheduler;
mod store_calls;
mod unroutable;

pub use declaration::WorkerDeclaration;
pub use process::{run, worker_names};
