//! Consumes one queue for one worker: subscribes, fills batches, hands them over, and begins anew when the channel is
//! lost.

use crate::consumer_session::{ConsumerSession, WorkerContext};
use crate::erased_worker::QueueId;
use crate::quarantine;
use pvt_messaging::{Backoff, ConsumeError, Delivery, Subscriber, Subscription};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{timeout, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_CAP: Duration = Duration::from_secs(5);
/// A subscription that lived this long was a success: the next loss is answered quickly.
const STABLE_AFTER: Duration = Duration::from_secs(5);
/// For what is still under way to the client when the consumer is cancelled.
const GATHER_TIMEOUT: Duration = Duration::from_secs(2);

/// One queue of one worker.
pub(crate) struct Runner {
    pub(crate) context: WorkerContext,
    pub(crate) queue: QueueId,
    pub(crate) subscriber: Subscriber,
}

/// Why a subscription ended.
enum End {
    Drained,
    Lost(ConsumeError),
    /// A suspect was dealt with; a fresh subscription continues.
    Quarantined,
}

impl Runner {
    /// Runs until the process drains.
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_CAP);
        let prefetch = self.context.unit.spec.prefetch();
        let worker = self.context.unit.spec.name;
        loop {
            let subscribing = self.subscriber.subscribe(&self.queue.name, prefetch);
            let Some(subscribed) = self.context.drain.run_until_cancelled(subscribing).await else { return };
            let error = match subscribed {
                Ok(subscription) => {
                    info!(worker, queue = %self.queue.name, prefetch, "consuming");
                    let begun = Instant::now();
                    self.context.status.consuming.fetch_add(1, Ordering::Relaxed);
                    let end = self.consume(subscription).await;
                    self.context.status.consuming.fetch_sub(1, Ordering::Relaxed);
                    if begun.elapsed() >= STABLE_AFTER {
                        backoff.reset();
                    }
                    match end {
                        End::Drained => return,
                        End::Quarantined => continue,
                        End::Lost(error) => error,
                    }
                }
                Err(error) => error,
            };
            warn!(worker, queue = %self.queue.name, %error, "not consuming");
            self.context.status.record_error(error.to_string());
            self.context.metrics.resubscribes.increment(1);
            if self.context.drain.run_until_cancelled(tokio::time::sleep(backoff.step())).await.is_none() {
                return;
            }
        }
    }

    async fn consume(&self, mut subscription: Subscription) -> End {
        let session = Arc::new(ConsumerSession::new(self.context.clone(), self.queue.clone(), subscription.acker()));
        let tasks = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(self.context.unit.spec.slots()));
        let end = loop {
            let Some(Ok(slot)) = self.context.drain.run_until_cancelled(slots.clone().acquire_owned()).await else {
                break End::Drained;
            };
            let deliveries = match self.next_batch(&mut subscription, &session).await {
                Ok(deliveries) if deliveries.is_empty() => break End::Drained,
                Ok(deliveries) => deliveries,
                Err(error) => break End::Lost(error),
            };
            if quarantine::holds_suspect(&deliveries) {
                break self.quarantine(&mut subscription, &session, &tasks, deliveries, slot).await;
            }
            tasks.spawn(session.clone().process(deliveries, slot));
        };
        match &end {
            End::Lost(_) => session.lost.cancel(),
            // What is under way is finished; what was fetched and not begun goes back when the channel closes.
            End::Drained => {
                if let Err(error) = subscription.cancel().await {
                    debug!(queue = %self.queue.name, %error, "cancelling the consumer");
                }
            }
            End::Quarantined => {}
        }
        tasks.close();
        // Not begun anew before the old handlers are done: a partition has one writer at a time. Handlers are bounded
        // by their timeout.
        tasks.wait().await;
        if let Err(error) = subscription.close().await {
            debug!(queue = %self.queue.name, %error, "closing the channel");
        }
        end
    }

    /// Waits for a message and takes what else is there, up to the batch's size. Only a batch that is not full waits
    /// for company. Empty when the process drains.
    async fn next_batch(
        &self,
        subscription: &mut Subscription,
        session: &ConsumerSession,
    ) -> Result<Vec<Delivery>, ConsumeError> {
        let spec = &self.context.unit.spec;
        let max = spec.batch_max();
        let Some(first) = self.context.drain.run_until_cancelled(subscription.next()).await else {
            return Ok(Vec::new());
        };
        let mut batch = Vec::with_capacity(max);
        let mut next = Some(first?);
        let linger_until = tokio::time::Instant::now() + spec.linger();
        while let Some(delivery) = next.take() {
            session.track(&delivery);
            batch.push(delivery);
            if batch.len() == max {
                break;
            }
            next = subscription.try_next()?;
            if next.is_none() && !spec.linger().is_zero() {
                let waited = timeout_at(linger_until, subscription.next());
                next = match self.context.drain.run_until_cancelled(waited).await {
                    Some(Ok(delivery)) => Some(delivery?),
                    Some(Err(_)) | None => None,
                };
            }
        }
        Ok(batch)
    }

    /// Puts everything but the prime suspect back as new, then handles the suspect alone.
    async fn quarantine(
        &self,
        subscription: &mut Subscription,
        session: &Arc<ConsumerSession>,
        tasks: &TaskTracker,
        mut held: Vec<Delivery>,
        slot: OwnedSemaphorePermit,
    ) -> End {
        if let Err(error) = subscription.cancel().await {
            return End::Lost(error);
        }
        let gather = async {
            // The cancelled stream ends after what had already been sent.
            while let Ok(delivery) = subscription.next().await {
                session.track(&delivery);
                held.push(delivery);
            }
        };
        if timeout(GATHER_TIMEOUT, gather).await.is_err() {
            debug!(queue = %self.queue.name, "the cancelled consumer's stream did not end");
        }
        tasks.close();
        tasks.wait().await;
        let Some(suspect) = quarantine::take_suspect(&mut held) else { return End::Quarantined };
        warn!(
            worker = self.context.unit.spec.name, queue = %self.queue.name, message_id = %suspect.envelope.id,
            deliveries = suspect.delivery_count, bystanders = held.len(), "suspected of a crash loop: handling it alone"
        );
        session.republish(held).await;
        session.clone().process(vec![suspect], slot).await;
        End::Quarantined
    }
}
