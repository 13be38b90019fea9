//! A worker process: runs some of the workers until shutdown, then drains.

use crate::decision_times::DecisionTimes;
use crate::declaration::{Dependencies, Start, WorkerDeclaration};
use crate::heartbeat::Heartbeat;
use crate::jobs::{self, WORKERS};
use crate::queue_pauses;
use crate::queue_samples::BrokerAlarms;
use crate::scheduler;
use crate::unroutable::UnroutableCount;
use anyhow::{Context, Result, anyhow, bail};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use pvt_messaging::{Publisher, Topology};
use pvt_service::config::Config;
use pvt_service::health::{Finding, Health, Need};
use pvt_service::http::{self, About, Pages};
use pvt_service::telemetry;
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_worker_runtime::{Engine, QueuePause, UnavailableOperation, WorkerHealth, WorkerState};
use secrecy::ExposeSecret;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What these processes call themselves.
const ABOUT: About = About::new("pvt-workers");
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// A worker that is paused for longer makes its process degraded: short pauses are usual, restarts of engines for
/// example.
const SHORT_PAUSE: TimeDelta = TimeDelta::minutes(1);

/// The names of all workers.
pub fn worker_names() -> impl Iterator<Item = &'static str> {
    WORKERS.iter().map(|worker| worker.name)
}

/// The workers with their purpose, for help texts.
pub(crate) fn workers_help() -> String {
    let row = |worker: &WorkerDeclaration| format!("  {:<15} {}", worker.name, worker.about);
    format!("Workers:\n{}", WORKERS.iter().map(row).collect::<Vec<_>>().join("\n"))
}

/// Runs these workers in this process until the token is cancelled and all messages in hand are finished.
///
/// # Errors
/// When a name is unknown, a setting is invalid, or the drain took too long.
pub async fn run(config: Config, names: &[String], shutdown: CancellationToken) -> Result<()> {
    let workers = names.iter().map(|name| find(name)).collect::<Result<Vec<_>>>()?;
    let schedules = scheduler::parse_schedules(&config.schedules).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow!("PVT_SCHEDULES: {}", lines.join("; "))
    })?;
    let process = names.join("+");
    let telemetry = telemetry::init(&config, ABOUT.name)?;
    let listener = TcpListener::bind(config.metrics_addr)
        .await
        .with_context(|| format!("PVT_METRICS_ADDR {}", config.metrics_addr))?;
    let amqp_url = config.amqp_url.expose_secret();
    let topology = Topology::new(&config.queue_prefix, config.partitions).with_retry_divisor(config.retry_divisor);
    let publisher = Publisher::start(amqp_url, topology.clone(), &process);
    let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), &process).await.context("MONGODB_URI")?;
    let (known_pauses, pauses) = watch::channel(None);
    let reading =
        tokio::spawn(queue_pauses::read_periodically(mongo.clone(), topology.clone(), known_pauses, shutdown.clone()));
    let mut engine = Engine::new(amqp_url, topology.clone(), publisher.clone()).with_queue_pauses(pauses.clone());
    let dependencies = Dependencies {
        mongo,
        mart: Mart::connect(config.database_url.expose_secret(), &process).context("DATABASE_URL")?,
        config,
        schedules,
        publisher,
        topology,
        unroutable: UnroutableCount::default(),
        alarms: BrokerAlarms::default(),
        pauses,
        leader: Arc::new(OnceLock::new()),
        decision_times: DecisionTimes::default(),
    };
    let (mut consumes, mut tasks, mut task_names) = (false, Vec::new(), Vec::new());
    for worker in workers {
        match worker.start {
            Start::Consumers(register) => {
                engine = register(engine, &dependencies)?;
                consumes = true;
            }
            Start::Task(start) => {
                tasks.push(start(&dependencies, shutdown.clone()));
                task_names.push(worker.name);
            }
        }
    }
    let heartbeat = Heartbeat {
        mongo: dependencies.mongo.clone(),
        about: ABOUT,
        workers: engine.health(),
        tasks: task_names,
        leader: dependencies.leader.clone(),
        decision_times: dependencies.decision_times.clone(),
    };
    let mut health = health(engine.health(), &dependencies);
    if names.iter().any(|name| name == jobs::scheduler::WORKER.name) {
        health = with_schedules(health, dependencies.mongo.clone());
    }
    let health = Arc::new(health);
    let pages = Pages { about: ABOUT, health, metrics: telemetry.metrics() };
    let stopped = CancellationToken::new();
    let beating = tokio::spawn(heartbeat.beat_periodically(stopped.clone()));
    let pages = tokio::spawn(http::serve(listener, pages, stopped.clone()));
    let consumers = async { if consumes { engine.run(shutdown.clone()).await } else { Ok(()) } };
    let (drained, finished) = tokio::join!(consumers, join_all(tasks));
    // Health responds until the last message is acknowledged.
    stopped.cancel();
    pages.await??;
    reading.await?;
    beating.await?;
    // At the same time and each within its limit, so that a store that hangs does not delay the end.
    tokio::join!(
        dependencies.publisher.close(CLOSE_LIMIT),
        timeout(CLOSE_LIMIT, dependencies.mart.close()).map(drop),
        timeout(CLOSE_LIMIT, dependencies.mongo.shutdown()).map(drop),
    );
    telemetry.close().await;
    finished.into_iter().collect::<Result<()>>()?;
    Ok(drained?)
}

fn find(name: &str) -> Result<&'static WorkerDeclaration> {
    match WORKERS.iter().find(|worker| worker.name == name) {
        Some(worker) => Ok(worker),
        None => bail!("unknown worker `{name}`; workers are {}", worker_names().collect::<Vec<_>>().join(", ")),
    }
}

/// Ready means consuming. An unavailable dependency pauses a worker, which then waits by itself: the process is
/// degraded but stays ready, because a restart would not help.
fn health(workers: pvt_worker_runtime::Health, dependencies: &Dependencies) -> Health {
    let (mongo, publisher) = (dependencies.mongo.clone(), dependencies.publisher.clone());
    let (unroutable, alarms) = (dependencies.unroutable.clone(), dependencies.alarms.clone());
    Health::new()
        .with("workers", Need::Required, move || {
            let workers = workers.snapshot();
            async move { describe(&workers, Utc::now()) }
        })
        .with("publisher", Need::Required, move || {
            let trouble = publisher.trouble();
            async move { trouble.map_or(Ok(None), |trouble| Err(trouble.to_owned())) }
        })
        .with("mongodb", Need::Optional, move || {
            let mongo = mongo.clone();
            async move { mongo.ping().await.map(|()| None).map_err(|error| error.to_string()) }
        })
        .with("broker_alarms", Need::Optional, move || {
            let found = alarms.check();
            async move { found }
        })
        .with("unroutable", Need::Optional, move || {
            let found = unroutable.check();
            async move { found }
        })
}

/// Progress of schedules that is, or lately was, ahead of the server's clock.
fn with_schedules(health: Health, mongo: Mongo) -> Health {
    health.with("schedules", Need::Optional, move || {
        let mongo = mongo.clone();
        async move {
            match mongo.schedules().ahead_of_clock().await {
                Ok(None) => Finding::Up(None),
                Ok(Some(ahead)) => Finding::Degraded(format!("ahead of the server's clock: {ahead}")),
                Err(error) => Finding::Down(error.to_string()),
            }
        }
    })
}

fn seconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn describe(workers: &[WorkerHealth], now: DateTime<Utc>) -> Finding {
    let state = |worker: &WorkerHealth| match &worker.state {
        WorkerState::Running => format!("{} running", worker.name),
        WorkerState::Paused { class, since } => {
            format!("{} paused: {class}, since {}", worker.name, seconds(*since))
        }
        WorkerState::Reconnecting => format!("{} reconnecting", worker.name),
        WorkerState::Draining => format!("{} draining", worker.name),
    };
    let waiting = workers.iter().flat_map(|worker| worker.unavailable.iter().map(move |failed| (worker, failed)));
    let waiting = waiting.map(|(worker, UnavailableOperation { operation, class, since, .. })| {
        format!("{} waits for {operation}: {class}, since {}", worker.name, seconds(*since))
    });
    let paused = workers.iter().flat_map(|worker| &worker.paused_queues);
    let paused = paused.map(|(queue, QueuePause { since, actor, reason })| {
        format!("queue {queue} paused by {actor} since {}: {reason}", seconds(*since))
    });
    let states = workers.iter().map(state).chain(waiting).chain(paused).collect::<Vec<_>>().join(", ");
    let is_long = |worker: &WorkerHealth| {
        let paused = matches!(worker.state, WorkerState::Paused { since, .. } if now - since > SHORT_PAUSE);
        let by_operator = worker.paused_queues.values().any(|pause| now - pause.since > SHORT_PAUSE);
        paused || by_operator || worker.unavailable.iter().any(|failed| now - failed.since > SHORT_PAUSE)
    };
    if workers.iter().any(|worker| worker.state == WorkerState::Reconnecting) {
        Finding::Down(states)
    } else if workers.iter().any(is_long) {
        Finding::Degraded(states)
    } else {
        Finding::Up(Some(states))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvt_messaging::QueueRole;
    use std::collections::BTreeSet;

    #[test]
    fn names_and_health_ports_are_unique() {
        assert_eq!(worker_names().collect::<BTreeSet<_>>().len(), WORKERS.len());
        assert_eq!(WORKERS.iter().map(|worker| worker.health_port).collect::<BTreeSet<_>>().len(), WORKERS.len());
    }

    #[test]
    fn worker_that_is_paused_for_minutes_is_not_up() {
        let paused = |since: &str| WorkerState::Paused { class: "smtp_unavailable", since: since.parse().unwrap() };
        let found = |state| {
            let workers = [WorkerHealth::new("analytics", WorkerState::Running), WorkerHealth::new("emails", state)];
            describe(&workers, "2027-01-01T12:02:00Z".parse().unwrap())
        };
        let text = |time| format!("analytics running, emails paused: smtp_unavailable, since 2027-01-01T{time}Z");
        assert_eq!(found(paused("2027-01-01T12:01:30Z")), Finding::Up(Some(text("12:01:30"))));
        assert_eq!(found(paused("2027-01-01T12:00:30Z")), Finding::Degraded(text("12:00:30")));
        assert_eq!(
            found(WorkerState::Reconnecting),
            Finding::Down("analytics running, emails reconnecting".to_owned())
        );
    }

    #[test]
    fn queue_that_an_operator_has_paused_for_minutes_is_not_up() {
        let found = |since: &str| {
            let (since, now) = (since.parse().unwrap(), "2027-01-01T12:02:00Z".parse().unwrap());
            let pause = QueuePause { since, actor: "operator".to_owned(), reason: "provider is moving".to_owned() };
            let mut worker = WorkerHealth::new("emails", WorkerState::Running);
            worker.paused_queues.insert("emails".to_owned(), pause);
            describe(&[worker], now)
        };
        let text = |time| {
            format!("emails running, queue emails paused by operator since 2027-01-01T{time}Z: provider is moving")
        };
        assert_eq!(found("2027-01-01T12:01:30Z"), Finding::Up(Some(text("12:01:30"))));
        assert_eq!(found("2027-01-01T12:00:30Z"), Finding::Degraded(text("12:00:30")));
    }

    #[test]
    fn worker_with_an_operation_that_is_unavailable_for_minutes_is_not_up() {
        let found = |since: &str| {
            let (since, now) = (since.parse().unwrap(), "2027-01-01T12:02:00Z".parse().unwrap());
            let failed = UnavailableOperation {
                operation: "expire_session",
                class: "stripe_unavailable",
                since,
                failed_at: now,
            };
            let mut worker = WorkerHealth::new("stripe", WorkerState::Running);
            worker.unavailable.push(failed);
            describe(&[worker], now)
        };
        let text = |time| {
            format!("stripe running, stripe waits for expire_session: stripe_unavailable, since 2027-01-01T{time}Z")
        };
        assert_eq!(found("2027-01-01T12:01:30Z"), Finding::Up(Some(text("12:01:30"))));
        assert_eq!(found("2027-01-01T12:00:30Z"), Finding::Degraded(text("12:00:30")));
    }

    #[test]
    fn every_work_queue_has_one_worker() {
        let topology = Topology::new("", 2);
        let mut consumed: Vec<String> = WORKERS
            .iter()
            .flat_map(|worker| worker.queues)
            .flat_map(|queue| topology.work_queues(*queue))
            .map(|(name, _)| name)
            .collect();
        let work = topology.queues().into_iter().filter(|queue| matches!(queue.role, QueueRole::Work { .. }));
        let mut declared: Vec<String> = work.map(|queue| queue.name).collect();
        consumed.sort_unstable();
        declared.sort_unstable();
        assert_eq!(consumed, declared);
    }
}
