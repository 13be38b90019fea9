//! Sends what is due: for every fire of a schedule the commands that it asks for at every property.
//!
//! Any number of schedulers may run; a lease in MongoDB lets one of them fire. Ids of what is sent are functions of
//! schedule, day and subject, so two leaders at once, or a fire that is repeated after a crash, change nothing. It
//! reads whom its commands are about; it must never do any of the work itself.

mod due;
mod fire;
mod schedule;

pub use due::{CatchUp, due, next_fire};
pub use fire::{FireWindow, Task};
pub use schedule::{Schedule, ScheduleError, default_schedules, parse_schedules};

use chrono::{DateTime, TimeDelta, Utc};
use pvt_messaging::{EncodeError, Outgoing, PublishError, Publisher, Topology};
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::schedules::Leadership;
use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a leader that has gone silent is still the leader.
const LEASE: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// A leader fires nothing in the last part of its lease, so that it has stopped for sure when another one begins.
const LEASE_MARGIN: Duration = Duration::from_secs(3);
/// How often it looks whether something is due.
const TICK: Duration = Duration::from_millis(500);
/// Pause after a fire that failed; the same fire is then repeated under the same ids.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How long stepping down may delay the end of the process.
const STEP_DOWN_LIMIT: Duration = Duration::from_secs(2);
/// Commands published between two looks at the lease.
const CHUNK: usize = 500;

/// Why a fire did not succeed. It is repeated until it does.
#[derive(Debug, Error)]
enum FireError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("the lease ran out")]
    LeaseLost,
}

/// The scheduler of one process.
pub struct Scheduler {
    mongo: Mongo,
    publisher: Publisher,
    topology: Topology,
    schedules: Vec<Schedule>,
    holder: String,
}

/// A lease that this process holds, and how far each schedule has come.
struct LeaderTerm {
    token: i64,
    /// The server's clock when the lease was last renewed …
    server_time: DateTime<Utc>,
    /// … and ours, just before: time that passes here passes there.
    renewed_at: Instant,
    settled_until: HashMap<String, DateTime<Utc>>,
    paused_until: Option<Instant>,
}

impl LeaderTerm {
    fn holds(&self) -> bool {
        self.renewed_at.elapsed() + LEASE_MARGIN < LEASE
    }

    /// The time by the server's clock, so that no process fires early or late because its own is wrong.
    fn now(&self) -> DateTime<Utc> {
        self.server_time + TimeDelta::from_std(self.renewed_at.elapsed()).unwrap_or(TimeDelta::zero())
    }
}

impl Scheduler {
    /// A scheduler of the compiled-in schedules.
    pub fn new(mongo: Mongo, publisher: Publisher, topology: Topology) -> Self {
        Self { mongo, publisher, topology, schedules: default_schedules(), holder: Uuid::new_v4().to_string() }
    }

    /// The same, with other schedules.
    #[must_use]
    pub fn with_schedules(mut self, schedules: Vec<Schedule>) -> Self {
        self.schedules = schedules;
        self
    }

    /// Runs until the token is cancelled. Whatever is down is tried again.
    ///
    /// # Errors
    /// Never; the type says so.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut term: Option<LeaderTerm> = None;
        let mut asked_at: Option<Instant> = None;
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            if asked_at.is_none_or(|asked| asked.elapsed() >= RENEW_EVERY) {
                asked_at = Some(Instant::now());
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

    /// Takes or renews the lease. When MongoDB cannot say, the old one is kept until it runs out.
    async fn renew(&self, term: Option<LeaderTerm>) -> Option<LeaderTerm> {
        let renewed_at = Instant::now();
        match self.mongo.schedules().lead(&self.holder, LEASE).await {
            Ok(Some(Leadership { token, server_time })) => {
                let server_time = server_time.as_datetime();
                match term {
                    Some(term) if term.token == token => Some(LeaderTerm { server_time, renewed_at, ..term }),
                    _ => {
                        tracing::info!(token, "this process is the scheduler's leader now");
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
                    tracing::warn!("another process is the scheduler's leader now");
                }
                None
            }
            Err(error) => {
                tracing::warn!(%error, "the scheduler's lease could not be renewed");
                term.filter(LeaderTerm::holds)
            }
        }
    }

    async fn step_down(&self, token: i64) {
        match timeout(STEP_DOWN_LIMIT, self.mongo.schedules().step_down(&self.holder, token)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "stepping down failed; the lease runs out by itself"),
            Err(_) => tracing::warn!("stepping down took too long; the lease runs out by itself"),
        }
    }

    async fn fire_due_schedules(&self, term: &mut LeaderTerm) {
        if term.paused_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        for schedule in &self.schedules {
            if let Err(error) = self.advance(schedule, term).await {
                metrics::counter!("pvt_schedule_failures_total", "schedule" => schedule.name.clone()).increment(1);
                tracing::warn!(schedule = schedule.name, %error, "a schedule could not fire; it is tried again");
                term.paused_until = Some(Instant::now() + PAUSE_AFTER_FAILURE);
                return;
            }
        }
    }

    /// Fires everything that is due of one schedule, oldest first, each recorded before the next.
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

    /// How far the schedule has come. One that was never seen begins now: nothing before is owed.
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

    async fn fire(&self, schedule: &Schedule, span: FireWindow, term: &LeaderTerm) -> Result<(), FireError> {
        if schedule.task.is_global() {
            let mut commands = fire::global_commands(schedule, span, &self.mongo, &self.topology).await?;
            return self.publish(&mut commands, term).await;
        }
        let properties = self.mongo.inventories().property_ids().await?;
        tracing::info!(schedule = schedule.name, fire = %span.until, properties = properties.len(), "a schedule fires");
        let mut waiting = Vec::with_capacity(CHUNK);
        for property in &properties {
            for command in fire::property_commands(schedule, span, property, &self.mongo, &self.topology).await? {
                waiting.push(command);
                if waiting.len() == CHUNK {
                    self.publish(&mut waiting, term).await?;
                }
            }
        }
        self.publish(&mut waiting, term).await
    }

    async fn publish(&self, waiting: &mut Vec<Outgoing>, term: &LeaderTerm) -> Result<(), FireError> {
        if !term.holds() {
            return Err(FireError::LeaseLost);
        }
        self.publisher.publish_all(waiting.as_slice()).await?;
        waiting.clear();
        Ok(())
    }
}
