//! The worker that decides and those that keep the books: mart, Stripe events, reconciliation and scheduler, on real
//! engines.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod due;
mod hostel;
mod life;
mod loading;
mod money;
mod moves;
mod reconciliation;
mod scheduler;
mod together;
