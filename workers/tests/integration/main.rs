//! The worker that decides and those that keep the books: mart, Stripe events, reconciliation and scheduler, on real
//! engines.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod due_schedules;
mod group_commit;
mod harness;
mod lifecycle;
mod mart_loading;
mod payments;
mod reassignments;
mod reconciliation;
mod scheduler;
