//! Periodic return of unroutable messages to their queues, and the count of those that still have none.

use pvt_messaging::{Topology, UnroutableMessages, UnroutablePass};
use pvt_service::periodic::Turns;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// From one pass to the next. Requests that were answered 202 wait at most this long once their queue is back.
const INTERVAL: Duration = Duration::from_secs(5);
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// The number of unroutable messages that the last pass left. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnroutableCount(Arc<AtomicU32>);

impl UnroutableCount {
    /// As a health check: requests that were answered 202 may be among them.
    pub(crate) fn check(&self) -> Result<Option<String>, String> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(None),
            count => Err(format!("{count} unroutable messages: `pvt dead list --unroutable`")),
        }
    }
}

/// Runs until `shutdown`. Several processes may do so: each message is given to one of them, and a copy has its id.
pub(crate) async fn route_periodically(
    amqp_url: String,
    topology: Topology,
    count: UnroutableCount,
    shutdown: CancellationToken,
) {
    let messages = UnroutableMessages::start(&amqp_url, topology, "unroutable");
    let passes = async {
        let mut turns = Turns::new(INTERVAL, &shutdown);
        let mut pass = UnroutablePass::default();
        while turns.next().await {
            let before = pass.left;
            let routed = messages.route(&mut pass).await;
            count.0.store(pass.left, Ordering::Relaxed);
            if pass.returned > 0 {
                info!(returned = pass.returned, "unroutable messages were moved to their queues");
            }
            if pass.left > before {
                warn!(left = pass.left, "messages are unroutable: a queue or a binding is missing");
            }
            if let Err(error) = routed {
                warn!(%error, "not all unroutable messages were looked at");
            }
        }
    };
    shutdown.run_until_cancelled(passes).await;
    messages.close(CLOSE_LIMIT).await;
}
