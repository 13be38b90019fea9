//! Schedules that know no properties: their commands are made at once.

use super::{CHUNK, Runner, count};
use crate::hold_expiry;
use crate::scheduler::Scheduler;
use crate::scheduler::fire::{self, FireError};
use crate::scheduler::schedule::{Schedule, Task};
use chrono::{DateTime, TimeDelta, Utc};

/// Most holds that one fire ends; the next one continues.
const MAX_HOLDS: i64 = 10_000;
/// Requests to end a hold are kept for this long after they were to be repeated.
const KEEP_EXPIRIES: TimeDelta = TimeDelta::days(30);

impl Runner<'_> {
    /// Sends the commands of a schedule that knows no properties; how many.
    pub(super) async fn send_for_all(&self, schedule: &Schedule, fire: DateTime<Utc>) -> Result<u64, FireError> {
        let Scheduler { mongo, topology, .. } = self.scheduler;
        let commands = match schedule.task {
            Task::ExpireHolds => return self.expire_holds(schedule, fire).await,
            Task::ReconcilePayments => vec![fire::reconcile_payments(schedule, fire, topology)?],
            Task::ResumePayments => fire::resume_payments(schedule, fire, mongo, topology).await?,
            // These are made by property.
            Task::ReconcileProperties | Task::NightAudit | Task::RemindArrivalSoon | Task::RemindArrivalToday => {
                Vec::new()
            }
        };
        if schedule.sends() {
            self.publish(&commands).await?;
        }
        Ok(count(commands.len()))
    }

    /// Requests the end of expired holds, each once until it is answered; how many.
    async fn expire_holds(&self, schedule: &Schedule, fire: DateTime<Utc>) -> Result<u64, FireError> {
        let Scheduler { mongo, topology, .. } = self.scheduler;
        let due = mongo.hold_expiries().due(fire.into(), hold_expiry::latest(fire), MAX_HOLDS).await?;
        if !due.is_empty() {
            let dry_run = schedule.dry_run;
            tracing::info!(schedule = schedule.name, holds = due.len(), dry_run, "expiring overdue holds");
        }
        for holds in due.chunks(CHUNK).filter(|_| !schedule.dry_run) {
            self.may_go_on()?;
            let commands = holds.iter().map(|hold| fire::expire_hold(schedule, fire, hold, topology));
            let commands = commands.collect::<Result<Vec<_>, _>>()?;
            mongo.hold_expiries().requesting(holds, fire.into()).await?;
            self.publish(&commands).await?;
            let next_at = hold_expiry::without_answer(fire, topology.retry_divisor());
            mongo.hold_expiries().requested(holds, fire.into(), next_at).await?;
        }
        mongo.hold_expiries().remove_before((fire - KEEP_EXPIRIES).into()).await?;
        Ok(count(due.len()))
    }
}
