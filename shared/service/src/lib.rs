//! Basics of every process: configuration, telemetry, shutdown, health, TLS; and what several of them share: serving
//! HTTP, passwords, rate limits, the access tokens of API and console, and the booking tokens of API and mails.
//!
//! It knows of a booking no more than its id, and neither a store nor the broker. It must never print a secret, and
//! never let a process start with an invalid setting.

pub mod access_tokens;
pub mod client_address;
pub mod config;
pub mod health;
pub mod http;
pub mod logins;
pub mod passwords;
pub mod periodic;
pub mod program;
pub mod rate_limits;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod tokens;

pub use config::{Config, ConfigError, Environment};
