//! Dead letters in the store: lists, groups, replays in the background with their progress, discards.

use super::reader;
use super::sources::Sources;
use super::view::View;
use super::{Filter, Selection};
use crate::reachability::Dependency::MongoDb;
use crate::settings;
use anyhow::Result;
use pvt_domain::dead_letters::{masked_code, masked_error};
use pvt_messaging::Topology;
use pvt_operations::actor_names::ActorNames;
use pvt_operations::dead_letters::{self, DiscardOutcome};
use pvt_operations::{OPERATOR, OperationError, broker, terminal};
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::dead_letters::{
    DeadLetter, DeadLetterFilter, DeadLetterGroup, DeadLetterState, OperationState, ReplayOperation, StoredMessage,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use uuid::Uuid;

/// What operators look at unless they name one.
const OPEN: [DeadLetterState; 2] = [DeadLetterState::Dead, DeadLetterState::Replaying];
const PROGRESS_POLL: Duration = Duration::from_millis(200);
/// Without any progress for this long, a replay is left to the background.
const PROGRESS_LIMIT: Duration = Duration::from_secs(60);
/// After the end of a replay: for a worker to refuse a message and the scheduler to store it.
const DEATH_WATCH: Duration = Duration::from_secs(3);
/// Operations in one listing.
const OPERATIONS: i64 = 50;

/// Those that match and are dead or being replayed, as JSON; none while MongoDB is unreachable.
pub(super) async fn list(sources: &Sources, id: Option<Uuid>, filter: &Filter) -> Result<Vec<Value>> {
    let filter = document_filter(&sources.topology, id, filter)?;
    let Some(mongo) = &sources.mongo else { return Ok(Vec::new()) };
    let found = mongo.dead_letters().list(&filter, &OPEN, 0, 0).await?;
    Ok(found.iter().map(|dead_letter| describe(&sources.topology, dead_letter, View::MASKED)).collect())
}

/// How many of the selection are dead; prints them as what a replay or discard would take.
pub(super) async fn count(sources: &Sources, selection: &Selection) -> Result<usize> {
    let filter = document_filter(&sources.topology, selection.id, &selection.filter)?;
    let Some(mongo) = &sources.mongo else { return Ok(0) };
    let found = mongo.dead_letters().list(&filter, &[DeadLetterState::Dead], 0, 0).await?;
    for dead_letter in &found {
        print(&sources.topology, dead_letter);
    }
    Ok(found.len())
}

/// How many of the selection are dead; prints what a replay would do with each.
pub(super) async fn forecast(sources: &Sources, selection: &Selection) -> Result<usize> {
    let filter = document_filter(&sources.topology, selection.id, &selection.filter)?;
    let Some(mongo) = &sources.mongo else { return Ok(0) };
    let mart = Mart::connect(sources.config.database_url.expose_secret(), "pvt dead")?;
    let forecasts = dead_letters::forecast(mongo, &mart, &filter, 0).await;
    mart.close().await;
    let forecasts = forecasts?;
    for forecast in &forecasts {
        let DeadLetter { kind, queue, .. } = &forecast.dead_letter;
        let (id, kind) = (forecast.dead_letter.shown_id(), masked_code(kind));
        let queue = sources.topology.name(queue);
        terminal::data(format_args!("{id} {kind} → {queue}: {}", forecast.outcome()));
    }
    Ok(forecasts.len())
}

fn print(topology: &Topology, dead_letter: &DeadLetter) {
    let (kind, queue) = (masked_code(&dead_letter.kind), topology.name(&dead_letter.queue));
    terminal::data(format_args!("{} {kind} of {queue}", dead_letter.shown_id()));
}

/// The dead letter of this id with its headers and body: that of the queue where it died last.
pub(super) async fn show(sources: &Sources, id: Uuid, view: View) -> Result<Option<Value>> {
    let Some(mongo) = &sources.mongo else { return Ok(None) };
    let found = mongo.dead_letters().find(id).await?;
    let last = found.into_iter().max_by_key(|dead_letter| dead_letter.last.died_at);
    Ok(last.map(|dead_letter| {
        let mut shown = describe(&sources.topology, &dead_letter, view);
        if let Some(StoredMessage { traceparent, sent_at, headers, body, .. }) = &dead_letter.message {
            shown["traceparent"] = json!(traceparent);
            shown["sent_at"] = json!(sent_at);
            shown["headers"] = view.headers(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            shown["body"] = (view.body)(body);
        }
        if let Some(original) = &dead_letter.original {
            shown["original"] = (view.body)(&original.bytes);
        }
        shown
    }))
}

/// What a replay has done, or will do.
#[derive(Default)]
pub(super) struct Replayed {
    pub(super) count: usize,
    /// How many of them died again while that was watched.
    pub(super) died_again: Option<u64>,
}

impl Replayed {
    /// In words, behind their number.
    pub(super) fn words(&self) -> String {
        match self.died_again {
            None => "replayed".to_owned(),
            Some(0) => format!("replayed, none died again within {} s", DEATH_WATCH.as_secs()),
            Some(count) => format!("replayed, {count} died again: the cause is still there, see `pvt dead groups`"),
        }
    }
}

/// Replays the selection in the background, waits for the end, and watches whether they die again.
pub(super) async fn replay(
    sources: &Sources,
    selection: &Selection,
    reason: &str,
    rate: u32,
    detach: bool,
) -> Result<Replayed> {
    let filter = document_filter(&sources.topology, selection.id, &selection.filter)?;
    let Some(mongo) = &sources.mongo else { return Ok(Replayed::default()) };
    let Some(begun) = dead_letters::begin_replay(mongo, &filter, rate, OPERATOR, reason).await? else {
        return Ok(Replayed::default());
    };
    terminal::note(format_args!("replay {} of {} dead letters has begun", begun.id, begun.total));
    let ended = if detach { begun } else { wait_for_end(mongo, begun).await? };
    let kept: u64 = ended.kept.values().sum();
    for (why, count) in &ended.kept {
        terminal::note(format_args!("{count} stay dead: {why}"));
    }
    if kept == ended.total {
        return Err(OperationError::TryLater("none was replayed, for the reasons above".to_owned()).into());
    }
    let count = usize::try_from(ended.total - kept).unwrap_or(usize::MAX);
    let died_again = if detach { None } else { noted(watch_deaths(mongo, &ended).await) };
    Ok(Replayed { count, died_again })
}

/// They were replayed, also where it cannot be seen whether they die again.
fn noted(watched: Result<u64>) -> Option<u64> {
    watched.inspect_err(|error| terminal::note(format_args!("whether any died again is unknown: {error}"))).ok()
}

/// How many of those that an operation has replayed die again at once.
async fn watch_deaths(mongo: &Mongo, ended: &ReplayOperation) -> Result<u64> {
    let until = Instant::now() + DEATH_WATCH;
    loop {
        let now = mongo.dead_letters().operation(ended.id).await?;
        let died_again = now.map_or(0, |now| now.died_again);
        if died_again >= ended.replayed() || Instant::now() >= until {
            return Ok(died_again);
        }
        sleep(PROGRESS_POLL).await;
    }
}

/// Shows the progress of an operation until it has ended.
async fn wait_for_end(mongo: &Mongo, begun: ReplayOperation) -> Result<ReplayOperation> {
    let (mut last, mut moved_at) = (begun, Instant::now());
    let is_terminal = std::io::stderr().is_terminal();
    while !last.state.has_ended() {
        sleep(PROGRESS_POLL).await;
        let gone = || OperationError::NotFound(format!("the replay {} is gone", last.id));
        let now = mongo.dead_letters().operation(last.id).await?.ok_or_else(gone)?;
        if now.remaining != last.remaining || now.state != last.state {
            moved_at = Instant::now();
            if is_terminal {
                terminal::progress(progress(&now));
            }
        }
        if is_terminal && now.state.has_ended() {
            terminal::note("");
        }
        if moved_at.elapsed() >= PROGRESS_LIMIT {
            let why = now.waits_for.unwrap_or_else(|| "no `scheduler` carries it out".to_owned());
            let text = format!("the replay {} waits and goes on by itself: {why}", now.id);
            return Err(OperationError::TryLater(text).into());
        }
        last = now;
    }
    Ok(last)
}

fn progress(operation: &ReplayOperation) -> String {
    let kept: u64 = operation.kept.values().sum();
    let done = operation.replayed();
    let ReplayOperation { total, remaining, died_again, .. } = operation;
    format!("{done} of {total} replayed, {remaining} to go, {kept} kept, {died_again} dead again")
}

/// Discards the selection; how many.
pub(super) async fn discard(sources: &Sources, selection: &Selection, reason: &str) -> Result<usize> {
    let filter = document_filter(&sources.topology, selection.id, &selection.filter)?;
    let Some(mongo) = &sources.mongo else { return Ok(0) };
    let DiscardOutcome { discarded, changed } = dead_letters::discard(mongo, &filter, OPERATOR, reason).await?;
    for dead_letter in &discarded {
        print(&sources.topology, dead_letter);
    }
    for dead_letter in &changed {
        terminal::note(format_args!("{} stays: it has changed meanwhile, try again", dead_letter.shown_id()));
    }
    Ok(discarded.len())
}

/// `pvt dead groups`.
pub(super) async fn groups(json: bool) -> Result<()> {
    let config = settings::ready(&[MongoDb]).await?;
    let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt dead").await?;
    let groups = mongo.dead_letters().groups().await;
    mongo.shutdown().await;
    let (groups, topology) = (groups?, broker::topology(&config));
    if json {
        return terminal::json(&groups.iter().map(|group| describe_group(&topology, group)).collect::<Vec<_>>());
    }
    if groups.is_empty() {
        terminal::note("No dead letters are stored.");
        return Ok(());
    }
    let rows = groups.iter().map(|group| {
        let DeadLetter { queue, last, .. } = &group.example;
        [
            group.group.clone(),
            group.dead.to_string(),
            group.new_since_replay.to_string(),
            last.worker.as_deref().map_or_else(|| queue.clone(), masked_code),
            masked_code(&last.class),
            last.error.as_deref().map_or_else(|| "-".to_owned(), masked_error),
            group.last_seen.to_string(),
            group.example.shown_id().to_string(),
        ]
    });
    let header = ["GROUP", "DEAD", "NEW SINCE REPLAY", "WORKER", "CLASS", "MESSAGE OF ONE", "LAST SEEN", "ONE ID"];
    terminal::table(header, rows);
    Ok(())
}

fn describe_group(topology: &Topology, group: &DeadLetterGroup) -> Value {
    let DeadLetterGroup { group, dead, replaying, new_since_replay, first_seen, last_seen, queues, example } = group;
    let queues: Vec<String> = queues.iter().map(|queue| topology.name(queue)).collect();
    let example = describe(topology, example, View::MASKED);
    json!({
        "group": group, "dead": dead, "replaying": replaying, "new_since_replay": new_since_replay,
        "first_seen": first_seen, "last_seen": last_seen, "queues": queues, "example": example,
    })
}

/// `pvt dead operations`.
pub(super) async fn operations(json: bool) -> Result<()> {
    let config = settings::ready(&[MongoDb]).await?;
    let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt dead").await?;
    let operations = mongo.dead_letters().list_operations(OPERATIONS).await;
    let actors = operations.as_ref().ok().into_iter().flatten().map(|operation| &operation.actor);
    let names = ActorNames::read(&mongo, actors).await;
    mongo.shutdown().await;
    let operations = operations?;
    if json {
        return terminal::json(&operations.iter().map(describe_operation).collect::<Vec<_>>());
    }
    let rows = operations.iter().map(|operation| {
        let ReplayOperation { id, state, actor, reason, selection, created_at, waits_for, .. } = operation;
        let state = match waits_for {
            Some(why) if *state == OperationState::Running => format!("waits: {why}"),
            _ => state.as_str().to_owned(),
        };
        let text = |text: &dyn ToString| text.to_string();
        [text(id), state, progress(operation), text(created_at), names.of(actor), text(selection), text(reason)]
    });
    terminal::table(["ID", "STATE", "PROGRESS", "SINCE", "BY", "SELECTION", "REASON"], rows);
    Ok(())
}

fn describe_operation(operation: &ReplayOperation) -> Value {
    let ReplayOperation { id, state, actor, reason, selection, rate, created_at, total, remaining, kept, .. } =
        operation;
    json!({
        "id": id, "state": state, "actor": actor, "reason": reason, "selection": selection, "rate": rate,
        "created_at": created_at, "ended_at": operation.ended_at, "total": total, "remaining": remaining,
        "replayed": operation.replayed(), "kept": kept, "died_again": operation.died_again,
        "waits_for": operation.waits_for,
    })
}

/// `pvt dead operations --cancel <id>`.
pub(super) async fn cancel(id: Uuid, reason: &str) -> Result<()> {
    let config = settings::ready(&[MongoDb]).await?;
    let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt dead").await?;
    let cancelled = dead_letters::cancel_replay(&mongo, id, OPERATOR, reason).await;
    mongo.shutdown().await;
    cancelled?;
    terminal::note(format_args!("the replay {id} stops before its next message"));
    Ok(())
}

pub(super) fn document_filter(topology: &Topology, id: Option<Uuid>, filter: &Filter) -> Result<DeadLetterFilter> {
    let Filter { queue, class, group, kind, booking } = filter;
    let without_prefix = |name: &str| name.strip_prefix(topology.prefix()).unwrap_or(name).to_owned();
    let queues = match queue {
        None => None,
        Some(only) => {
            let named = reader::queues(topology, Some(only), false)?;
            Some(named.iter().map(|queue| without_prefix(queue.label())).collect())
        }
    };
    Ok(DeadLetterFilter {
        ids: id.map(|id| vec![id]),
        queues,
        class: class.clone(),
        group: group.clone(),
        kind: kind.clone(),
        booking: *booking,
        until: None,
    })
}

fn describe(topology: &Topology, dead_letter: &DeadLetter, view: View) -> Value {
    let DeadLetter { id, queue, message_id, kind, booking_id, state, deaths, last, .. } = dead_letter;
    json!({
        "id": dead_letter.shown_id(),
        "dead_letter": id,
        "message_id": (!message_id.is_nil()).then_some(message_id),
        "queue": topology.name(queue),
        "state": state,
        "type": (view.code)(kind),
        "class": (view.code)(&last.class),
        "message": last.error.as_deref().map(view.error),
        "group": last.group,
        "worker": last.worker.as_deref().map(view.code),
        "attempt": last.attempt,
        "first_failed_at": last.first_failed_at.as_deref().map(view.code),
        "deaths": deaths,
        "first_died_at": dead_letter.first_died_at,
        "died_at": last.died_at,
        "new_since_replay": dead_letter.new_since_replay,
        "replays": dead_letter.replays,
        "edits": dead_letter.edits,
        "discarded": dead_letter.discarded,
        "booking_id": booking_id,
        "bytes": last.bytes,
    })
}
