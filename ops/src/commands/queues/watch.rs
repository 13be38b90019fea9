//! `pvt queues watch`: the queues again and again, as a table that is replaced or as a line of JSON each time.

use crate::output::Output;
use crate::reachability::{self, Dependency::MongoDb, Dependency::RabbitMq};
use crate::settings;
use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::Args;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::management::{Management, QueueState};
use pvt_messaging::{Oldest, QueueFlow, QueueFlows, QueueRole, Topology};
use pvt_operations::{OperationError, broker, terminal, waited};
use pvt_service::config::Config;
use pvt_service::periodic::Turns;
use pvt_service::shutdown;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::queue_samples::{QueueSample, SAMPLES_KEPT_FOR};
use secrecy::ExposeSecret;
use serde::Serialize;
use std::io::IsTerminal as _;
use std::time::Duration;
use tokio::time::Instant;

/// Clears a terminal and goes to its top: ECMA-48, CUP and ED.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";
/// Outages of the management API in a row after which the command gives up.
const MAX_FAILURES: u32 = 5;

/// Ages and rates begin with the samples that the scheduler has stored. Ctrl-C ends it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt queues watch
  pvt queues watch --interval 10 --for 600 --json
  pvt queues watch --count 1")]
pub(super) struct Watch {
    /// Seconds between two readings; the broker counts every five
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,
    /// End after so many seconds
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// End after so many readings
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    output: Output,
}

/// All queues at one time.
#[derive(Serialize)]
struct View {
    at: Timestamp,
    queues: Vec<QueueView>,
}

#[derive(Serialize)]
struct QueueView {
    name: String,
    role: &'static str,
    /// Absent on the broker.
    missing: bool,
    ready: u64,
    unacknowledged: u64,
    consumers: u64,
    /// How long the first ready message of a work queue has waited; absent without one.
    oldest_seconds: Option<u64>,
    /// It may have waited for longer.
    oldest_is_at_least: bool,
    /// A second, of a work queue, over the last minute; absent while that is not known.
    arriving: Option<f64>,
    handled: Option<f64>,
}

impl Watch {
    pub(super) async fn run(self) -> Result<()> {
        let config = settings::ready(&[RabbitMq]).await?;
        let (topology, management, stop) =
            (broker::topology(&config), broker::management(&config)?, shutdown::signal()?);
        let mut flows = QueueFlows::of(&topology);
        let samples = samples(&config).await;
        flows.recall(samples.iter().flat_map(QueueSample::readings), Utc::now());
        let end = self.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let mut turns = Turns::new(Duration::from_secs(self.interval), &stop);
        let (mut shown, mut failures) = (0, 0);
        while self.count.is_none_or(|count| shown < count) && next_turn(&mut turns, end).await {
            match read(&management, &topology, &mut flows).await {
                Ok(view) => {
                    self.show(&view)?;
                    (shown, failures) = (shown + 1, 0);
                }
                Err(error) => {
                    failures += 1;
                    terminal::note(format_args!("the queues cannot be read: {error}"));
                    if failures == MAX_FAILURES {
                        let text = "the management API of the broker does not answer".to_owned();
                        return Err(OperationError::TryLater(text).into());
                    }
                }
            }
        }
        Ok(())
    }

    fn show(&self, view: &View) -> Result<()> {
        if self.output.json {
            terminal::data(serde_json::to_string(view)?);
            return Ok(());
        }
        if std::io::stdout().is_terminal() {
            terminal::data(format_args!("{CLEAR}{}", view.at));
        } else {
            terminal::data(view.at);
        }
        let rate = |rate: Option<f64>| rate.map_or_else(|| "?".to_owned(), |rate| format!("{rate:.1}"));
        let rows = view.queues.iter().map(|queue| {
            let is_work = queue.role == "work";
            let ready = if queue.missing { "missing".to_owned() } else { queue.ready.to_string() };
            [
                queue.name.clone(),
                oldest(queue),
                ready,
                if is_work { rate(queue.arriving) } else { String::new() },
                if is_work { rate(queue.handled) } else { String::new() },
                queue.unacknowledged.to_string(),
                queue.consumers.to_string(),
            ]
        });
        terminal::table(["QUEUE", "OLDEST", "READY", "IN/S", "OUT/S", "UNACKED", "CONSUMERS"], rows);
        Ok(())
    }
}

/// The next turn, unless the time is over first.
async fn next_turn(turns: &mut Turns, end: Option<Instant>) -> bool {
    match end {
        Some(end) => tokio::time::timeout_at(end, turns.next()).await.unwrap_or(false),
        None => turns.next().await,
    }
}

async fn read(management: &Management, topology: &Topology, flows: &mut QueueFlows) -> Result<View> {
    let (states, now) = (management.queues(topology.prefix()).await?, Utc::now());
    flows.observe(&states, now);
    Ok(view(topology, &states, flows, now))
}

fn view(topology: &Topology, states: &[QueueState], flows: &QueueFlows, now: DateTime<Utc>) -> View {
    let mut queues: Vec<QueueView> = topology
        .queues()
        .into_iter()
        .map(|queue| {
            let state = states.iter().find(|state| state.name == queue.name);
            let flow = flows.get(&queue.name).filter(|_| state.is_some());
            let oldest = flow.and_then(QueueFlow::oldest);
            let rates = flow.and_then(QueueFlow::rates);
            let count = |of: fn(&QueueState) -> u64| state.map_or(0, of);
            QueueView {
                role: queue.role.as_str(),
                missing: state.is_none(),
                ready: count(|state| state.messages_ready),
                unacknowledged: count(|state| state.messages_unacknowledged),
                consumers: count(|state| state.consumers),
                oldest_seconds: oldest.map(|oldest| oldest.seconds),
                oldest_is_at_least: oldest.is_some_and(|oldest| oldest.is_at_least),
                arriving: rates.map(|rates| rates.arriving),
                handled: rates.map(|rates| rates.handled),
                name: queue.name,
            }
        })
        .collect();
    // Work queues first, of these the one with the oldest message; then what is not empty.
    queues.sort_by_key(|queue| {
        (
            queue.role != QueueRole::Work { partition: None }.as_str(),
            std::cmp::Reverse((queue.oldest_seconds, queue.ready)),
        )
    });
    View { at: now.into(), queues }
}

fn oldest(queue: &QueueView) -> String {
    let Some(seconds) = queue.oldest_seconds else { return "-".to_owned() };
    waited(Oldest { seconds, is_at_least: queue.oldest_is_at_least })
}

/// The samples of the last hours; none when MongoDB cannot be read, because the rest is worth showing without it.
async fn samples(config: &Config) -> Vec<QueueSample> {
    if reachability::check(config, &[MongoDb]).await.is_err() {
        return Vec::new();
    }
    let Ok(mongo) = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt queues").await else { return Vec::new() };
    let read = mongo.queue_samples().after((Utc::now() - SAMPLES_KEPT_FOR).into()).await.unwrap_or_default();
    mongo.shutdown().await;
    read
}
