//! Checks of what MongoDB holds: maintenance, pauses, dead letters, progress of schedules, waiting workers, accounts.

use super::{
    DEAD_LETTERS, DEMONSTRATION_ACCOUNTS, Finding, MAINTENANCE, PAUSES, PROBE_LIMIT, RESUME, Remedy, SCHEDULES,
    UNKNOWN, WAITING_QUEUES, check_stored, finding, read_finding,
};
use crate::queue_outages::{self, QueueOutage};
use crate::reading::to_its_end;
use crate::seed::accounts::ACCOUNTS;
use crate::{actor_names::ActorNames, maintenance};
use chrono::{DateTime, TimeDelta, Utc};
use pvt_domain::accounts::Email;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::maintenance::Maintenance;
use pvt_stores::mongo::queue_pauses::QueuePause;
use std::collections::BTreeMap;
use tokio::time::timeout;

/// An outage that is shorter may be over before anyone has looked; `/readyz` says `degraded` no earlier.
const SHORT_OUTAGE: TimeDelta = TimeDelta::minutes(1);
const REPAIR_DEPENDENCY: &str =
    "repair what they wait for: workers try again every few seconds, and no message is lost";

/// Whether the API refuses changes because an operator wants it to.
pub(super) async fn maintenance_mode(mongo: &Mongo) -> Finding {
    let mongo = mongo.clone();
    match timeout(PROBE_LIMIT, to_its_end(async move { mongo.maintenance().find().await })).await {
        Ok(Ok(stored)) => maintenance_known(stored.as_ref()),
        // Why is said elsewhere.
        Ok(Err(_)) | Err(_) => maintenance_unknown(),
    }
}

fn maintenance_known(stored: Option<&Maintenance>) -> Finding {
    let remedy = Remedy::with_console(
        "the API refuses changes; `pvt maintenance off` ends it",
        "The API refuses changes. On a server, `pvt maintenance off` ends it.",
    );
    Finding { warning: true, ..finding(MAINTENANCE, stored.map(maintenance::summary), remedy) }
}

pub(super) fn maintenance_unknown() -> Finding {
    let unknown = Some("unknown, MongoDB cannot be read".to_owned());
    let remedy = "API instances keep to what they read last, and those that start refuse changes: repair MongoDB";
    Finding { warning: true, ..finding(MAINTENANCE, unknown, remedy) }
}

/// Schedules that were ahead of the server's clock have continued; a second time may mean that the clock is wrong.
pub(super) async fn schedules(mongo: &Mongo) -> Finding {
    let mongo = mongo.clone();
    let probe = to_its_end(async move {
        let ahead = mongo.schedules().ahead_of_clock().await?;
        anyhow::Ok(ahead.map(|ahead| format!("ahead of the clock of MongoDB's server: {ahead}")))
    });
    let remedy = "a backup was restored or a clock was wrong: compare the clock of MongoDB's server with the true time";
    Finding { warning: true, ..check_stored(SCHEDULES, probe, remedy).await }
}

/// Queues that wait because something that their worker depends on does not answer.
pub(super) async fn queues_that_wait(mongo: &Mongo) -> Finding {
    let mongo = mongo.clone();
    let probe = to_its_end(async move {
        let processes = mongo.worker_processes().list().await?;
        anyhow::Ok(waiting_queues(&queue_outages::by_queue(&processes), Utc::now()))
    });
    read_finding(WAITING_QUEUES, probe).await
}

/// The same of heartbeats that were read before. Outages that may pass by themselves are a warning.
pub fn waiting_queues(outages: &BTreeMap<String, QueueOutage>, now: DateTime<Utc>) -> Finding {
    let warning = outages.values().all(|outage| now - outage.since.as_datetime() < SHORT_OUTAGE);
    let found = finding(WAITING_QUEUES, queue_outages::summary(outages), REPAIR_DEPENDENCY);
    Finding { warning: warning && found.trouble.is_some(), ..found }
}

/// All pauses of queues; `None` when MongoDB cannot be read, and why is said elsewhere.
pub(super) async fn pauses(mongo: &Mongo) -> Option<Vec<QueuePause>> {
    let mongo = mongo.clone();
    timeout(PROBE_LIMIT, to_its_end(async move { mongo.queue_pauses().list().await })).await.ok()?.ok()
}

pub(super) async fn paused_queues(mongo: &Mongo, pauses: Option<&[QueuePause]>) -> Finding {
    let Some(pauses) = pauses else { return pauses_unknown() };
    let (of_names, actors) = (mongo.clone(), pauses.iter().map(|pause| pause.actor.clone()).collect::<Vec<_>>());
    let names = to_its_end(async move { anyhow::Ok(ActorNames::read(&of_names, &actors).await) });
    let names = timeout(PROBE_LIMIT, names).await.ok().and_then(Result::ok).unwrap_or_default();
    let words = pauses.iter().map(|QueuePause { queue, since, actor, reason }| {
        format!("{queue} by {} since {since}: {reason}", names.of(actor))
    });
    let words: Vec<String> = words.collect();
    let trouble = (!words.is_empty()).then(|| words.join("; "));
    let remedy = Remedy::with_console("`pvt queues resume` ends one", RESUME);
    Finding { warning: true, ..finding(PAUSES, trouble, remedy) }
}

pub(super) fn pauses_unknown() -> Finding {
    let remedy = "workers keep to the pauses that they read last, and those that start wait: repair MongoDB";
    Finding { warning: true, ..finding(PAUSES, Some(UNKNOWN.to_owned()), remedy) }
}

/// Messages that were given up.
pub(super) fn dead_letters_found(counts: Result<&BTreeMap<String, u64>, &str>) -> Finding {
    let counts = match counts {
        Ok(counts) => counts,
        Err(reason) => return finding(DEAD_LETTERS, Some(format!("unknown: {reason}")), "repair MongoDB first"),
    };
    let words: Vec<String> = counts.iter().map(|(queue, count)| format!("{count} of {queue}")).collect();
    let remedy = Remedy::with_console(
        "`pvt dead groups` shows the causes; `pvt dead replay` returns them to their queues, `pvt dead discard` \
            removes them",
        "Look at the causes; replay what can be handled now, discard what never will.",
    );
    finding(DEAD_LETTERS, (!words.is_empty()).then(|| words.join(", ")), remedy)
}

/// Their passwords are published. A database that was once used for development may have them.
pub(super) async fn demonstration_accounts(mongo: &Mongo) -> Finding {
    let mongo = mongo.clone();
    let probe = to_its_end(async move {
        let mut active = Vec::new();
        for account in &ACCOUNTS {
            let Ok(email) = Email::parse(account.email) else { continue };
            let found = mongo.users().find_by_email(&email).await?;
            active.extend(found.filter(|user| user.disabled_at.is_none()).map(|_| account.email));
        }
        anyhow::Ok((!active.is_empty()).then(|| format!("active: {}", active.join(", "))))
    });
    let remedy = Remedy::with_console(
        "their passwords are published: disable them with `pvt users disable`",
        "Their passwords are published. On a server, `pvt users disable` disables them.",
    );
    check_stored(DEMONSTRATION_ACCOUNTS, probe, remedy).await
}
