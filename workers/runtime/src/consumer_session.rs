//! One subscription at work: hands deliveries to the worker and decides who of a failed batch is guilty.
//!
//! A line lives as long as its channel. When the channel is lost its deliveries come again elsewhere, so that whatever
//! is left of a line may be dropped at any moment without losing anything.

use crate::erased_worker::{BatchOutcome, ErasedWorker, Outcome, QueueId, TIMEOUT, cause};
use crate::health::Status;
use crate::metrics::WorkerMetrics;
use crate::quarantine::GIVE_UP_DELIVERIES;
use chrono::Utc;
use pvt_domain::failure::Failure;
use pvt_messaging::trace_context::trace_id_of;
use pvt_messaging::{Acker, Delivery, Publisher, UnackedDeliveries};
use std::slice;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, info_span, warn};

/// Batches of one queue that wait for their confirms while the next one is handled.
const BATCHES_CONFIRMING: usize = 2;
/// After so many messages of a failed batch overran their timeout alone, the rest are not tried: it is not the
/// messages.
const ISOLATED_TIMEOUTS_MAX: u32 = 2;

/// What a line needs from its worker's registration.
#[derive(Clone)]
pub(crate) struct WorkerContext {
    pub(crate) unit: Arc<ErasedWorker>,
    pub(crate) publisher: Publisher,
    pub(crate) status: Arc<Status>,
    pub(crate) metrics: Arc<WorkerMetrics>,
    /// Cancelled when the process shuts down: nothing new is begun.
    pub(crate) drain: CancellationToken,
}

/// One subscription at work.
pub(crate) struct ConsumerSession {
    pub(crate) context: WorkerContext,
    pub(crate) queue: QueueId,
    /// Cancelled when the channel is gone: its delivery tags mean nothing any more.
    pub(crate) lost: CancellationToken,
    pub(crate) acker: Acker,
    pub(crate) unacked: Mutex<UnackedDeliveries>,
    /// Acknowledgements are chosen and sent in one turn: a `multiple` one overtaken by a later one would close the
    /// channel.
    pub(crate) ack_turn: tokio::sync::Mutex<()>,
    confirming: Semaphore,
}

/// A delivery and what became of it.
pub(crate) type HandledDelivery = (Delivery, Outcome);

/// Counts deliveries as in flight for as long as it lives.
pub(crate) struct InFlight {
    context: WorkerContext,
    count: usize,
}

impl InFlight {
    fn of(context: &WorkerContext, count: usize) -> Self {
        context.status.in_flight.fetch_add(count, Ordering::Relaxed);
        context.metrics.in_flight.increment(as_f64(count));
        Self { context: context.clone(), count }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.context.status.in_flight.fetch_sub(self.count, Ordering::Relaxed);
        self.context.metrics.in_flight.decrement(as_f64(self.count));
    }
}

impl ConsumerSession {
    pub(crate) fn new(context: WorkerContext, queue: QueueId, acker: Acker) -> Self {
        let confirming = Semaphore::new(context.unit.spec.slots().max(BATCHES_CONFIRMING));
        Self {
            context,
            queue,
            lost: CancellationToken::new(),
            acker,
            unacked: Mutex::new(UnackedDeliveries::default()),
            ack_turn: tokio::sync::Mutex::new(()),
            confirming,
        }
    }

    /// A delivery arrived on this line's channel.
    pub(crate) fn track(&self, delivery: &Delivery) {
        self.unacked.lock().unwrap_or_else(PoisonError::into_inner).track(delivery.tag);
    }

    /// Handles these deliveries, then frees the slot for the next ones while the results are still being confirmed.
    pub(crate) async fn process(self: Arc<Self>, deliveries: Vec<Delivery>, slot: OwnedSemaphorePermit) {
        let _in_flight = InFlight::of(&self.context, deliveries.len());
        let mut todo = deliveries;
        loop {
            let Some((settled, again)) = self.round(todo).await else { return };
            if again.is_empty() {
                let Ok(_confirming) = self.confirming.acquire().await else { return };
                drop(slot);
                return self.publish_and_acknowledge(settled).await;
            }
            self.publish_and_acknowledge(settled).await;
            todo = again;
        }
    }

    /// One try at everything; returns what is settled and what must be handled again once the dependency is back.
    /// `None` when there is no point in waiting for that.
    async fn round(&self, deliveries: Vec<Delivery>) -> Option<(Vec<HandledDelivery>, Vec<Delivery>)> {
        let breaker = &self.context.status.breaker;
        let pass = tokio::select! {
            biased;
            pass = breaker.enter() => pass,
            () = self.lost.cancelled() => return None,
            () = self.context.drain.cancelled() => return None,
        };
        let outcomes = self.handle(&deliveries).await;
        let (mut settled, mut again, mut down) = (Vec::with_capacity(deliveries.len()), Vec::new(), None);
        for (delivery, outcome) in deliveries.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Failed(Failure::Unavailable(cause)) => {
                    down = Some(cause);
                    again.push(delivery);
                }
                outcome => settled.push((delivery, outcome)),
            }
        }
        match down {
            Some(cause) => {
                warn!(worker = self.context.unit.spec.name, queue = %self.queue.name, class = cause.class,
                    message = %cause.message, waiting = again.len(), "paused: a dependency is down");
                self.context.status.record_error(cause.to_string());
                pass.unavailable(cause.class);
            }
            None => pass.answered(),
        }
        self.context.metrics.paused.set(if breaker.paused().is_some() { 1.0 } else { 0.0 });
        Some((settled, again))
    }

    /// One verdict per delivery. Those of a batch that failed as a whole are tried alone, so that only the guilty
    /// suffer.
    async fn handle(&self, deliveries: &[Delivery]) -> Vec<Outcome> {
        let together = self.attempt(deliveries).await;
        if !together.failed_as_a_whole {
            return together.outcomes;
        }
        let spec = &self.context.unit.spec;
        let failure = together
            .outcomes
            .iter()
            .find_map(|outcome| if let Outcome::Failed(failure) = outcome { Some(failure) } else { None });
        let class = failure.and_then(cause).map_or("", |cause| cause.class);
        warn!(worker = spec.name, queue = %self.queue.name, size = deliveries.len(), class,
            "a batch failed as a whole: trying its messages alone");
        let mut outcomes = Vec::with_capacity(deliveries.len());
        let mut timeouts = 0;
        for delivery in deliveries {
            if timeouts >= ISOLATED_TIMEOUTS_MAX {
                outcomes.push(Outcome::Failed(Failure::retry(
                    TIMEOUT,
                    "not tried: others of its batch overran their timeout alone",
                )));
                continue;
            }
            let alone = self.attempt(slice::from_ref(delivery)).await.outcomes;
            timeouts += u32::from(alone.iter().any(is_timeout));
            outcomes.extend(alone);
        }
        outcomes
    }

    /// One call of the handler. A message during which the process died too often loses an attempt without it: the
    /// ladder keeps it out of the way for a while, and only at its end is the message given up. Who keeps killing
    /// processes is not known here.
    async fn attempt(&self, deliveries: &[Delivery]) -> BatchOutcome {
        if let [lone] = deliveries
            && lone.delivery_count >= GIVE_UP_DELIVERIES
        {
            let text = format!("delivered {} times without an end", lone.delivery_count);
            return BatchOutcome {
                outcomes: vec![Outcome::Failed(Failure::retry("crash_loop", text))],
                failed_as_a_whole: false,
            };
        }
        let metrics = &self.context.metrics;
        let oldest = deliveries.iter().filter_map(|delivery| delivery.envelope.timestamp).min();
        if let Some(age) = oldest.and_then(|sent| (Utc::now() - sent).to_std().ok()) {
            metrics.age_seconds.record(age.as_secs_f64());
        }
        metrics.batch_size.record(as_f64(deliveries.len()));
        let begun = Instant::now();
        let attempt =
            self.context.unit.attempt(&self.queue, deliveries.to_vec()).instrument(self.span(deliveries)).await;
        metrics.handle_seconds.record(begun.elapsed().as_secs_f64());
        attempt
    }

    /// The span of one call; the first message stands for a batch.
    fn span(&self, deliveries: &[Delivery]) -> Span {
        let worker = self.context.unit.spec.name;
        let Some(first) = deliveries.first() else { return Span::none() };
        let envelope = &first.envelope;
        let trace_id = envelope.traceparent.as_deref().and_then(trace_id_of).unwrap_or_default();
        info_span!("handle", worker, queue = %self.queue.name, size = deliveries.len(), message_id = %envelope.id,
            attempt = envelope.attempt, trace_id)
    }
}

fn is_timeout(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(Failure::Retry(cause)) if cause.class == TIMEOUT)
}

/// Counts are far below 2^52.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn as_f64(count: usize) -> f64 {
    count as f64
}
