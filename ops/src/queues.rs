//! `pvt queues`: what waits where.

use crate::{broker, output};
use anyhow::Result;
use pvt_messaging::{QueueDepth, QueueRole, queue_depths};
use pvt_service::config::Config;
use secrecy::ExposeSecret;
use serde::Serialize;
use std::collections::HashMap;

#[derive(Serialize)]
struct QueueRow {
    name: String,
    role: &'static str,
    /// It is declared here and not there.
    missing: bool,
    ready: u32,
    /// As the management API counted a few seconds ago; only it knows.
    unacknowledged: Option<u64>,
    consumers: u32,
}

/// Lists our queues; the retry ladder and dead letters included.
pub(crate) async fn list(config: &Config, json: bool) -> Result<()> {
    let topology = broker::topology(config);
    let queues = topology.queues();
    let names: Vec<String> = queues.iter().map(|queue| queue.name.clone()).collect();
    let counts = queue_depths(config.amqp_url.expose_secret(), "pvt queues", &names).await?;
    let held = held(config, topology.prefix()).await;
    let lines = queues.into_iter().zip(counts).map(|(queue, count)| line(queue.name, &queue.role, count, &held));
    if json {
        return output::json(&lines.collect::<Vec<_>>());
    }
    let number = |line: &QueueRow, value: String| if line.missing { "missing".to_owned() } else { value };
    let rows = lines.map(|line| {
        let (ready, consumers) = (number(&line, line.ready.to_string()), line.consumers.to_string());
        let held = line.unacknowledged.map_or_else(|| "-".to_owned(), |held| held.to_string());
        [line.name, line.role.to_owned(), ready, held, consumers]
    });
    output::table(["QUEUE", "ROLE", "READY", "UNACKED", "CONSUMERS"], rows);
    Ok(())
}

/// How many messages consumers hold. Nothing when the management API is away: the rest is worth showing without it.
async fn held(config: &Config, prefix: &str) -> HashMap<String, u64> {
    let Ok(management) = broker::management(config) else { return HashMap::new() };
    let states = management.queues(prefix).await.unwrap_or_default();
    states.into_iter().map(|state| (state.name, state.messages_unacknowledged)).collect()
}

fn line(name: String, role: &QueueRole, count: Option<QueueDepth>, held: &HashMap<String, u64>) -> QueueRow {
    let role = match role {
        QueueRole::Work { .. } => "work",
        QueueRole::Dead { .. } => "dead",
        QueueRole::Retry(_) => "retry",
        QueueRole::Unroutable => "unroutable",
    };
    let unacknowledged = held.get(&name).copied();
    let QueueDepth { ready, consumers } = count.unwrap_or(QueueDepth { ready: 0, consumers: 0 });
    QueueRow { name, role, missing: count.is_none(), ready, unacknowledged, consumers }
}
