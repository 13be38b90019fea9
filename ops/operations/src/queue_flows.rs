//! Flows of all work queues: what the management API counts, continued from the samples of the last hours.

use chrono::{DateTime, Utc};
use pvt_messaging::management::QueueState;
use pvt_messaging::{Oldest, QueueFlow, QueueReading, QueueRole, Topology};
use pvt_stores::mongo::queue_samples::QueueSample;
use std::collections::BTreeMap;

/// The readings of each work queue, by its full name.
#[derive(Debug, Clone)]
pub struct QueueFlows {
    prefix: String,
    flows: BTreeMap<String, QueueFlow>,
}

impl QueueFlows {
    /// The work queues of this topology, of which nothing was read yet.
    pub fn of(topology: &Topology) -> Self {
        let work = topology.queues().into_iter().filter(|queue| matches!(queue.role, QueueRole::Work { .. }));
        let flows = work.map(|queue| (queue.name, QueueFlow::default())).collect();
        Self { prefix: topology.prefix().to_owned(), flows }
    }

    /// Begins anew with these samples, oldest first, so that an age does not begin with the first reading.
    pub fn recall(&mut self, samples: &[QueueSample]) {
        for (name, flow) in &mut self.flows {
            let own_name = name.strip_prefix(&self.prefix).unwrap_or(name);
            *flow = QueueFlow::default();
            for (reading, oldest) in samples.iter().filter_map(|sample| sampled(sample, own_name)) {
                flow.recall(reading, oldest);
            }
        }
    }

    /// Takes what was read now.
    pub fn observe(&mut self, queues: &[QueueState], now: DateTime<Utc>) {
        for state in queues {
            if let Some(flow) = self.flows.get_mut(&state.name) {
                flow.observe(state.reading(now));
            }
        }
    }

    /// The flow of a work queue (full name).
    pub fn get(&self, queue: &str) -> Option<&QueueFlow> {
        self.flows.get(queue)
    }

    /// All flows by the full names of their queues.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &QueueFlow)> {
        self.flows.iter()
    }
}

/// The counts of a queue in a sample, and what was known of its first message.
fn sampled(sample: &QueueSample, queue: &str) -> Option<(QueueReading, Option<Oldest>)> {
    let counts = sample.queues.iter().find(|counts| counts.queue == queue)?;
    let reading = QueueReading {
        at: sample.at.as_datetime(),
        ready: counts.ready,
        unacknowledged: counts.unacknowledged,
        acknowledged: counts.acknowledged,
        head_sent_at: None,
    };
    let oldest = |seconds| Oldest { seconds, is_at_least: counts.oldest_is_at_least };
    Some((reading, counts.oldest_seconds.map(oldest)))
}
