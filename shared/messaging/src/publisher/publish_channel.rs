//! A channel in confirm mode and the task that owns it.
//!
//! A single task issues all publishes of a channel: lapin assigns the delivery tag and queues the frames in two steps,
//! so two tasks publishing on one channel could receive each other's confirms. The task also wakes once for a burst of
//! confirms, instead of lapin's thread waking a thousand callers.

use super::PublishError;
use super::amqp_message::AmqpMessage;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation};
use pvt_traces::Span;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// The sliding window: unconfirmed publishes on one channel.
const WINDOW: usize = 512;
/// Publishes that wait for room in the window.
const QUEUE: usize = 1_024;
/// Waiting publishes taken from the queue at once.
const TAKE: usize = 64;

/// A message and its waiting caller.
pub(super) struct Request {
    pub(super) message: AmqpMessage,
    pub(super) completion: Completion,
}

/// The receiver of a publish's outcome.
pub(super) enum Completion {
    /// One caller for one message.
    One(oneshot::Sender<Result<(), PublishError>>),
    /// One caller for many messages.
    Part(Arc<ChunkConfirms>, Span),
}

impl Completion {
    fn complete(self, result: Result<(), PublishError>) {
        match self {
            // A caller that stopped waiting has dropped its receiver.
            Self::One(caller) => drop(caller.send(result)),
            Self::Part(confirms, span) => {
                // Each by itself: one that is refused says nothing of the others.
                span.end_with(result.as_ref().err().map(PublishError::class));
                confirms.record(result);
            }
        }
    }
}

/// Counts the confirms of a chunk and completes once: at the first failure or when all are confirmed.
pub(super) struct ChunkConfirms {
    left: AtomicUsize,
    caller: std::sync::Mutex<Option<oneshot::Sender<Result<(), PublishError>>>>,
}

impl ChunkConfirms {
    pub(super) fn new(count: usize) -> (Arc<Self>, oneshot::Receiver<Result<(), PublishError>>) {
        let (caller, answer) = oneshot::channel();
        let confirms = Self { left: AtomicUsize::new(count), caller: std::sync::Mutex::new(Some(caller)) };
        (Arc::new(confirms), answer)
    }

    fn record(&self, result: Result<(), PublishError>) {
        let last = self.left.fetch_sub(1, Ordering::AcqRel) == 1;
        if result.is_ok() && !last {
            return;
        }
        let caller = self.caller.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(caller) = caller {
            drop(caller.send(result));
        }
    }
}

/// The handle to the task of one channel. The task ends when the last handle is dropped.
pub(super) struct PublishChannel {
    requests: mpsc::Sender<Request>,
}

impl PublishChannel {
    /// Opens a channel in confirm mode and starts its task.
    pub(super) async fn open(connection: &lapin::Connection, broken: &CancellationToken) -> Result<Self, lapin::Error> {
        let channel = connection.create_channel().await?;
        // RabbitMQ docs, "Publisher Confirms": a quorum queue confirms once a majority of its replicas has the message.
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let (requests, inbox) = mpsc::channel(QUEUE);
        tokio::spawn(run(channel, inbox, broken.clone()));
        Ok(Self { requests })
    }

    /// A sender to the channel's task.
    pub(super) fn requests(&self) -> mpsc::Sender<Request> {
        self.requests.clone()
    }
}

async fn run(channel: Channel, mut inbox: mpsc::Receiver<Request>, broken: CancellationToken) {
    let mut ended = std::pin::pin!(broken.cancelled());
    let mut pending = FuturesUnordered::new();
    let mut taken = Vec::with_capacity(TAKE);
    let mut open = true;
    // After the last handle is dropped, pending publishes still complete.
    while open || !pending.is_empty() {
        let room = WINDOW.saturating_sub(pending.len()).min(TAKE);
        tokio::select! {
            biased;
            Some(()) = pending.next(), if !pending.is_empty() => {}
            count = inbox.recv_many(&mut taken, room), if open && room > 0 => {
                open = count > 0;
                for request in taken.drain(..) {
                    pending.push(send(&channel, request, &broken));
                }
            }
            // Dropping the pending publishes reports them as lost.
            () = &mut ended => break,
        }
    }
    debug!("publish channel ended");
}

async fn send(channel: &Channel, request: Request, broken: &CancellationToken) {
    let Request { message, completion } = request;
    let AmqpMessage { exchange, routing_key, properties, body } = message;
    let sent = channel.basic_publish(exchange, routing_key, BasicPublishOptions::default(), &body, properties).await;
    let confirmed = match sent {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    completion.complete(match confirmed {
        Ok(Confirmation::Ack(_)) => Ok(()),
        Ok(Confirmation::Nack(_)) => Err(PublishError::Nacked),
        // Unreachable in confirm mode; if it ever happened, the outcome would be unknown.
        Ok(Confirmation::NotRequested) => Err(PublishError::Lost),
        Err(error) => {
            debug!(%error, "publish failed");
            broken.cancel();
            Err(PublishError::Lost)
        }
    });
}
