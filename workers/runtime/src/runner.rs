//! The consumer loop of one queue: subscribes, fills batches, hands them to the worker, resubscribes after a loss or a
//! pause.

use crate::consumer_session::{ConsumerSession, WorkerContext};
use crate::erased_worker::QueueId;
use crate::quarantine;
use crate::queue_pauses::{PAUSES_READ_EVERY, PauseWatch, QueuePause};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use pvt_messaging::{ConsumeError, Delivery, Subscriber, Subscription};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

const RESUBSCRIBE_MAX_DELAY: Duration = Duration::from_millis(2_500);
/// 50–100 ms, doubling to 2.5–5 s with jitter.
const RESUBSCRIBE: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_max_delay(RESUBSCRIBE_MAX_DELAY)
    .with_jitter()
    .without_max_times();
/// A subscription that lasted this long resets the delay before the next one.
const STABLE_AFTER: Duration = Duration::from_secs(5);
/// Without a message for this long, a queue that is consumed one message at a time holds none that cannot be read.
const ISOLATION_QUIET: Duration = Duration::from_secs(5);
/// When a queue is paused, what was fetched is kept this long: then all other processes have noticed the pause too.
const KEPT_WHEN_PAUSED: Duration = PAUSES_READ_EVERY.saturating_mul(2);
/// For deliveries that were already sent when the consumer is cancelled.
const GATHER_TIMEOUT: Duration = Duration::from_secs(2);

/// One queue of one worker.
pub(crate) struct Runner {
    pub(crate) context: WorkerContext,
    pub(crate) queue: QueueId,
    pub(crate) subscriber: Subscriber,
    pub(crate) pauses: PauseWatch,
    /// Since a pause, until a message comes that was not fetched before: the broker counts what a pause has returned
    /// like what a crash has returned, so its count says nothing of these messages.
    pub(crate) after_pause: AtomicBool,
}

/// The end of a subscription.
enum End {
    /// The engine drains, or the queue is paused.
    Stopped,
    Lost(ConsumeError),
    /// A suspect was handled alone; a fresh subscription continues.
    Quarantined,
    /// As many messages as are fetched at once could be read, one at a time; a fresh subscription continues.
    Readable,
}

impl Runner {
    /// Runs until the engine drains.
    pub(crate) async fn run(mut self) {
        let mut delays = RESUBSCRIBE.build();
        let worker = self.context.worker.spec.name;
        // After a message that ended the connection, one is fetched at a time: only its own deliveries are counted
        // until the broker's limit makes it a dead letter.
        let mut isolated = false;
        loop {
            if !self.wait_until_consumable().await {
                return;
            }
            let prefetch = if isolated { 1 } else { self.context.worker.spec.prefetch() };
            let subscribing = self.subscriber.subscribe(&self.queue.name, prefetch);
            let Some(subscribed) = self.context.drain.run_until_cancelled(subscribing).await else { return };
            let error = match subscribed {
                Ok(subscription) => {
                    info!(worker, queue = %self.queue.name, prefetch, "consuming");
                    let begun = Instant::now();
                    self.context.status.consumer_began(&self.queue.name, subscription.tag());
                    self.context.status.clear_queue_pause(&self.queue.name);
                    let end = self.consume_until_paused(subscription, isolated).await;
                    // Before it counts as not consumed, so that a pause does not look like a lost connection.
                    self.note_pause();
                    self.context.status.consumer_ended(&self.queue.name);
                    if begun.elapsed() >= STABLE_AFTER {
                        delays = RESUBSCRIBE.build();
                    }
                    match end {
                        End::Quarantined => continue,
                        // Also when the pause is already over.
                        End::Stopped => {
                            self.after_pause.store(true, Ordering::Relaxed);
                            continue;
                        }
                        End::Readable => {
                            isolated = false;
                            continue;
                        }
                        End::Lost(error) => error,
                    }
                }
                Err(error) => {
                    self.context.status.clear_queue_pause(&self.queue.name);
                    error
                }
            };
            warn!(worker, queue = %self.queue.name, %error, "consumer lost, resubscribing");
            self.context.status.record_error(error.to_string());
            self.context.metrics.resubscribes.increment(1);
            if error.is_unreadable() {
                isolated = true;
                delays = RESUBSCRIBE.build();
            }
            let delay = delays.next().unwrap_or(RESUBSCRIBE_MAX_DELAY);
            if self.context.drain.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
                return;
            }
        }
    }

    /// Waits while the queue is paused, or while it is not known whether it is. `false` when the engine drains.
    async fn wait_until_consumable(&mut self) -> bool {
        let (worker, drain) = (self.context.worker.spec.name, self.context.drain.clone());
        let mut was_paused = false;
        while !self.pauses.may_consume(&self.queue.name) {
            if let Some(pause) = self.note_pause().filter(|_| !was_paused) {
                was_paused = true;
                self.after_pause.store(true, Ordering::Relaxed);
                info!(worker, queue = %self.queue.name, actor = pause.actor, reason = pause.reason, "queue is paused");
            }
            if drain.run_until_cancelled(self.pauses.changed()).await.is_none() {
                return false;
            }
        }
        if was_paused {
            info!(worker, queue = %self.queue.name, "queue is resumed");
        }
        !drain.is_cancelled()
    }

    /// The pause of the queue, which health shows from now on.
    fn note_pause(&self) -> Option<QueuePause> {
        let pause = self.pauses.of(&self.queue.name)?;
        self.context.status.set_queue_pause(&self.queue.name, pause.clone());
        Some(pause)
    }

    /// Notes a delivery, whose count is disregarded if it may come from a pause.
    fn track(&self, session: &ConsumerSession, mut delivery: Delivery) -> Delivery {
        if self.after_pause.load(Ordering::Relaxed) {
            // What was returned is delivered before what was never fetched.
            self.after_pause.store(delivery.delivery_count > 0, Ordering::Relaxed);
            delivery.delivery_count = 0;
        }
        session.track(delivery)
    }

    /// Consumes until the queue is paused or the engine drains. Either way the messages in hand are finished first.
    async fn consume_until_paused(&self, subscription: Subscription, isolated: bool) -> End {
        let (stop, mut pauses) = (self.context.drain.child_token(), self.pauses.clone());
        let stopping = async {
            pauses.until_paused(&self.queue.name).await;
            stop.cancel();
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            // First, so that no batch begins when the pause was stored while the queue was being subscribed to.
            biased;
            never = stopping => match never {},
            end = self.consume(subscription, isolated, &stop) => end,
        }
    }

    async fn consume(&self, mut subscription: Subscription, isolated: bool, stop: &CancellationToken) -> End {
        let (context, acker) = (self.context.clone(), subscription.acker());
        let session = Arc::new(ConsumerSession::new(context, self.queue.clone(), acker, stop.clone()));
        let tasks = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(self.context.worker.spec.slots()));
        let mut left = self.context.worker.spec.prefetch();
        let end = loop {
            if isolated && left == 0 {
                break End::Readable;
            }
            left = left.saturating_sub(1);
            let Some(Ok(slot)) = stop.run_until_cancelled(slots.clone().acquire_owned()).await else {
                break End::Stopped;
            };
            let batch = self.next_batch(&mut subscription, &session);
            let batch = match isolated {
                true => tokio::select! {
                    batch = batch => batch,
                    // What was read of an unfinished batch returns to the queue.
                    () = self.quiet(&slots) => break End::Readable,
                },
                false => batch.await,
            };
            let deliveries = match batch {
                Ok(deliveries) if deliveries.is_empty() => break End::Stopped,
                Ok(deliveries) => deliveries,
                Err(error) => break End::Lost(error),
            };
            if quarantine::holds_suspect(&deliveries) {
                break self.quarantine(&mut subscription, &session, &tasks, deliveries, slot).await;
            }
            tasks.spawn(session.clone().process(deliveries, slot));
        };
        if matches!(end, End::Lost(_)) {
            session.lost.cancel();
        }
        tasks.close();
        // Handlers finish before the consumer ends, because a partition has one writer at a time: the broker activates
        // the next consumer as soon as this one is cancelled, whatever it still holds. Their timeout bounds this wait.
        // Deliveries not started return to the queue when the channel closes.
        tasks.wait().await;
        let end = if stop.is_cancelled() && !matches!(end, End::Lost(_)) { End::Stopped } else { end };
        if matches!(end, End::Stopped) {
            self.keep_from_others(&mut subscription, &session).await;
        }
        if let Err(error) = subscription.close().await {
            debug!(queue = %self.queue.name, %error, "closing the channel");
        }
        end
    }

    /// Keeps what was fetched and not begun until the other processes have noticed the pause as well: returned sooner,
    /// each of them would fetch it and return it again, with one more delivery every time. A consumer that holds
    /// nothing ends at once, so that it does not become the active one of a partition. A drain waits for nothing.
    async fn keep_from_others(&self, subscription: &mut Subscription, session: &ConsumerSession) {
        if self.context.drain.is_cancelled() {
            return;
        }
        // What others return must not come to this consumer. That of a partition stays, else the next one would become
        // the active one.
        if self.queue.partition.is_none()
            && let Err(error) = subscription.cancel().await
        {
            debug!(queue = %self.queue.name, %error, "cancelling the consumer of a paused queue");
        }
        if session.holds_deliveries() || matches!(subscription.try_next(), Ok(Some(_))) {
            self.context.drain.run_until_cancelled(tokio::time::sleep(KEPT_WHEN_PAUSED)).await;
        }
    }

    /// Ends when no message is handled any more and none has come for a while. With a prefetch of one the broker sends
    /// nothing as long as one is handled. The caller holds one of the slots.
    async fn quiet(&self, slots: &Semaphore) {
        let others = u32::try_from(self.context.worker.spec.slots()).unwrap_or(u32::MAX).saturating_sub(1);
        let idle = slots.acquire_many(others).await;
        tokio::time::sleep(ISOLATION_QUIET).await;
        drop(idle);
    }

    /// Waits for a message and adds what has arrived, up to the batch size. A batch that is not full lingers for more.
    /// Empty when the session is to stop.
    async fn next_batch(
        &self,
        subscription: &mut Subscription,
        session: &ConsumerSession,
    ) -> Result<Vec<Delivery>, ConsumeError> {
        let spec = &self.context.worker.spec;
        let max = spec.batch_max();
        let Some(first) = session.stop.run_until_cancelled(subscription.next()).await else {
            return Ok(Vec::new());
        };
        let mut batch = Vec::with_capacity(max);
        let mut next = Some(first?);
        let linger_until = tokio::time::Instant::now() + spec.linger();
        while let Some(delivery) = next.take() {
            batch.push(self.track(session, delivery));
            if batch.len() == max {
                break;
            }
            next = subscription.try_next()?;
            if next.is_none() && !spec.linger().is_zero() {
                let waited = timeout_at(linger_until, subscription.next());
                next = match session.stop.run_until_cancelled(waited).await {
                    Some(Ok(delivery)) => Some(delivery?),
                    Some(Err(_)) | None => None,
                };
            }
        }
        Ok(batch)
    }

    /// Returns all messages but one suspect to the queue, then handles the suspect alone.
    async fn quarantine(
        &self,
        subscription: &mut Subscription,
        session: &Arc<ConsumerSession>,
        tasks: &TaskTracker,
        mut held: Vec<Delivery>,
        slot: OwnedSemaphorePermit,
    ) -> End {
        // As before a drain: the next consumer must not overtake a batch in hand.
        tasks.close();
        tasks.wait().await;
        if let Err(error) = subscription.cancel().await {
            return End::Lost(error);
        }
        let gather = async {
            // The stream of a cancelled consumer ends after the deliveries that were already sent.
            while let Ok(delivery) = subscription.next().await {
                held.push(self.track(session, delivery));
            }
        };
        if timeout(GATHER_TIMEOUT, gather).await.is_err() {
            debug!(queue = %self.queue.name, "stream of the cancelled consumer did not end");
        }
        let Some(suspect) = quarantine::take_suspect(&mut held) else { return End::Quarantined };
        warn!(
            worker = self.context.worker.spec.name, queue = %self.queue.name, message_id = %suspect.envelope.id,
            deliveries = suspect.delivery_count, bystanders = held.len(), "possible crash loop, handling the message \
                alone"
        );
        session.republish(held).await;
        session.clone().process(vec![suspect], slot).await;
        End::Quarantined
    }
}
