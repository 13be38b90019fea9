//! `pvt queues`: what waits where.

use crate::outcome::Problem;
use crate::{broker, output};
use anyhow::Result;
use pvt_messaging::QueueRole;
use pvt_messaging::management::QueueState;
use pvt_service::config::Config;
use serde::Serialize;

#[derive(Serialize)]
struct Line {
    name: String,
    role: &'static str,
    messages: u64,
    ready: u64,
    unacknowledged: u64,
    consumers: u64,
}

/// Lists our queues; the retry ladder and dead letters included.
pub(crate) async fn list(config: &Config, json: bool) -> Result<()> {
    let topology = broker::topology(config);
    let states = broker::management(config)?.queues(topology.prefix()).await;
    let states = states.map_err(|error| Problem::TryLater(format!("RabbitMQ's management API at RABBITMQ_MANAGEMENT_URL: {error}")))?;
    let lines: Vec<Line> = topology.queues().into_iter().map(|queue| line(&queue.name, &queue.role, &states)).collect();
    if json {
        return output::json(&lines);
    }
    let rows =
        lines.into_iter().map(|line| [line.name, line.role.to_owned(), line.ready.to_string(), line.unacknowledged.to_string(), line.consumers.to_string()]);
    output::table(["QUEUE", "ROLE", "READY", "UNACKED", "CONSUMERS"], rows);
    Ok(())
}

fn line(name: &str, role: &QueueRole, states: &[QueueState]) -> Line {
    let state = states.iter().find(|state| state.name == name).cloned().unwrap_or_default();
    let role = match role {
        QueueRole::Work { .. } => "work",
        QueueRole::Dead { .. } => "dead",
        QueueRole::Retry(_) => "retry",
        QueueRole::Unroutable => "unroutable",
    };
    Line {
        name: name.to_owned(),
        role,
        messages: state.messages,
        ready: state.messages_ready,
        unacknowledged: state.messages_unacknowledged,
        consumers: state.consumers,
    }
}
