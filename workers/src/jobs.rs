//! One worker a file.

pub mod analytics;
pub mod confirmations;
pub mod emails;
pub mod payments;
pub mod reconciliation;
pub mod stripe;
