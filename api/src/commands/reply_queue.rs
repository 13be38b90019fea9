//! Reply queue of this instance, to which workers reply when a command that it waits for is decided.
//!
//! A reply is only a hint to look into the store sooner. Without the queue, waiting takes a little longer and is
//! otherwise the same.

use crate::commands::booking_watch::BookingWatch;
use crate::commands::pending_replies::PendingReplies;
use arc_swap::ArcSwapOption;
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use pvt_domain::messages::{DecodeError, PAYMENT_REPLY, PaymentReply, Reply, decode_body};
use pvt_messaging::{ConsumeError, Delivery, Subscriber, Topology};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Replies on their way to us at once; they are acknowledged by being sent, so this bounds nothing but memory.
const PREFETCH: u16 = 500;
const RESUBSCRIBE_MAX_DELAY: Duration = Duration::from_secs(5);
/// 100–200 ms, doubling to 5–10 s with jitter.
const RESUBSCRIBE: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(100))
    .with_max_delay(RESUBSCRIBE_MAX_DELAY)
    .with_jitter()
    .without_max_times();
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// The handle to the queue. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct ReplyQueue {
    queue: Arc<ArcSwapOption<String>>,
}

/// The receivers of replies.
#[derive(Clone)]
pub(crate) struct ReplyListeners {
    pub(crate) booking_watch: BookingWatch,
    pub(crate) booking_replies: PendingReplies<Reply>,
    pub(crate) payment_replies: PendingReplies<PaymentReply>,
}

impl ReplyQueue {
    /// Starts receiving, until `stop`.
    pub(crate) fn start(
        amqp_url: &str,
        topology: Topology,
        listeners: ReplyListeners,
        stop: CancellationToken,
    ) -> Self {
        let replies = Self::default();
        let subscriber = Subscriber::start(amqp_url, topology, "pvt-api replies");
        tokio::spawn(receive(subscriber, replies.clone(), listeners, stop));
        replies
    }

    /// The name of the queue, while there is one.
    pub(crate) fn queue(&self) -> Option<String> {
        self.queue.load().as_deref().cloned()
    }
}

async fn receive(subscriber: Subscriber, replies: ReplyQueue, listeners: ReplyListeners, stop: CancellationToken) {
    let mut delays = RESUBSCRIBE.build();
    let receiving = async {
        loop {
            let ended = session(&subscriber, &replies, &listeners, &mut delays).await;
            replies.queue.store(None);
            debug!(error = %ended, "no reply queue");
            sleep(delays.next().unwrap_or(RESUBSCRIBE_MAX_DELAY)).await;
        }
    };
    let stopped: Option<std::convert::Infallible> = stop.run_until_cancelled(receiving).await;
    debug_assert!(stopped.is_none());
    replies.queue.store(None);
    subscriber.close(CLOSE_LIMIT).await;
}

/// One subscription, until it ends; it always ends with an error.
async fn session(
    subscriber: &Subscriber,
    replies: &ReplyQueue,
    listeners: &ReplyListeners,
    delays: &mut ExponentialBackoff,
) -> ConsumeError {
    let (queue, mut subscription) = match subscriber.subscribe_replies(PREFETCH).await {
        Ok(subscribed) => subscribed,
        Err(error) => return error,
    };
    replies.queue.store(Some(Arc::new(queue)));
    *delays = RESUBSCRIBE.build();
    loop {
        let delivery = match subscription.next().await {
            Ok(delivery) => delivery,
            Err(error) => return error,
        };
        if let Err(error) = listeners.dispatch(&delivery) {
            warn!(%error, kind = %delivery.envelope.kind, "a reply cannot be read");
        }
    }
}

impl ReplyListeners {
    /// A reply has the id of the command that it answers.
    fn dispatch(&self, delivery: &Delivery) -> Result<(), DecodeError> {
        let command = delivery.envelope.id;
        if delivery.envelope.kind == PAYMENT_REPLY {
            // No request may wait for it any more: the ledger has the outcome.
            self.payment_replies.deliver(command, &decode_body::<PaymentReply>(&delivery.body)?);
            return Ok(());
        }
        let reply: Reply = decode_body(&delivery.body)?;
        if !self.booking_replies.deliver(command, &reply) {
            self.booking_watch.replied(reply.booking_id, reply.outcome);
        }
        Ok(())
    }
}
