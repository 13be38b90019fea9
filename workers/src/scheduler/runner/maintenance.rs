//! Schedules that wait for the end of maintenance, because they decide against guests who are refused meanwhile.

use super::{Progress, Runner};
use crate::scheduler::due;
use crate::scheduler::fire::FireError;
use crate::scheduler::lease::Lease;

/// Gauge, label `schedule`: 1 while maintenance puts off what is due.
const WAITING: &str = "pvt_schedule_waiting";

impl Runner<'_> {
    /// Whether maintenance puts off what is due. It fires when that is over.
    pub(super) async fn waits_for_maintenance(&self, progress: &Progress, lease: Lease) -> Result<bool, FireError> {
        if !self.schedule.task.waits_for_maintenance() {
            return Ok(false);
        }
        let now = lease.now();
        let is_due = progress.under_way.is_some()
            || !progress.behind.is_empty()
            || !due(self.schedule, progress.settled_until, now).is_empty();
        let deferral = if is_due { self.scheduler.mongo.maintenance().deferral().await? } else { None };
        let waits = deferral.is_some_and(|deferral| deferral.is_in_force(now.into()));
        self.note_waiting(waits);
        Ok(waits)
    }

    /// For alerts about schedules that do not fire.
    pub(super) fn note_waiting(&self, waits: bool) {
        if self.schedule.task.waits_for_maintenance() {
            metrics::gauge!(WAITING, "schedule" => self.schedule.name.clone()).set(if waits { 1.0 } else { 0.0 });
        }
    }
}
