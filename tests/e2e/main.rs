//! Journeys through the whole system: real programs, real engines, HTTP in, stores and mails out.
//!
//! Every test has a name space of its own on the shared engines, or engines of its own when it stops them, and ends
//! with [`harness::Stack::end`]: whatever the test was about, everything that must always hold is looked at.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accounts;
mod api_money;
mod availability;
mod bad_input;
mod cli;
mod config;
mod contention;
mod crashes;
mod described;
mod happy_path;
mod harness;
mod idempotency;
mod inventory;
mod lifecycle;
mod outages;
mod payment_storms;
mod payments;
mod poison;
mod reconciliation;
mod refunds;
mod scheduler;
mod stale_view;
mod webhook;
