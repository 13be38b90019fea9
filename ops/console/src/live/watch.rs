//! Watches: tasks that read broker and stores again and again, as long as the console runs.

use super::board::Board;
use super::replays::{MAX_READ, RECENT};
use crate::store::{ReadError as _, Trouble};
use chrono::Utc;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::management::Management;
use pvt_operations::checks;
use pvt_operations::reading::to_its_end;
use pvt_service::config::Config;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::dead_letters::ReplayOperation;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// Between two readings of the queues. The broker itself counts every five seconds.
const QUEUE_INTERVAL: Duration = Duration::from_secs(2);
/// Between two rounds of checks, which open connections of their own.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// For one reading.
const READ_LIMIT: Duration = Duration::from_secs(4);
/// For one round of checks, each of which has a limit of its own.
const CHECK_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at how old the readings are.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(2);
/// The name of the checks' connections.
const CHECKS: &str = "pvt-console checks";

/// Reads queues, pauses, the numbers of dead letters and their replays until `stop`.
pub(crate) async fn queues(board: Arc<Board>, management: Management, mongo: Mongo, stop: CancellationToken) {
    let prefix = board.prefix().to_owned();
    let mut ticks = interval(QUEUE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let (of_pauses, of_dead_letters) = (mongo.clone(), mongo.clone());
        let reads = async {
            tokio::join!(
                limited(management.queues(&prefix)),
                timeout(READ_LIMIT, to_its_end(async move { of_pauses.queue_pauses().list().await })),
                limited(to_its_end(async move { of_dead_letters.dead_letters().count_by_queue().await })),
                limited(replays(&mongo))
            )
        };
        let Some((queues, pauses, dead_letters, replays)) = stop.run_until_cancelled(reads).await else { return };
        let now = Utc::now().into();
        let answers = match &pauses {
            Ok(Err(error)) if matches!(error.trouble(), Trouble::Outage(_)) => Err(error.to_string()),
            Ok(_) => Ok(()),
            Err(_) => Err(no_answer()),
        };
        let pauses = pauses.map_err(|_| no_answer()).and_then(|read| read.map_err(|error| error.to_string()));
        board.queues_read(|figures| {
            figures.mongodb = figures.mongodb.next(answers, now);
            figures.queues = figures.queues.next(queues, now);
            figures.pauses = figures.pauses.next(pauses, now);
            figures.dead_letters = figures.dead_letters.next(dead_letters, now);
            figures.replays = figures.replays.next(replays, now);
            figures.at = Some(now);
        });
    }
}

/// The replays that go on, or ended a short time ago.
pub(crate) async fn replays(mongo: &Mongo) -> anyhow::Result<Vec<ReplayOperation>> {
    let (mongo, since) = (mongo.clone(), Timestamp::from(Utc::now() - RECENT));
    to_its_end(async move { mongo.dead_letters().operations_since(since, MAX_READ).await }).await
}

/// Makes the checks of `pvt doctor` until `stop`.
pub(crate) async fn checks(board: Arc<Board>, config: Config, mongo: Mongo, stop: CancellationToken) {
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let round = timeout(CHECK_LIMIT, checks::run(&config, &mongo, CHECKS));
        let Some(made) = stop.run_until_cancelled(round).await else { return };
        let now = Utc::now().into();
        let made = made.map(|findings| (now, findings));
        let made = made.map_err(|_| format!("no answer within {} s", CHECK_LIMIT.as_secs()));
        board.checks_made(|figures| figures.checks = figures.checks.next(made, now));
    }
}

/// Makes figures unknown that the other watches do not read any more, until `stop`.
pub(crate) async fn expiry(board: Arc<Board>, stop: CancellationToken) {
    let mut ticks = interval(EXPIRY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        board.expire();
    }
}

async fn limited<T, E: Display>(reading: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match timeout(READ_LIMIT, reading).await {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err(no_answer()),
    }
}

fn no_answer() -> String {
    format!("no answer within {} s", READ_LIMIT.as_secs())
}
