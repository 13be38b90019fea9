//! Runs registered workers until it is told to stop, then drains.

use crate::consumer_session::WorkerContext;
use crate::erased_worker::{ErasedWorker, QueueId};
use crate::health::{Health, Status};
use crate::metrics::WorkerMetrics;
use crate::runner::Runner;
use crate::spec::Shape;
use crate::worker::{BatchWorker, Worker};
use pvt_messaging::{Publisher, QueueRole, Subscriber, Topology};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// From the signal to the end: what is not finished by then is left to redelivery.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(25);
/// For closing the consuming connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why an engine can't start or did not end well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Two workers of one name.
    #[error("two workers are called `{0}`")]
    DuplicateName(&'static str),
    /// Two workers on one queue.
    #[error("two workers consume `{0}`")]
    DuplicateQueue(&'static str),
    /// The topology has no such work queue.
    #[error("worker `{worker}` consumes `{queue}`, which is not a work queue")]
    UnknownQueue {
        /// The worker.
        worker: &'static str,
        /// The queue it names.
        queue: &'static str,
    },
    /// A declaration that can't be run.
    #[error("worker `{worker}`: {reason}")]
    InvalidSpec {
        /// The worker.
        worker: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// There is nothing to run.
    #[error("no worker is registered")]
    Empty,
    /// A runner ended by itself, which only a defect of the engine can cause.
    #[error("a runner ended unexpectedly")]
    RunnerEnded,
    /// The deadline passed; unfinished messages are delivered again.
    #[error("not everything was finished within {} s", DRAIN_DEADLINE.as_secs())]
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
}

impl Engine {
    /// An engine that consumes over a connection of its own and publishes through `publisher`, which stays the caller's
    /// to close.
    pub fn new(amqp_url: &str, topology: Topology, publisher: Publisher) -> Self {
        let drain = CancellationToken::new();
        Self {
            amqp_url: amqp_url.to_owned(),
            topology,
            publisher,
            workers: Vec::new(),
            drain,
            health: Health::default(),
        }
    }

    /// Adds a worker that handles messages one by one.
    ///
    /// # Errors
    /// When its name or queue is taken, its queue does not exist, or its declaration can't be run.
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

    fn add(mut self, unit: ErasedWorker, shape_fits: bool) -> Result<Self, EngineError> {
        let spec = unit.spec;
        let (worker, queue) = (spec.name, spec.queue.base());
        if let Some(reason) = spec.invalid_reason().or((!shape_fits).then_some("its shape does not fit its trait")) {
            return Err(EngineError::InvalidSpec { worker, reason });
        }
        if self.workers.iter().any(|context| context.unit.spec.name == worker) {
            return Err(EngineError::DuplicateName(worker));
        }
        if self.workers.iter().any(|context| context.unit.spec.queue.base() == queue) {
            return Err(EngineError::DuplicateQueue(queue));
        }
        let known = self.topology.queues();
        let consumed = self.topology.work_queues(spec.queue);
        let exists =
            |name: &str| known.iter().any(|queue| queue.name == name && matches!(queue.role, QueueRole::Work { .. }));
        if !consumed.iter().all(|(name, _)| exists(name)) {
            return Err(EngineError::UnknownQueue { worker, queue });
        }
        let status = Arc::new(Status::new(worker, consumed.len()));
        self.health.add(status.clone());
        self.workers.push(WorkerContext {
            unit: Arc::new(unit),
            publisher: self.publisher.clone(),
            status,
            metrics: Arc::new(WorkerMetrics::of(worker)),
            drain: self.drain.clone(),
        });
        Ok(self)
    }

    /// The health of its workers; stays valid while the engine runs and after.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Runs all workers until `shutdown`, then stops consuming, finishes what is being handled, publishes, acknowledges
    /// and closes. A broker that is away is waited for.
    ///
    /// # Errors
    /// When nothing is registered, or [`DRAIN_DEADLINE`] passed before everything was finished.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), EngineError> {
        if self.workers.is_empty() {
            return Err(EngineError::Empty);
        }
        let subscriber =
            Subscriber::start(&self.amqp_url, self.topology.clone(), &format!("{}workers", self.topology.prefix()));
        let mut runners = JoinSet::new();
        for context in &self.workers {
            for (name, partition) in self.topology.work_queues(context.unit.spec.queue) {
                let queue = QueueId { name: name.into(), partition };
                runners.spawn(Runner { context: context.clone(), queue, subscriber: subscriber.clone() }.run());
            }
        }
        let early = tokio::select! {
            () = shutdown.cancelled() => false,
            ended = runners.join_next() => {
                error!(?ended, "a runner ended unexpectedly; draining the others");
                true
            }
        };
        info!("draining");
        for context in &self.workers {
            context.status.draining.store(true, Ordering::Relaxed);
        }
        self.drain.cancel();
        let drained = timeout(DRAIN_DEADLINE, async { while runners.join_next().await.is_some() {} }).await;
        subscriber.close(CLOSE_TIMEOUT).await;
        match drained {
            Ok(()) if early => Err(EngineError::RunnerEnded),
            Ok(()) => Ok(()),
            Err(_) => Err(EngineError::DrainIncomplete),
        }
    }
}
