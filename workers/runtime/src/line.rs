//! One subscription at work: hands deliveries to the worker and decides who of a failed batch is guilty.
//!
//! A line lives as long as its channel. When the channel is lost its deliveries come again elsewhere, so that whatever
//! is left of a line may be dropped at any moment without losing anything.

use crate::health::Status;
use crate::quarantine::GIVE_UP_DELIVERIES;
use crate::signals::Meters;
use crate::unit::{Attempt, QueueId, TIMEOUT, Unit, Verdict, cause};
use chrono::Utc;
use pvt_domain::failure::Failure;
use pvt_messaging::trace_context::trace_id_of;
use pvt_messaging::{Acks, Delivery, Outstanding, Publisher};
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
const LONE_TIMEOUTS_MAX: u32 = 2;

/// What a line needs from its worker's registration.
#[derive(Clone)]
pub(crate) struct Crew {
    pub(crate) unit: Arc<Unit>,
    pub(crate) publisher: Publisher,
    pub(crate) status: Arc<Status>,
    pub(crate) meters: Arc<Meters>,
    /// Cancelled when the process shuts down: nothing new is begun.
    pub(crate) drain: CancellationToken,
}

/// One subscription at work.
pub(crate) struct Line {
    pub(crate) crew: Crew,
    pub(crate) queue: QueueId,
    /// Cancelled when the channel is gone: its delivery tags mean nothing any more.
    pub(crate) lost: CancellationToken,
    pub(crate) acks: Acks,
    pub(crate) outstanding: Mutex<Outstanding>,
    /// Acknowledgements are chosen and sent in one turn: a `multiple` one overtaken by a later one would close the
    /// channel.
    pub(crate) ack_turn: tokio::sync::Mutex<()>,
    confirming: Semaphore,
}

/// A delivery and what became of it.
pub(crate) type Settled = (Delivery, Verdict);

/// Counts deliveries as in flight for as long as it lives.
pub(crate) struct InFlight {
    crew: Crew,
    count: usize,
}

impl InFlight {
    fn of(crew: &Crew, count: usize) -> Self {
        crew.status.in_flight.fetch_add(count, Ordering::Relaxed);
        crew.meters.in_flight.increment(as_f64(count));
        Self { crew: crew.clone(), count }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.crew.status.in_flight.fetch_sub(self.count, Ordering::Relaxed);
        self.crew.meters.in_flight.decrement(as_f64(self.count));
    }
}

impl Line {
    pub(crate) fn new(crew: Crew, queue: QueueId, acks: Acks) -> Self {
        let confirming = Semaphore::new(crew.unit.spec.slots().max(BATCHES_CONFIRMING));
        Self {
            crew,
            queue,
            lost: CancellationToken::new(),
            acks,
            outstanding: Mutex::new(Outstanding::default()),
            ack_turn: tokio::sync::Mutex::new(()),
            confirming,
        }
    }

    /// A delivery arrived on this line's channel.
    pub(crate) fn arrived(&self, delivery: &Delivery) {
        self.outstanding.lock().unwrap_or_else(PoisonError::into_inner).arrived(delivery.tag);
    }

    /// Handles these deliveries, then frees the slot for the next ones while the results are still being confirmed.
    pub(crate) async fn process(self: Arc<Self>, deliveries: Vec<Delivery>, slot: OwnedSemaphorePermit) {
        let _in_flight = InFlight::of(&self.crew, deliveries.len());
        let mut todo = deliveries;
        loop {
            let Some((settled, again)) = self.round(todo).await else { return };
            if again.is_empty() {
                let Ok(_confirming) = self.confirming.acquire().await else { return };
                drop(slot);
                return self.settle(settled).await;
            }
            self.settle(settled).await;
            todo = again;
        }
    }

    /// One try at everything; returns what is settled and what must be handled again once the dependency is back.
    /// `None` when there is no point in waiting for that.
    async fn round(&self, deliveries: Vec<Delivery>) -> Option<(Vec<Settled>, Vec<Delivery>)> {
        let breaker = &self.crew.status.breaker;
        let pass = tokio::select! {
            biased;
            pass = breaker.enter() => pass,
            () = self.lost.cancelled() => return None,
            () = self.crew.drain.cancelled() => return None,
        };
        let verdicts = self.judge(&deliveries).await;
        let (mut settled, mut again, mut down) = (Vec::with_capacity(deliveries.len()), Vec::new(), None);
        for (delivery, verdict) in deliveries.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Failed(Failure::Unavailable(cause)) => {
                    down = Some(cause);
                    again.push(delivery);
                }
                verdict => settled.push((delivery, verdict)),
            }
        }
        match down {
            Some(cause) => {
                warn!(worker = self.crew.unit.spec.name, queue = %self.queue.name, class = cause.class,
                    message = %cause.message, waiting = again.len(), "paused: a dependency is down");
                self.crew.status.note_error(cause.to_string());
                pass.unavailable(cause.class);
            }
            None => pass.answered(),
        }
        self.crew.meters.paused.set(if breaker.paused().is_some() { 1.0 } else { 0.0 });
        Some((settled, again))
    }

    /// One verdict per delivery. Those of a batch that failed as a whole are tried alone, so that only the guilty
    /// suffer.
    async fn judge(&self, deliveries: &[Delivery]) -> Vec<Verdict> {
        let together = self.attempt(deliveries).await;
        if !together.shared_blame {
            return together.verdicts;
        }
        let spec = &self.crew.unit.spec;
        let failure = together
            .verdicts
            .iter()
            .find_map(|verdict| if let Verdict::Failed(failure) = verdict { Some(failure) } else { None });
        let class = failure.and_then(cause).map_or("", |cause| cause.class);
        warn!(worker = spec.name, queue = %self.queue.name, size = deliveries.len(), class,
            "a batch failed as a whole: trying its messages alone");
        let mut verdicts = Vec::with_capacity(deliveries.len());
        let mut overran = 0;
        for delivery in deliveries {
            if overran >= LONE_TIMEOUTS_MAX {
                verdicts.push(Verdict::Failed(Failure::retry(
                    TIMEOUT,
                    "not tried: others of its batch overran their timeout alone",
                )));
                continue;
            }
            let alone = self.attempt(slice::from_ref(delivery)).await.verdicts;
            overran += u32::from(alone.iter().any(is_timeout));
            verdicts.extend(alone);
        }
        verdicts
    }

    /// One call of the handler. A message during which the process died too often loses an attempt without it: the
    /// ladder keeps it out of the way for a while, and only at its end is the message given up. Who keeps killing
    /// processes is not known here.
    async fn attempt(&self, deliveries: &[Delivery]) -> Attempt {
        if let [lone] = deliveries
            && lone.delivery_count >= GIVE_UP_DELIVERIES
        {
            let text = format!("delivered {} times without an end", lone.delivery_count);
            return Attempt {
                verdicts: vec![Verdict::Failed(Failure::retry("crash_loop", text))],
                shared_blame: false,
            };
        }
        let meters = &self.crew.meters;
        let oldest = deliveries.iter().filter_map(|delivery| delivery.envelope.timestamp).min();
        if let Some(age) = oldest.and_then(|sent| (Utc::now() - sent).to_std().ok()) {
            meters.age_seconds.record(age.as_secs_f64());
        }
        meters.batch_size.record(as_f64(deliveries.len()));
        let begun = Instant::now();
        let attempt = self.crew.unit.attempt(&self.queue, deliveries.to_vec()).instrument(self.span(deliveries)).await;
        meters.handle_seconds.record(begun.elapsed().as_secs_f64());
        attempt
    }

    /// The span of one call; the first message stands for a batch.
    fn span(&self, deliveries: &[Delivery]) -> Span {
        let worker = self.crew.unit.spec.name;
        let Some(first) = deliveries.first() else { return Span::none() };
        let envelope = &first.envelope;
        let trace_id = envelope.traceparent.as_deref().and_then(trace_id_of).unwrap_or_default();
        info_span!("handle", worker, queue = %self.queue.name, size = deliveries.len(), message_id = %envelope.id,
            attempt = envelope.attempt, trace_id)
    }
}

fn is_timeout(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Failed(Failure::Retry(cause)) if cause.class == TIMEOUT)
}

/// Counts are far below 2^52.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn as_f64(count: usize) -> f64 {
    count as f64
}
