//! One schedule at work: its progress, its fires, and what it does when they fail.
//!
//! Every schedule runs by itself, so that one that fails or takes long delays no other. Within a fire, a property that
//! fails is left behind and retried; the other properties get their commands.

mod for_all;
mod maintenance;
mod records;
mod requested;

pub(super) use requested::read_periodically;

use super::fire::{self, FireError, FireWindow};
use super::lease::Lease;
use super::schedule::Schedule;
use super::{Scheduler, due};
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use pvt_domain::ids::PropertyId;
use pvt_messaging::Outgoing;
use pvt_service::periodic::Turns;
use pvt_stores::StoreError;
use pvt_stores::mongo::schedule_runs::ScheduleRun;
use pvt_stores::mongo::schedules::{FireProgress, MAX_AHEAD, PropertyBehind};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Counter, label `schedule`: fires that are over.
const FIRES: &str = "pvt_schedule_fires_total";
/// Counter, label `schedule`: failures of fires, and of single properties in fires.
const FAILURES: &str = "pvt_schedule_failures_total";
/// Interval between checks for due fires.
const TICK: Duration = Duration::from_millis(500);
/// Pauses after a failed fire, which then continues where it stopped.
const FIRE_RETRY: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_secs(5))
    .with_max_delay(Duration::from_secs(30))
    .without_max_times();
/// Pauses between attempts to catch up properties that are behind.
const CATCH_UP_RETRY: ExponentialBuilder = FIRE_RETRY.with_max_delay(Duration::from_secs(300));
/// Longest reading of one property; one that takes longer counts as failed.
const PROPERTY_LIMIT: Duration = Duration::from_secs(60);
/// Properties that are read at the same time.
const CONCURRENT_READS: usize = 8;
/// Properties whose commands are published together, after which the progress is recorded.
const PROPERTIES_PER_STEP: usize = 50;
/// Commands published between two checks of the lease.
const CHUNK: usize = 500;

/// Progress of a schedule during one leadership.
struct Progress {
    token: i64,
    settled_until: DateTime<Utc>,
    under_way: Option<FireProgress>,
    behind: BTreeMap<PropertyId, DateTime<Utc>>,
}

/// Growing pauses after failures.
struct Retry {
    schedule: ExponentialBuilder,
    delays: ExponentialBackoff,
    not_before: Option<Instant>,
}

impl Retry {
    fn new(schedule: ExponentialBuilder) -> Self {
        Self { schedule, delays: schedule.build(), not_before: None }
    }

    fn is_due(&self) -> bool {
        self.not_before.is_none_or(|at| Instant::now() >= at)
    }

    fn failed(&mut self) {
        self.not_before = self.delays.next().map(|delay| Instant::now() + delay);
    }

    fn succeeded(&mut self) {
        *self = Self::new(self.schedule);
    }
}

/// One schedule of a scheduler.
pub(super) struct Runner<'a> {
    scheduler: &'a Scheduler,
    schedule: &'a Schedule,
    lease: watch::Receiver<Option<Lease>>,
    /// Runs of any schedule that operators have requested.
    requests: watch::Receiver<Vec<ScheduleRun>>,
    stop: &'a CancellationToken,
    progress: Option<Progress>,
    fires: Retry,
    catch_up: Retry,
}

impl<'a> Runner<'a> {
    pub(super) fn new(
        scheduler: &'a Scheduler,
        schedule: &'a Schedule,
        lease: watch::Receiver<Option<Lease>>,
        requests: watch::Receiver<Vec<ScheduleRun>>,
        stop: &'a CancellationToken,
    ) -> Self {
        let (fires, catch_up) = (Retry::new(FIRE_RETRY), Retry::new(CATCH_UP_RETRY));
        Self { scheduler, schedule, lease, requests, stop, progress: None, fires, catch_up }
    }

    /// Fires what is due while this process leads, until `stop`.
    pub(super) async fn run(mut self) {
        self.begin_counters();
        let mut turns = Turns::new(TICK, self.stop);
        while turns.next().await {
            let Ok(lease) = self.lease() else {
                self.progress = None;
                // Also while a fire waits to be repeated: what is left behind is for the next leader to show.
                self.count_behind(0);
                self.note_waiting(false);
                continue;
            };
            // Also while a fire waits to be repeated: an operator may have removed its cause.
            self.answer_request(lease).await;
            if !self.fires.is_due() {
                continue;
            }
            match self.advance(lease).await {
                Ok(()) => self.fires.succeeded(),
                Err(FireError::Stopped) => {}
                Err(error) => {
                    let schedule = &self.schedule.name;
                    metrics::counter!(FAILURES, "schedule" => schedule.clone()).increment(1);
                    tracing::warn!(schedule, %error, "schedule failed to fire, retrying");
                    // What is stored counts: the failed step may have been recorded.
                    self.progress = None;
                    self.fires.failed();
                }
            }
        }
    }

    /// An alert compares with the scrape before, so counters begin at 0, not with their first event.
    fn begin_counters(&self) {
        for counter in [FIRES, FAILURES] {
            metrics::counter!(counter, "schedule" => self.schedule.name.clone()).increment(0);
        }
    }

    fn lease(&self) -> Result<Lease, FireError> {
        (*self.lease.borrow()).filter(Lease::holds).ok_or(FireError::LeaseLost)
    }

    /// Finishes the fire that was interrupted, then fires what is due, oldest first, each recorded before the next.
    async fn advance(&mut self, lease: Lease) -> Result<(), FireError> {
        let is_usable = |known: &Progress| known.token == lease.token && known.settled_until <= lease.now() + MAX_AHEAD;
        let mut progress = match self.progress.take().filter(is_usable) {
            Some(known) => known,
            None => {
                let stored = self.load(lease).await?;
                self.record_plan(lease).await;
                stored
            }
        };
        if self.waits_for_maintenance(&progress, lease).await? {
            self.progress = Some(progress);
            return Ok(());
        }
        if let Some(FireProgress { fire, property_id }) = progress.under_way.take() {
            let fire = fire.as_datetime();
            // A process of an earlier version may have fired since without this record.
            if progress.settled_until < fire && fire <= lease.now() {
                self.fire(&mut progress, lease, fire, Some(property_id)).await?;
            }
        }
        for fire in due(self.schedule, progress.settled_until, lease.now()) {
            self.fire(&mut progress, lease, fire, None).await?;
        }
        if !progress.behind.is_empty() && self.catch_up.is_due() {
            self.catch_up(&mut progress).await?;
        }
        self.progress = Some(progress);
        Ok(())
    }

    /// The stored progress. A new schedule starts now: nothing earlier is due.
    async fn load(&self, lease: Lease) -> Result<Progress, FireError> {
        let (schedules, name) = (self.scheduler.mongo.schedules(), &self.schedule.name);
        let (now, token) = (lease.now(), lease.token);
        let from_now = Progress { token, settled_until: now, under_way: None, behind: BTreeMap::new() };
        let Some(stored) = schedules.find(name).await? else {
            schedules.record_fire(name, now.into(), false, token).await?;
            self.count_behind(0);
            return Ok(from_now);
        };
        let behind = stored.behind.into_iter().map(|it| (it.property_id, it.settled_until.as_datetime().min(now)));
        let stored = Progress {
            token,
            settled_until: stored.settled_until.as_datetime(),
            under_way: stored.under_way,
            behind: behind.collect(),
        };
        self.count_behind(stored.behind.len());
        if stored.settled_until > now + MAX_AHEAD {
            tracing::warn!(schedule = name, settled_until = %stored.settled_until, %now,
                "progress of the schedule is ahead of the server's clock, it continues from now");
            schedules.reset(name, stored.settled_until.into(), now.into(), token).await?;
            return Ok(Progress { settled_until: now, under_way: None, ..stored });
        }
        Ok(stored)
    }

    async fn fire(
        &mut self,
        progress: &mut Progress,
        lease: Lease,
        fire: DateTime<Utc>,
        done: Option<PropertyId>,
    ) -> Result<(), FireError> {
        let begun = lease.now();
        let sent = self.send(progress, fire, done).await;
        self.record_run(fire, begun, lease.now(), &sent, progress.behind.len()).await;
        sent?;
        let name = &self.schedule.name;
        let (schedules, plan) = (self.scheduler.mongo.schedules(), self.plan(lease));
        schedules.record_fire_with_plan(name, fire.into(), &plan, progress.token).await?;
        progress.settled_until = fire;
        metrics::counter!(FIRES, "schedule" => name.clone()).increment(1);
        Ok(())
    }

    /// Sends the commands of a fire; how many.
    async fn send(
        &mut self,
        progress: &mut Progress,
        fire: DateTime<Utc>,
        done: Option<PropertyId>,
    ) -> Result<u64, FireError> {
        if !self.schedule.task.is_by_property() {
            return self.send_for_all(self.schedule, fire).await;
        }
        let window = FireWindow { after: progress.settled_until, until: fire };
        self.fire_at_properties(progress, window, done).await
    }

    /// Sends the commands of the properties after `done`, in steps that are recorded; how many.
    async fn fire_at_properties(
        &mut self,
        progress: &mut Progress,
        window: FireWindow,
        done: Option<PropertyId>,
    ) -> Result<u64, FireError> {
        let (scheduler, schedule) = (self.scheduler, self.schedule);
        let mut properties = scheduler.mongo.inventories().property_ids().await?;
        properties.retain(|property| done.as_ref().is_none_or(|done| property > done));
        let name = &schedule.name;
        tracing::info!(schedule = name, fire = %window.until, properties = properties.len(), "schedule fired");
        let mut sent = 0;
        for step in properties.chunks(PROPERTIES_PER_STEP) {
            self.may_go_on()?;
            let (commands, failed) = self.commands_of_step(schedule, window, step).await;
            let mut newly_behind = false;
            for (property, error) in failed {
                self.check_store(&error).await?;
                self.leave_behind(&property, &error);
                newly_behind |= !progress.behind.contains_key(&property);
                progress.behind.entry(property).or_insert(window.after);
            }
            sent += self.publish_unless_dry(schedule, &commands).await?;
            if newly_behind {
                self.record_behind(progress).await?;
            }
            if let Some(last) = step.last().filter(|_| step.len() == PROPERTIES_PER_STEP) {
                let reached = FireProgress { fire: window.until.into(), property_id: last.clone() };
                scheduler.mongo.schedules().record_progress(name, &reached, progress.token).await?;
            }
        }
        Ok(sent)
    }

    /// The commands of some properties, and those properties of which they could not be made.
    async fn commands_of_step(
        &self,
        schedule: &Schedule,
        window: FireWindow,
        step: &[PropertyId],
    ) -> (Vec<Outgoing>, Vec<(PropertyId, FireError)>) {
        let mut results = futures_util::stream::iter(step.iter().cloned())
            .map(async |property| {
                let made = self.property_commands(schedule, window, &property).await;
                (property, made)
            })
            .buffered(CONCURRENT_READS);
        let (mut commands, mut failed) = (Vec::new(), Vec::new());
        while let Some((property, made)) = results.next().await {
            match made {
                Ok(made) => commands.extend(made),
                Err(error) => failed.push((property, error)),
            }
        }
        (commands, failed)
    }

    /// Sends what properties have missed that failed in earlier fires.
    async fn catch_up(&mut self, progress: &mut Progress) -> Result<(), FireError> {
        let mut caught_up = false;
        let behind = progress.behind.iter().take(PROPERTIES_PER_STEP).map(|(id, after)| (id.clone(), *after));
        for (property, after) in behind.collect::<Vec<_>>() {
            self.may_go_on()?;
            let window = FireWindow { after, until: progress.settled_until };
            match self.property_commands(self.schedule, window, &property).await {
                Ok(commands) => {
                    self.publish_unless_dry(self.schedule, &commands).await?;
                    progress.behind.remove(&property);
                    caught_up = true;
                }
                Err(error) => {
                    self.check_store(&error).await?;
                    self.leave_behind(&property, &error);
                }
            }
        }
        if progress.behind.is_empty() {
            self.catch_up.succeeded()
        } else {
            self.catch_up.failed()
        }
        if caught_up {
            self.record_behind(progress).await?;
        }
        Ok(())
    }

    async fn property_commands(
        &self,
        schedule: &Schedule,
        window: FireWindow,
        property: &PropertyId,
    ) -> Result<Vec<Outgoing>, FireError> {
        let Scheduler { mongo, topology, .. } = self.scheduler;
        let made = fire::property_commands(schedule, window, property, mongo, topology);
        timeout(PROPERTY_LIMIT, made).await.unwrap_or(Err(FireError::TooSlow))
    }

    /// Tells an outage of the store, which stops the fire, from a failure of one property, which does not.
    async fn check_store(&self, error: &FireError) -> Result<(), FireError> {
        if matches!(error, FireError::Store(StoreError::Unavailable { .. }) | FireError::TooSlow) {
            timeout(PROPERTY_LIMIT, self.scheduler.mongo.probe()).await.unwrap_or(Err(StoreError::Unavailable {
                store: "mongodb",
                message: "no answer to a probe".to_owned(),
            }))?;
        }
        Ok(())
    }

    /// Fails when the process is stopping or leads no more.
    fn may_go_on(&self) -> Result<(), FireError> {
        if self.stop.is_cancelled() {
            return Err(FireError::Stopped);
        }
        self.lease().map(drop)
    }

    fn count_behind(&self, properties: usize) {
        metrics::gauge!("pvt_schedule_properties_behind", "schedule" => self.schedule.name.clone())
            .set(f64::from(u32::try_from(properties).unwrap_or(u32::MAX)));
    }

    fn leave_behind(&self, property: &PropertyId, error: &FireError) {
        let schedule = &self.schedule.name;
        metrics::counter!(FAILURES, "schedule" => schedule.clone()).increment(1);
        tracing::warn!(schedule, %property, %error, "schedule failed at a property, retrying it apart");
    }

    async fn record_behind(&self, progress: &Progress) -> Result<(), FireError> {
        let name = &self.schedule.name;
        self.count_behind(progress.behind.len());
        let behind: Vec<PropertyBehind> = progress
            .behind
            .iter()
            .map(|(id, until)| PropertyBehind { property_id: id.clone(), settled_until: (*until).into() })
            .collect();
        Ok(self.scheduler.mongo.schedules().record_behind(name, &behind, progress.token).await?)
    }

    /// Publishes commands unless the schedule only reports them; how many they are.
    async fn publish_unless_dry(&self, schedule: &Schedule, commands: &[Outgoing]) -> Result<u64, FireError> {
        if schedule.sends() {
            self.publish(commands).await?;
        }
        Ok(count(commands.len()))
    }

    async fn publish(&self, commands: &[Outgoing]) -> Result<(), FireError> {
        for chunk in commands.chunks(CHUNK) {
            self.may_go_on()?;
            self.scheduler.publisher.publish_all(chunk).await?;
        }
        Ok(())
    }
}

fn count(messages: usize) -> u64 {
    u64::try_from(messages).unwrap_or(u64::MAX)
}
