//! The workers: one file a worker under `jobs`, listed in `registry`, and the scheduler that sends what is due.

pub mod cli;
pub mod clock;
pub mod jobs;
mod ledgers;
pub mod mail;
pub mod registry;
pub mod scheduler;
