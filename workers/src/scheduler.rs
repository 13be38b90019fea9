//! Sends what is due: for every fire of a schedule the commands that it asks for at every property.
//!
//! Any number of schedulers may run; a lease in MongoDB lets one of them fire. Ids of what is sent are functions of
//! schedule, day and subject, so two leaders at once, or a fire that is repeated after a crash, change nothing. It
//! reads whom its commands are about; it must never do any of the work itself.

mod due;
mod plan;
mod work;

pub use due::{CatchUp, due, next_fire};
pub use plan::{Plan, PlanError, default_plans, plans};
pub use work::{Span, Work};

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
    plans: Vec<Plan>,
    holder: String,
}

/// A lease that this process holds, and how far each schedule has come.
struct Reign {
    token: i64,
    /// The server's clock when the lease was last renewed …
    server_time: DateTime<Utc>,
    /// … and ours, just before: time that passes here passes there.
    renewed_at: Instant,
    settled_until: HashMap<String, DateTime<Utc>>,
    paused_until: Option<Instant>,
}

impl Reign {
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
        Self { mongo, publisher, topology, plans: default_plans(), holder: Uuid::new_v4().to_string() }
    }

    /// The same, with other schedules.
    #[must_use]
    pub fn with_plans(mut self, plans: Vec<Plan>) -> Self {
        self.plans = plans;
        self
    }

    /// Runs until the token is cancelled. Whatever is down is tried again.
    ///
    /// # Errors
    /// Never; the type says so.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reign: Option<Reign> = None;
        let mut asked_at: Option<Instant> = None;
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            if asked_at.is_none_or(|asked| asked.elapsed() >= RENEW_EVERY) {
                asked_at = Some(Instant::now());
                reign = self.renew(reign).await;
                metrics::gauge!("pvt_scheduler_leader").set(if reign.is_some() { 1.0 } else { 0.0 });
            }
            if let Some(reign) = reign.as_mut().filter(|reign| reign.holds()) {
                self.fire_what_is_due(reign).await;
            }
        }
        if let Some(reign) = reign {
            self.step_down(reign.token).await;
        }
        Ok(())
    }

    /// Takes or renews the lease. When MongoDB cannot say, the old one is kept until it runs out.
    async fn renew(&self, reign: Option<Reign>) -> Option<Reign> {
        let renewed_at = Instant::now();
        match self.mongo.lead(&self.holder, LEASE).await {
            Ok(Some(Leadership { token, server_time })) => {
                let server_time = server_time.as_datetime();
                match reign {
                    Some(reign) if reign.token == token => Some(Reign { server_time, renewed_at, ..reign }),
                    _ => {
                        tracing::info!(token, "this process is the scheduler's leader now");
                        Some(Reign {
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
                if reign.is_some() {
                    tracing::warn!("another process is the scheduler's leader now");
                }
                None
            }
            Err(error) => {
                tracing::warn!(%error, "the scheduler's lease could not be renewed");
                reign.filter(Reign::holds)
            }
        }
    }

    async fn step_down(&self, token: i64) {
        match timeout(STEP_DOWN_LIMIT, self.mongo.step_down(&self.holder, token)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "stepping down failed; the lease runs out by itself"),
            Err(_) => tracing::warn!("stepping down took too long; the lease runs out by itself"),
        }
    }

    async fn fire_what_is_due(&self, reign: &mut Reign) {
        if reign.paused_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        for plan in &self.plans {
            if let Err(error) = self.advance(plan, reign).await {
                metrics::counter!("pvt_schedule_failures_total", "schedule" => plan.name.clone()).increment(1);
                tracing::warn!(schedule = plan.name, %error, "a schedule could not fire; it is tried again");
                reign.paused_until = Some(Instant::now() + PAUSE_AFTER_FAILURE);
                return;
            }
        }
    }

    /// Fires everything that is due of one schedule, oldest first, each recorded before the next.
    async fn advance(&self, plan: &Plan, reign: &mut Reign) -> Result<(), FireError> {
        let settled_until = self.settled_until(plan, reign).await?;
        let mut after = settled_until;
        for fire in due(plan, settled_until, reign.now()) {
            self.fire(plan, Span { after, until: fire }, reign).await?;
            after = fire;
            self.mongo.settle_schedule(&plan.name, fire.into(), true, reign.token).await?;
            reign.settled_until.insert(plan.name.clone(), fire);
            metrics::counter!("pvt_schedule_fires_total", "schedule" => plan.name.clone()).increment(1);
        }
        Ok(())
    }

    /// How far the schedule has come. One that was never seen begins now: nothing before is owed.
    async fn settled_until(&self, plan: &Plan, reign: &mut Reign) -> Result<DateTime<Utc>, StoreError> {
        if let Some(known) = reign.settled_until.get(&plan.name) {
            return Ok(*known);
        }
        let stored = self.mongo.schedule(&plan.name).await?;
        let until = match stored {
            Some(state) => state.settled_until.as_datetime(),
            None => {
                let now = reign.now();
                self.mongo.settle_schedule(&plan.name, now.into(), false, reign.token).await?;
                now
            }
        };
        reign.settled_until.insert(plan.name.clone(), until);
        Ok(until)
    }

    async fn fire(&self, plan: &Plan, span: Span, reign: &Reign) -> Result<(), FireError> {
        if plan.work.is_of_the_whole() {
            let mut commands = work::commands_of_the_whole(plan, span, &self.mongo, &self.topology).await?;
            return self.publish(&mut commands, reign).await;
        }
        let properties = self.mongo.property_ids().await?;
        tracing::info!(schedule = plan.name, fire = %span.until, properties = properties.len(), "a schedule fires");
        let mut waiting = Vec::with_capacity(CHUNK);
        for property in &properties {
            for command in work::commands(plan, span, property, &self.mongo, &self.topology).await? {
                waiting.push(command);
                if waiting.len() == CHUNK {
                    self.publish(&mut waiting, reign).await?;
                }
            }
        }
        self.publish(&mut waiting, reign).await
    }

    async fn publish(&self, waiting: &mut Vec<Outgoing>, reign: &Reign) -> Result<(), FireError> {
        if !reign.holds() {
            return Err(FireError::LeaseLost);
        }
        self.publisher.publish_all(waiting.as_slice()).await?;
        waiting.clear();
        Ok(())
    }
}
