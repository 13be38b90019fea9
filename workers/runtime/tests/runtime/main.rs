//! The worker engine against a real broker. Every test has a topology of its own and deletes it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod batches;
mod crash_loops;
mod hand_over;
mod outcomes;
mod queue_pauses;
mod recovery;
mod scripted;
mod test_broker;
mod unavailable;
