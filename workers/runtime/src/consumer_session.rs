//! Consumer session: hands the deliveries of one channel to a worker and isolates poison messages of a failed batch.
//!
//! A session lives as long as its channel. After a lost channel the broker delivers again, so a session may be dropped
//! at any moment without losing a message.

use crate::disposition;
use crate::erased_worker::{BatchOutcome, ErasedWorker, Outcome, QueueId, SharedFailure, TIMEOUT, cause};
use crate::handling_spans::HandlingSpans;
use crate::health::Status;
use crate::metrics::WorkerMetrics;
use crate::quarantine::GIVE_UP_DELIVERIES;
use crate::waiting;
use chrono::{DateTime, Utc};
use pvt_domain::failure::{Cause, Failure};
use pvt_messaging::trace_context::trace_id_of;
use pvt_messaging::{Acker, Delivery, Publisher, UnackedDeliveries};
use std::collections::BTreeSet;
use std::slice;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, info, info_span, warn};

/// Batches of one queue that may wait for publisher confirms while the next one is handled.
const BATCHES_CONFIRMING: usize = 2;
/// After this many timeouts of single messages, the rest of a failed batch is not attempted: the cause is not a
/// message.
const ISOLATED_TIMEOUTS_MAX: u32 = 2;

/// After this many attempts that failed as `Unavailable` although the dependency answered, the failure is the
/// message's own.
const ANSWERED_MAX: u32 = 3;
/// Pause between those attempts, in which an outage that has just begun shows.
const ANSWERED_PAUSE: Duration = Duration::from_secs(1);

/// After this many unavailable messages in a row the rest is attempted in a later round.
const ISOLATED_UNAVAILABLE_MAX: u32 = 2;

/// A call that fails sooner costs little.
const QUICK_FAILURE: Duration = Duration::from_millis(300);

/// A registered worker and what it shares with its sessions.
#[derive(Clone)]
pub(crate) struct WorkerContext {
    pub(crate) worker: Arc<ErasedWorker>,
    pub(crate) publisher: Publisher,
    pub(crate) status: Arc<Status>,
    pub(crate) metrics: Arc<WorkerMetrics>,
    /// Cancelled on shutdown.
    pub(crate) drain: CancellationToken,
}

impl WorkerContext {
    fn show_pause(&self) {
        self.metrics.paused.set(if self.status.pause().is_some() { 1.0 } else { 0.0 });
    }

    /// Notes the operations that no longer count as unavailable.
    pub(crate) fn note_recovered(&self) {
        let worker = self.worker.spec.name;
        let answered_since = |operation, at| self.worker.answered_since(operation, at);
        for operation in self.status.take_recovered(Utc::now(), answered_since, &self.metrics) {
            info!(worker, operation, "operation no longer counts as unavailable");
        }
    }
}

/// One consumer on its channel.
pub(crate) struct ConsumerSession {
    pub(crate) context: WorkerContext,
    pub(crate) queue: QueueId,
    /// Cancelled when the channel is lost, which invalidates its delivery tags.
    pub(crate) lost: CancellationToken,
    /// Cancelled on shutdown, or when the queue is paused: no new batch is started.
    pub(crate) stop: CancellationToken,
    pub(crate) acker: Acker,
    pub(crate) unacked: Mutex<UnackedDeliveries>,
    /// Held while acknowledgements are chosen and sent: a `multiple` ack overtaken by a later one would close the
    /// channel.
    pub(crate) ack_turn: tokio::sync::Mutex<()>,
    confirming: Semaphore,
}

/// A delivery and its outcome.
pub(crate) type HandledDelivery = (Delivery, Outcome);

/// The result of attempting deliveries once.
struct Round {
    handled: Vec<HandledDelivery>,
    /// To attempt again: a dependency was unavailable.
    again: Vec<Delivery>,
    suspicion: Suspicion,
}

/// What suggests that messages fail by themselves, and not because of their dependency.
#[derive(Clone, Copy, Default)]
struct Suspicion {
    /// Rounds in a row in which they failed although the dependency answered.
    answered: u32,
    /// Messages that were attempted beside them in those rounds succeeded.
    others_succeeded: bool,
    /// They failed together and quickly, so that further calls that fail cost little.
    in_a_quick_batch: bool,
}

impl Suspicion {
    /// The first time they were attempted together with others, whose failure it may be.
    fn suffices(self) -> bool {
        self.answered >= 2 && (self.others_succeeded || self.answered >= ANSWERED_MAX)
    }

    /// An outage that has just begun shows after a while. Where others succeed there is none, and those that arrive
    /// meanwhile need not wait.
    fn needs_pause(self) -> bool {
        self.answered > 0 && !self.others_succeeded
    }
}

/// Counts the deliveries of a batch as in flight until dropped.
pub(crate) struct InFlight {
    context: WorkerContext,
    queue: String,
    batch: u64,
    count: usize,
}

impl InFlight {
    fn of(context: &WorkerContext, queue: &str, deliveries: &[Delivery]) -> Self {
        let count = deliveries.len();
        context.status.in_flight.fetch_add(count, Ordering::Relaxed);
        context.metrics.in_flight.increment(as_f64(count));
        let in_flight =
            Self { context: context.clone(), queue: queue.to_owned(), batch: context.status.next_batch(), count };
        in_flight.note_oldest(deliveries);
        in_flight
    }

    /// Notes how old those are that still wait.
    fn note_oldest(&self, deliveries: &[Delivery]) {
        self.context.status.set_oldest_in_hand(self.batch, &self.queue, oldest(deliveries));
    }
}

/// When the oldest of these messages was sent.
fn oldest(deliveries: &[Delivery]) -> Option<DateTime<Utc>> {
    deliveries.iter().filter_map(|delivery| delivery.envelope.timestamp).min()
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.context.status.set_oldest_in_hand(self.batch, &self.queue, None);
        self.context.status.in_flight.fetch_sub(self.count, Ordering::Relaxed);
        self.context.metrics.in_flight.decrement(as_f64(self.count));
        self.context.show_pause();
    }
}

impl ConsumerSession {
    pub(crate) fn new(context: WorkerContext, queue: QueueId, acker: Acker, stop: CancellationToken) -> Self {
        let confirming = Semaphore::new(context.worker.spec.slots().max(BATCHES_CONFIRMING));
        Self {
            context,
            queue,
            lost: CancellationToken::new(),
            stop,
            acker,
            unacked: Mutex::new(UnackedDeliveries::default()),
            ack_turn: tokio::sync::Mutex::new(()),
            confirming,
        }
    }

    /// Notes a delivery that must be acknowledged on this channel, and returns it with its attempts as they count.
    pub(crate) fn track(&self, delivery: Delivery) -> Delivery {
        self.unacked.lock().unwrap_or_else(PoisonError::into_inner).track(delivery.tag);
        disposition::recounted(delivery, self.context.worker.spec.name)
    }

    /// Whether deliveries are not acknowledged yet.
    pub(crate) fn holds_deliveries(&self) -> bool {
        !self.unacked.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Handles these deliveries; frees the slot for the next batch while their events are being confirmed.
    pub(crate) async fn process(self: Arc<Self>, deliveries: Vec<Delivery>, slot: OwnedSemaphorePermit) {
        let in_flight = InFlight::of(&self.context, &self.queue.name, &deliveries);
        let (mut todo, mut suspicion) = (deliveries, Suspicion::default());
        loop {
            let Some(round) = self.attempt_all(todo, suspicion).await else { return };
            if round.again.is_empty() {
                let Ok(_confirming) = self.confirming.acquire().await else { return };
                // The next batch begins while the events of this one are published. What failed goes first: of a worker
                // with one slot, dead letters and retries keep the order of their messages.
                let has_failed = round.handled.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
                let _until_published = Some(slot).filter(|_| has_failed);
                return self.publish_and_acknowledge(round.handled).await;
            }
            self.publish_and_acknowledge(round.handled).await;
            if round.suspicion.needs_pause() {
                tokio::select! {
                    () = tokio::time::sleep(ANSWERED_PAUSE) => {}
                    () = self.lost.cancelled() => return,
                    () = self.stop.cancelled() => return,
                }
            }
            in_flight.note_oldest(&round.again);
            (todo, suspicion) = (round.again, round.suspicion);
        }
    }

    /// Attempts all deliveries once: those that are suspected, isolated. `None` when the session ends first.
    async fn attempt_all(&self, deliveries: Vec<Delivery>, suspicion: Suspicion) -> Option<Round> {
        let breaker = &self.context.status.breaker;
        let pass = tokio::select! {
            biased;
            pass = breaker.enter() => pass,
            () = self.lost.cancelled() => return None,
            () = self.stop.cancelled() => return None,
        };
        let BatchOutcome { outcomes, shared_failure } = match suspicion.answered {
            0 => self.handle(&deliveries).await,
            _ if suspicion.in_a_quick_batch => self.isolate(halves(&deliveries)).await,
            _ => self.isolate(singles(&deliveries)).await,
        };
        let in_a_quick_batch =
            suspicion.in_a_quick_batch || shared_failure.as_ref().is_some_and(SharedFailure::is_quick);
        let suspicion = Suspicion { in_a_quick_batch, ..suspicion };
        let (mut handled, mut failed) = (Vec::with_capacity(deliveries.len()), Vec::new());
        let mut outcomes = outcomes.into_iter();
        let mut not_attempted = Vec::new();
        for delivery in deliveries {
            match outcomes.next() {
                None => not_attempted.push(delivery),
                Some(Outcome::Failed(Failure::Unavailable(cause))) => match cause.operation {
                    Some(operation) => {
                        let failure = self.wait_apart(&delivery, operation, cause);
                        handled.push((delivery, Outcome::Failed(failure)));
                    }
                    None => failed.push((delivery, cause)),
                },
                Some(outcome) => handled.push((delivery, outcome)),
            }
        }
        let mut round = match failed.last().map(|(_, cause)| cause.clone()) {
            None => {
                pass.answered();
                Round { handled, again: Vec::new(), suspicion: Suspicion::default() }
            }
            Some(_) if self.dependencies_answer(&failed).await => {
                pass.answered();
                self.blame_messages(handled, failed, suspicion)
            }
            Some(cause) => {
                warn!(worker = self.context.worker.spec.name, queue = %self.queue.name, class = cause.class,
                    message = %cause.message, waiting = failed.len(), "dependency unavailable, pausing");
                self.context.status.record_error(cause.to_string());
                pass.unavailable(cause.class);
                let again = failed.into_iter().map(|(delivery, _)| delivery).collect();
                Round { handled, again, suspicion: Suspicion::default() }
            }
        };
        self.context.note_recovered();
        if !not_attempted.is_empty() {
            // Several in a row were unavailable, which may be an outage.
            round.suspicion.others_succeeded = false;
            round.again.append(&mut not_attempted);
        }
        self.context.show_pause();
        Some(round)
    }

    /// The failure of a message whose operation is unavailable: it waits apart, unless the failure is its own.
    fn wait_apart(&self, delivery: &Delivery, operation: &'static str, cause: Cause) -> Failure {
        let (context, now) = (&self.context, Utc::now());
        let worker = context.worker.spec.name;
        let answered_since = |since| context.worker.answered_since(operation, since);
        if waiting::is_own_failure(&cause, waiting::since(&delivery.envelope, operation), now, answered_since) {
            return Failure::Retry(cause);
        }
        context.status.record_error(cause.to_string());
        if context.status.operation_failed(operation, cause.class, now, &context.metrics) {
            warn!(worker, queue = %self.queue.name, operation, class = cause.class, message = %cause.message,
                "operation unavailable, its messages wait");
        }
        Failure::Unavailable(cause)
    }

    /// Whether every dependency that these failures name answers.
    async fn dependencies_answer(&self, failed: &[(Delivery, Cause)]) -> bool {
        let classes: BTreeSet<&'static str> = failed.iter().map(|(_, cause)| cause.class).collect();
        for class in classes {
            if !self.context.worker.dependency_answers(class).await {
                return false;
            }
        }
        true
    }

    /// These messages failed once more although their dependency answers: they are isolated, and in the end follow
    /// their retry schedule like any other poison message, sooner if others succeeded beside them.
    fn blame_messages(
        &self,
        mut handled: Vec<HandledDelivery>,
        failed: Vec<(Delivery, Cause)>,
        before: Suspicion,
    ) -> Round {
        let others_succeeded = handled.iter().any(|(_, outcome)| matches!(outcome, Outcome::Done(_)));
        let others_succeeded = before.others_succeeded || others_succeeded;
        let suspicion = Suspicion { answered: before.answered + 1, others_succeeded, ..before };
        if !suspicion.suffices() {
            let again = failed.into_iter().map(|(delivery, _)| delivery).collect();
            return Round { handled, again, suspicion };
        }
        for (delivery, cause) in failed {
            warn!(worker = self.context.worker.spec.name, queue = %self.queue.name, message_id = %delivery.envelope.id,
                class = cause.class, message = %cause.message,
                "dependency is unavailable for this message only, retrying it later");
            self.context.status.record_error(cause.to_string());
            handled.push((delivery, Outcome::Failed(Failure::Retry(cause))));
        }
        Round { handled, again: Vec::new(), suspicion: Suspicion::default() }
    }

    /// The outcomes of the deliveries, as far as they were attempted. The messages of a batch that failed as a whole
    /// are isolated, so that only the poison message fails; if a dependency was unavailable, once it answers.
    async fn handle(&self, deliveries: &[Delivery]) -> BatchOutcome {
        let batch = self.attempt(deliveries).await;
        let shared = match &batch.shared_failure {
            None => return batch,
            Some(shared) if is_unavailable(&shared.failure) => return batch,
            Some(shared) => shared,
        };
        let class = cause(&shared.failure).map_or("", |cause| cause.class);
        warn!(worker = self.context.worker.spec.name, queue = %self.queue.name, size = deliveries.len(), class,
            "batch failed as a whole, isolating its messages");
        self.isolate(smaller_groups(deliveries, shared)).await
    }

    /// Handles groups of messages in turn, in ever smaller ones where a group fails as a whole: one poison message
    /// costs a few calls, and not one for each message beside it. Returns the outcomes of those it attempted: it stops
    /// when the session ends, and after several that were unavailable in a row, which may be an outage.
    async fn isolate(&self, groups: Vec<&[Delivery]>) -> BatchOutcome {
        // Each with whether the other half, before it, failed as a whole.
        let mut groups: Vec<(&[Delivery], bool)> = groups.into_iter().rev().map(|group| (group, false)).collect();
        let (mut outcomes, mut timeouts, mut unavailable) = (Vec::new(), 0, 0);
        while let Some((group, other_failed)) = groups.pop() {
            let ends = self.lost.is_cancelled() || self.stop.is_cancelled();
            if ends || unavailable >= ISOLATED_UNAVAILABLE_MAX {
                break;
            }
            if timeouts >= ISOLATED_TIMEOUTS_MAX {
                let text = "not attempted: other messages of its batch timed out on their own";
                outcomes.extend(group.iter().map(|_| Outcome::Failed(Failure::retry(TIMEOUT, text))));
                continue;
            }
            let batch = self.attempt(group).await;
            if let Some(shared) = &batch.shared_failure {
                if let Some((_, other_failed)) = groups.last_mut() {
                    *other_failed = true;
                }
                // Where several messages are poison, halves of halves would be as many calls again.
                let smaller = if other_failed { singles(group) } else { smaller_groups(group, shared) };
                groups.extend(smaller.into_iter().rev().map(|group| (group, false)));
                continue;
            }
            let failed = |is_so: fn(&Failure) -> bool| {
                batch.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(failure) if is_so(failure)))
            };
            timeouts += u32::from(failed(is_timeout));
            unavailable = if failed(is_unavailable) { unavailable + 1 } else { 0 };
            outcomes.extend(batch.outcomes);
        }
        BatchOutcome { outcomes, shared_failure: None }
    }

    /// One call of the handler. A message during which the process crashed too often loses an attempt without a call:
    /// the retry delay keeps it out of the queue for a while, because it may not be the one that crashes the process.
    async fn attempt(&self, deliveries: &[Delivery]) -> BatchOutcome {
        if let [single] = deliveries
            && single.delivery_count >= GIVE_UP_DELIVERIES
        {
            let text = format!("delivered {} times without an outcome", single.delivery_count);
            return BatchOutcome {
                outcomes: vec![Outcome::Failed(Failure::retry("crash_loop", text))],
                shared_failure: None,
            };
        }
        let metrics = &self.context.metrics;
        if let Some(age) = oldest(deliveries).and_then(|sent| (Utc::now() - sent).to_std().ok()) {
            metrics.age_seconds.record(age.as_secs_f64());
        }
        metrics.batch_size.record(as_f64(deliveries.len()));
        let begun = Instant::now();
        let spans = HandlingSpans::begin(&self.context.worker.spec, &self.queue.name, deliveries);
        let handling = self.context.worker.attempt(&self.queue, spans.hand_over(deliveries));
        let attempt = spans.scope(handling).instrument(self.span(deliveries)).await;
        spans.end(&attempt);
        metrics.handle_seconds.record(begun.elapsed().as_secs_f64());
        attempt
    }

    /// The span of one call, named after the first message of a batch.
    fn span(&self, deliveries: &[Delivery]) -> Span {
        let worker = self.context.worker.spec.name;
        let Some(first) = deliveries.first() else { return Span::none() };
        let envelope = &first.envelope;
        let trace_id = envelope.traceparent.as_deref().and_then(trace_id_of).unwrap_or_default();
        let correlation_id = envelope.correlation_id.map(tracing::field::display);
        info_span!("handle", worker, queue = %self.queue.name, size = deliveries.len(), message_id = %envelope.id,
            correlation_id, attempt = envelope.attempt, trace_id)
    }
}

/// The groups in which the messages of a group that failed as a whole are attempted.
fn smaller_groups<'a>(group: &'a [Delivery], shared: &SharedFailure) -> Vec<&'a [Delivery]> {
    if shared.is_quick() { halves(group) } else { singles(group) }
}

impl SharedFailure {
    /// Whether its cause is best found by halves: with few calls, several of which fail. Where each call that fails
    /// takes long, a timeout or a wait for a lock, one by one is sooner.
    fn is_quick(&self) -> bool {
        self.took < QUICK_FAILURE
    }
}

fn singles(deliveries: &[Delivery]) -> Vec<&[Delivery]> {
    deliveries.iter().map(slice::from_ref).collect()
}

fn halves(deliveries: &[Delivery]) -> Vec<&[Delivery]> {
    deliveries.chunks(deliveries.len().div_ceil(2).max(1)).collect()
}

fn is_unavailable(failure: &Failure) -> bool {
    matches!(failure, Failure::Unavailable(_))
}

fn is_timeout(failure: &Failure) -> bool {
    matches!(failure, Failure::Retry(cause) if cause.class == TIMEOUT)
}

/// Counts are far below 2^52.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn as_f64(count: usize) -> f64 {
    count as f64
}
