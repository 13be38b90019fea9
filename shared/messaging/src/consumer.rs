//! Consumers with manual acknowledgement, on a supervised connection of their own.
//!
//! The end of a delivery stream is always a failure: the caller subscribes again and gets a fresh channel. Work is
//! acknowledged only when the caller says so.

use crate::acks::Ack;
use crate::delivery::Delivery;
use crate::link::{self, Link, OpenChannels, Session, State};
use crate::queue_depths::is_not_found;
use crate::topology::{DeclareError, QueueRole, RetryDelay, Topology};
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

/// For opening a channel and starting a consumer, including the wait for a connection.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(20);
/// For writing an acknowledgement to the socket.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// For the broker's reply to a cancel or a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A failed subscription or acknowledgement. The remedy is always a new subscription.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConsumeError {
    /// There is no connection to the broker.
    #[error("broker unreachable: {0}")]
    Unreachable(Arc<str>),
    /// The delivery stream ended: the queue or the channel is gone.
    #[error("delivery stream ended")]
    Ended,
    /// The broker did not reply in time.
    #[error("broker did not reply in time")]
    Timeout,
    /// The connection or the channel failed.
    #[error("channel failed: {0}")]
    Broker(#[from] lapin::Error),
    /// The name does not fit an AMQP short string (255 bytes).
    #[error("not a valid queue name: {0}")]
    Name(String),
    /// The subscriber was closed.
    #[error("subscriber is closed")]
    Closed,
}

impl From<DeclareError> for ConsumeError {
    fn from(error: DeclareError) -> Self {
        match error {
            DeclareError::Name(name) => Self::Name(name),
            DeclareError::Broker(error) => Self::Broker(error),
        }
    }
}

impl ConsumeError {
    /// Whether a message ended the connection, because the client cannot read it: its headers are larger than a frame.
    /// The broker will deliver it again.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Broker(error) if link::is_unreadable(error))
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Broker(error) if is_not_found(error))
    }
}

/// Consumers open a channel for each subscription, none with the connection.
struct NoChannels;

impl OpenChannels for NoChannels {
    type Channels = ();

    async fn open_channels(&self, _connection: &lapin::Connection, _broken: &CancellationToken) -> Result<(), String> {
        Ok(())
    }
}

/// A consuming connection. Cheap to clone.
#[derive(Clone)]
pub struct Subscriber {
    link: Arc<Link<()>>,
    pub(crate) topology: Topology,
    retry_queues: Arc<[String]>,
}

impl Subscriber {
    /// Starts connecting and returns at once. The broker lists the connection as `name`. Must be called within a tokio
    /// runtime.
    pub fn start(amqp_url: &str, topology: Topology, name: &str) -> Self {
        Self::over(Link::start(amqp_url, &format!("{name} consumer"), NoChannels), topology)
    }

    /// As [`Subscriber::start`], for a look at a queue after which it is closed.
    pub(crate) fn start_short_lived(amqp_url: &str, topology: Topology, name: &str) -> Self {
        Self::over(Link::start_short_lived(amqp_url, &format!("{name} consumer"), NoChannels), topology)
    }

    fn over(link: Link<()>, topology: Topology) -> Self {
        let retry_queues = RetryDelay::ALL.iter().map(|delay| topology.retry_exchange(*delay)).collect();
        Self { link: Arc::new(link), topology, retry_queues }
    }

    /// Consumes `queue` (full name) on a fresh channel; at most `prefetch` deliveries are unacknowledged at a time. A
    /// queue that does not exist is declared first.
    ///
    /// # Errors
    /// When there is no connection, or the broker refuses, within 20 seconds.
    pub async fn subscribe(&self, queue: &str, prefetch: u16) -> Result<Subscription, ConsumeError> {
        let queue = short_string(queue)?;
        self.within_timeout(async {
            let channel = self.channel().await?;
            let subscribed = self.consume(channel, queue.clone(), prefetch, BasicConsumeOptions::default()).await;
            if !subscribed.as_ref().is_err_and(ConsumeError::is_not_found) {
                return subscribed;
            }
            let channel = self.channel().await?;
            self.topology.declare_exchanges(&channel).await?;
            if let Some(missing) = self.topology.queues().into_iter().find(|spec| spec.name == queue.as_str()) {
                self.topology.declare_queue(&channel, &missing).await?;
            }
            self.consume(channel, queue, prefetch, BasicConsumeOptions::default()).await
        })
        .await
    }

    /// Consumes a fresh reply queue and returns its name, which goes into `reply_to`. After a lost connection a new
    /// subscription has a new name.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`].
    pub async fn subscribe_replies(&self, prefetch: u16) -> Result<(String, Subscription), ConsumeError> {
        self.subscribe_temporary(Vec::new(), prefetch).await
    }

    /// Observes events whose routing key matches `pattern` (a topic pattern such as `booking.*`). For caches and live
    /// views, never for work: what is published while the connection is lost is missed.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`].
    pub async fn subscribe_events(&self, pattern: &str, prefetch: u16) -> Result<Subscription, ConsumeError> {
        let bindings = vec![(short_string(&self.topology.events_exchange())?, short_string(pattern)?)];
        Ok(self.subscribe_temporary(bindings, prefetch).await?.1)
    }

    /// Observes messages of all work queues as they are dead-lettered. The subscription gets copies; the dead letters
    /// themselves stay in their queues.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`].
    pub async fn subscribe_dead(&self, prefetch: u16) -> Result<Subscription, ConsumeError> {
        let exchange = short_string(&self.topology.dead_exchange())?;
        let work = self.topology.queues().into_iter().filter(|queue| matches!(queue.role, QueueRole::Work { .. }));
        let bindings = work
            .map(|queue| Ok((exchange.clone(), short_string(&queue.name)?)))
            .collect::<Result<Vec<_>, ConsumeError>>()?;
        Ok(self.subscribe_temporary(bindings, prefetch).await?.1)
    }

    /// Whether the connection is up.
    pub fn is_ready(&self) -> bool {
        self.link.is_ready()
    }

    /// Closes the connection; unacknowledged deliveries return to their queues.
    pub async fn close(&self, limit: Duration) {
        self.link.close(limit).await;
    }

    /// Consumes a queue named by the broker that lives as long as this connection, bound to these (exchange, key).
    async fn subscribe_temporary(
        &self,
        bindings: Vec<(ShortString, ShortString)>,
        prefetch: u16,
    ) -> Result<(String, Subscription), ConsumeError> {
        // RabbitMQ docs, "Queues": an empty name lets the broker choose one; `exclusive` ties the queue to this
        // connection and `auto_delete` to its consumer, so that nothing is left behind by a killed process.
        let queue_options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
        // RabbitMQ docs, "Consumer Acknowledgements": `no_ack` acknowledges by sending. These copies are hints; a lost
        // one is not redelivered.
        let consume_options = BasicConsumeOptions { no_ack: true, exclusive: true, ..Default::default() };
        let subscribe = async |channel: Channel| {
            let declared = channel.queue_declare(ShortString::default(), queue_options, FieldTable::default()).await?;
            let name = declared.name().clone();
            for (exchange, key) in bindings.clone() {
                channel
                    .queue_bind(name.clone(), exchange, key, QueueBindOptions::default(), FieldTable::default())
                    .await?;
            }
            let subscription = self.consume(channel, name.clone(), prefetch, consume_options).await?;
            Ok((name.as_str().to_owned(), subscription))
        };
        self.within_timeout(async {
            let subscribed = subscribe(self.channel().await?).await;
            if !subscribed.as_ref().is_err_and(ConsumeError::is_not_found) {
                return subscribed;
            }
            let channel = self.channel().await?;
            self.topology.declare_exchanges(&channel).await?;
            subscribe(channel).await
        })
        .await
    }

    async fn consume(
        &self,
        channel: Channel,
        queue: ShortString,
        prefetch: u16,
        options: BasicConsumeOptions,
    ) -> Result<Subscription, ConsumeError> {
        // RabbitMQ docs, "Consumer Prefetch": it applies to consumers started after it, and without it the broker sends
        // the whole queue.
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let stream = channel.basic_consume(queue, ShortString::default(), options, FieldTable::default()).await?;
        Ok(Subscription { acker: Acker { channel }, stream, retry_queues: self.retry_queues.clone() })
    }

    pub(crate) async fn within_timeout<T>(
        &self,
        work: impl Future<Output = Result<T, ConsumeError>>,
    ) -> Result<T, ConsumeError> {
        match timeout(SUBSCRIBE_TIMEOUT, Box::pin(work)).await {
            Ok(result) => result,
            Err(_) => Err(match self.link.state() {
                State::Down { failure: Some(reason), .. } => ConsumeError::Unreachable(reason),
                _ => ConsumeError::Timeout,
            }),
        }
    }

    /// A fresh channel. Waits for a connection; the caller bounds the wait.
    pub(crate) async fn channel(&self) -> Result<Channel, ConsumeError> {
        Ok(self.session().await?.connection.create_channel().await?)
    }

    /// The live connection. Waits for one; the caller bounds the wait.
    pub(crate) async fn session(&self) -> Result<Arc<Session<()>>, ConsumeError> {
        let mut changes = self.link.watch();
        loop {
            match self.link.state() {
                State::Closed => return Err(ConsumeError::Closed),
                State::Up { session, .. } => return Ok(session),
                State::Down { .. } => changes.changed().await.map_err(|_| ConsumeError::Closed)?,
            }
        }
    }
}

/// One consumer on a channel of its own.
pub struct Subscription {
    acker: Acker,
    stream: lapin::Consumer,
    retry_queues: Arc<[String]>,
}

impl Subscription {
    /// The next delivery. Safe to drop while waiting.
    ///
    /// # Errors
    /// When the stream ended; the subscription is then of no further use.
    pub async fn next(&mut self) -> Result<Delivery, ConsumeError> {
        match self.stream.next().await {
            Some(delivery) => Ok(Delivery::read(delivery?, &self.retry_queues)),
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

    /// The consumer's tag, by which the broker lists it.
    pub fn tag(&self) -> String {
        self.stream.tag().to_string()
    }

    /// The handle that acknowledges deliveries of this subscription.
    pub fn acker(&self) -> Acker {
        self.acker.clone()
    }

    /// Asks the broker to send no more. Deliveries that have arrived may still be handled and acknowledged.
    ///
    /// # Errors
    /// When the broker does not reply in time or the channel is gone.
    pub async fn cancel(&self) -> Result<(), ConsumeError> {
        let cancel = self.acker.channel.basic_cancel(self.stream.tag(), BasicCancelOptions::default());
        timeout(CLOSE_TIMEOUT, cancel).await.map_err(|_| ConsumeError::Timeout)??;
        Ok(())
    }

    /// Closes the channel; unacknowledged deliveries return to the queue.
    ///
    /// # Errors
    /// When the broker does not reply in time or the channel is already gone, which has the same effect.
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

    /// Returns one delivery to the queue.
    ///
    /// # Errors
    /// When the channel is gone, which has the same effect.
    pub async fn requeue(&self, tag: u64) -> Result<(), ConsumeError> {
        // RabbitMQ docs, "Negative Acknowledgements": without `requeue` the message would be dead-lettered.
        let nack = self.channel.basic_nack(tag, BasicNackOptions { requeue: true, multiple: false });
        timeout(ACK_TIMEOUT, nack).await.map_err(|_| ConsumeError::Timeout)??;
        Ok(())
    }
}

fn short_string(name: &str) -> Result<ShortString, ConsumeError> {
    ShortString::try_new(name).map_err(|_| ConsumeError::Name(name.to_owned()))
}
