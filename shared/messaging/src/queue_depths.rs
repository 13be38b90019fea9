//! Exact queue depths, read over AMQP because the figures of the management API are seconds old.
//!
//! Read-only: queues are declared passively, never created, and no message is consumed.

use crate::consumer::{ConsumeError, Subscriber};
use crate::link;
use crate::metrics::{QUEUE_CONSUMERS, QUEUE_READY, QUEUES_COUNTED};
use crate::topology::{QueueRole, QueueSpec};
use lapin::options::QueueDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{Connection, ConnectionProperties};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::timeout;

/// AMQP's reply code for a queue that does not exist.
const NOT_FOUND: u16 = 404;
/// From dialling to the last reply.
const TIMEOUT: Duration = Duration::from_secs(15);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Messages and consumers of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// Messages ready for delivery; those held unacknowledged by a consumer are not counted.
    pub ready: u32,
    /// Consumers.
    pub consumers: u32,
}

/// The depths of these queues (full names), in their order; `None` for a queue that does not exist.
///
/// # Errors
/// When the broker is unreachable or refuses.
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
        // The broker notices a connection that is only dropped after missed heartbeats.
        if let Ok(Err(error)) = timeout(CLOSE_TIMEOUT, connection.close(200, "depths read".into())).await {
            tracing::debug!(%error, "closing the connection that read queue depths");
        }
        depths
    };
    timeout(TIMEOUT, Box::pin(reading)).await.unwrap_or(Err(ConsumeError::Timeout))
}

impl Subscriber {
    /// As [`queue_depths()`], over the connection of this subscriber.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`].
    pub async fn queue_depths(&self, queues: &[String]) -> Result<Vec<Option<QueueDepth>>, ConsumeError> {
        self.within_timeout(async { read_depths(&self.session().await?.connection, queues).await }).await
    }

    /// Counts every queue of the topology and sets the gauges of their depths and consumers, to NaN when it fails: an
    /// old number would look like a queue that stands still.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`].
    pub async fn measure_queues(&self) -> Result<(), ConsumeError> {
        let queues = self.topology.queues();
        let names: Vec<String> = queues.iter().map(|queue| queue.name.clone()).collect();
        let counted = self.queue_depths(&names).await;
        let depths = counted.as_ref().ok().into_iter().flatten().map(Some).chain(std::iter::repeat(None));
        for (queue, depth) in queues.iter().zip(depths) {
            match depth {
                Some(depth) => {
                    let QueueDepth { ready, consumers } = depth.unwrap_or(QueueDepth { ready: 0, consumers: 0 });
                    show(queue, f64::from(ready), f64::from(consumers));
                }
                None => show(queue, f64::NAN, f64::NAN),
            }
        }
        counted.map(|_| metrics::gauge!(QUEUES_COUNTED).set(unix_seconds()))
    }
}

/// The gauge of the last count begins with the start of the counting, so that a process that never counts is noticed.
pub fn begin_counting_queues() {
    metrics::gauge!(QUEUES_COUNTED).set(unix_seconds());
}

fn show(queue: &QueueSpec, ready: f64, consumers: f64) {
    metrics::gauge!(QUEUE_READY, "queue" => queue.name.clone(), "role" => queue.role.as_str()).set(ready);
    if matches!(queue.role, QueueRole::Work { .. }) {
        metrics::gauge!(QUEUE_CONSUMERS, "queue" => queue.name.clone()).set(consumers);
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

pub(crate) async fn read_depths(
    connection: &Connection,
    queues: &[String],
) -> Result<Vec<Option<QueueDepth>>, ConsumeError> {
    // `passive` (AMQP 0-9-1, queue.declare) asks for the queue without creating it.
    let options = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
    let mut channel = connection.create_channel().await?;
    let mut depths = Vec::with_capacity(queues.len());
    for name in queues {
        let short = ShortString::try_new(name.as_str()).map_err(|_| ConsumeError::Name(name.clone()))?;
        match channel.queue_declare(short, options, FieldTable::default()).await {
            Ok(queue) => {
                depths.push(Some(QueueDepth { ready: queue.message_count(), consumers: queue.consumer_count() }))
            }
            Err(error) if is_not_found(&error) => {
                depths.push(None);
                // A refusal closes the channel.
                channel = connection.create_channel().await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    channel.close(200, "depths read".into()).await?;
    Ok(depths)
}

pub(crate) fn is_not_found(error: &lapin::Error) -> bool {
    matches!(error.kind(), lapin::ErrorKind::ProtocolError(reply) if reply.get_id() == NOT_FOUND)
}
