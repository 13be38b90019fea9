//! Records of a schedule for operators: how it runs, and how each fire ended.

use super::{Runner, count};
use crate::scheduler::fire::{self, FireError};
use crate::scheduler::lease::Lease;
use crate::scheduler::next_fire;
use chrono::{DateTime, Utc};
use pvt_domain::ids::fire_id;
use pvt_stores::mongo::schedule_runs::RunEnd;
use pvt_stores::mongo::schedules::SchedulePlan;

/// What makes the id of a run another one than those of its messages.
const RUN: &str = "run";

impl Runner<'_> {
    /// How the schedule runs from now on.
    pub(super) fn plan(&self, lease: Lease) -> SchedulePlan {
        let schedule = self.schedule;
        SchedulePlan {
            cron: schedule.cron.source().to_owned(),
            time_zone: schedule.time_zone.name().to_owned(),
            dry_run: schedule.dry_run,
            by_property: schedule.task.is_by_property(),
            waits_for_maintenance: schedule.task.waits_for_maintenance(),
            next_fire: next_fire(schedule, lease.now()).map(Into::into),
        }
    }

    /// Records when the schedule fires next. A record that fails fails no fire.
    pub(super) async fn record_plan(&self, lease: Lease) {
        let (name, plan) = (&self.schedule.name, self.plan(lease));
        if let Err(error) = self.scheduler.mongo.schedules().record_plan(name, &plan, lease.token).await {
            tracing::warn!(schedule = name, %error, "the next fire of a schedule cannot be recorded");
        }
    }

    /// Records how an attempt at a fire ended. An interrupted one goes on elsewhere. A record that fails fails no fire.
    pub(super) async fn record_run(
        &self,
        fire: DateTime<Utc>,
        begun: DateTime<Utc>,
        ended: DateTime<Utc>,
        sent: &Result<u64, FireError>,
        behind: usize,
    ) {
        let name = &self.schedule.name;
        let error = match sent {
            Ok(_) => String::new(),
            Err(FireError::Stopped | FireError::LeaseLost) => return,
            Err(error) => error.to_string(),
        };
        let outcome = sent.as_ref().map(|sent| *sent).map_err(|_| error.as_str());
        let (dry_run, behind) = (self.schedule.dry_run, count(behind));
        let (id, end) = (fire_id(name, &fire::text(fire), RUN), RunEnd { at: ended.into(), outcome, dry_run, behind });
        let recorded = self.scheduler.mongo.schedule_runs().record(id, name, fire.into(), begun.into(), end).await;
        if let Err(error) = recorded {
            tracing::warn!(schedule = name, %error, "the run of a schedule cannot be recorded");
        }
    }
}
