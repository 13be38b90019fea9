//! How many messages and consumers queues have right now, asked over AMQP: the management API's figures are seconds
//! old.
//!
//! It only looks: queues are asked passively, never made, and no message is taken.

use crate::consumer::ConsumeError;
use crate::link;
use lapin::options::QueueDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{Connection, ConnectionProperties};
use std::time::Duration;
use tokio::time::timeout;

/// AMQP's reply code for a queue that does not exist.
const NOT_FOUND: u16 = 404;
/// From dialling to the last answer.
const TIMEOUT: Duration = Duration::from_secs(15);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What one queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// Waiting for a consumer; those that a consumer holds are not among them.
    pub ready: u32,
    /// Consumers.
    pub consumers: u32,
}

/// Counts these queues (full names), in this order; `None` for one that does not exist.
///
/// # Errors
/// When the broker is away or refuses.
pub async fn queue_depths(
    amqp_url: &str,
    name: &str,
    queues: &[String],
) -> Result<Vec<Option<QueueDepth>>, ConsumeError> {
    let uri = link::parse(amqp_url).map_err(|reason| ConsumeError::Unreachable(reason.into()))?;
    let reading = async {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connection = Connection::connect_uri(uri, properties).await?;
        let depths = read_depths(&connection, queues).await;
        // A connection that is merely dropped leaves the broker to find out.
        if let Ok(Err(error)) = timeout(CLOSE_TIMEOUT, connection.close(200, "counted".into())).await {
            tracing::debug!(%error, "closing a connection that only counted");
        }
        depths
    };
    timeout(TIMEOUT, Box::pin(reading)).await.unwrap_or(Err(ConsumeError::Timeout))
}

async fn read_depths(connection: &Connection, queues: &[String]) -> Result<Vec<Option<QueueDepth>>, ConsumeError> {
    let options = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
    let mut channel = connection.create_channel().await?;
    let mut depths = Vec::with_capacity(queues.len());
    for queue in queues {
        let name = ShortString::try_new(queue.as_str()).map_err(|_| ConsumeError::Name(queue.clone()))?;
        match channel.queue_declare(name, options, FieldTable::default()).await {
            Ok(found) => {
                depths.push(Some(QueueDepth { ready: found.message_count(), consumers: found.consumer_count() }))
            }
            Err(error) if is_not_found(&error) => {
                depths.push(None);
                // The broker closes the channel on which it refuses.
                channel = connection.create_channel().await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    channel.close(200, "counted".into()).await?;
    Ok(depths)
}

fn is_not_found(error: &lapin::Error) -> bool {
    matches!(error.kind(), lapin::ErrorKind::ProtocolError(reply) if reply.get_id() == NOT_FOUND)
}
