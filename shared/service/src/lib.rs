//! What every process needs to start and to be operated: configuration, telemetry, shutdown, health, TLS, and the
//! tokens that both the API and mails know.
//!
//! It knows of a booking no more than its id, no store and no broker. It must never print a secret, and never let a
//! process start on a setting that is wrong.

pub mod config;
pub mod health;
pub mod http;
pub mod passwords;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod tokens;

pub use config::{Config, ConfigError, Environment};
