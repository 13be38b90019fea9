//! The topology on the broker: exchanges, queues and policies are created as they are declared in code.

use crate::{OperationError, broker};
use anyhow::Result;
use pvt_messaging::Publisher;
use pvt_service::config::Config;
use secrecy::ExposeSecret;
use std::time::{Duration, Instant};

const BROKER_LIMIT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Declares exchanges and queues and sets the policies.
///
/// # Errors
/// [`OperationError::TryLater`] when the broker or its management API does not answer.
pub async fn apply(config: &Config) -> Result<()> {
    let topology = broker::topology(config);
    // Every new connection of a publisher declares the topology before it is ready.
    let publisher = Publisher::start(config.amqp_url.expose_secret(), topology.clone(), "pvt topology");
    let deadline = Instant::now() + BROKER_LIMIT;
    while !publisher.is_ready() {
        if Instant::now() > deadline {
            return Err(OperationError::TryLater("RabbitMQ does not answer at AMQP_URL".to_owned()).into());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    publisher.close(CLOSE_LIMIT).await;
    broker::management(config)?
        .apply_policies(&topology)
        .await
        .map_err(|error| OperationError::TryLater(format!("RabbitMQ's management API: {error}")))?;
    Ok(())
}
