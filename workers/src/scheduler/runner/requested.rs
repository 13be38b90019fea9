//! Runs that operators request. They are carried out by the process that leads, beside the fires of the schedule, which
//! they do not move: what is due later still fires.
//!
//! The ids of its messages are functions of the request, so a run that is begun again after a crash, or by two leaders
//! at once, sends nothing twice. A run at properties covers what was due within a day.

use super::{PROPERTIES_PER_STEP, Runner};
use crate::scheduler::fire::{FireError, FireWindow};
use crate::scheduler::lease::Lease;
use crate::scheduler::schedule::Schedule;
use crate::store_calls::within;
use chrono::TimeDelta;
use pvt_service::periodic::Turns;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::schedule_runs::{RunEnd, ScheduleRun};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long a request waits at most before it is noticed.
const READ_EVERY: Duration = Duration::from_secs(1);
const READ_LIMIT: Duration = Duration::from_secs(5);
/// What a run at properties makes up for.
const COVERS: TimeDelta = TimeDelta::days(1);

/// Reads what operators have requested, while this process leads, until `stop`. Runs of schedules that are disabled end
/// at once.
pub(in crate::scheduler) async fn read_periodically(
    mongo: Mongo,
    names: Vec<String>,
    lease: watch::Receiver<Option<Lease>>,
    requested: watch::Sender<Vec<ScheduleRun>>,
    stop: &CancellationToken,
) {
    let mut turns = Turns::new(READ_EVERY, stop);
    let (mut is_failing, mut led_as) = (false, None);
    while turns.next().await {
        let Some(lease) = lease.borrow().filter(Lease::holds) else {
            led_as = None;
            continue;
        };
        let read = read(&mongo, &names, lease, led_as != Some(lease.token)).await;
        match read {
            Ok(open) => {
                (is_failing, led_as) = (false, Some(lease.token));
                requested.send_replace(open);
            }
            Err(error) if !is_failing => {
                is_failing = true;
                warn!(error, "requested runs of schedules cannot be read");
            }
            Err(_) => {}
        }
    }
}

async fn read(mongo: &Mongo, names: &[String], lease: Lease, is_new: bool) -> Result<Vec<ScheduleRun>, String> {
    let (mongo, names) = (mongo.clone(), names.to_vec());
    let reading = async move {
        if is_new {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            mongo.schedules().disable_others(&names, lease.token).await?;
        }
        let (open, disabled): (Vec<_>, Vec<_>) =
            mongo.schedule_runs().open().await?.into_iter().partition(|run| names.contains(&run.schedule));
        for run in disabled {
            let (runs, now) = (mongo.schedule_runs(), lease.now().into());
            if runs.begin(run.id, now, lease.token).await? {
                let end = RunEnd { at: now, outcome: Err("the schedule is disabled") };
                runs.finish(run.id, lease.token, end).await?;
            }
        }
        Ok::<_, StoreError>(open)
    };
    within(READ_LIMIT, reading).await
}

impl Runner<'_> {
    /// Carries out what was requested of this schedule.
    pub(super) async fn answer_request(&mut self, lease: Lease) {
        let is_ours = |run: &&ScheduleRun| run.schedule == self.schedule.name && self.answered != Some(run.id);
        let Some(run) = self.requests.borrow().iter().find(is_ours).cloned() else { return };
        match self.try_answer(&run, lease).await {
            Ok(()) => self.answered = Some(run.id),
            Err(FireError::Stopped | FireError::LeaseLost) => {}
            Err(error) => warn!(schedule = run.schedule, run = %run.id, %error, "a requested run will be begun again"),
        }
    }

    /// Fails where the run stays open.
    async fn try_answer(&self, run: &ScheduleRun, lease: Lease) -> Result<(), FireError> {
        let runs = self.scheduler.mongo.schedule_runs();
        if !runs.begin(run.id, lease.now().into(), lease.token).await? {
            return Ok(());
        }
        info!(schedule = run.schedule, run = %run.id, "carrying out a requested run");
        let error;
        let outcome = match self.carry_out(run, lease).await {
            Ok(sent) => Ok(sent),
            Err(interrupted @ (FireError::Stopped | FireError::LeaseLost)) => return Err(interrupted),
            Err(failed) => {
                error = failed.to_string();
                warn!(schedule = run.schedule, run = %run.id, error, "a requested run has failed");
                Err(error.as_str())
            }
        };
        runs.finish(run.id, lease.token, RunEnd { at: lease.now().into(), outcome }).await?;
        Ok(())
    }

    async fn carry_out(&self, run: &ScheduleRun, lease: Lease) -> Result<u64, FireError> {
        let request = run.request.as_ref();
        let dry_run = self.schedule.dry_run || request.is_some_and(|request| request.dry_run);
        let (schedule, fire) = (Schedule { dry_run, ..self.schedule.clone() }, run.fire.as_datetime());
        if !schedule.task.is_by_property() {
            return self.send_for_all(&schedule, fire).await;
        }
        let window = FireWindow { after: fire - COVERS, until: fire };
        let properties = match request.and_then(|request| request.property_id.clone()) {
            Some(one) => vec![one],
            None => self.scheduler.mongo.inventories().property_ids().await?,
        };
        let (mut sent, mut failures) = (0, Vec::new());
        for step in properties.chunks(PROPERTIES_PER_STEP) {
            self.may_go_on()?;
            let (commands, failed) = self.commands_of_step(&schedule, window, step).await;
            sent += self.publish_unless_dry(&schedule, &commands).await?;
            failures.extend(failed);
            self.scheduler.mongo.schedule_runs().note_progress(run.id, lease.token, sent).await?;
        }
        match failures.first() {
            None => Ok(sent),
            Some((property, error)) => {
                let (count, text) = (failures.len(), error.to_string());
                Err(FireError::Properties { count, first: property.clone(), text, sent })
            }
        }
    }
}
