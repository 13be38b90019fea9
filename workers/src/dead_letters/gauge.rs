//! Periodic count of stored dead letters by queue, for alerts and dashboards.

use crate::store_calls::within;
use pvt_messaging::{QueueRole, Topology};
use pvt_service::periodic::Turns;
use pvt_stores::mongo::Mongo;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Gauge: messages of this work queue that were given up and are stored, those that are being replayed included; NaN
/// while they cannot be counted. Label `queue`.
const DEAD_LETTERS: &str = "pvt_dead_letters";
/// As often as queues are counted.
const INTERVAL: Duration = Duration::from_secs(15);
/// For one count. One that takes longer is left to its end.
const COUNT_LIMIT: Duration = Duration::from_secs(5);

/// Runs until `shutdown`. Several processes may do so: all of them count the same.
pub(crate) async fn count_periodically(mongo: Mongo, topology: Topology, shutdown: CancellationToken) {
    let work_queues = topology.queues().into_iter().filter(|queue| matches!(queue.role, QueueRole::Work { .. }));
    let mut queues: BTreeSet<String> = work_queues.map(|queue| queue.name).collect();
    let counts = async {
        let mut turns = Turns::new(INTERVAL, &shutdown);
        while turns.next().await {
            let counted = count(&mongo).await;
            if let Err(error) = &counted {
                warn!(error, "dead letters cannot be counted");
            }
            show(&topology, &mut queues, counted.ok().as_ref());
        }
    };
    shutdown.run_until_cancelled(counts).await;
}

async fn count(mongo: &Mongo) -> Result<BTreeMap<String, u64>, String> {
    let mongo = mongo.clone();
    within(COUNT_LIMIT, async move { mongo.dead_letters().count_by_queue().await }).await
}

/// Queues of the topology always have a gauge. So has one that is gone, a partition that is counted no more, as soon as
/// it has had dead letters.
fn show(topology: &Topology, queues: &mut BTreeSet<String>, counts: Option<&BTreeMap<String, u64>>) {
    queues.extend(counts.into_iter().flat_map(BTreeMap::keys).map(|queue| topology.name(queue)));
    for queue in &*queues {
        let name = queue.strip_prefix(topology.prefix()).unwrap_or(queue);
        let count = counts.map(|counts| counts.get(name).copied().unwrap_or_default());
        let count = count.map_or(f64::NAN, |count| f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
        metrics::gauge!(DEAD_LETTERS, "queue" => queue.clone()).set(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_that_is_gone_keeps_its_gauge() {
        let topology = Topology::new("x.", 2);
        let mut queues = BTreeSet::from(["x.emails".to_owned()]);
        show(&topology, &mut queues, Some(&BTreeMap::from([("bookings.7".to_owned(), 3)])));
        show(&topology, &mut queues, Some(&BTreeMap::new()));
        assert_eq!(queues.iter().collect::<Vec<_>>(), ["x.bookings.7", "x.emails"], "it has to become 0");
    }
}
