//! Stores: MongoDB holds the operational data, PostgreSQL the analytics mart.
//!
//! One repository an aggregate. Stores decide nothing about a booking and never use the broker.

pub mod error;
pub mod mart;
pub mod mongo;

pub use error::{MONGODB_UNAVAILABLE, POSTGRES_LOCKED, POSTGRES_UNAVAILABLE, StoreError};
