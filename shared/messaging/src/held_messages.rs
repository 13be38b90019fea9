//! Messages of a queue that nothing consumes, held while they are looked at.
//!
//! A message whose headers are larger than a frame ends the connection that it is delivered on, and all deliveries of
//! that connection return to the queue. So the messages in front of such a one are counted on one connection and read
//! again, exactly as many, on another. While those are held, the broker delivers what comes after them.

use crate::acks::Ack;
use crate::consumer::{ConsumeError, Subscriber, Subscription};
use crate::delivery::Delivery;
use crate::topology::Topology;
use std::time::Duration;
use tokio::time::timeout;

/// When the broker has delivered nothing for this long, everything that was there has been read.
const QUIET_PERIOD: Duration = Duration::from_millis(700);
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Reads queues that nothing consumes, each time on a connection of its own.
#[derive(Debug, Clone)]
pub struct QueueReader {
    amqp_url: String,
    topology: Topology,
    connection: String,
}

/// Messages that were read from a queue. They return to it when this is released or dropped, except those removed.
pub struct HeldMessages {
    /// In the order of the queue.
    pub deliveries: Vec<Delivery>,
    subscriber: Subscriber,
    subscription: Subscription,
}

/// The result of reading a queue.
pub struct ReadMessages {
    /// `None`: the first message cannot be read.
    pub held: Option<HeldMessages>,
    /// Whether a message that the client cannot read was met. It follows those that are held, unless the queue changed.
    pub met_unreadable: bool,
}

impl QueueReader {
    /// A reader whose connections the broker lists as `connection`.
    pub fn new(amqp_url: &str, topology: Topology, connection: &str) -> Self {
        Self { amqp_url: amqp_url.to_owned(), topology, connection: connection.to_owned() }
    }

    /// Reads messages of `queue` (full name) from its first one on: at most `limit`, and those in front of the first
    /// one that cannot be read.
    ///
    /// # Errors
    /// When the broker is unreachable or refuses.
    pub async fn read(&self, queue: &str, limit: u16) -> Result<ReadMessages, ConsumeError> {
        let (mut limit, mut met_unreadable) = (limit, false);
        loop {
            let subscriber = Subscriber::start_short_lived(&self.amqp_url, self.topology.clone(), &self.connection);
            let (read, failure) = match subscriber.subscribe(queue, limit).await {
                Err(error) => (None, Some(error)),
                Ok(mut subscription) => {
                    let (deliveries, failure) = take(&mut subscription, limit).await;
                    // An acknowledgement would make room for a further message, which may end the connection.
                    let failure = match failure {
                        None => subscription.cancel().await.err(),
                        failure => failure,
                    };
                    (Some((subscription, deliveries)), failure)
                }
            };
            match (read, failure) {
                (Some((subscription, deliveries)), None) => {
                    let held = Some(HeldMessages { deliveries, subscriber, subscription });
                    return Ok(ReadMessages { held, met_unreadable });
                }
                (read, Some(error)) if error.is_unreadable() => {
                    subscriber.close(CLOSE_LIMIT).await;
                    met_unreadable = true;
                    match read.map_or(0, |(_, deliveries)| deliveries.len()) {
                        0 if limit == 1 => return Ok(ReadMessages { held: None, met_unreadable }),
                        // Its deliveries may have been lost with the connection.
                        0 => limit = 1,
                        // It ended with these, so once more exactly as many.
                        count => limit = u16::try_from(count).unwrap_or(limit),
                    }
                }
                (_, failure) => {
                    subscriber.close(CLOSE_LIMIT).await;
                    return Err(failure.unwrap_or(ConsumeError::Ended));
                }
            }
        }
    }
}

impl HeldMessages {
    /// Removes one of them from the queue for good.
    ///
    /// # Errors
    /// When the connection is gone: the message returns to the queue.
    pub async fn remove(&self, delivery: &Delivery) -> Result<(), ConsumeError> {
        self.subscription.acker().send(&[Ack { tag: delivery.tag, multiple: false }]).await
    }

    /// Returns the others to the queue.
    pub async fn release(self) {
        // A channel that is gone already has the same effect.
        let _ = self.subscription.close().await;
        self.subscriber.close(CLOSE_LIMIT).await;
    }
}

/// The deliveries until the queue is quiet, and the error that ended them earlier.
async fn take(subscription: &mut Subscription, limit: u16) -> (Vec<Delivery>, Option<ConsumeError>) {
    let mut deliveries = Vec::new();
    while deliveries.len() < usize::from(limit) {
        match timeout(QUIET_PERIOD, subscription.next()).await {
            Ok(Ok(delivery)) => deliveries.push(delivery),
            Ok(Err(error)) => return (deliveries, Some(error)),
            Err(_) => break,
        }
    }
    (deliveries, None)
}
