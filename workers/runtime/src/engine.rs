//! The worker engine: runs registered workers until shutdown, then drains.

use crate::consumer_session::WorkerContext;
use crate::erased_worker::{ErasedWorker, QueueId};
use crate::health::{Health, Status};
use crate::metrics::WorkerMetrics;
use crate::queue_pauses::{PauseWatch, QueuePauses};
use crate::runner::Runner;
use crate::spec::Shape;
use crate::worker::{BatchWorker, Worker};
use futures_util::future::join_all;
use pvt_messaging::{Publisher, QueueRole, Subscriber, Topology};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// From shutdown to exit. Messages unfinished by then are redelivered.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(25);
/// How often operations that were unavailable are looked at, also while no message comes.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(5);
/// For the close handshakes of the consuming connections.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// An engine that cannot start or did not drain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Two workers have one name.
    #[error("two workers are named `{0}`")]
    DuplicateName(&'static str),
    /// Two workers consume one queue.
    #[error("two workers consume `{0}`")]
    DuplicateQueue(&'static str),
    /// The topology has no such work queue.
    #[error("worker `{worker}` consumes `{queue}`, which is not a work queue")]
    UnknownQueue {
        /// The worker.
        worker: &'static str,
        /// The missing queue.
        queue: &'static str,
    },
    /// A spec is invalid.
    #[error("worker `{worker}`: {reason}")]
    InvalidSpec {
        /// The worker.
        worker: &'static str,
        /// What is invalid.
        reason: &'static str,
    },
    /// No worker is registered.
    #[error("no worker is registered")]
    Empty,
    /// A runner ended by itself, which is a defect of the engine.
    #[error("runner ended unexpectedly")]
    RunnerEnded,
    /// The deadline passed; unfinished messages are redelivered.
    #[error("not drained within {} s", DRAIN_DEADLINE.as_secs())]
    DrainIncomplete,
}

/// The workers of one process.
pub struct Engine {
    amqp_url: String,
    topology: Topology,
    publisher: Publisher,
    workers: Vec<WorkerContext>,
    drain: CancellationToken,
    health: Health,
    pauses: PauseWatch,
}

impl Engine {
    /// An engine that consumes each queue over a connection of its own and publishes through `publisher`, which the
    /// caller closes.
    pub fn new(amqp_url: &str, topology: Topology, publisher: Publisher) -> Self {
        let drain = CancellationToken::new();
        Self {
            amqp_url: amqp_url.to_owned(),
            topology,
            publisher,
            workers: Vec::new(),
            drain,
            health: Health::default(),
            pauses: PauseWatch::none(),
        }
    }

    /// The same, which consumes no queue while it is paused, and none at all until the pauses are known (`Some`).
    #[must_use]
    pub fn with_queue_pauses(self, pauses: watch::Receiver<Option<QueuePauses>>) -> Self {
        Self { pauses: PauseWatch::new(pauses), ..self }
    }

    /// Adds a worker that handles messages one by one.
    ///
    /// # Errors
    /// When its name or queue is taken, its queue does not exist, or its spec is invalid.
    pub fn register<W: Worker>(self, worker: W) -> Result<Self, EngineError> {
        let single = matches!(W::SPEC.shape, Shape::Single { .. });
        self.add(ErasedWorker::single(worker), single)
    }

    /// Adds a worker that handles batches.
    ///
    /// # Errors
    /// As [`Engine::register`].
    pub fn register_batch<W: BatchWorker>(self, worker: W) -> Result<Self, EngineError> {
        let batch = matches!(W::SPEC.shape, Shape::Batch { .. });
        self.add(ErasedWorker::batch(worker), batch)
    }

    fn add(mut self, worker: ErasedWorker, shape_matches: bool) -> Result<Self, EngineError> {
        let spec = worker.spec;
        let (name, queue) = (spec.name, spec.queue.base());
        if let Some(reason) = spec.invalid_reason().or((!shape_matches).then_some("its shape does not match its trait"))
        {
            return Err(EngineError::InvalidSpec { worker: name, reason });
        }
        if self.workers.iter().any(|context| context.worker.spec.name == name) {
            return Err(EngineError::DuplicateName(name));
        }
        if self.workers.iter().any(|context| context.worker.spec.queue.base() == queue) {
            return Err(EngineError::DuplicateQueue(queue));
        }
        let known = self.topology.queues();
        let consumed = self.topology.work_queues(spec.queue);
        let exists = |queue_name: &str| {
            known.iter().any(|queue| queue.name == queue_name && matches!(queue.role, QueueRole::Work { .. }))
        };
        if !consumed.iter().all(|(name, _)| exists(name)) {
            return Err(EngineError::UnknownQueue { worker: name, queue });
        }
        let status = Arc::new(Status::new(name, consumed.len()));
        self.health.add(status.clone());
        self.workers.push(WorkerContext {
            worker: Arc::new(worker),
            publisher: self.publisher.clone(),
            status,
            metrics: Arc::new(WorkerMetrics::of(name)),
            drain: self.drain.clone(),
        });
        Ok(self)
    }

    /// The health of its workers, valid during and after the run.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Runs all workers until `shutdown`, then stops consuming, finishes running handlers, publishes, acknowledges and
    /// closes. Waits for an unreachable broker.
    ///
    /// # Errors
    /// When nothing is registered, or [`DRAIN_DEADLINE`] passed before everything was finished.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), EngineError> {
        if self.workers.is_empty() {
            return Err(EngineError::Empty);
        }
        let (mut runners, mut subscribers) = (JoinSet::new(), Vec::new());
        for context in &self.workers {
            for (name, partition) in self.topology.work_queues(context.worker.spec.queue) {
                // A connection for each queue: a message that ends it stops no other queue.
                let subscriber = Subscriber::start(&self.amqp_url, self.topology.clone(), &name);
                subscribers.push(subscriber.clone());
                let queue = QueueId { name: name.into(), partition };
                let pauses = self.pauses.clone();
                let after_pause = false.into();
                runners.spawn(Runner { context: context.clone(), queue, subscriber, pauses, after_pause }.run());
            }
        }
        // Ends when it is dropped.
        let mut timers = JoinSet::new();
        timers.spawn(note_recovered(self.workers.clone()));
        let early = tokio::select! {
            () = shutdown.cancelled() => false,
            ended = runners.join_next() => {
                error!(?ended, "runner ended unexpectedly, draining the others");
                true
            }
        };
        info!("draining");
        for context in &self.workers {
            context.status.draining.store(true, Ordering::Relaxed);
        }
        self.drain.cancel();
        let drained = timeout(DRAIN_DEADLINE, async { while runners.join_next().await.is_some() {} }).await;
        join_all(subscribers.iter().map(|subscriber| subscriber.close(CLOSE_TIMEOUT))).await;
        match drained {
            Ok(()) if early => Err(EngineError::RunnerEnded),
            Ok(()) => Ok(()),
            Err(_) => Err(EngineError::DrainIncomplete),
        }
    }
}

/// Notes again and again which operations no longer count as unavailable.
async fn note_recovered(workers: Vec<WorkerContext>) {
    let mut ticks = interval(RECOVERY_INTERVAL);
    loop {
        ticks.tick().await;
        workers.iter().for_each(WorkerContext::note_recovered);
    }
}
