//! Schedules: how each runs and has run, and runs on request, which the scheduler that leads carries out.

use crate::OperationError;
use crate::actor_names::ActorNames;
use crate::reason::one_line;
use anyhow::Result;
use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use pvt_domain::actor::Actor;
use pvt_domain::ids::{PropertyId, fire_id};
use pvt_domain::maintenance::Deferral;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::schedule_runs::{RequestOutcome, RunRequest, ScheduleRun};
use pvt_stores::mongo::schedules::ScheduleState;
use std::time::Duration;
use uuid::Uuid;

/// What makes the id of a requested run another one than that of a fire.
const REQUEST: &str = "request";
/// A fire that is later than this has a reason: no scheduler leads, or the schedule waits after a failure.
const LATE_AFTER: TimeDelta = TimeDelta::minutes(1);

/// How often a request is repeated that met another one at the same time.
const REQUEST_ATTEMPTS: u32 = 20;
const REQUEST_PAUSE: Duration = Duration::from_millis(50);

/// A schedule with its newest runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleHistory {
    /// How far it has come.
    pub state: ScheduleState,
    /// Its newest runs, newest first.
    pub runs: Vec<ScheduleRun>,
    /// What maintenance puts off, if the schedule waits for that.
    pub deferral: Option<Deferral>,
}

impl ScheduleHistory {
    /// The newest run that has ended.
    pub fn last(&self) -> Option<&ScheduleRun> {
        self.runs.iter().find(|run| run.ended_at.is_some())
    }

    /// What the schedule waits for, in words for operators; `None` when maintenance does not concern it now.
    pub fn waits_for(&self, now: DateTime<Utc>) -> Option<String> {
        let deferral = self.deferral.filter(|deferral| deferral.is_in_force(now.into()))?;
        Some(match deferral.until {
            None => "waits for the end of the maintenance".to_owned(),
            Some(until) => format!("waits after the maintenance until {until}"),
        })
    }

    /// For how long the next fire has been due, if that is for longer than usual.
    pub fn late(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let next = self.state.plan.as_ref()?.next_fire?;
        Some(now - next.as_datetime()).filter(|late| *late > LATE_AFTER)
    }
}

/// How long after its fire a run began, and how long it took.
pub fn lag_and_duration(run: &ScheduleRun) -> (Option<TimeDelta>, Option<TimeDelta>) {
    let between = |from: Timestamp, to: Timestamp| (to.as_datetime() - from.as_datetime()).max(TimeDelta::zero());
    let lag = run.started_at.map(|started| between(run.fire, started));
    let duration = run.started_at.zip(run.ended_at).map(|(started, ended)| between(started, ended));
    (lag, duration)
}

/// All schedules that ever ran, with at most so many runs of each.
///
/// # Errors
/// When MongoDB fails.
pub async fn list(mongo: &Mongo, runs: i64) -> Result<Vec<ScheduleHistory>> {
    let deferral = mongo.maintenance().deferral().await?;
    let mut all = Vec::new();
    for state in mongo.schedules().list().await? {
        let runs = mongo.schedule_runs().newest(&state.name, runs).await?;
        let waits = state.plan.as_ref().is_some_and(|plan| plan.waits_for_maintenance);
        all.push(ScheduleHistory { state, runs, deferral: deferral.filter(|_| waits) });
    }
    Ok(all)
}

/// A request to run a schedule now.
#[derive(Debug, Clone)]
pub struct RunNow {
    /// The schedule.
    pub name: String,
    /// Only this property.
    pub property_id: Option<PropertyId>,
    /// Whether to report only.
    pub dry_run: bool,
    /// Who requests it.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// The same for the same request, sent as often as may be.
    pub key: Uuid,
}

/// Requests a run, with an audit entry in the same transaction. The same request is one run, however often it is sent.
///
/// # Errors
/// [`OperationError::NotFound`] without such a schedule or property; [`OperationError::Conflict`] when it is disabled,
/// knows no properties, another requested run of it is not over, or its key has requested something else; when MongoDB
/// fails.
pub async fn run_now(mongo: &Mongo, request: RunNow) -> Result<ScheduleRun> {
    let RunNow { name, property_id, dry_run, actor, reason, key } = request;
    let Some(state) = mongo.schedules().find(&name).await? else {
        let none = OperationError::NotFound(format!("no scheduler has ever run a schedule `{name}`"));
        return Err(none.with_hint("`pvt schedules list` shows those that are").into());
    };
    let Some(plan) = state.plan else {
        let text = format!(
            "{name} is not planned: the scheduler that led last does not run it (PVT_SCHEDULES), or none has led since \
            an upgrade"
        );
        return Err(OperationError::Conflict(text).into());
    };
    if let Some(property) = &property_id {
        if !plan.by_property {
            let text = format!("{name} runs for all properties at once: request it without one");
            return Err(OperationError::Conflict(text).into());
        }
        if mongo.inventories().find(property).await?.is_none() {
            return Err(OperationError::NotFound(format!("there is no property `{property}`")).into());
        }
    }
    let id = fire_id(&name, &key.to_string(), REQUEST);
    let reason = one_line(&reason);
    let fire: Timestamp = between_seconds(Utc::now()).into();
    let detail = [
        property_id.as_ref().map(|id| format!("at {id}: ")),
        dry_run.then(|| "dry run: ".to_owned()),
        Some(reason.clone()),
    ];
    let detail: String = detail.into_iter().flatten().collect();
    let entry = AuditEntry::new(id, fire, &actor, "schedule.run".to_owned(), &name, &detail);
    let run = ScheduleRun::requested(id, &name, fire, RunRequest { actor, reason, property_id, dry_run });
    for _ in 0..REQUEST_ATTEMPTS {
        match mongo.schedule_runs().request(&run, &entry).await? {
            RequestOutcome::Requested => return Ok(run),
            RequestOutcome::RequestedBefore(before) if before.request == run.request => return Ok(*before),
            RequestOutcome::RequestedBefore(before) => {
                let text = format!(
                    "another run of {name} was requested with this form at {}: load it again for one more",
                    before.fire
                );
                return Err(OperationError::Conflict(text).into());
            }
            RequestOutcome::Another(another) => {
                let by = match another.request {
                    Some(request) => {
                        let names = ActorNames::read(mongo, [&request.actor]).await;
                        format!(" by {}", names.of(&request.actor))
                    }
                    None => String::new(),
                };
                let text = format!("a run of {name} was requested{by} at {} and is not over", another.fire);
                return Err(OperationError::Conflict(text).into());
            }
            // The same request, sent twice at once: the other one is not committed yet.
            RequestOutcome::Raced => tokio::time::sleep(REQUEST_PAUSE).await,
        }
    }
    Err(OperationError::TryLater(format!("another run of {name} was requested at the same time")).into())
}

/// Requested runs are never at a whole second, as fires of an expression are, so that their messages have other ids.
fn between_seconds(now: DateTime<Utc>) -> DateTime<Utc> {
    if now.timestamp_subsec_millis() == 0 { now.with_nanosecond(1_000_000).unwrap_or(now) } else { now }
}

#[cfg(test)]
mod tests {
    use super::between_seconds;
    use chrono::DateTime;

    #[test]
    fn requested_run_is_never_at_a_whole_second() {
        let at = |milliseconds| DateTime::from_timestamp_millis(milliseconds).unwrap();
        assert_eq!(between_seconds(at(5_000)), at(5_001));
        assert_eq!(between_seconds(at(5_417)), at(5_417));
    }
}
