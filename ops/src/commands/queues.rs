//! `pvt queues`: queue depths and consumers.

use crate::output::Output;
use crate::reachability::Dependency::RabbitMq;
use crate::settings;
use anyhow::Result;
use clap::{Args, Subcommand};
use pvt_messaging::{QueueDepth, QueueRole, queue_depths};
use pvt_operations::{broker, terminal};
use pvt_service::config::Config;
use secrecy::ExposeSecret;
use serde::Serialize;
use std::collections::HashMap;

/// Shows how many messages wait in each queue
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt queues list
  pvt queues list --json")]
pub(crate) struct Queues {
    #[command(subcommand)]
    command: QueuesCommand,
}

#[derive(Debug, Subcommand)]
enum QueuesCommand {
    /// Lists queues with their depth and consumers, retry and dead-letter queues included
    List(Output),
}

impl Queues {
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            QueuesCommand::List(output) => list(output.json).await,
        }
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
}

async fn list(json: bool) -> Result<()> {
    let config = settings::ready(&[RabbitMq]).await?;
    let topology = broker::topology(&config);
    let queues = topology.queues();
    let names: Vec<String> = queues.iter().map(|queue| queue.name.clone()).collect();
    let counts = queue_depths(config.amqp_url.expose_secret(), "pvt queues", &names).await?;
    let unacknowledged = unacknowledged(&config, topology.prefix()).await;
    let rows = queues.into_iter().zip(counts).map(|(queue, count)| {
        let unacknowledged = unacknowledged.get(&queue.name).copied();
        row(queue.name, &queue.role, count, unacknowledged)
    });
    if json {
        return terminal::json(&rows.collect::<Vec<_>>());
    }
    let rows = rows.map(|row| {
        let ready = if row.missing { "missing".to_owned() } else { row.ready.to_string() };
        let unacknowledged = row.unacknowledged.map_or_else(|| "-".to_owned(), |count| count.to_string());
        [row.name, row.role.to_owned(), ready, unacknowledged, row.consumers.to_string()]
    });
    terminal::table(["QUEUE", "ROLE", "READY", "UNACKED", "CONSUMERS"], rows);
    Ok(())
}

/// Unacknowledged messages by queue; none when the management API does not answer, because the rest is worth showing
/// without it.
async fn unacknowledged(config: &Config, prefix: &str) -> HashMap<String, u64> {
    let Ok(management) = broker::management(config) else { return HashMap::new() };
    let states = management.queues(prefix).await.unwrap_or_default();
    states.into_iter().map(|state| (state.name, state.messages_unacknowledged)).collect()
}

fn row(name: String, role: &QueueRole, count: Option<QueueDepth>, unacknowledged: Option<u64>) -> QueueRow {
    let QueueDepth { ready, consumers } = count.unwrap_or(QueueDepth { ready: 0, consumers: 0 });
    QueueRow { name, role: role.as_str(), missing: count.is_none(), ready, unacknowledged, consumers }
}
