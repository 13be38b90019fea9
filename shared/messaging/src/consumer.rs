//! Consumes with manual acknowledgement over a supervised connection of its own.
//!
//! A delivery stream that ends is a failure, never an end: the caller subscribes again and gets a fresh channel.
//! Nothing is acknowledged here unless the caller says so.

use crate::acks::Ack;
use crate::delivery::Delivery;
use crate::link::{Link, OpenChannels, State};
use crate::topology::{QueueRole, Topology};
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::Channel;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// For opening a channel and starting a consumer, a connection included.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(20);
/// For putting an acknowledgement on the wire.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// For the broker's answer to a cancel or a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why consuming stopped or an acknowledgement failed. The answer to all of them is a new subscription.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConsumeError {
    /// The broker is away or did not answer in time.
    #[error("the broker is away: {0}")]
    Unreachable(Arc<str>),
    /// The stream of deliveries ended: the queue or the channel is gone.
    #[error("the stream of deliveries ended")]
    Ended,
    /// No answer in time.
    #[error("the broker did not answer in time")]
    Timeout,
    /// The connection or the channel failed.
    #[error("the channel failed: {0}")]
    Broker(#[from] lapin::Error),
    /// The queue's name does not fit AMQP.
    #[error("not a valid queue name: {0}")]
    Name(String),
    /// The subscriber was closed on purpose.
    #[error("the subscriber is closed")]
    Closed,
}

struct NoChannels;

impl OpenChannels for NoChannels {
    type Channels = ();

    async fn open_channels(
        &self,
        _connection: &lapin::Connection,
        _broken: &CancellationToken,
    ) -> Result<(), lapin::Error> {
        Ok(())
    }
}

/// The consuming connection of a process. Cheap to clone.
#[derive(Clone)]
pub struct Subscriber {
    link: Arc<Link<()>>,
    topology: Topology,
}

impl Subscriber {
    /// Starts connecting and returns at once. `name` is what the broker's console shows. Must be called within a tokio
    /// runtime.
    pub fn start(amqp_url: &str, topology: Topology, name: &str) -> Self {
        Self {
            link: Arc::new(Link::start(amqp_url, topology.clone(), &format!("{name} consumer"), NoChannels)),
            topology,
        }
    }

    /// Consumes `queue` (full name) on a fresh channel; at most `prefetch` deliveries are unacknowledged at a time.
    ///
    /// # Errors
    /// When there is no connection, or the broker refuses, within 20 seconds.
    pub async fn subscribe(&self, queue: &str, prefetch: u16) -> Result<Subscription, ConsumeError> {
        let queue = short_string(queue)?;
        self.within_timeout(async {
            let channel = self.channel().await?;
            consume(channel, queue, prefetch, BasicConsumeOptions::default()).await
        })
        .await
    }

    /// Consumes a queue that only this connection can see and that vanishes with it, named by the broker: for replies.
    /// Its name goes into `reply_to`; after a lost connection a new subscription has a new name.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`].
    pub async fn subscribe_replies(&self, prefetch: u16) -> Result<(String, Subscription), ConsumeError> {
        self.within_timeout(async {
            let channel = self.channel().await?;
            let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
            let queue = channel.queue_declare(ShortString::default(), options, FieldTable::default()).await?;
            let name = queue.name().clone();
            // Lost replies are only waited for in vain, so they are acknowledged by being sent.
            let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..Default::default() };
            let subscription = consume(channel, name.clone(), prefetch, options).await?;
            Ok((name.as_str().to_owned(), subscription))
        })
        .await
    }

    /// Watches events whose routing key matches `pattern` (a topic pattern such as `booking.*`), from a queue that
    /// vanishes with this connection: for looking on, never for work.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`].
    pub async fn subscribe_events(&self, pattern: &str, prefetch: u16) -> Result<Subscription, ConsumeError> {
        let (exchange, pattern) = (short_string(&self.topology.events_exchange())?, short_string(pattern)?);
        self.within_timeout(async {
            let channel = self.channel().await?;
            let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
            let queue =
                channel.queue_declare(ShortString::default(), options, FieldTable::default()).await?.name().clone();
            channel
                .queue_bind(queue.clone(), exchange, pattern, QueueBindOptions::default(), FieldTable::default())
                .await?;
            let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..Default::default() };
            consume(channel, queue, prefetch, options).await
        })
        .await
    }

    /// Watches messages of all work queues becoming dead letters, as copies in a queue that vanishes with this
    /// connection: the dead letters themselves stay where they are.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`].
    pub async fn subscribe_dead(&self, prefetch: u16) -> Result<Subscription, ConsumeError> {
        let exchange = short_string(&self.topology.dead_exchange())?;
        let work = self.topology.queues().into_iter().filter(|queue| matches!(queue.role, QueueRole::Work { .. }));
        let keys = work.map(|queue| short_string(&queue.name)).collect::<Result<Vec<_>, _>>()?;
        self.within_timeout(async {
            let channel = self.channel().await?;
            let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
            let queue =
                channel.queue_declare(ShortString::default(), options, FieldTable::default()).await?.name().clone();
            for key in keys {
                channel
                    .queue_bind(
                        queue.clone(),
                        exchange.clone(),
                        key,
                        QueueBindOptions::default(),
                        FieldTable::default(),
                    )
                    .await?;
            }
            let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..Default::default() };
            consume(channel, queue, prefetch, options).await
        })
        .await
    }

    /// Connected.
    pub fn is_ready(&self) -> bool {
        self.link.is_ready()
    }

    /// Closes the connection; unacknowledged deliveries go back to their queues.
    pub async fn close(&self, limit: Duration) {
        self.link.close(limit).await;
    }

    async fn within_timeout<T>(&self, work: impl Future<Output = Result<T, ConsumeError>>) -> Result<T, ConsumeError> {
        match timeout(SUBSCRIBE_TIMEOUT, Box::pin(work)).await {
            Ok(result) => result,
            Err(_) => Err(match self.link.state() {
                State::Down { failure: Some(reason), .. } => ConsumeError::Unreachable(reason),
                _ => ConsumeError::Timeout,
            }),
        }
    }

    /// A fresh channel, waiting for a connection without a bound of its own.
    async fn channel(&self) -> Result<Channel, ConsumeError> {
        let mut changes = self.link.watch();
        loop {
            match self.link.state() {
                State::Closed => return Err(ConsumeError::Closed),
                State::Up { session, .. } => return Ok(session.connection.create_channel().await?),
                State::Down { .. } => changes.changed().await.map_err(|_| ConsumeError::Closed)?,
            }
        }
    }
}

async fn consume(
    channel: Channel,
    queue: ShortString,
    prefetch: u16,
    options: BasicConsumeOptions,
) -> Result<Subscription, ConsumeError> {
    // Before consume: otherwise the broker sends everything it has.
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let stream = channel.basic_consume(queue, ShortString::default(), options, FieldTable::default()).await?;
    Ok(Subscription { acker: Acker { channel }, stream })
}

/// One consumer on a channel of its own.
pub struct Subscription {
    acker: Acker,
    stream: lapin::Consumer,
}

impl Subscription {
    /// The next delivery. Safe to drop while waiting.
    ///
    /// # Errors
    /// When the stream ended; the subscription is then of no further use.
    pub async fn next(&mut self) -> Result<Delivery, ConsumeError> {
        match self.stream.next().await {
            Some(delivery) => Ok(Delivery::read(delivery?)),
            None => Err(ConsumeError::Ended),
        }
    }

    /// A delivery that has already arrived, if there is one.
    ///
    /// # Errors
    /// As [`Subscription::next`].
    pub fn try_next(&mut self) -> Result<Option<Delivery>, ConsumeError> {
        self.next().now_or_never().transpose()
    }

    /// The handle to acknowledge with.
    pub fn acker(&self) -> Acker {
        self.acker.clone()
    }

    /// Asks the broker to send no more. What has arrived may still be handled and acknowledged.
    ///
    /// # Errors
    /// When the broker does not answer in time or the channel is gone.
    pub async fn cancel(&self) -> Result<(), ConsumeError> {
        let cancel = self.acker.channel.basic_cancel(self.stream.tag(), BasicCancelOptions::default());
        timeout(CLOSE_TIMEOUT, cancel).await.map_err(|_| ConsumeError::Timeout)??;
        Ok(())
    }

    /// Closes the channel; unacknowledged deliveries go back to the queue.
    ///
    /// # Errors
    /// When the broker does not answer in time or the channel is already gone, which has the same effect.
    pub async fn close(self) -> Result<(), ConsumeError> {
        let close = self.acker.channel.close(200, "done".into());
        timeout(CLOSE_TIMEOUT, close).await.map_err(|_| ConsumeError::Timeout)??;
        Ok(())
    }
}

/// Acknowledges deliveries of one channel. Cheap to clone.
#[derive(Clone)]
pub struct Acker {
    channel: Channel,
}

impl Acker {
    /// Sends these acknowledgements.
    ///
    /// # Errors
    /// When the channel is gone: the broker will deliver again.
    pub async fn send(&self, acks: &[Ack]) -> Result<(), ConsumeError> {
        let work = async {
            for ack in acks {
                self.channel.basic_ack(ack.tag, BasicAckOptions { multiple: ack.multiple }).await?;
            }
            Ok(())
        };
        timeout(ACK_TIMEOUT, work).await.map_err(|_| ConsumeError::Timeout)?
    }

    /// Gives one delivery back to the queue.
    ///
    /// # Errors
    /// When the channel is gone, which has the same effect.
    pub async fn requeue(&self, tag: u64) -> Result<(), ConsumeError> {
        let nack = self.channel.basic_nack(tag, BasicNackOptions { requeue: true, multiple: false });
        timeout(ACK_TIMEOUT, nack).await.map_err(|_| ConsumeError::Timeout)??;
        Ok(())
    }
}

fn short_string(name: &str) -> Result<ShortString, ConsumeError> {
    ShortString::try_new(name).map_err(|_| ConsumeError::Name(name.to_owned()))
}
