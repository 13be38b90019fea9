//! Publishing with confirms: persistent messages, pipelined over a few channels of one supervised connection.
//!
//! It never sets `mandatory`: lapin attaches returned messages to the wrong confirm, and the alternate exchange catches
//! unroutable ones. It never retries by itself: after an error the outcome is unknown, and a retry must repeat the same
//! id.

mod amqp_message;
mod error;
mod publish_channel;

pub(crate) use amqp_message::{AmqpMessage, ExchangeNames, sending};
pub use error::PublishError;

use crate::link::{Link, OpenChannels, State};
use crate::metrics::{PUBLISH_CONFIRM_SECONDS, PUBLISH_FAILURES};
use crate::outgoing::{Outgoing, Target};
use crate::topology::Topology;
use publish_channel::{ChunkConfirms, Completion, PublishChannel, Request};
use pvt_traces::Span;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// For one publish: the wait for a connection, the send and the broker's confirm.
pub const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);
/// Channels on the connection. The broker runs a process for each, so several use more than one of its cores.
const CHANNELS: usize = 4;
/// After this long without a connection, publishes fail at once instead of waiting.
const DOWN_GRACE: Duration = Duration::from_secs(1);
/// Messages that share one [`CONFIRM_TIMEOUT`] in [`Publisher::publish_all`].
const CHUNK: usize = 1_024;

/// The publishing connection of a process. Cheap to clone; all clones share it.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    link: Link<Vec<PublishChannel>>,
    exchanges: ExchangeNames,
    next_channel: AtomicUsize,
    confirm_seconds: metrics::Histogram,
}

/// Declares the topology, then opens channels in confirm mode. The publishing connection does so for the whole process:
/// consumers declare only what they miss.
struct ConfirmChannels {
    topology: Topology,
}

impl ConfirmChannels {
    async fn declare(&self, connection: &lapin::Connection) -> Result<(), String> {
        let channel = connection.create_channel().await.map_err(|error| error.to_string())?;
        match self.topology.declare(&channel).await {
            Ok(()) => channel.close(200, "declared".into()).await.map_err(|error| error.to_string()),
            // A restricted user may use a topology that an operator declared without the right to declare it.
            Err(error) if error.is_access_refused() => {
                warn!("not permitted to declare the topology, using the existing one");
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

impl OpenChannels for ConfirmChannels {
    type Channels = Vec<PublishChannel>;

    async fn open_channels(
        &self,
        connection: &lapin::Connection,
        broken: &CancellationToken,
    ) -> Result<Vec<PublishChannel>, String> {
        self.declare(connection).await?;
        let mut channels = Vec::with_capacity(CHANNELS);
        for _ in 0..CHANNELS {
            channels.push(PublishChannel::open(connection, broken).await.map_err(|error| error.to_string())?);
        }
        Ok(channels)
    }
}

impl Publisher {
    /// Starts connecting and returns at once; an unreachable broker is retried for ever. Every fresh connection
    /// declares the topology. The broker lists the connection as `name`. Must be called within a tokio runtime.
    pub fn start(amqp_url: &str, topology: Topology, name: &str) -> Self {
        let exchanges = ExchangeNames::of(&topology);
        let link = Link::start(amqp_url, &format!("{name} publisher"), ConfirmChannels { topology });
        let confirm_seconds = metrics::histogram!(PUBLISH_CONFIRM_SECONDS);
        Self { shared: Arc::new(Shared { link, exchanges, next_channel: AtomicUsize::new(0), confirm_seconds }) }
    }

    /// Publishes and waits for the broker's confirm, at most [`CONFIRM_TIMEOUT`]. Dropping the future does not cancel
    /// the publish.
    ///
    /// # Errors
    /// When the broker did not confirm; see [`PublishError`].
    pub async fn publish(&self, message: Outgoing) -> Result<(), PublishError> {
        let begun = Instant::now();
        let span = sending(&message, &self.shared.exchanges);
        let sent = async {
            let prepared = AmqpMessage::within(&span, &message, &self.shared.exchanges)?;
            let channel = self.channel(message.target).await?;
            let (done, confirmed) = oneshot::channel();
            channel
                .send(Request { message: prepared, completion: Completion::One(done) })
                .await
                .map_err(|_| PublishError::Lost)?;
            confirmed.await.map_err(|_| PublishError::Lost)?
        };
        let result = timeout_at(begun + CONFIRM_TIMEOUT, sent).await.unwrap_or(Err(PublishError::Timeout));
        self.record_outcome(begun, &result, 1);
        span.end_with(result.as_ref().err().map(PublishError::class));
        result
    }

    /// Publishes all of them in a sliding window and waits until each is confirmed. Every 1,024 messages have
    /// [`CONFIRM_TIMEOUT`] of their own.
    ///
    /// # Errors
    /// The first failure; the outcome of the others is unknown. Repeat all of them with the same ids.
    pub async fn publish_all(&self, messages: impl AsRef<[Outgoing]>) -> Result<(), PublishError> {
        for chunk in messages.as_ref().chunks(CHUNK) {
            let begun = Instant::now();
            let spans: Vec<Span> = match pvt_traces::is_recording() {
                true => chunk.iter().map(|message| sending(message, &self.shared.exchanges)).collect(),
                false => Vec::new(),
            };
            let sent = self.publish_chunk(chunk, &spans);
            let result = timeout_at(begun + CONFIRM_TIMEOUT, sent).await.unwrap_or(Err(PublishError::Timeout));
            self.record_outcome(begun, &result, chunk.len());
            // Of those that the broker has not answered; the others have ended with its answer.
            spans.iter().for_each(|span| span.end_with(result.as_ref().err().map(PublishError::class)));
            result?;
        }
        Ok(())
    }

    /// Without spans, messages carry the one that caused them.
    async fn publish_chunk(&self, chunk: &[Outgoing], spans: &[Span]) -> Result<(), PublishError> {
        let (confirms, confirmed) = ChunkConfirms::new(chunk.len());
        let spans = spans.iter().cloned().chain(std::iter::repeat_with(Span::none));
        for (message, span) in chunk.iter().zip(spans) {
            let prepared = AmqpMessage::within(&span, message, &self.shared.exchanges)?;
            let channel = self.channel(message.target).await?;
            let request = Request { message: prepared, completion: Completion::Part(confirms.clone(), span) };
            channel.send(request).await.map_err(|_| PublishError::Lost)?;
        }
        drop(confirms);
        confirmed.await.map_err(|_| PublishError::Lost)?
    }

    /// Validates a message against the limits of AMQP. Does no I/O.
    ///
    /// # Errors
    /// [`PublishError::Invalid`].
    pub fn check(&self, message: &Outgoing) -> Result<(), PublishError> {
        AmqpMessage::new(message, &self.shared.exchanges).map(drop)
    }

    /// Waits for the connection, at most [`CONFIRM_TIMEOUT`]. The topology is declared by then.
    ///
    /// # Errors
    /// When the broker is unreachable.
    pub async fn connected(&self) -> Result<(), PublishError> {
        let connected = timeout_at(Instant::now() + CONFIRM_TIMEOUT, self.channel(Target::Queue)).await;
        connected.unwrap_or(Err(PublishError::Timeout)).map(drop)
    }

    /// Whether the connection is up, with all channels open and not blocked by a resource alarm.
    pub fn is_ready(&self) -> bool {
        self.shared.link.is_ready()
    }

    /// Why nothing can be published now, in words for operators; `None` when something can. What to do
    /// about an alarm of the broker is another thing than about a lost connection.
    pub fn trouble(&self) -> Option<&'static str> {
        match self.shared.link.state() {
            State::Up { blocked_since: None, .. } => None,
            State::Up { blocked_since: Some(_), .. } => {
                Some("the broker takes no messages: its alarm about memory or disk space is on")
            }
            State::Down { .. } | State::Closed => Some("not connected to the broker"),
        }
    }

    /// Closes the connection within `limit`. Pending publishes fail; let them finish first.
    pub async fn close(&self, limit: Duration) {
        self.shared.link.close(limit).await;
    }

    /// The next channel, round robin; for dead letters always the same one, so that they keep the order in which they
    /// were given up. Waits for a connection unless the broker is known to be unreachable.
    async fn channel(&self, target: Target) -> Result<mpsc::Sender<Request>, PublishError> {
        let turn = match target {
            Target::Dead => 0,
            _ => self.shared.next_channel.fetch_add(1, Ordering::Relaxed),
        };
        let mut watch = None;
        loop {
            match self.shared.link.state() {
                State::Closed => return Err(PublishError::Closed),
                State::Up { session, blocked_since } => {
                    if blocked_since.is_some_and(|since| since.elapsed() > DOWN_GRACE) {
                        return Err(PublishError::Blocked);
                    }
                    let channels = &session.channels;
                    let channel = channels.get(turn % channels.len().max(1)).ok_or(PublishError::Lost)?;
                    return Ok(channel.requests());
                }
                State::Down { since, failure } => {
                    if let Some(reason) = failure.filter(|_| since.elapsed() > DOWN_GRACE) {
                        return Err(PublishError::Unreachable(reason));
                    }
                }
            }
            let changes = watch.get_or_insert_with(|| self.shared.link.watch());
            changes.changed().await.map_err(|_| PublishError::Closed)?;
        }
    }

    fn record_outcome(&self, begun: Instant, result: &Result<(), PublishError>, count: usize) {
        match result {
            Ok(()) => self.shared.confirm_seconds.record(begun.elapsed().as_secs_f64()),
            Err(error) => {
                metrics::counter!(PUBLISH_FAILURES, "class" => error.class()).increment(count as u64);
            }
        }
    }
}
