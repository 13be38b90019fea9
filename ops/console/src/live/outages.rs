//! Queues that wait for something that does not answer, as the heartbeats say. Pure.

use chrono::{DateTime, Utc};
use pvt_operations::checks::{Finding, waiting_queues};
use pvt_operations::queue_outages::{self, QueueOutage};
use pvt_stores::mongo::worker_processes::SeenProcess;
use std::collections::BTreeMap;

/// What queues wait for, as of one reading of the heartbeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outages {
    at: DateTime<Utc>,
    /// By the full name of the queue.
    by_queue: BTreeMap<String, QueueOutage>,
    finding: Finding,
}

impl Outages {
    /// Those that these processes report.
    pub(crate) fn of_processes(processes: &[SeenProcess], now: DateTime<Utc>) -> Self {
        let by_queue = queue_outages::by_queue(processes);
        Self { at: now, finding: waiting_queues(&by_queue, now), by_queue }
    }

    /// That of a queue.
    pub(crate) fn of(&self, queue: &str) -> Option<&QueueOutage> {
        self.by_queue.get(queue)
    }

    /// For how long the oldest message has waited that a worker of the queue has in hand.
    pub(crate) fn oldest_seconds(&self, queue: &str) -> Option<u64> {
        self.of(queue)?.oldest_seconds(self.at)
    }

    /// All of them, as a check says it.
    pub(crate) fn finding(&self) -> &Finding {
        &self.finding
    }
}
