//! Flows of all work queues: what the management API counts, continued from what was sampled before.

use crate::management::QueueState;
use crate::{Oldest, QueueFlow, QueueReading, QueueRole, Topology};
use chrono::{DateTime, Utc};
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

    /// Begins anew with earlier readings of queues (without the prefix) and what was known of their first messages,
    /// oldest first, so that an age does not begin with the first reading. Those later than `now` are left out: the
    /// clock of the process that took them was ahead.
    pub fn recall<'q>(
        &mut self,
        sampled: impl Iterator<Item = (&'q str, QueueReading, Option<Oldest>)>,
        now: DateTime<Utc>,
    ) {
        self.flows.values_mut().for_each(|flow| *flow = QueueFlow::default());
        for (queue, reading, oldest) in sampled.filter(|(_, reading, _)| reading.at <= now) {
            if let Some(flow) = self.flows.get_mut(&format!("{}{queue}", self.prefix)) {
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

#[cfg(test)]
mod tests {
    use super::QueueFlows;
    use crate::{Oldest, QueueFlow, QueueReading, Topology};
    use chrono::DateTime;

    #[test]
    fn flows_begin_with_what_was_sampled_of_their_queues_until_now() {
        let mut flows = QueueFlows::of(&Topology::new("x.", 2));
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let sampled = |queue, seconds, ready| {
            let reading =
                QueueReading { at: at(seconds), ready, unacknowledged: 0, acknowledged: 0, head_sent_at: None };
            (queue, reading, Some(Oldest { seconds: 30, is_at_least: false }))
        };
        let all = [sampled("emails", 60, 4), sampled("retry.5s", 60, 4), sampled("emails", 9_000, 0)];
        flows.recall(all.into_iter(), at(90));
        let known = flows.get("x.emails").and_then(QueueFlow::oldest);
        assert_eq!(known, Some(Oldest { seconds: 30, is_at_least: false }));
        assert!(flows.get("x.retry.5s").is_none() && flows.get("x.payments").unwrap().oldest().is_none());
    }
}
