//! The workers for bookings, payments, mart and reconciliation, and the scheduler, against local engines.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod checked_in;
mod dead_letters;
mod due_schedules;
mod foreign_dead_letters;
mod group_commit;
mod harness;
mod isolated_booking;
mod isolated_failures;
mod lifecycle;
mod mart_loading;
mod payment_attempts;
mod payment_sweeps;
mod payments;
mod reassignments;
mod reconciliation;
mod requested_runs;
mod resumed_payments;
mod scheduler;
mod scheduler_failures;
mod stripe_objects;
