//! Watches: tasks that read broker and stores again and again, as long as the console runs.

use super::board::Board;
use super::figures::FlowFigures;
use super::history::History;
use super::outages::Outages;
use super::reading::Reading;
use super::replays::{MAX_READ, RECENT};
use crate::store::{ReadError as _, Trouble};
use chrono::Utc;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::management::Management;
use pvt_messaging::{QueueFlows, Topology};
use pvt_operations::actor_names::ActorNames;
use pvt_operations::checks;
use pvt_operations::reading::to_its_end;
use pvt_service::config::Config;
use pvt_service::periodic::Turns;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::dead_letters::ReplayOperation;
use pvt_stores::mongo::queue_pauses::QueuePause;
use pvt_stores::mongo::queue_samples::{QueueSample, SAMPLES_KEPT_FOR};
use pvt_stores::mongo::schedule_runs::ScheduleRun;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Between two readings of the queues. The broker itself counts every five seconds.
const QUEUE_INTERVAL: Duration = Duration::from_secs(2);
/// Readings of the queues for one count of the dead letters, which reads all of them.
const ROUNDS_FOR_DEAD_LETTERS: u32 = 3;
/// Between two rounds of checks, which open connections of their own.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Between two readings of the samples, of which there is a new one each minute.
const HISTORY_INTERVAL: Duration = Duration::from_secs(10);
/// Between two readings of the processes: each writes its heartbeat at once when something has gone wrong.
const PROCESS_INTERVAL: Duration = Duration::from_secs(2);
/// Requested runs of schedules that are read with them.
pub(crate) const MAX_REQUESTED_RUNS: i64 = 20;
/// For one reading.
const READ_LIMIT: Duration = Duration::from_secs(4);
/// For one round of checks, each of which has a limit of its own.
const CHECK_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at how old the readings are.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(2);
/// The name of the checks' connections.
const CHECKS: &str = "pvt-console checks";

/// Reads queues, pauses, the numbers of dead letters and their replays until `stop`.
pub(crate) async fn queues(
    board: Arc<Board>,
    topology: Topology,
    management: Management,
    mongo: Mongo,
    stop: CancellationToken,
) {
    let (mut flows, mut is_recalled) = (QueueFlows::of(&topology), false);
    let mut turns = Turns::new(QUEUE_INTERVAL, &stop);
    let mut round = 0;
    while turns.next().await {
        let (of_pauses, of_dead_letters) = (mongo.clone(), mongo.clone());
        let counts_dead_letters = round % ROUNDS_FOR_DEAD_LETTERS == 0;
        round += 1;
        let count = async {
            let count = to_its_end(async move { of_dead_letters.dead_letters().count_by_queue().await });
            if counts_dead_letters { Some(limited(count).await) } else { None }
        };
        let begun = Instant::now();
        let reads = async {
            tokio::join!(
                limited(management.queues(topology.prefix())),
                timeout(READ_LIMIT, to_its_end(async move { named_pauses(&of_pauses).await })),
                count,
                limited(replays(&mongo))
            )
        };
        let Some((queues, pauses, dead_letters, replays)) = stop.run_until_cancelled(reads).await else { return };
        let read_at = Utc::now();
        let now = read_at.into();
        if let Some(history) = board.figures().history.value().filter(|_| !is_recalled) {
            flows.recall(history.samples().iter().flat_map(QueueSample::readings), read_at);
            is_recalled = true;
        }
        if let Ok(queues) = &queues {
            flows.observe(queues, read_at);
        }
        let of_flows = flows.iter().map(|(name, flow)| (name.clone(), FlowFigures::from(flow))).collect();
        let answers = match &pauses {
            Ok(Err(error)) if matches!(error.trouble(), Trouble::Outage(_)) => Err(error.to_string()),
            Ok(_) => Ok(()),
            Err(_) => Err(no_answer()),
        };
        let pauses = pauses.map_err(|_| no_answer()).and_then(|read| read.map_err(|error| error.to_string()));
        let (pauses, names) = pauses.map_or_else(|reason| (Err(reason), None), |(read, names)| (Ok(read), Some(names)));
        board.queues_read(|figures| {
            figures.mongodb = figures.mongodb.next(answers, now);
            figures.queues = figures.queues.next(queues, now);
            figures.flows = of_flows;
            figures.pauses = figures.pauses.next(pauses, now);
            figures.names = names.unwrap_or_else(|| std::mem::take(&mut figures.names));
            if let Some(dead_letters) = dead_letters {
                figures.dead_letters = figures.dead_letters.next(dead_letters, now);
            }
            figures.take_replays(begun, replays, now);
        });
    }
}

/// All pauses of queues, with the names of those who paused them.
pub(crate) async fn named_pauses(mongo: &Mongo) -> anyhow::Result<(Vec<QueuePause>, ActorNames)> {
    let pauses = mongo.queue_pauses().list().await?;
    let names = ActorNames::read(mongo, pauses.iter().map(|pause| &pause.actor)).await;
    Ok((pauses, names))
}

/// The newest runs of schedules that operators have requested.
pub(crate) async fn requested_runs(mongo: &Mongo) -> anyhow::Result<Vec<ScheduleRun>> {
    let mongo = mongo.clone();
    to_its_end(async move { mongo.schedule_runs().newest_requested(None, MAX_REQUESTED_RUNS).await }).await
}

/// The replays that go on, or ended a short time ago.
pub(crate) async fn replays(mongo: &Mongo) -> anyhow::Result<Vec<ReplayOperation>> {
    let (mongo, since) = (mongo.clone(), Timestamp::from(Utc::now() - RECENT));
    to_its_end(async move { mongo.dead_letters().operations_since(since, MAX_READ).await }).await
}

/// Reads samples of the queues and times to confirmation until `stop`.
pub(crate) async fn history(board: Arc<Board>, mongo: Mongo, stop: CancellationToken) {
    let mut known = Arc::new(History::default());
    let mut turns = Turns::new(HISTORY_INTERVAL, &stop);
    while turns.next().await {
        let begin = (Utc::now() - SAMPLES_KEPT_FOR).into();
        let (newest, newest_times) = (known.newest().unwrap_or(begin), known.newest_times().unwrap_or(begin));
        let mongo = mongo.clone();
        let reading = to_its_end(async move {
            let samples = mongo.queue_samples().after(newest).await?;
            anyhow::Ok((samples, mongo.decision_times().since(newest_times).await?))
        });
        let Some(read) = stop.run_until_cancelled(limited(reading)).await else { return };
        let now = Utc::now();
        let read = read.map(|(samples, times)| Arc::new(known.with(samples, times, now)));
        if let Ok(read) = &read {
            known = read.clone();
        }
        board.history_read(|figures| figures.history = figures.history.next(read, now.into()));
    }
}

/// Reads the heartbeats of worker processes, which consumers are active, and which runs were requested, until `stop`.
pub(crate) async fn processes(
    board: Arc<Board>,
    prefix: String,
    management: Management,
    mongo: Mongo,
    stop: CancellationToken,
) {
    let mut turns = Turns::new(PROCESS_INTERVAL, &stop);
    while turns.next().await {
        let of_processes = mongo.clone();
        let reads = async {
            tokio::join!(
                limited(to_its_end(async move { of_processes.worker_processes().list().await })),
                limited(management.consumers(&prefix)),
                limited(requested_runs(&mongo))
            )
        };
        let Some((processes, consumers, requested)) = stop.run_until_cancelled(reads).await else { return };
        let read_at = Utc::now();
        let now = read_at.into();
        let outages = processes.as_ref().map(|processes| Outages::of_processes(processes, read_at));
        let outages = outages.map_err(Clone::clone);
        let active = consumers.map(|consumers| {
            let active = consumers.into_iter().filter(|consumer| consumer.active);
            active.map(|consumer| consumer.consumer_tag).collect()
        });
        board.processes_read(|figures| {
            figures.processes = figures.processes.next(processes, now);
            figures.outages = figures.outages.next(outages, now);
            figures.requested_runs = figures.requested_runs.next(requested, now);
            figures.active_consumers = figures.active_consumers.next(active, now);
        });
    }
}

/// Makes the checks of `pvt doctor` until `stop`, with the dead letters as they were counted last.
pub(crate) async fn checks(board: Arc<Board>, config: Config, mongo: Mongo, stop: CancellationToken) {
    let mut turns = Turns::new(CHECK_INTERVAL, &stop);
    while turns.next().await {
        let figures = board.figures();
        let round = async {
            let counts = match &figures.dead_letters {
                Reading::Up(counts) => Ok(counts),
                Reading::Down(outage) => Err(outage.reason.as_str()),
                Reading::Pending => return checks::run(&config, &mongo, CHECKS).await,
            };
            checks::run_with_dead_letters(&config, &mongo, counts, CHECKS).await
        };
        let Some(made) = stop.run_until_cancelled(timeout(CHECK_LIMIT, round)).await else { return };
        let now = Utc::now().into();
        let made = made.map(|findings| (now, findings));
        let made = made.map_err(|_| format!("no answer within {} s", CHECK_LIMIT.as_secs()));
        board.checks_made(|figures| figures.checks = figures.checks.next(made, now));
    }
}

/// Makes figures unknown that the other watches do not read any more, until `stop`.
pub(crate) async fn expiry(board: Arc<Board>, stop: CancellationToken) {
    let mut turns = Turns::new(EXPIRY_INTERVAL, &stop);
    while turns.next().await {
        board.expire();
    }
}

/// A reading within the time that each has.
pub(crate) async fn limited<T, E: Display>(reading: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match timeout(READ_LIMIT, reading).await {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err(no_answer()),
    }
}

fn no_answer() -> String {
    format!("no answer within {} s", READ_LIMIT.as_secs())
}
