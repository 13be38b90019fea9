//! Local engines: the RabbitMQ, MongoDB and PostgreSQL of a development machine are found, installed, started, shared
//! and stopped, for `pvt up`, for the tests and for fault tests.
//!
//! It must never touch an engine it did not start: an engine whose URL is in the environment is left to its owner (see
//! [`kinds_missing_from_env`]), system services are left alone, and processes are ended only by an identity (pid and
//! start time) recorded when they were started. It knows nothing of the product's queues, collections or tables.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backend;
mod compose;
mod engine;
mod ephemeral;
mod error;
mod install;
mod instance;
mod kind;
mod launch;
mod lock;
mod native;
mod ports;
pub mod process;
mod progress;
pub mod record;
mod state_dir;
mod urls;

pub use backend::Backend;
pub use engine::LocalEngine;
pub use ephemeral::EphemeralInstance;
pub use error::EngineError;
pub use install::{chromium, firefox};
pub use instance::{EngineStatus, Instance};
pub use kind::EngineKind;
pub use ports::{PortPlan, Ports};
pub use progress::Progress;
pub use urls::{EnvUrls, Urls, kinds_missing_from_env};
