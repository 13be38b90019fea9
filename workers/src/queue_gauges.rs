//! Periodic count of messages and consumers by queue, for alerts and dashboards that need no plugin of the broker.

use pvt_messaging::{Subscriber, Topology, begin_counting_queues};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// As often as Prometheus usually asks.
const INTERVAL: Duration = Duration::from_secs(15);
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Runs until `shutdown`. Several processes may do so: all of them count the same.
pub(crate) async fn measure_periodically(amqp_url: String, topology: Topology, shutdown: CancellationToken) {
    let subscriber = Subscriber::start(&amqp_url, topology, "queue gauges");
    begin_counting_queues();
    let counts = async {
        let mut turns = interval(INTERVAL);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            if let Err(error) = subscriber.measure_queues().await {
                warn!(%error, "queues cannot be counted");
            }
        }
    };
    let stopped: Option<std::convert::Infallible> = shutdown.run_until_cancelled(counts).await;
    debug_assert!(stopped.is_none());
    subscriber.close(CLOSE_LIMIT).await;
}
