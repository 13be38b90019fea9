//! Metric names of the runtime, and the handles of one worker. Dashboards and alerts rely on the names.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Counter, labels `worker`, `outcome` (`ok`, `retried`, `deferred`, `waiting`, `dead`): messages by outcome.
pub const MESSAGES: &str = "pvt_worker_messages_total";
/// Histogram, seconds, label `worker`: one call of the handler.
pub const HANDLE_SECONDS: &str = "pvt_worker_handle_duration_seconds";
/// Histogram, label `worker`: messages in one call of the handler.
pub const BATCH_SIZE: &str = "pvt_worker_batch_size";
/// Gauge, label `worker`: messages being handled or published for.
pub const IN_FLIGHT: &str = "pvt_worker_in_flight";
/// Gauge, label `worker`: 1 while paused because a dependency is unavailable.
pub const PAUSED: &str = "pvt_worker_paused";
/// Gauge, labels `worker`, `operation`: 1 while messages wait because this operation of a dependency is unavailable.
pub const OPERATION_UNAVAILABLE: &str = "pvt_worker_operation_unavailable";
/// Histogram, seconds, label `worker`: age of the oldest message of a batch when its handling starts, by the clock of
/// the sender in whole seconds.
pub const MESSAGE_AGE_SECONDS: &str = "pvt_worker_message_age_seconds";
/// Counter, labels `worker`, `class`: messages sent to a retry delay.
pub const RETRIES: &str = "pvt_worker_retries_total";
/// Counter, labels `worker`, `class`: messages dead-lettered.
pub const DEAD_LETTERS: &str = "pvt_worker_dead_letters_total";
/// Counter, label `worker`: consumers restarted after a lost channel or connection.
pub const RESUBSCRIBES: &str = "pvt_worker_resubscribes_total";

/// The metric handles of one worker, registered once.
pub(crate) struct WorkerMetrics {
    worker: &'static str,
    pub(crate) ok: Counter,
    pub(crate) retried: Counter,
    pub(crate) deferred: Counter,
    pub(crate) waiting: Counter,
    pub(crate) dead: Counter,
    pub(crate) handle_seconds: Histogram,
    pub(crate) batch_size: Histogram,
    pub(crate) age_seconds: Histogram,
    pub(crate) in_flight: Gauge,
    pub(crate) paused: Gauge,
    pub(crate) resubscribes: Counter,
}

impl WorkerMetrics {
    pub(crate) fn of(worker: &'static str) -> Self {
        Self {
            worker,
            ok: counter!(MESSAGES, "worker" => worker, "outcome" => "ok"),
            retried: counter!(MESSAGES, "worker" => worker, "outcome" => "retried"),
            deferred: counter!(MESSAGES, "worker" => worker, "outcome" => "deferred"),
            waiting: counter!(MESSAGES, "worker" => worker, "outcome" => "waiting"),
            dead: counter!(MESSAGES, "worker" => worker, "outcome" => "dead"),
            handle_seconds: histogram!(HANDLE_SECONDS, "worker" => worker),
            batch_size: histogram!(BATCH_SIZE, "worker" => worker),
            age_seconds: histogram!(MESSAGE_AGE_SECONDS, "worker" => worker),
            in_flight: gauge!(IN_FLIGHT, "worker" => worker),
            paused: gauge!(PAUSED, "worker" => worker),
            resubscribes: counter!(RESUBSCRIBES, "worker" => worker),
        }
    }

    pub(crate) fn operation_unavailable(&self, operation: &'static str, is_unavailable: bool) {
        gauge!(OPERATION_UNAVAILABLE, "worker" => self.worker, "operation" => operation).set(f64::from(is_unavailable));
    }

    pub(crate) fn retry(&self, class: &'static str) {
        self.retried.increment(1);
        counter!(RETRIES, "worker" => self.worker, "class" => class).increment(1);
    }

    pub(crate) fn dead_letter(&self, class: &'static str) {
        self.dead.increment(1);
        counter!(DEAD_LETTERS, "worker" => self.worker, "class" => class).increment(1);
    }
}
