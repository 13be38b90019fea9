//! Basics of every process: configuration, telemetry, shutdown, health, TLS, and the booking tokens that the API and
//! mails share.
//!
//! It knows of a booking no more than its id, and neither a store nor the broker. It must never print a secret, and
//! never let a process start with an invalid setting.

pub mod config;
pub mod health;
pub mod http;
pub mod passwords;
pub mod program;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod tokens;

pub use config::{Config, ConfigError, Environment};
