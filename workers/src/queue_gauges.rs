//! Periodic count of messages and consumers by queue, and which queues are paused, for alerts and dashboards that need
//! no plugin of the broker.

use crate::queue_samples::QueueWatch;
use pvt_messaging::{QueueRole, Subscriber, Topology, begin_counting_queues};
use pvt_service::periodic::Turns;
use pvt_worker_runtime::QueuePauses;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Gauge: 1 while an operator has paused this work queue, 0 otherwise; NaN until that is known. Label `queue`.
const QUEUE_PAUSED: &str = "pvt_queue_paused";
/// As often as Prometheus usually asks.
const INTERVAL: Duration = Duration::from_secs(15);
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Runs until `shutdown`. Several processes may do so: all of them count the same.
pub(crate) async fn measure_periodically(
    amqp_url: String,
    topology: Topology,
    pauses: watch::Receiver<Option<QueuePauses>>,
    shutdown: CancellationToken,
) {
    let work_queues = topology.queues().into_iter().filter(|queue| matches!(queue.role, QueueRole::Work { .. }));
    let work_queues: Vec<String> = work_queues.map(|queue| queue.name).collect();
    let subscriber = Subscriber::start(&amqp_url, topology, "queue gauges");
    begin_counting_queues();
    let counts = async {
        let mut turns = Turns::new(INTERVAL, &shutdown);
        while turns.next().await {
            // Before the consumers, so that a queue is never seen without them before it is seen as paused.
            show_pauses(&work_queues, pauses.borrow().as_ref());
            if let Err(error) = subscriber.measure_queues().await {
                warn!(%error, "queues cannot be counted");
            }
        }
    };
    shutdown.run_until_cancelled(counts).await;
    subscriber.close(CLOSE_LIMIT).await;
}

/// Reads what only the management API says, and stores samples where this process leads, until `shutdown`.
pub(crate) async fn sample_periodically(mut queues: QueueWatch, shutdown: CancellationToken) {
    let samples = async {
        let mut turns = Turns::new(INTERVAL, &shutdown);
        while turns.next().await {
            queues.turn().await;
        }
    };
    shutdown.run_until_cancelled(samples).await;
}

fn show_pauses(work_queues: &[String], pauses: Option<&QueuePauses>) {
    for queue in work_queues {
        let paused = pauses.map_or(f64::NAN, |pauses| f64::from(pauses.contains_key(queue)));
        metrics::gauge!(QUEUE_PAUSED, "queue" => queue.clone()).set(paused);
    }
}
