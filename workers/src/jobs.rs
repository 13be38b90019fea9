//! The registry of workers: a module for each, and the list from which the command line, `pvt up` and health derive.

pub mod analytics;
pub mod confirmations;
pub mod emails;
pub mod payments;
pub mod reconciliation;
pub mod records;
pub(crate) mod scheduler;
pub mod stripe;

use crate::declaration::WorkerDeclaration;

/// All workers, in the order in which `pvt up` starts them.
pub const WORKERS: &[WorkerDeclaration] = &[
    confirmations::WORKER,
    payments::WORKER,
    emails::WORKER,
    analytics::WORKER,
    reconciliation::WORKER,
    scheduler::WORKER,
];
