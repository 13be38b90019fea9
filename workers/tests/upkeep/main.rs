//! The workers that keep the books: mart, Stripe events, reconciliation and scheduler, on real engines.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod hostel;
mod loading;
mod reconciliation;
mod scheduler;
mod together;
