//! The scheduler: sends the commands of each schedule when it fires.
//!
//! Any number of schedulers may run; a lease in MongoDB lets one of them fire. Message ids are functions of schedule,
//! time and subject, so two leaders at once, or a fire repeated after a crash, change nothing. It reads what its
//! commands are about; it must never do their work itself.

mod due;
mod fire;
mod schedule;

pub use due::{due, next_fire};
pub use schedule::{CatchUp, Schedule, ScheduleError, Task, default_schedules, parse_schedules};

use chrono::{DateTime, TimeDelta, Utc};
use fire::{FireError, FireWindow};
use pvt_messaging::{Outgoing, Publisher, Topology};
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::schedules::Leadership;
use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a silent leader keeps the lease.
const LEASE: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// A leader does not fire in the last part of its lease, so that it has stopped when another one starts.
const LEASE_MARGIN: Duration = Duration::from_secs(3);
/// Interval between checks for due fires.
const TICK: Duration = Duration::from_millis(500);
/// Pause after a failed fire, which is then repeated under the same ids.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Longest delay of shutdown for stepping down.
const STEP_DOWN_LIMIT: Duration = Duration::from_secs(2);
/// Commands published between two checks of the lease.
const CHUNK: usize = 500;

/// The scheduler of one process.
pub struct Scheduler {
    mongo: Mongo,
    publisher: Publisher,
    topology: Topology,
    schedules: Vec<Schedule>,
    holder: String,
}

/// A lease that this process holds, and the progress of each schedule.
struct LeaderTerm {
    token: i64,
    /// The server's clock when the lease was last renewed.
    server_time: DateTime<Utc>,
    /// Our clock just before.
    renewed_at: Instant,
    settled_until: HashMap<String, DateTime<Utc>>,
    paused_until: Option<Instant>,
}

impl LeaderTerm {
    fn holds(&self) -> bool {
        self.renewed_at.elapsed() + LEASE_MARGIN < LEASE
    }

    /// The time by the server's clock, so that no process fires early or late because its own clock is wrong.
    fn now(&self) -> DateTime<Utc> {
        self.server_time + TimeDelta::from_std(self.renewed_at.elapsed()).unwrap_or(TimeDelta::zero())
    }
}

impl Scheduler {
    /// A scheduler with the built-in schedules.
    pub fn new(mongo: Mongo, publisher: Publisher, topology: Topology) -> Self {
        Self { mongo, publisher, topology, schedules: default_schedules(), holder: Uuid::new_v4().to_string() }
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
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut term: Option<LeaderTerm> = None;
        let mut renewed_at: Option<Instant> = None;
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            if renewed_at.is_none_or(|renewed| renewed.elapsed() >= RENEW_EVERY) {
                renewed_at = Some(Instant::now());
                term = self.renew(term).await;
                metrics::gauge!("pvt_scheduler_leader").set(if term.is_some() { 1.0 } else { 0.0 });
            }
            if let Some(term) = term.as_mut().filter(|term| term.holds()) {
                self.fire_due_schedules(term).await;
            }
        }
        if let Some(term) = term {
            self.step_down(term.token).await;
        }
        Ok(())
    }

    /// Acquires or renews the lease. While MongoDB is unreachable the old one is kept until it expires.
    async fn renew(&self, term: Option<LeaderTerm>) -> Option<LeaderTerm> {
        let renewed_at = Instant::now();
        match self.mongo.schedules().lead(&self.holder, LEASE).await {
            Ok(Some(Leadership { token, server_time })) => {
                let server_time = server_time.as_datetime();
                match term {
                    Some(term) if term.token == token => Some(LeaderTerm { server_time, renewed_at, ..term }),
                    _ => {
                        tracing::info!(token, "scheduler lease acquired");
                        Some(LeaderTerm {
                            token,
                            server_time,
                            renewed_at,
                            settled_until: HashMap::new(),
                            paused_until: None,
                        })
                    }
                }
            }
            Ok(None) => {
                if term.is_some() {
                    tracing::warn!("scheduler lease lost to another process");
                }
                None
            }
            Err(error) => {
                tracing::warn!(%error, "scheduler lease could not be renewed");
                term.filter(LeaderTerm::holds)
            }
        }
    }

    async fn step_down(&self, token: i64) {
        match timeout(STEP_DOWN_LIMIT, self.mongo.schedules().step_down(&self.holder, token)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "scheduler lease could not be released, it will expire"),
            Err(_) => tracing::warn!("releasing the scheduler lease timed out, it will expire"),
        }
    }

    async fn fire_due_schedules(&self, term: &mut LeaderTerm) {
        if term.paused_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        for schedule in &self.schedules {
            if let Err(error) = self.advance(schedule, term).await {
                metrics::counter!("pvt_schedule_failures_total", "schedule" => schedule.name.clone()).increment(1);
                tracing::warn!(schedule = schedule.name, %error, "schedule failed to fire, retrying");
                term.paused_until = Some(Instant::now() + PAUSE_AFTER_FAILURE);
                return;
            }
        }
    }

    /// Fires what is due of one schedule, oldest first, each recorded before the next.
    async fn advance(&self, schedule: &Schedule, term: &mut LeaderTerm) -> Result<(), FireError> {
        let settled_until = self.settled_until(schedule, term).await?;
        let mut after = settled_until;
        for fire in due(schedule, settled_until, term.now()) {
            self.fire(schedule, FireWindow { after, until: fire }, term).await?;
            after = fire;
            self.mongo.schedules().record_fire(&schedule.name, fire.into(), true, term.token).await?;
            term.settled_until.insert(schedule.name.clone(), fire);
            metrics::counter!("pvt_schedule_fires_total", "schedule" => schedule.name.clone()).increment(1);
        }
        Ok(())
    }

    /// The progress of a schedule. A new one starts now: nothing earlier is due.
    async fn settled_until(&self, schedule: &Schedule, term: &mut LeaderTerm) -> Result<DateTime<Utc>, StoreError> {
        if let Some(known) = term.settled_until.get(&schedule.name) {
            return Ok(*known);
        }
        let stored = self.mongo.schedules().find(&schedule.name).await?;
        let until = match stored {
            Some(state) => state.settled_until.as_datetime(),
            None => {
                let now = term.now();
                self.mongo.schedules().record_fire(&schedule.name, now.into(), false, term.token).await?;
                now
            }
        };
        term.settled_until.insert(schedule.name.clone(), until);
        Ok(until)
    }

    async fn fire(&self, schedule: &Schedule, window: FireWindow, term: &LeaderTerm) -> Result<(), FireError> {
        if schedule.task.is_global() {
            let mut commands = fire::global_commands(schedule, window, &self.mongo, &self.topology).await?;
            return self.publish(&mut commands, term).await;
        }
        let properties = self.mongo.inventories().property_ids().await?;
        tracing::info!(schedule = schedule.name, fire = %window.until, properties = properties.len(), "schedule fired");
        let mut pending = Vec::with_capacity(CHUNK);
        for property in &properties {
            for command in fire::property_commands(schedule, window, property, &self.mongo, &self.topology).await? {
                pending.push(command);
                if pending.len() == CHUNK {
                    self.publish(&mut pending, term).await?;
                }
            }
        }
        self.publish(&mut pending, term).await
    }

    async fn publish(&self, pending: &mut Vec<Outgoing>, term: &LeaderTerm) -> Result<(), FireError> {
        if !term.holds() {
            return Err(FireError::LeaseLost);
        }
        self.publisher.publish_all(pending.as_slice()).await?;
        pending.clear();
        Ok(())
    }
}
