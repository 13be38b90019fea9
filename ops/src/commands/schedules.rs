//! `pvt schedules`: how each schedule runs and has run, and running one now.

use crate::output::Output;
use crate::reachability::Dependency::MongoDb;
use crate::reason;
use crate::settings;
use anyhow::Result;
use chrono::{TimeDelta, Utc};
use clap::{Args, Subcommand};
use pvt_domain::timestamp::Timestamp;
use pvt_operations::schedules::{self, RunNow, ScheduleHistory, lag_and_duration};
use pvt_operations::trace::time_span;
use pvt_operations::{OPERATOR, OperationError, terminal};
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::schedule_runs::{RunState, ScheduleRun};
use secrecy::ExposeSecret;
use serde::Serialize;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use uuid::Uuid;

/// The name of its connections.
const NAME: &str = "pvt schedules";
/// Runs of each schedule in `--json`.
const RUNS: i64 = 20;
/// For a leader to begin a requested run.
const BEGIN_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(250);

/// Lists schedules and runs one now
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt schedules list
  pvt schedules run reconcile_properties --property pvt-montreal --reason 'after the repair'")]
pub(crate) struct Schedules {
    #[command(subcommand)]
    command: SchedulesCommand,
}

#[derive(Debug, Subcommand)]
enum SchedulesCommand {
    /// Lists schedules with their next and last fire, and how the last run ended
    List(List),
    /// Runs a schedule now, between its fires, and waits for the end
    Run(Run),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt schedules list
  pvt schedules list --json")]
struct List {
    #[command(flatten)]
    output: Output,
}

/// The scheduler that leads carries it out, also when this command is killed. What comes due meanwhile
/// fires when it is over. A run at
/// properties covers what was due within a day; what was sent before has no effect a second time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt schedules run night_audit --dry-run --reason 'how many would there be?'
  pvt schedules run reconcile_properties --property pvt-montreal --reason 'after the repair'")]
struct Run {
    /// Its name in `pvt schedules list`
    name: String,
    /// Only this property
    #[arg(long)]
    property: Option<String>,
    /// Report without changing anything
    #[arg(long)]
    dry_run: bool,
    /// Why; recorded in the audit
    #[arg(long, value_parser = reason::reason)]
    reason: String,
    #[command(flatten)]
    output: Output,
}

impl Schedules {
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            SchedulesCommand::List(command) => command.run().await,
            SchedulesCommand::Run(command) => command.run().await,
        }
    }
}

#[derive(Serialize)]
struct ScheduleView {
    name: String,
    enabled: bool,
    cron: Option<String>,
    time_zone: Option<String>,
    dry_run: bool,
    next_fire: Option<Timestamp>,
    waits_for: Option<String>,
    last_fire: Option<Timestamp>,
    settled_until: Timestamp,
    properties_behind: usize,
    runs: Vec<RunView>,
}

#[derive(Serialize)]
struct RunView {
    id: Uuid,
    fire: Timestamp,
    state: RunState,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    lag_ms: Option<i64>,
    took_ms: Option<i64>,
    messages: u64,
    attempts: u32,
    error: Option<String>,
    requested_by: Option<String>,
    reason: Option<String>,
    property_id: Option<String>,
    dry_run: bool,
    behind: u64,
}

impl From<ScheduleRun> for RunView {
    fn from(run: ScheduleRun) -> Self {
        let (lag, took) = lag_and_duration(&run);
        let milliseconds = |time: Option<TimeDelta>| time.map(|time| time.num_milliseconds());
        let request = run.request;
        Self {
            id: run.id,
            fire: run.fire,
            state: run.state,
            started_at: run.started_at,
            ended_at: run.ended_at,
            lag_ms: milliseconds(lag),
            took_ms: milliseconds(took),
            messages: run.messages,
            attempts: run.attempts,
            error: run.error,
            dry_run: run.dry_run,
            behind: run.behind,
            property_id: request.as_ref().and_then(|request| request.property_id.as_ref()).map(ToString::to_string),
            requested_by: request.as_ref().map(|request| request.actor.to_string()),
            reason: request.map(|request| request.reason),
        }
    }
}

impl From<ScheduleHistory> for ScheduleView {
    fn from(history: ScheduleHistory) -> Self {
        let waits_for = history.waits_for(Utc::now());
        let ScheduleHistory { state, runs, .. } = history;
        let plan = state.plan;
        Self {
            name: state.name,
            enabled: plan.is_some(),
            dry_run: plan.as_ref().is_some_and(|plan| plan.dry_run),
            next_fire: plan.as_ref().and_then(|plan| plan.next_fire),
            waits_for,
            time_zone: plan.as_ref().map(|plan| plan.time_zone.clone()),
            cron: plan.map(|plan| plan.cron),
            last_fire: state.last_fire,
            settled_until: state.settled_until,
            properties_behind: state.behind.len(),
            runs: runs.into_iter().map(RunView::from).collect(),
        }
    }
}

impl List {
    async fn run(self) -> Result<()> {
        let config = settings::ready(&[MongoDb]).await?;
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), NAME).await?;
        let read = async { anyhow::Ok((schedules::list(&mongo, RUNS).await?, mongo.schedules().has_leader().await?)) };
        let read = read.await;
        mongo.shutdown().await;
        let (all, has_leader) = read?;
        if !has_leader {
            terminal::note("no scheduler leads: nothing fires until one does");
        }
        if self.output.json {
            return terminal::json(&all.into_iter().map(ScheduleView::from).collect::<Vec<_>>());
        }
        terminal::table(["SCHEDULE", "WHEN", "NEXT FIRE", "LAST FIRE", "LAST RUN", "LAG", "TOOK"], all.iter().map(row));
        Ok(())
    }
}

fn row(history: &ScheduleHistory) -> [String; 7] {
    let text = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
    let span = |time: Option<TimeDelta>| time.map_or_else(|| "-".to_owned(), |time| time_span(time.num_milliseconds()));
    let (plan, last) = (history.state.plan.as_ref(), history.last());
    let (lag, took) = last.map(lag_and_duration).unwrap_or_default();
    let now = Utc::now();
    let next = text(plan.and_then(|plan| plan.next_fire));
    [
        history.state.name.clone(),
        plan.map_or_else(|| "disabled".to_owned(), |plan| format!("{} {}", plan.cron, plan.time_zone)),
        match (history.waits_for(now), history.late(now)) {
            (Some(reason), _) => format!("{next}, {reason}"),
            (None, Some(late)) => format!("{next}, due for {}", span(Some(late))),
            (None, None) => next,
        },
        text(history.state.last_fire),
        last.map_or_else(|| "-".to_owned(), |last| last.state.as_str().to_owned()),
        span(lag),
        span(took),
    ]
}

impl Run {
    async fn run(self) -> Result<()> {
        let config = settings::ready(&[MongoDb]).await?;
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), NAME).await?;
        let json = self.output.json;
        let ended = self.request_and_wait(&mongo).await;
        mongo.shutdown().await;
        let run = ended?;
        let (state, messages, error) = (run.state, run.messages, run.error.clone());
        if json {
            terminal::json(&RunView::from(run))?;
        }
        match (state, error) {
            (RunState::Failed, error) => anyhow::bail!("the run failed: {}", error.unwrap_or_default()),
            _ if json => Ok(()),
            _ => {
                terminal::data(format_args!("{messages} messages"));
                Ok(())
            }
        }
    }

    async fn request_and_wait(self, mongo: &Mongo) -> Result<ScheduleRun> {
        let Self { name, property, dry_run, reason, .. } = self;
        let request = RunNow {
            name: name.clone(),
            property_id: property.as_deref().map(Into::into),
            dry_run,
            actor: OPERATOR.into(),
            reason,
            key: Uuid::new_v4(),
        };
        let run = schedules::run_now(mongo, request).await?;
        terminal::note(format_args!("a run of {name} is requested; it is carried out also if this command is killed"));
        wait(mongo, run).await
    }
}

/// Waits for the end of a run and shows its progress.
async fn wait(mongo: &Mongo, mut run: ScheduleRun) -> Result<ScheduleRun> {
    let (requested, is_terminal) = (Instant::now(), std::io::stderr().is_terminal());
    let mut shown = (run.state, run.messages);
    while run.ended_at.is_none() {
        if run.state == RunState::Requested && requested.elapsed() > BEGIN_LIMIT {
            let text = format!(
                "no scheduler has begun the run of {} within {} s; it is carried out once one leads (pvt doctor)",
                run.schedule,
                BEGIN_LIMIT.as_secs()
            );
            return Err(OperationError::TryLater(text).into());
        }
        sleep(POLL).await;
        let found = mongo.schedule_runs().find(run.id).await?;
        let removed = || OperationError::NotFound(format!("the run {} was removed", run.id));
        run = found.ok_or_else(removed)?;
        let now = (run.state, run.messages);
        if now != shown {
            shown = now;
            let line = format!("{}: {} messages", run.state.as_str(), run.messages);
            if is_terminal { terminal::progress(line) } else { terminal::note(line) }
        }
    }
    if is_terminal {
        terminal::note("");
    }
    Ok(run)
}
