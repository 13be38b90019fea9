//! The schedules: built-in defaults, and what the configuration overrides. Pure.

use chrono_tz::Tz;
use cron::Schedule as CronExpression;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::str::FromStr;
use thiserror::Error;

/// Reconciles every property.
const RECONCILE_PROPERTIES: &str = "reconcile_properties";
/// Marks no-shows.
const NIGHT_AUDIT: &str = "night_audit";
/// Reminds guests some days before arrival.
const REMIND_ARRIVAL_SOON: &str = "remind_arrival_soon";
/// Reminds guests on the day of arrival.
const REMIND_ARRIVAL_TODAY: &str = "remind_arrival_today";
/// Expires overdue holds.
const EXPIRE_HOLDS: &str = "expire_holds";
/// Replays events of Stripe that were missed.
const RECONCILE_PAYMENTS: &str = "reconcile_payments";
/// Continues refunds and totals whose commands were lost.
const RESUME_PAYMENTS: &str = "resume_payments";
/// Second, minute, hour, day of month, month, day of week: every full hour.
const HOURLY: &str = "0 0 * * * *";
/// Guests wait for the beds of unpaid holds.
const EVERY_MINUTE: &str = "0 * * * * *";
/// Often enough for all time zones, some of which differ by a quarter of an hour.
const QUARTERLY: &str = "0 */15 * * * *";

/// All schedules.
const SCHEDULES: [(&str, &str, Task); 7] = [
    (EXPIRE_HOLDS, EVERY_MINUTE, Task::ExpireHolds),
    (RECONCILE_PAYMENTS, HOURLY, Task::ReconcilePayments),
    (RESUME_PAYMENTS, HOURLY, Task::ResumePayments),
    (RECONCILE_PROPERTIES, HOURLY, Task::ReconcileProperties),
    (NIGHT_AUDIT, QUARTERLY, Task::NightAudit),
    (REMIND_ARRIVAL_SOON, QUARTERLY, Task::RemindArrivalSoon),
    (REMIND_ARRIVAL_TODAY, QUARTERLY, Task::RemindArrivalToday),
];

/// What a fire does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Compares the stores, for every property at every fire.
    ReconcileProperties,
    /// At the end of a business day: bookings that were expected on it and did not check in become no-shows.
    NightAudit,
    /// Reminds guests of their stay some days before.
    RemindArrivalSoon,
    /// Reminds guests of their stay on its first day.
    RemindArrivalToday,
    /// Ends holds that were not paid in time.
    ExpireHolds,
    /// Compares Stripe's events and balance transactions with our ledgers.
    ReconcilePayments,
    /// Requests refunds again that Stripe has not made, and gives bookings the totals that they do not know.
    ResumePayments,
}

impl Task {
    /// Whether its commands are made for each property apart.
    pub fn is_by_property(self) -> bool {
        match self {
            Self::ReconcileProperties | Self::NightAudit | Self::RemindArrivalSoon | Self::RemindArrivalToday => true,
            Self::ExpireHolds | Self::ReconcilePayments | Self::ResumePayments => false,
        }
    }

    /// Whether it decides against guests, who can do nothing about it in maintenance.
    pub(super) fn waits_for_maintenance(self) -> bool {
        match self {
            Self::ExpireHolds | Self::NightAudit => true,
            Self::ReconcileProperties
            | Self::RemindArrivalSoon
            | Self::RemindArrivalToday
            | Self::ReconcilePayments
            | Self::ResumePayments => false,
        }
    }
}

/// The policy for fires that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// The newest is made up for.
    Latest,
    /// None is.
    Skip,
    /// All are, oldest first, but at most the newest 24.
    All,
}

/// A schedule as it runs.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Its name, also in the store and in ids: renaming it forgets how far it has come.
    pub name: String,
    /// When, in local time of `time_zone`.
    pub cron: CronExpression,
    /// The time zone of `cron`.
    pub time_zone: Tz,
    /// The policy for missed fires.
    pub catch_up: CatchUp,
    /// Whether its runs only report.
    pub dry_run: bool,
    /// What it does.
    pub task: Task,
}

impl Schedule {
    /// A schedule that reconciles properties and catches up with its latest fire.
    ///
    /// # Errors
    /// [`ScheduleError::Cron`] when the expression is invalid.
    pub fn new(name: &str, cron: &str, time_zone: Tz) -> Result<Self, ScheduleError> {
        let cron = parse(name, cron)?;
        Ok(Self {
            name: name.to_owned(),
            cron,
            time_zone,
            catch_up: CatchUp::Latest,
            dry_run: false,
            task: Task::ReconcileProperties,
        })
    }

    /// Whether its commands are sent. Those that only report are sent in a dry run, too, and say so.
    pub(super) fn sends(&self) -> bool {
        !self.dry_run || matches!(self.task, Task::ReconcileProperties | Task::ReconcilePayments)
    }

    /// The same, with another task.
    #[must_use]
    pub fn with_task(self, task: Task) -> Self {
        Self { task, ..self }
    }
}

/// The reason why the configuration of schedules is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// It is not a JSON object of schedules.
    #[error("expected a JSON object of schedules: {0}")]
    Json(String),
    /// It names an unknown schedule.
    #[error("unknown schedule `{0}`; the schedules are {names}", names = SCHEDULES.map(|(name, ..)| name).join(", "))]
    Unknown(String),
    /// A cron expression is invalid.
    #[error("schedule `{name}`: `{cron}` is not a cron expression (second minute hour day month weekday): {reason}")]
    Cron {
        /// Which schedule.
        name: String,
        /// As written.
        cron: String,
        /// What the parser says.
        reason: String,
    },
}

/// The settings that the configuration may override; the others keep their defaults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Override {
    cron: Option<String>,
    time_zone: Option<Tz>,
    catch_up: Option<CatchUp>,
    dry_run: Option<bool>,
    enabled: Option<bool>,
}

/// The schedules without any configuration.
pub fn default_schedules() -> Vec<Schedule> {
    // A test parses every built-in expression, so none is ever dropped here.
    SCHEDULES
        .into_iter()
        .filter_map(|(name, cron, task)| Some(Schedule::new(name, cron, Tz::UTC).ok()?.with_task(task)))
        .collect()
}

/// The schedules with `overrides`, a JSON object by name, for example
/// `{"reconcile_properties": {"cron": "0 30 * * * *", "time_zone": "America/Montreal", "catch_up": "skip"}}`.
///
/// # Errors
/// All that is invalid in it, not only the first.
pub fn parse_schedules(overrides: &str) -> Result<Vec<Schedule>, Vec<ScheduleError>> {
    let changes: BTreeMap<String, Override> =
        serde_json::from_str(overrides).map_err(|error| vec![ScheduleError::Json(error.to_string())])?;
    let mut schedules = default_schedules();
    let mut errors = Vec::new();
    for (name, change) in changes {
        let Some(place) = schedules.iter().position(|schedule| schedule.name == name) else {
            errors.push(ScheduleError::Unknown(name));
            continue;
        };
        if change.enabled == Some(false) {
            schedules.remove(place);
            continue;
        }
        if let Err(error) = apply(&mut schedules[place], change) {
            errors.push(error);
        }
    }
    if errors.is_empty() { Ok(schedules) } else { Err(errors) }
}

fn apply(schedule: &mut Schedule, change: Override) -> Result<(), ScheduleError> {
    if let Some(cron) = change.cron {
        schedule.cron = parse(&schedule.name, &cron)?;
    }
    schedule.time_zone = change.time_zone.unwrap_or(schedule.time_zone);
    schedule.catch_up = change.catch_up.unwrap_or(schedule.catch_up);
    schedule.dry_run = change.dry_run.unwrap_or(schedule.dry_run);
    Ok(())
}

fn parse(name: &str, cron: &str) -> Result<CronExpression, ScheduleError> {
    CronExpression::from_str(cron).map_err(|error| ScheduleError::Cron {
        name: name.to_owned(),
        cron: cron.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::{ScheduleError, default_schedules, parse_schedules};
    use crate::scheduler::CatchUp;

    #[test]
    fn every_built_in_schedule_is_valid() {
        assert_eq!(default_schedules().len(), super::SCHEDULES.len());
    }

    #[test]
    fn override_changes_only_named_settings() {
        let schedules =
            parse_schedules(r#"{"reconcile_properties": {"cron": "0 30 * * * *", "catch_up": "skip"}}"#).unwrap();
        let schedule = schedules.iter().find(|schedule| schedule.name == "reconcile_properties").unwrap();
        assert_eq!(
            (schedule.cron.source(), schedule.catch_up, schedule.dry_run),
            ("0 30 * * * *", CatchUp::Skip, false)
        );
    }

    #[test]
    fn schedule_can_be_disabled() {
        let schedules = parse_schedules(r#"{"night_audit": {"enabled": false}}"#).unwrap();
        assert!(
            schedules.len() == super::SCHEDULES.len() - 1
                && schedules.iter().all(|schedule| schedule.name != "night_audit")
        );
    }

    #[test]
    fn all_configuration_errors_are_reported() {
        let errors =
            parse_schedules(r#"{"reconcile_properties": {"cron": "whenever"}, "night_aduit": {}}"#).unwrap_err();
        assert!(matches!(errors[..], [ScheduleError::Unknown(_), ScheduleError::Cron { .. }]), "{errors:?}");
        assert!(matches!(
            parse_schedules(r#"{"reconcile_properties": {"crn": ""}}"#).unwrap_err()[..],
            [ScheduleError::Json(_)]
        ));
    }
}
