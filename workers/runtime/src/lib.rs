//! The worker engine: decoding, attempts, retries, dead letters, batching, timeouts, back-pressure, draining and
//! recovery, so that a worker is one constant and one function.
//!
//! It knows messages and failures, no store and no booking. It must never acknowledge a message before everything that
//! follows from it is confirmed by the broker, and one message must never decide the outcome of another.
//!
//! The result of `handle` is the whole protocol: `Ok` publishes the emitted messages and acknowledges; a
//! [`Failure`](pvt_domain::failure::Failure) decides what happens to the message instead.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod breaker;
mod consumer_session;
mod disposition;
mod engine;
mod erased_worker;
pub mod failpoint;
mod handling_spans;
mod health;
mod job;
pub mod metrics;
mod quarantine;
mod queue_pauses;
mod runner;
mod settlement;
mod spec;
mod waiting;
mod worker;

pub use disposition::{
    DEFERRAL_CAP, ERROR_MESSAGE_MAX_BYTES, HEADER_DEFERRALS, HEADER_ERROR_CLASS, HEADER_ERROR_MESSAGE,
    HEADER_FIRST_FAILED_AT, HEADER_REPLAY, HEADER_RETURNED_BY, HEADER_WORKER, begin_anew,
};
pub use engine::{DRAIN_DEADLINE, Engine, EngineError};
pub use health::{Health, LastError, UnavailableOperation, WorkerHealth, WorkerState};
pub use job::{Batch, Job, Meta};
pub use pvt_messaging::{Outgoing, Queue, RetryDelay};
pub use queue_pauses::{PAUSES_READ_EVERY, QueuePause, QueuePauses};
pub use spec::{PREFETCH_CAP, Shape, Spec, TIMEOUT_CAP};
pub use waiting::{HEADER_UNAVAILABLE_OPERATION, HEADER_UNAVAILABLE_SINCE};
pub use worker::{BatchWorker, Worker};
