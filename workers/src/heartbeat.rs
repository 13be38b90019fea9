//! Heartbeat of this process: every few seconds, and when its state changes, it writes to MongoDB what it runs and how
//! it is.
//!
//! It only reads what the workers note in memory. It is never in the way of a message, and nothing fails because a
//! heartbeat does.

use crate::decision_times::DecisionTimes;
use crate::scheduler::Leader;
use crate::store_calls::within;
use chrono::{DateTime, Utc};
use pvt_domain::timestamp::Timestamp;
use pvt_service::http::About;
use pvt_service::periodic::Turns;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::worker_processes::{
    ConsumedQueue, DRAINING, HEARTBEAT_EVERY, ReportedError, ReportedOutage, WorkerProcess, WorkerReport,
};
use pvt_worker_runtime::{Health, WorkerHealth, WorkerState};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

/// Between two looks at how the workers are: an outage is not to wait for the next heartbeat.
const LOOK_EVERY: Duration = Duration::from_secs(1);
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
        let mut turns = Turns::new(LOOK_EVERY, &stopped);
        let (mut was_written, mut last) = (true, None::<(Instant, WorkerProcess)>);
        while turns.next().await {
            let process = self.describe(&id, &host, started_at);
            let is_due = last.as_ref().is_none_or(|(at, before)| {
                at.elapsed() + LOOK_EVERY / 2 >= HEARTBEAT_EVERY || changed(before, &process)
            });
            if !is_due {
                continue;
            }
            let begun = Instant::now();
            match self.beat(process.clone()).await {
                Ok(()) => (was_written, last) = (true, Some((begun, process))),
                // The next turn tries again: what it was to say may be new.
                Err(error) => {
                    if was_written {
                        warn!(error, "the heartbeat of this process cannot be written");
                    }
                    (was_written, last) = (false, None);
                }
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
        let mut changed = self.decision_times.take_changed().into_iter();
        while let Some((minute, counts)) = changed.next() {
            let (mongo, process) = (self.mongo.clone(), process.to_owned());
            let write = async move { mongo.decision_times().record(&process, minute, &counts).await };
            if within(WRITE_LIMIT, write).await.is_err() {
                self.decision_times.not_stored(minute);
                changed.for_each(|(minute, _)| self.decision_times.not_stored(minute));
                return;
            }
        }
    }

    fn describe(&self, id: &str, host: &str, started_at: Timestamp) -> WorkerProcess {
        let leads = self.leader.get().map(Leader::leads);
        let task = |name: &&str| WorkerReport {
            name: (*name).to_owned(),
            state: if leads == Some(true) { "leading" } else { "standing by" }.to_owned(),
            outages: Vec::new(),
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

/// Whether operators want to know at once: what a worker waits for, or which queues it consumes.
fn changed(before: &WorkerProcess, now: &WorkerProcess) -> bool {
    let key = |worker: &WorkerReport| {
        let queues: Vec<String> = worker.queues.iter().map(|queue| queue.name.clone()).collect();
        (worker.state.clone(), worker.outages.clone(), queues, worker.paused.clone())
    };
    before.leads != now.leads || !before.workers.iter().map(key).eq(now.workers.iter().map(key))
}

fn report(worker: WorkerHealth) -> WorkerReport {
    let WorkerHealth { name, state, unavailable, paused_queues, last_error, consumers, in_flight, oldest_in_hand } =
        worker;
    let words = match state {
        WorkerState::Running => "running",
        WorkerState::Paused { .. } => "waiting",
        WorkerState::Reconnecting => "reconnecting",
        WorkerState::Draining => DRAINING,
    };
    let outage = |class: &str, operation: Option<&str>, since: DateTime<Utc>| ReportedOutage {
        class: class.to_owned(),
        operation: operation.map(str::to_owned),
        since: since.into(),
    };
    let whole = match state {
        WorkerState::Paused { class, since } => Some(outage(class, None, since)),
        WorkerState::Running | WorkerState::Reconnecting | WorkerState::Draining => None,
    };
    let operations = unavailable.iter().map(|failed| outage(failed.class, Some(failed.operation), failed.since));
    let queue = |(name, consumer_tag): (String, String)| {
        let oldest_in_hand = oldest_in_hand.get(&name).map(|at| Timestamp::from(*at));
        ConsumedQueue { name, consumer_tag, oldest_in_hand }
    };
    WorkerReport {
        name: name.to_owned(),
        state: words.to_owned(),
        outages: whole.into_iter().chain(operations).collect(),
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
    use super::{About, DecisionTimes, Health, Heartbeat, WRITE_LIMIT, WorkerProcess, changed, report};
    use anyhow::{Context, Result};
    use chrono::{DateTime, TimeDelta, Utc};
    use pvt_stores::mongo::Mongo;
    use pvt_testkit::{Namespace, eventually};
    use pvt_worker_runtime::{UnavailableOperation, WorkerHealth, WorkerState};
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

    #[test]
    fn outage_and_the_oldest_message_in_hand_are_reported_at_once() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let described = |worker: &WorkerHealth| WorkerProcess {
            id: "one".to_owned(),
            host: "here".to_owned(),
            pid: 7,
            version: "1".to_owned(),
            started_at: at(0).into(),
            leads: None,
            workers: vec![report(worker.clone())],
        };
        let mut worker = WorkerHealth::new("emails", WorkerState::Running);
        worker.consumers.insert("emails".to_owned(), "tag".to_owned());
        let running = described(&worker);
        worker.oldest_in_hand.insert("emails".to_owned(), at(90));
        worker.in_flight = 3;
        assert!(!changed(&running, &described(&worker)), "work as usual waits for the next heartbeat");
        worker.state = WorkerState::Paused { class: "smtp_unavailable", since: at(100) };
        let waiting = described(&worker);
        assert!(changed(&running, &waiting) && changed(&waiting, &running));
        let reported = &waiting.workers[0];
        assert_eq!((reported.state.as_str(), reported.queues[0].oldest_in_hand), ("waiting", Some(at(90).into())));
        worker.state = WorkerState::Running;
        let (operation, class, since) = ("create_refund", "stripe_unavailable", at(50));
        worker.unavailable.push(UnavailableOperation { operation, class, since, failed_at: since });
        let partly = described(&worker);
        assert!(changed(&running, &partly));
        let outages = |process: &WorkerProcess| {
            let outages = process.workers[0].outages.iter();
            outages.map(|it| (it.class.clone(), it.operation.clone(), it.since)).collect::<Vec<_>>()
        };
        assert_eq!(outages(&waiting), [("smtp_unavailable".to_owned(), None, at(100).into())]);
        assert_eq!(outages(&partly), [(class.to_owned(), Some(operation.to_owned()), at(50).into())]);
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
        let minutes = [Utc::now() - TimeDelta::minutes(1), Utc::now()];
        minutes.iter().for_each(|at| times.add(Duration::from_millis(20), *at));
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
        let kept = async || {
            let changed = times.take_changed();
            changed.iter().for_each(|(minute, _)| times.not_stored(*minute));
            Ok((changed.len() == minutes.len()).then_some(()))
        };
        eventually("both minutes are kept, not only the one that could not be stored", SOON, kept).await?;
        assert!(!beating.is_finished(), "it goes on");
        stopped.cancel();
        tokio::time::timeout(WRITE_LIMIT * 4, beating).await??;
        Ok(())
    }
}
