//! Type erasure of workers: beyond this module the engine knows deliveries and outcomes only.
//!
//! An attempt decodes the deliveries, runs the handler in a task of its own and returns an outcome for each. It
//! publishes nothing and acknowledges nothing.

use crate::job::{Batch, Job};
use crate::spec::Spec;
use crate::worker::{BatchWorker, Worker};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use pvt_domain::failure::{Cause, Failure};
use pvt_domain::messages::Inbox;
use pvt_messaging::{Delivery, Outgoing};
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::timeout;
use tracing::{Instrument as _, Span, error};

/// The maximum grace period after a timeout. Only then is the handler's future dropped, which can leave a database
/// session in an undefined state.
const GRACE_CAP: Duration = Duration::from_secs(10);

/// Failure class of a panic.
pub(crate) const PANIC: &str = "panic";
/// Failure class of a timeout.
pub(crate) const TIMEOUT: &str = "timeout";

/// A queue consumed by a worker.
#[derive(Debug, Clone)]
pub(crate) struct QueueId {
    pub(crate) name: Arc<str>,
    pub(crate) partition: Option<u16>,
}

/// The outcome of one message.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Handled; these messages are to be published.
    Done(Vec<Outgoing>),
    /// Not handled.
    Failed(Failure),
}

/// The outcomes of a batch.
#[derive(Debug)]
pub(crate) struct BatchOutcome {
    /// One outcome per delivery, in their order.
    pub(crate) outcomes: Vec<Outcome>,
    /// The failure that several messages share, which a single poison message may have caused.
    pub(crate) shared_failure: Option<SharedFailure>,
}

/// A failure of several messages at once.
#[derive(Debug)]
pub(crate) struct SharedFailure {
    pub(crate) failure: Failure,
    /// Duration of the call that failed.
    pub(crate) took: Duration,
}

type Run = Box<dyn Fn(QueueId, Vec<Delivery>) -> BoxFuture<'static, BatchOutcome> + Send + Sync>;
type AnsweredSince = Box<dyn Fn(&'static str, DateTime<Utc>) -> bool + Send + Sync>;
type Probe = Box<dyn Fn(&'static str) -> BoxFuture<'static, Option<bool>> + Send + Sync>;

/// Longest probe of a dependency; one that takes longer does not answer.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// A worker without its type parameters.
pub(crate) struct ErasedWorker {
    pub(crate) spec: Spec,
    run: Run,
    probe: Probe,
    answered_since: AnsweredSince,
}

impl ErasedWorker {
    pub(crate) fn single<W: Worker>(worker: W) -> Self {
        let worker = Arc::new(worker);
        let probe = erased_probe(&worker, |worker, class| async move { worker.probe(class).await });
        let asked = worker.clone();
        let answered_since: AnsweredSince = Box::new(move |operation, since| asked.answered_since(operation, since));
        let run = move |_queue: QueueId, deliveries: Vec<Delivery>| -> BoxFuture<'static, BatchOutcome> {
            let worker = worker.clone();
            let handle = move |mut jobs: Vec<Job<W::Message>>| async move {
                let mut result = Ok(());
                for job in &mut jobs {
                    result = worker.handle(job).await;
                }
                (jobs, result)
            };
            Box::pin(attempt(W::SPEC.timeout, deliveries, handle))
        };
        Self { spec: W::SPEC, run: Box::new(run), probe, answered_since }
    }

    pub(crate) fn batch<W: BatchWorker>(worker: W) -> Self {
        let worker = Arc::new(worker);
        let probe = erased_probe(&worker, |worker, class| async move { worker.probe(class).await });
        let run = move |queue: QueueId, deliveries: Vec<Delivery>| -> BoxFuture<'static, BatchOutcome> {
            let worker = worker.clone();
            let handle = move |jobs: Vec<Job<W::Message>>| async move {
                let mut batch = Batch { queue: queue.name, partition: queue.partition, items: jobs };
                let result = worker.handle(&mut batch).await;
                (batch.items, result)
            };
            Box::pin(attempt(W::SPEC.timeout, deliveries, handle))
        };
        Self { spec: W::SPEC, run: Box::new(run), probe, answered_since: Box::new(|_, _| false) }
    }

    /// Runs the handler on these deliveries.
    pub(crate) fn attempt(&self, queue: &QueueId, deliveries: Vec<Delivery>) -> BoxFuture<'static, BatchOutcome> {
        (self.run)(queue.clone(), deliveries)
    }

    /// Whether this operation was answered after this time, as far as the worker knows.
    pub(crate) fn answered_since(&self, operation: &'static str, since: DateTime<Utc>) -> bool {
        (self.answered_since)(operation, since)
    }

    /// Whether the dependency that this failure class names answers, as far as the worker can find out.
    pub(crate) async fn dependency_answers(&self, class: &'static str) -> bool {
        let mut probes = JoinSet::new();
        probes.spawn((self.probe)(class));
        // Dropping the set aborts a probe that takes too long.
        matches!(timeout(PROBE_LIMIT, probes.join_next()).await, Ok(Some(Ok(Some(true)))))
    }
}

/// The probe of a worker; its two traits share no method.
fn erased_probe<W, F>(worker: &Arc<W>, probe: fn(Arc<W>, &'static str) -> F) -> Probe
where
    W: Send + Sync + 'static,
    F: Future<Output = Option<bool>> + Send + 'static,
{
    let worker = worker.clone();
    Box::new(move |class| Box::pin(probe(worker.clone(), class)))
}

async fn attempt<M, H, F>(limit: Duration, deliveries: Vec<Delivery>, handle: H) -> BatchOutcome
where
    M: Inbox,
    H: FnOnce(Vec<Job<M>>) -> F,
    F: Future<Output = (Vec<Job<M>>, Result<(), Failure>)> + Send + 'static,
{
    let (jobs, mut outcomes) = decode(deliveries);
    if jobs.is_empty() {
        return BatchOutcome { outcomes: outcomes.into_iter().flatten().collect(), shared_failure: None };
    }
    let (handled, begun) = (jobs.len(), Instant::now());
    let task = tokio::spawn(pvt_traces::in_current(handle(jobs).instrument(Span::current())));
    let common = match join(task, limit).await {
        Ok((jobs, result)) => {
            for job in jobs {
                if let Some(position) = outcomes.get_mut(job.position) {
                    *position = own_outcome(job.failure, job.outbox, &result);
                }
            }
            // The handler removed an item from its batch.
            result.err().unwrap_or_else(|| Failure::retry("item_lost", "the handler did not return this item"))
        }
        Err(failure) => failure,
    };
    let undecided = outcomes.iter().filter(|outcome| outcome.is_none()).count();
    let outcomes =
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Outcome::Failed(common.clone()))).collect();
    let is_shared = undecided > 0 && handled > 1 && !matches!(common, Failure::Defer(_));
    BatchOutcome {
        outcomes,
        shared_failure: is_shared.then(|| SharedFailure { failure: common, took: begun.elapsed() }),
    }
}

/// The outcome of a message that the handler returned; `None` when the failure of the whole batch decides.
fn own_outcome(failure: Option<Failure>, outbox: Vec<Outgoing>, result: &Result<(), Failure>) -> Option<Outcome> {
    match (failure, result) {
        (Some(failure), _) => Some(Outcome::Failed(failure)),
        (None, Ok(())) => Some(Outcome::Done(outbox)),
        (None, Err(_)) => None,
    }
}

/// Jobs for deliveries that decode; an outcome at once for those that do not.
fn decode<M: Inbox>(deliveries: Vec<Delivery>) -> (Vec<Job<M>>, Vec<Option<Outcome>>) {
    let mut jobs = Vec::with_capacity(deliveries.len());
    let mut outcomes = Vec::with_capacity(deliveries.len());
    for (position, delivery) in deliveries.into_iter().enumerate() {
        if delivery.envelope.id.is_nil() {
            outcomes
                .push(Some(Outcome::Failed(Failure::reject("invalid_envelope", "message_id is absent or not a UUID"))));
            continue;
        }
        match M::decode(&delivery.envelope.kind, &delivery.body) {
            Ok(message) => {
                jobs.push(Job::at_position(message, delivery, position));
                outcomes.push(None);
            }
            Err(error) => outcomes.push(Some(Outcome::Failed(Failure::reject(error.class(), &error)))),
        }
    }
    (jobs, outcomes)
}

/// Waits for the task of a handler within its timeout and grace period.
async fn join<T>(mut task: JoinHandle<T>, limit: Duration) -> Result<T, Failure> {
    if let Ok(joined) = timeout(limit, &mut task).await {
        return joined.map_err(join_failure);
    }
    // A result within the grace period counts: its effects have happened.
    if let Ok(joined) = timeout(limit.min(GRACE_CAP), &mut task).await {
        return joined.map_err(join_failure);
    }
    error!(
        timeout_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        "handler exceeded its timeout and grace period, aborting it"
    );
    task.abort();
    Err(Failure::retry(TIMEOUT, format!("no result within {limit:?} and the grace period")))
}

fn join_failure(error: JoinError) -> Failure {
    match error.try_into_panic() {
        Ok(payload) => Failure::retry(PANIC, panic_text(&*payload)),
        Err(_) => Failure::retry("cancelled", "the task of the handler was cancelled"),
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("panic without a message").to_owned()
}

/// The cause of a failure, for logs. Deferrals have none.
pub(crate) fn cause(failure: &Failure) -> Option<&Cause> {
    match failure {
        Failure::Retry(cause)
        | Failure::RetryAfter(cause, _)
        | Failure::Reject(cause)
        | Failure::Unavailable(cause) => Some(cause),
        Failure::Defer(_) => None,
    }
}
