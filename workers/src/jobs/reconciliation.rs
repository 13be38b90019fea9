//! Worker `reconciliation`: compares the claims of a property with its bookings and blocks, and the mart with the
//! bookings' history. It repairs what can be repaired without loss, and reports everything.
//!
//! It never changes a booking or a block. A redelivered run compares again, and its report includes earlier repairs.

mod mismatches;
mod run;

use crate::clock::{self, Clock};
use crate::declaration::{Dependencies, Start, WorkerDeclaration};
use crate::probes;
use pvt_domain::failure::Failure;
use pvt_domain::messages::{ReconcileCommand, queues};
use pvt_messaging::{Queue, RetryDelay, Topology};
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_worker_runtime::{Job, Shape, Spec, Worker};
use run::Run;
use std::time::Duration;

/// How long the events of a change may be in flight before they count as missing.
const GRACE: Duration = Duration::from_secs(600);
/// Properties checked at the same time.
const CONCURRENCY: u16 = 2;
const TIMEOUT: Duration = Duration::from_secs(240);

/// The worker of the `reconciliation` queue.
pub struct Reconciliation {
    mongo: Mongo,
    mart: Mart,
    clock: Clock,
    grace: Duration,
    /// Full name of the queue whose worker loads the mart.
    mart_queue: String,
}

impl Reconciliation {
    /// A worker on these stores that repairs the mart through its queue in this topology.
    pub fn new(mongo: Mongo, mart: Mart, topology: &Topology, clock: Clock) -> Self {
        run::begin_counters();
        Self { mongo, mart, clock, grace: GRACE, mart_queue: topology.name(queues::ANALYTICS) }
    }

    /// The same, with another grace period.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}

/// The worker `reconciliation`.
pub(crate) const WORKER: WorkerDeclaration = WorkerDeclaration {
    name: Reconciliation::SPEC.name,
    about: "compares bookings with the payment ledger and the data mart, and repairs differences",
    health_port: 8085,
    queues: &[Reconciliation::SPEC.queue],
    start: Start::Consumers(|engine, dependencies| {
        let Dependencies { mongo, mart, topology, .. } = dependencies;
        Ok(engine.register(Reconciliation::new(mongo.clone(), mart.clone(), topology, clock::system))?)
    }),
};

impl Worker for Reconciliation {
    const SPEC: Spec = Spec {
        name: "reconciliation",
        queue: Queue::One(ReconcileCommand::QUEUE),
        retry_schedule: &[RetryDelay::S5, RetryDelay::M1, RetryDelay::M10],
        timeout: TIMEOUT,
        shape: Shape::Single { concurrency: CONCURRENCY },
    };
    type Message = ReconcileCommand;

    async fn handle(&self, job: &mut Job<ReconcileCommand>) -> Result<(), Failure> {
        let ReconcileCommand::Property(command) = &job.message;
        let run = Run::begin(self, command);
        for event in run.execute().await? {
            job.emit(event);
        }
        Ok(())
    }

    async fn probe(&self, class: &'static str) -> Option<bool> {
        match probes::postgres(class, &self.mart).await {
            None => probes::mongodb(class, &self.mongo).await,
            answers => answers,
        }
    }
}
