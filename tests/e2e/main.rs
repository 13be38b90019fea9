//! Journeys through the whole system: real programs, real engines, HTTP in, stores and mails out.
//!
//! Every test has a namespace on the shared engines, or engines of its own if it stops them, and ends with
//! [`harness::Stack::end`], which checks every invariant whatever the test is about.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accounts;
mod availability;
mod board;
mod booking_links;
mod business_day;
mod calendar_readers;
mod changes;
mod checked_in;
mod cli;
mod config;
mod console;
mod console_actions;
mod console_dead_letters;
mod console_keyboard;
mod console_shift;
mod console_sizes;
mod contention;
mod crashes;
mod dead_letters;
mod ended_bookings;
mod full_friday;
mod group_arrival;
mod guest_details;
mod guides;
mod happy_path;
mod harness;
mod http_clients;
mod idempotency;
mod invalid_requests;
mod inventory;
mod lifecycle;
mod maintenance;
mod manual_refunds;
mod otlp;
mod outages;
mod payment_api;
mod payment_races;
mod payments;
mod people;
mod poison;
mod prometheus;
mod queue_pauses;
mod reconciliation;
mod refunds;
mod refusals;
mod rolling_restart;
mod rooming_list;
mod scheduler;
mod schemathesis;
mod stale_occupancy;
mod stripe_operations;
mod taxes;
mod unroutable;
mod waiting_queues;
mod webhook;
