//! The scheduler: sends the commands of each schedule when it fires.
//!
//! Any number of schedulers may run; a lease in MongoDB lets one of them fire. Message ids are functions of schedule,
//! time and subject, so two leaders at once, or a fire repeated after a crash, change nothing. It reads what its
//! commands are about; it must never do their work itself.

mod due;
mod fire;
mod lease;
mod runner;
mod schedule;

pub use due::{due, next_fire};
pub use schedule::{CatchUp, Schedule, ScheduleError, Task, default_schedules, parse_schedules};

use futures_util::future::join_all;
use lease::Lease;
use pvt_messaging::{Publisher, Topology};
use pvt_stores::mongo::Mongo;
use runner::Runner;
use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Longest delay of shutdown for stepping down.
const STEP_DOWN_LIMIT: Duration = Duration::from_secs(2);

/// The scheduler of one process.
pub struct Scheduler {
    mongo: Mongo,
    publisher: Publisher,
    topology: Topology,
    schedules: Vec<Schedule>,
    holder: String,
    lease: watch::Sender<Option<Lease>>,
}

/// Whether the scheduler of this process leads, for tasks that one process of all carries out. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Leader(watch::Receiver<Option<Lease>>);

impl Leader {
    /// Whether it leads now.
    pub fn leads(&self) -> bool {
        self.0.borrow().as_ref().is_some_and(Lease::holds)
    }
}

impl Scheduler {
    /// A scheduler with the built-in schedules.
    pub fn new(mongo: Mongo, publisher: Publisher, topology: Topology) -> Self {
        let (lease, holder) = (watch::channel(None).0, Uuid::new_v4().to_string());
        Self { mongo, publisher, topology, schedules: default_schedules(), holder, lease }
    }

    /// Whether it leads.
    pub fn leader(&self) -> Leader {
        Leader(self.lease.subscribe())
    }

    /// The same, with other schedules.
    #[must_use]
    pub fn with_schedules(mut self, schedules: Vec<Schedule>) -> Self {
        self.schedules = schedules;
        self
    }

    /// Runs until the token is cancelled, and retries whatever fails.
    ///
    /// # Errors
    /// Never.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        self.run_beside(ready(()), shutdown).await
    }

    /// The same beside work that only the leader does, and leads until that has ended, too: another process would do
    /// it at the same time.
    ///
    /// # Errors
    /// Never.
    pub async fn run_beside(
        self,
        work: impl Future<Output = ()>,
        shutdown: CancellationToken,
    ) -> Result<(), Infallible> {
        let (current, lease) = (self.lease.clone(), self.lease.subscribe());
        // Renewed until the last fire and the work have stopped; also ends when this future is dropped.
        let stop_renewing = CancellationToken::new();
        let stop_on_drop = stop_renewing.clone().drop_guard();
        let renewing = tokio::spawn(lease::keep(self.mongo.clone(), self.holder.clone(), current, stop_renewing));
        let (requested, requests) = watch::channel(Vec::new());
        let names: Vec<String> = self.schedules.iter().map(|schedule| schedule.name.clone()).collect();
        let reading = runner::read_periodically(self.mongo.clone(), names, lease.clone(), requested, &shutdown);
        let runners = self.schedules.iter();
        let runners = runners.map(|it| Runner::new(&self, it, lease.clone(), requests.clone(), &shutdown).run());
        tokio::join!(reading, join_all(runners), work);
        // Schedules may all be disabled; the lease is held all the same, so that one process leads.
        shutdown.cancelled().await;
        drop(stop_on_drop);
        if let Err(error) = renewing.await {
            tracing::error!(%error, "the task that renews the scheduler lease failed");
        }
        let held = self.lease.send_replace(None).map(|lease| lease.token);
        if let Some(token) = held {
            self.step_down(token).await;
        }
        Ok(())
    }

    async fn step_down(&self, token: i64) {
        match timeout(STEP_DOWN_LIMIT, self.mongo.schedules().step_down(&self.holder, token)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "scheduler lease could not be released, it will expire"),
            Err(_) => tracing::warn!("releasing the scheduler lease timed out, it will expire"),
        }
    }
}
