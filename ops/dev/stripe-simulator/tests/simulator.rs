//! The simulator over HTTP: its conformity to Stripe, and every fault that it can inject.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "simulator/harness.rs"]
mod harness;

#[path = "simulator/amounts.rs"]
mod amounts;
#[path = "simulator/debits.rs"]
mod debits;
#[path = "simulator/disputes.rs"]
mod disputes;
#[path = "simulator/events.rs"]
mod events;
#[path = "simulator/faults.rs"]
mod faults;
#[path = "simulator/idempotency.rs"]
mod idempotency;
#[path = "simulator/intents.rs"]
mod intents;
#[path = "simulator/pages.rs"]
mod pages;
#[path = "simulator/python_sdk.rs"]
mod python_sdk;
#[path = "simulator/refunds.rs"]
mod refunds;
#[path = "simulator/restart.rs"]
mod restart;
#[path = "simulator/sessions.rs"]
mod sessions;
#[path = "simulator/webhooks.rs"]
mod webhooks;
