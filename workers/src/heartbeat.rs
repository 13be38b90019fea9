//! Heartbeat of this process: every few seconds it writes to MongoDB what it runs and how it is.
//!
//! It only reads what the workers note in memory. It is never in the way of a message, and nothing fails because a
//! heartbeat does.

use crate::decision_times::DecisionTimes;
use crate::scheduler::Leader;
use crate::store_calls::within;
use chrono::Utc;
use pvt_domain::timestamp::Timestamp;
use pvt_service::http::About;
use pvt_service::periodic::Turns;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::worker_processes::{ConsumedQueue, HEARTBEAT_EVERY, ReportedError, WorkerProcess, WorkerReport};
use pvt_worker_runtime::{Health, WorkerHealth, WorkerState};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

/// For one write.
const WRITE_LIMIT: Duration = Duration::from_secs(4);
/// What is kept of an error.
const MAX_ERROR_CHARS: usize = 500;
/// Linux, proc(5).
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// What a heartbeat is made of.
pub(crate) struct Heartbeat {
    pub(crate) mongo: Mongo,
    pub(crate) about: About,
    /// The workers that consume queues.
    pub(crate) workers: Health,
    /// The workers that run beside the engine.
    pub(crate) tasks: Vec<&'static str>,
    pub(crate) leader: Arc<OnceLock<Leader>>,
    pub(crate) decision_times: DecisionTimes,
}

impl Heartbeat {
    /// Runs until `stopped`, which is after the drain; then the process is removed from the list.
    pub(crate) async fn beat_periodically(self, stopped: CancellationToken) {
        let (id, started_at) = (Uuid::new_v4().to_string(), Utc::now().into());
        let host = host_name();
        let mut turns = Turns::new(HEARTBEAT_EVERY, &stopped);
        let mut was_written = true;
        while turns.next().await {
            let written = self.beat(self.describe(&id, &host, started_at)).await;
            match written {
                Ok(()) => was_written = true,
                Err(error) if was_written => {
                    was_written = false;
                    warn!(error, "the heartbeat of this process cannot be written");
                }
                Err(_) => {}
            }
        }
        self.store_decision_times(&id).await;
        let mongo = self.mongo.clone();
        let removal = async move { mongo.worker_processes().remove(&id).await };
        if let Err(error) = within(WRITE_LIMIT, removal).await {
            warn!(error, "this process stays in the list of processes for some hours");
        }
    }

    async fn beat(&self, process: WorkerProcess) -> Result<(), String> {
        self.store_decision_times(&process.id).await;
        let mongo = self.mongo.clone();
        within(WRITE_LIMIT, async move { mongo.worker_processes().renew(&process).await }).await
    }

    async fn store_decision_times(&self, process: &str) {
        for (minute, counts) in self.decision_times.take_changed() {
            let (mongo, process) = (self.mongo.clone(), process.to_owned());
            let write = async move { mongo.decision_times().record(&process, minute, &counts).await };
            if within(WRITE_LIMIT, write).await.is_err() {
                self.decision_times.not_stored(minute);
                return;
            }
        }
    }

    fn describe(&self, id: &str, host: &str, started_at: Timestamp) -> WorkerProcess {
        let leads = self.leader.get().map(Leader::leads);
        let task = |name: &&str| WorkerReport {
            name: (*name).to_owned(),
            state: if leads == Some(true) { "leading" } else { "standing by" }.to_owned(),
            in_flight: 0,
            queues: Vec::new(),
            paused: Vec::new(),
            last_error: None,
        };
        let consumers = self.workers.snapshot();
        WorkerProcess {
            id: id.to_owned(),
            host: host.to_owned(),
            pid: std::process::id(),
            version: version(self.about),
            started_at,
            leads,
            workers: consumers.into_iter().map(report).chain(self.tasks.iter().map(task)).collect(),
        }
    }
}

fn version(about: About) -> String {
    about.commit.map_or_else(|| about.version.to_owned(), |commit| format!("{} {commit}", about.version))
}

fn host_name() -> String {
    let name = std::fs::read_to_string(HOST_NAME).ok().or_else(|| std::env::var("HOSTNAME").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

fn report(worker: WorkerHealth) -> WorkerReport {
    let WorkerHealth { name, state, unavailable, paused_queues, last_error, consumers, in_flight } = worker;
    let mut words = match state {
        WorkerState::Running => "running".to_owned(),
        WorkerState::Paused { class, since } => format!("waiting because of {class} since {}", Timestamp::from(since)),
        WorkerState::Reconnecting => "reconnecting".to_owned(),
        WorkerState::Draining => "draining".to_owned(),
    };
    for failed in unavailable {
        words += &format!("; {} waits because of {}", failed.operation, failed.class);
    }
    let queue = |(name, consumer_tag)| ConsumedQueue { name, consumer_tag };
    WorkerReport {
        name: name.to_owned(),
        state: words,
        in_flight: u64::try_from(in_flight).unwrap_or(u64::MAX),
        queues: consumers.into_iter().map(queue).collect(),
        paused: paused_queues.into_keys().collect(),
        last_error: last_error.map(|error| ReportedError {
            at: error.at.into(),
            text: error.text.chars().take(MAX_ERROR_CHARS).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{About, DecisionTimes, Health, Heartbeat, WRITE_LIMIT};
    use anyhow::{Context, Result};
    use chrono::{DateTime, Utc};
    use pvt_stores::mongo::Mongo;
    use pvt_testkit::{Namespace, eventually};
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::sync::{Arc, OnceLock};
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    const SOON: Duration = Duration::from_secs(30);

    fn heartbeat(mongo: &Mongo, times: &DecisionTimes) -> Heartbeat {
        Heartbeat {
            mongo: mongo.clone(),
            about: About::new("tests"),
            workers: Health::default(),
            tasks: vec!["scheduler"],
            leader: Arc::new(OnceLock::new()),
            decision_times: times.clone(),
        }
    }

    #[tokio::test]
    async fn process_is_listed_until_it_ends_and_leaves_its_times() -> Result<()> {
        let namespace = Namespace::new().await?;
        let (mongo, times) = (namespace.mongo().await?, DecisionTimes::default());
        let stopped = CancellationToken::new();
        let beating = tokio::spawn(heartbeat(&mongo, &times).beat_periodically(stopped.clone()));
        let listed = async || Ok(mongo.worker_processes().list().await?.pop());
        let seen = eventually("the process is listed", SOON, listed).await?;
        assert_eq!((seen.process.pid, seen.process.leads), (std::process::id(), None));
        assert_eq!(seen.process.workers.first().context("its worker")?.state, "standing by");
        times.add(Duration::from_millis(20), Utc::now());
        stopped.cancel();
        beating.await?;
        assert!(mongo.worker_processes().list().await?.is_empty(), "it has ended in order");
        let stored = mongo.decision_times().since(DateTime::UNIX_EPOCH.into()).await?;
        assert_eq!(stored.values().map(|counts| counts.total()).sum::<u64>(), 1, "what was counted last is stored");
        Ok(())
    }

    #[tokio::test]
    async fn heartbeat_that_cannot_be_written_fails_nothing() -> Result<()> {
        let namespace = Namespace::new().await?;
        let (slow, link) = namespace.slow_mongo(Duration::ZERO).await?;
        drop(link);
        let times = DecisionTimes::default();
        times.add(Duration::from_millis(20), Utc::now());
        let stopped = CancellationToken::new();
        let beating = tokio::spawn(heartbeat(&slow, &times).beat_periodically(stopped.clone()));
        // Each turn takes the times and returns them when they could not be stored.
        let (is_taken, returned) = (AtomicBool::new(false), AtomicU32::new(0));
        let failed_twice = async || {
            let changed = times.take_changed();
            changed.iter().for_each(|(minute, _)| times.not_stored(*minute));
            let was_taken = is_taken.swap(changed.is_empty(), Ordering::Relaxed);
            if was_taken && !changed.is_empty() {
                returned.fetch_add(1, Ordering::Relaxed);
            }
            Ok((returned.load(Ordering::Relaxed) >= 2).then_some(()))
        };
        eventually("two turns have failed, and the times are kept", SOON, failed_twice).await?;
        assert!(!beating.is_finished(), "it goes on");
        stopped.cancel();
        tokio::time::timeout(WRITE_LIMIT * 4, beating).await??;
        Ok(())
    }
}
