//! Schedules: when each fires and how it has run, and running one now.

use crate::access::SignedIn;
use crate::actors::{self, ActorNames};
use crate::app::{App, SharedApp};
use crate::failure::{Failure, page};
use crate::forms::Submitted;
use crate::frame::Frame;
use crate::live::watch::{self, MAX_REQUESTED_RUNS};
use crate::pages::shown;
use crate::store;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::{Html, Redirect};
use chrono::{DateTime, TimeDelta, Utc};
use pvt_domain::ids::PropertyId;
use pvt_operations::schedules::{self, RunNow, ScheduleHistory, lag_and_duration};
use pvt_operations::trace::time_span;
use pvt_stores::mongo::schedule_runs::ScheduleRun;
use pvt_stores::mongo::schedules::ScheduleState;
use serde::Deserialize;
use std::time::Duration;
use tracing::info;
use uuid::Uuid;

/// Runs of each schedule on the page.
const RUNS: i64 = 20;
/// For one request to run a schedule.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
const NAME_A_SCHEDULE: &str = "Name a schedule.";
const SAY_WHY: &str = "Say why: the reason is recorded.";
const FROM_A_PAGE: &str = "The form is not complete. Load the page again.";

#[derive(Template)]
#[template(path = "schedules.html")]
struct SchedulesPage {
    frame: Frame,
    /// The run that was accepted just now.
    accepted: Option<String>,
    requested: Vec<RequestedRow>,
    /// One is not over, or was accepted just now.
    is_open: bool,
    digest: String,
    leader: String,
    rows: Vec<ScheduleRow>,
    properties: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct ScheduleRow {
    name: String,
    when: String,
    next_fire: String,
    last_fire: String,
    last_run: String,
    state: String,
    runs: Vec<RunRow>,
    /// The key of a request made with the form of this page; absent where the schedule cannot run.
    key: Option<String>,
    by_property: bool,
}

/// A run that an operator has requested.
#[derive(Debug, PartialEq, Eq)]
struct RequestedRow {
    id: String,
    schedule: String,
    run: RunRow,
    is_accepted: bool,
    is_over: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SchedulesQuery {
    /// The id of the run that was accepted just now.
    requested: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct RunRow {
    fire: String,
    outcome: String,
    lag: String,
    duration: String,
    messages: u64,
    request: String,
}

/// What a user may see of runs.
struct Sight<'a> {
    properties: &'a [PropertyId],
    is_admin: bool,
    names: &'a ActorNames,
}

/// `GET /schedules`.
pub(crate) async fn show(
    State(app): State<SharedApp>,
    user: SignedIn,
    Query(query): Query<SchedulesQuery>,
) -> Result<Html<String>, Failure> {
    let (mongo, digest) = (app.mongo.clone(), app.board.figures().requested_runs_digest());
    let properties = user.properties(&app).await?;
    let visible = Some(properties.clone()).filter(|_| !user.is_admin());
    let read = store::read(&app, async move {
        let all = schedules::list(&mongo, RUNS).await?;
        let requested = mongo.schedule_runs().newest_requested(visible.as_deref(), MAX_REQUESTED_RUNS).await?;
        anyhow::Ok((all, requested, mongo.schedules().has_leader().await?))
    });
    let (all, requested, has_leader) = read.await?;
    let runs = all.iter().flat_map(|history| &history.runs).chain(&requested);
    let names = actors::names(&app, runs.filter_map(|run| run.request.as_ref()).map(|request| &request.actor)).await;
    let sight = Sight { properties: &properties, is_admin: user.is_admin(), names: &names };
    let requested: Vec<RequestedRow> = requested.iter().map(|run| RequestedRow::of(run, &query, &sight)).collect();
    let now = Utc::now();
    let leader = if has_leader { "A scheduler leads." } else { "No scheduler leads: nothing fires until one does." };
    page(&SchedulesPage {
        frame: Frame::new(&user, "Schedules", "/schedules"),
        accepted: requested.iter().find(|row| row.is_accepted).map(|row| row.schedule.clone()),
        is_open: requested.iter().any(|row| row.is_accepted || !row.is_over),
        requested,
        digest,
        leader: leader.to_owned(),
        rows: all.iter().map(|history| row(history, &sight, now)).collect(),
        properties: properties.iter().map(ToString::to_string).collect(),
    })
}

/// `POST /schedules/run`, by administrators. The same form sent twice is one run.
pub(crate) async fn run(State(app): State<SharedApp>, form: Submitted) -> Result<Redirect, Failure> {
    let Submitted { user, fields } = form;
    let user = user.admin()?;
    let name = fields.required("schedule", NAME_A_SCHEDULE)?.to_owned();
    let reason = fields.required("reason", SAY_WHY)?.to_owned();
    let key = fields.required("key", FROM_A_PAGE)?;
    let key = Uuid::parse_str(key).map_err(|_| Failure::Invalid(FROM_A_PAGE.to_owned()))?;
    let property_id = Some(fields.get("property")).filter(|id| !id.is_empty()).map(PropertyId::from);
    let dry_run = fields.get("dry_run") == "on";
    info!(user_id = %user.user().id, schedule = name, dry_run, "requesting a run of a schedule");
    let run = request(&app, RunNow { name, property_id, dry_run, actor: user.actor(), reason, key }).await?;
    // The next page has it, without waiting for the next round.
    if let Ok(runs) = watch::limited(watch::requested_runs(&app.mongo)).await {
        let now = Utc::now().into();
        app.board.update(|figures| figures.requested_runs = figures.requested_runs.next(Ok(runs), now));
    }
    Ok(Redirect::to(&format!("/schedules?requested={}", run.id)))
}

impl RequestedRow {
    fn of(run: &ScheduleRun, query: &SchedulesQuery, sight: &Sight<'_>) -> Self {
        Self {
            id: run.id.to_string(),
            schedule: run.schedule.clone(),
            run: run_row(run, sight),
            is_accepted: query.requested.as_ref().is_some_and(|id| *id == run.id.to_string()),
            is_over: run.ended_at.is_some(),
        }
    }
}

/// Runs a request to its end, also when the user has gone away.
async fn request(app: &App, run: RunNow) -> Result<ScheduleRun, Failure> {
    let mongo = app.mongo.clone();
    let unended = "MongoDB has not confirmed it yet. Look at the runs again in a moment.";
    store::change(REQUEST_LIMIT, unended, async move { schedules::run_now(&mongo, run).await }).await
}

fn row(history: &ScheduleHistory, sight: &Sight<'_>, now: DateTime<Utc>) -> ScheduleRow {
    let ScheduleHistory { state, runs, .. } = history;
    let plan = state.plan.as_ref();
    let ended = runs.iter().filter(|run| sight.includes(run)).find(|run| run.ended_at.is_some());
    let last_run = ended.map_or_else(
        || "none recorded".to_owned(),
        |last| {
            let RunRow { outcome, lag, duration, .. } = run_row(last, sight);
            format!("{outcome}, began {lag} after its time, took {duration}")
        },
    );
    ScheduleRow {
        name: state.name.clone(),
        when: plan.map_or_else(
            || "disabled".to_owned(),
            |plan| {
                let dry_run = if plan.dry_run { ", dry run" } else { "" };
                format!("{} ({}){dry_run}", plan.cron, plan.time_zone)
            },
        ),
        next_fire: next_fire(history, now),
        last_fire: state.last_fire.map_or_else(|| "never".to_owned(), shown),
        last_run,
        state: state_in_words(state, |id| sight.properties.iter().any(|one| one.as_str() == id)),
        runs: runs.iter().filter(|run| sight.includes(run)).map(|run| run_row(run, sight)).collect(),
        key: plan.map(|_| Uuid::new_v4().to_string()),
        by_property: plan.is_some_and(|plan| plan.by_property),
    }
}

impl Sight<'_> {
    /// Whether the user may know of a run: one at a property is for its staff.
    fn includes(&self, run: &ScheduleRun) -> bool {
        let property = run.request.as_ref().and_then(|request| request.property_id.as_ref());
        self.is_admin || property.is_none_or(|property| self.properties.contains(property))
    }
}

fn next_fire(history: &ScheduleHistory, now: DateTime<Utc>) -> String {
    let Some(plan) = &history.state.plan else { return "–".to_owned() };
    let Some(next) = plan.next_fire else { return "never again".to_owned() };
    match (history.waits_for(now), history.late(now)) {
        (Some(reason), _) => format!("{}, {reason}", shown(next)),
        (None, Some(late)) => format!("{}, due for {}", shown(next), span(late)),
        (None, None) => shown(next),
    }
}

fn run_row(run: &ScheduleRun, sight: &Sight<'_>) -> RunRow {
    let (lag, duration) = lag_and_duration(run);
    let known = |it: Option<TimeDelta>| it.map_or_else(|| "–".to_owned(), span);
    let again = if run.attempts > 1 { format!(" after {} attempts", run.attempts) } else { String::new() };
    // An error may be about another property.
    let error = run.error.as_deref().filter(|_| sight.is_admin);
    let error = error.map(|error| format!(": {error}")).unwrap_or_default();
    let dry_run = if run.dry_run { ", dry run" } else { "" };
    let behind = if run.behind > 0 { format!(", properties behind: {}", run.behind) } else { String::new() };
    let request = run.request.as_ref().map(|request| {
        let place = request.property_id.as_ref().map(|id| format!(" at {id}")).unwrap_or_default();
        format!("by {}{place}: {}", sight.names.of(&request.actor), request.reason)
    });
    RunRow {
        fire: shown(run.fire),
        outcome: format!("{}{again}{dry_run}{behind}{error}", run.state.as_str()),
        lag: known(lag),
        duration: known(duration),
        messages: run.messages,
        request: request.unwrap_or_default(),
    }
}

fn span(time: TimeDelta) -> String {
    time_span(time.num_milliseconds())
}

/// Names only properties that the user may know.
fn state_in_words(state: &ScheduleState, may_know: impl Fn(&str) -> bool) -> String {
    let mut words = Vec::new();
    if let Some(progress) = &state.under_way {
        words.push(format!("the fire of {} is under way", shown(progress.fire)));
    }
    let named = state.behind.iter().map(|behind| behind.property_id.as_str()).filter(|id| may_know(id));
    let named: Vec<&str> = named.collect();
    match (state.behind.len(), named.as_slice()) {
        (0, _) => {}
        (count, []) => words.push(format!("{count} properties are behind")),
        (count, named) => words.push(format!("{count} properties are behind, among them {}", named.join(", "))),
    }
    if let Some(set_back) = &state.set_back {
        words.push(format!("was ahead of the clock at {}", shown(set_back.at)));
    }
    if words.is_empty() { format!("settled until {}", shown(state.settled_until)) } else { words.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::{ActorNames, Sight, row, state_in_words};
    use chrono::{DateTime, TimeDelta, Utc};
    use pvt_domain::ids::PropertyId;
    use pvt_domain::maintenance::Deferral;
    use pvt_operations::schedules::ScheduleHistory;
    use pvt_stores::mongo::schedule_runs::{RunRequest, RunState, ScheduleRun};
    use pvt_stores::mongo::schedules::{PropertyBehind, SchedulePlan, ScheduleState};
    use uuid::Uuid;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn state() -> ScheduleState {
        let behind = |id: &str| PropertyBehind { property_id: id.into(), settled_until: now().into() };
        let plan = SchedulePlan {
            cron: "0 0 * * * *".to_owned(),
            time_zone: "UTC".to_owned(),
            dry_run: false,
            by_property: true,
            waits_for_maintenance: true,
            next_fire: Some((now() - TimeDelta::minutes(5)).into()),
        };
        ScheduleState {
            name: "night_audit".to_owned(),
            settled_until: now().into(),
            last_fire: None,
            under_way: None,
            behind: vec![behind("here"), behind("there")],
            set_back: None,
            plan: Some(plan),
            token: 1,
        }
    }

    fn run(property: Option<&str>) -> ScheduleRun {
        let at = |milliseconds| (now() + TimeDelta::milliseconds(milliseconds)).into();
        let request = RunRequest {
            actor: "staff:1".into(),
            reason: "a test".to_owned(),
            property_id: property.map(PropertyId::from),
            dry_run: true,
        };
        ScheduleRun {
            id: Uuid::new_v4(),
            schedule: "night_audit".to_owned(),
            fire: at(0),
            state: RunState::Failed,
            started_at: Some(at(250)),
            ended_at: Some(at(2_250)),
            messages: 4,
            dry_run: property.is_some(),
            behind: if property.is_none() { 3 } else { 0 },
            attempts: 2,
            error: Some("there: unreadable".to_owned()),
            request: property.map(|_| request),
        }
    }

    #[test]
    fn only_properties_of_the_user_are_named() {
        assert_eq!(state_in_words(&state(), |id| id == "here"), "2 properties are behind, among them here");
        assert_eq!(state_in_words(&state(), |_| false), "2 properties are behind");
    }

    #[test]
    fn staff_see_no_runs_of_other_properties_and_no_errors() {
        let history = ScheduleHistory {
            state: state(),
            runs: vec![run(Some("there")), run(Some("here")), run(None)],
            deferral: None,
        };
        let here = [PropertyId::from("here")];
        let names = ActorNames::default();
        let shown = row(&history, &Sight { properties: &here, is_admin: false, names: &names }, now());
        let outcomes: Vec<_> = shown.runs.iter().map(|run| (run.outcome.as_str(), run.request.as_str())).collect();
        let fire = "failed after 2 attempts, properties behind: 3";
        assert_eq!(outcomes, [("failed after 2 attempts, dry run", "by staff:1 at here: a test"), (fire, "")]);
        assert_eq!((shown.runs[0].lag.as_str(), shown.runs[0].duration.as_str()), ("250 ms", "2.0 s"));
        assert!(shown.next_fire.ends_with("due for 5 min"), "{}", shown.next_fire);
        let waiting = ScheduleHistory { deferral: Some(Deferral::during(now().into(), None)), ..history.clone() };
        let waiting = row(&waiting, &Sight { properties: &here, is_admin: false, names: &names }, now()).next_fire;
        assert!(waiting.ends_with(", waits for the end of the maintenance"), "{waiting}");
        let all = row(&history, &Sight { properties: &[], is_admin: true, names: &names }, now());
        assert_eq!(
            (all.runs.len(), all.runs[0].outcome.as_str()),
            (3, "failed after 2 attempts, dry run: there: unreadable")
        );
    }
}
