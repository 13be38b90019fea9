//! What is stored, and where: MongoDB holds the operational truth, PostgreSQL the analytics mart.
//!
//! One repository per aggregate. Nothing here decides anything about a booking, and nothing here speaks to the broker.

pub mod error;
pub mod mart;
pub mod mongo;
pub mod passwords;

pub use error::StoreError;
