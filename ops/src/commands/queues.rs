//! `pvt queues`: queue depths and consumers, once or again and again; pausing and resuming.

mod watch;

use crate::output::Output;
use crate::reachability;
use crate::reachability::Dependency::{MongoDb, RabbitMq};
use crate::reason;
use crate::settings;
use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use pvt_messaging::{ConsumeError, Oldest, QueueDepth, Topology, queue_depths};
use pvt_operations::actor_names::ActorNames;
use pvt_operations::queue_outages::{self, QueueOutage};
use pvt_operations::queue_pauses::{self, PauseOutcome};
use pvt_operations::{OPERATOR, OperationError, broker, terminal, waited};
use pvt_service::config::Config;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::queue_pauses::QueuePause;
use secrecy::ExposeSecret;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// For workers to stop after a pause: to notice it, and to finish what they have in hand.
const STOP_LIMIT: Duration = Duration::from_secs(20);
const STOP_POLL: Duration = Duration::from_millis(500);

/// Shows how many messages wait in each queue, pauses and resumes queues
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt queues list
  pvt queues list --json
  pvt queues watch
  pvt queues pause emails --reason 'the mail provider is moving'
  pvt queues resume emails")]
pub(crate) struct Queues {
    #[command(subcommand)]
    command: QueuesCommand,
}

#[derive(Debug, Subcommand)]
enum QueuesCommand {
    /// Lists queues with their depth and consumers, retry and dead-letter queues included
    List(Output),
    /// Shows the queues again and again: how long the first message of each has waited, rates, depth
    Watch(watch::Watch),
    /// Stops all workers from taking messages of a queue until it is resumed, also after restarts
    Pause(Pause),
    /// Ends the pause of a queue
    Resume(Resume),
}

/// Workers take no further message within two seconds and finish what they have in hand; what arrives waits. Exits when
/// nothing consumes the queue any more, or with 75 when something still does after a while: the pause is stored then.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt queues pause emails --reason 'the mail provider is moving'
  pvt queues pause bookings.2 --reason 'one partition'
  pvt queues pause bookings --reason 'all partitions'")]
struct Pause {
    /// A work queue without the prefix, for example `emails` or `bookings.2`; `bookings` for all its partitions
    queue: String,
    /// Why; shown while it is paused, and recorded in the audit
    #[arg(long, value_parser = reason::reason)]
    reason: String,
}

/// Workers take messages of the queue again within two seconds.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt queues resume emails
  pvt queues resume bookings --reason 'the index is built'")]
struct Resume {
    /// The queue as it was paused; `bookings` also ends the pauses of single partitions, and names them
    queue: String,
    /// Why; recorded in the audit
    #[arg(long, default_value = "resumed", value_parser = reason::reason)]
    reason: String,
}

impl Queues {
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            QueuesCommand::List(output) => list(output.json).await,
            QueuesCommand::Watch(command) => command.run().await,
            QueuesCommand::Pause(command) => command.run().await,
            QueuesCommand::Resume(command) => command.run().await,
        }
    }
}

impl Pause {
    async fn run(self) -> Result<()> {
        let Self { queue, reason } = self;
        let config = settings::ready(&[MongoDb]).await?;
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt queues").await?;
        let topology = broker::topology(&config);
        let outcome = queue_pauses::pause(&mongo, &topology, &queue, OPERATOR, &reason).await;
        let before = outcome.as_ref().ok().and_then(|outcome| match outcome {
            PauseOutcome::Paused(_) => None,
            PauseOutcome::PausedBefore(before) => Some(before),
        });
        let names = ActorNames::read(&mongo, before.map(|pause| &pause.actor)).await;
        mongo.shutdown().await;
        match outcome? {
            PauseOutcome::Paused(_) => terminal::note(format_args!(
                "{queue} is paused: the pause is stored. `pvt queues resume {queue}` ends it; nothing else does."
            )),
            PauseOutcome::PausedBefore(QueuePause { since, actor, reason, .. }) => {
                let actor = names.of(&actor);
                terminal::note(format_args!("{queue} has been paused by {actor} since {since}, which stands: {reason}"))
            }
        }
        wait_until_unconsumed(&config, &topology, &queue).await
    }
}

/// Waits until the workers have finished what they have in hand.
async fn wait_until_unconsumed(config: &Config, topology: &Topology, queue: &str) -> Result<()> {
    let names = topology.work_queues_named(queue);
    let begun = Instant::now();
    let mut shown = String::new();
    loop {
        let consumed = consumed(config, &names).await.map_err(|error| {
            let text = format!("{queue} is paused, but whether workers still take its messages is unknown: {error}");
            OperationError::TryLater(text)
        })?;
        if consumed.is_empty() {
            terminal::note(format_args!("nothing consumes {queue} any more"));
            return Ok(());
        }
        if begun.elapsed() >= STOP_LIMIT {
            let text = format!(
                "{queue} is paused, but after {} s still has consumers: {consumed}. A worker of a version that knows \
                no pauses goes on until it is stopped; one that is busy stops after the messages in hand. The same \
                command waits again.",
                STOP_LIMIT.as_secs()
            );
            return Err(OperationError::TryLater(text).into());
        }
        if consumed != shown {
            terminal::note(format_args!("waiting for consumers to stop: {consumed}"));
            shown = consumed;
        }
        sleep(STOP_POLL).await;
    }
}

/// Those of the queues that are consumed, with the numbers of their consumers; empty when none is.
async fn consumed(config: &Config, names: &[String]) -> Result<String, ConsumeError> {
    let counts = queue_depths(config.amqp_url.expose_secret(), "pvt queues", names).await?;
    let consumers = counts.into_iter().map(|count| count.map_or(0, |count| count.consumers));
    let consumed = names.iter().zip(consumers).filter(|(_, consumers)| *consumers > 0);
    let words: Vec<String> = consumed.map(|(name, consumers)| format!("{name} ({consumers})")).collect();
    Ok(words.join(", "))
}

impl Resume {
    async fn run(self) -> Result<()> {
        let Self { queue, reason } = self;
        let config = settings::ready(&[MongoDb]).await?;
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt queues").await?;
        let ended = queue_pauses::resume(&mongo, &broker::topology(&config), &queue, OPERATOR, &reason).await;
        let paused_by = ended.as_ref().ok().into_iter().flatten().map(|pause| &pause.actor);
        let names = ActorNames::read(&mongo, paused_by).await;
        mongo.shutdown().await;
        let ended = ended?;
        for QueuePause { queue: ended, since, actor, reason } in &ended {
            let actor = names.of(actor);
            let with = if *ended == queue { String::new() } else { format!(" with {queue}") };
            terminal::note(format_args!("{ended} is resumed{with}; it was paused since {since} by {actor}: {reason}"));
        }
        if ended.is_empty() {
            terminal::note(format_args!("{queue} was not paused"));
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct QueueRow {
    name: String,
    role: &'static str,
    /// Declared here, absent on the broker.
    missing: bool,
    ready: u32,
    /// As the management API counted a few seconds ago; only it knows.
    unacknowledged: Option<u64>,
    consumers: u32,
    /// The pause in force; absent while MongoDB cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Option<PauseView>>,
    /// What its worker waits for, as the heartbeats of the worker processes say; absent while MongoDB cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<Option<QueueOutage>>,
}

impl QueueRow {
    /// What it waits for, in words.
    fn waits(&self, now: DateTime<Utc>) -> String {
        let Some(outage) = &self.waits_for else { return "?".to_owned() };
        let Some(outage) = outage else { return String::new() };
        let oldest = outage.oldest_seconds(now).map(|seconds| {
            let waited = waited(Oldest { seconds, is_at_least: false });
            format!(", oldest message in hand {waited} old")
        });
        format!("{}{}", outage.words(), oldest.unwrap_or_default())
    }
}

/// A pause as it is shown with the queue that it concerns.
#[derive(Serialize)]
struct PauseView {
    since: String,
    actor: String,
    reason: String,
}

async fn list(json: bool) -> Result<()> {
    let config = settings::ready(&[RabbitMq]).await?;
    let topology = broker::topology(&config);
    let queues = topology.queues();
    let names: Vec<String> = queues.iter().map(|queue| queue.name.clone()).collect();
    let counts = queue_depths(config.amqp_url.expose_secret(), "pvt queues", &names).await?;
    let unacknowledged = unacknowledged(&config, topology.prefix()).await;
    let stored = stored(&config).await;
    let pauses = stored.as_ref().map(|stored| queue_pauses::by_queue(&topology, &stored.pauses));
    let now = Utc::now();
    let rows = queues.into_iter().zip(counts).map(|(queue, count)| {
        let QueueDepth { ready, consumers } = count.unwrap_or(QueueDepth { ready: 0, consumers: 0 });
        let paused = pauses.as_ref().map(|pauses| {
            pauses.get(&queue.name).and_then(|all| all.first()).map(|pause| PauseView {
                since: pause.since.to_string(),
                actor: pause.actor.to_string(),
                reason: pause.reason.clone(),
            })
        });
        QueueRow {
            role: queue.role.as_str(),
            missing: count.is_none(),
            ready,
            unacknowledged: unacknowledged.get(&queue.name).copied(),
            consumers,
            paused,
            waits_for: stored.as_ref().map(|stored| stored.outages.get(&queue.name).cloned()),
            name: queue.name,
        }
    });
    if json {
        return terminal::json(&rows.collect::<Vec<_>>());
    }
    let rows = rows.map(|row| {
        let ready = if row.missing { "missing".to_owned() } else { row.ready.to_string() };
        let unacknowledged = row.unacknowledged.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let waits = row.waits(now);
        let paused = match row.paused {
            None => "?".to_owned(),
            Some(None) => String::new(),
            Some(Some(PauseView { since, actor, reason })) => {
                let actor = stored.as_ref().map_or(actor.clone(), |stored| stored.names.within(&actor));
                format!("since {since} by {actor}: {reason}")
            }
        };
        [row.name, row.role.to_owned(), ready, unacknowledged, row.consumers.to_string(), waits, paused]
    });
    terminal::table(["QUEUE", "ROLE", "READY", "UNACKED", "CONSUMERS", "WAITING", "PAUSED"], rows);
    if stored.is_none() {
        terminal::note("MongoDB cannot be read: which queues are paused, and what workers wait for, is not known.");
    }
    Ok(())
}

/// Unacknowledged messages by queue; none when the management API does not answer, because the rest is worth showing
/// without it.
async fn unacknowledged(config: &Config, prefix: &str) -> HashMap<String, u64> {
    let Ok(management) = broker::management(config) else { return HashMap::new() };
    let states = management.queues(prefix).await.unwrap_or_default();
    states.into_iter().map(|state| (state.name, state.messages_unacknowledged)).collect()
}

/// What MongoDB knows of the queues.
struct Stored {
    pauses: Vec<QueuePause>,
    /// Of those who paused them.
    names: ActorNames,
    /// By full name.
    outages: BTreeMap<String, QueueOutage>,
}

/// `None` when MongoDB cannot be read, because the rest is worth showing without it.
async fn stored(config: &Config) -> Option<Stored> {
    reachability::check(config, &[MongoDb]).await.ok()?;
    let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt queues").await.ok()?;
    let read = async {
        let (pauses, processes) = (mongo.queue_pauses().list().await?, mongo.worker_processes().list().await?);
        let names = ActorNames::read(&mongo, pauses.iter().map(|pause| &pause.actor)).await;
        Ok::<_, StoreError>(Stored { pauses, names, outages: queue_outages::by_queue(&processes) })
    };
    let read = read.await.ok();
    mongo.shutdown().await;
    read
}
