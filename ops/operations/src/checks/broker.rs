//! Checks of RabbitMQ: whether it answers and takes messages, and what stands in its queues.

use super::{
    ALARM, CONSUMERS, DEAD_LETTERS_IN_QUEUES, Finding, PAUSED_MESSAGES, PROBE_LIMIT, QUEUES, RABBITMQ, RESUME, Remedy,
    UNROUTABLE, finding,
};
use crate::{broker, queue_pauses};
use pvt_messaging::management::NodeState;
use pvt_messaging::{QueueDepth, QueueRole, QueueSpec, queue_depths};
use pvt_service::config::Config;
use pvt_stores::mongo::queue_pauses::QueuePause;
use secrecy::ExposeSecret;
use tokio::time::timeout;

const DECLARE: Remedy =
    Remedy::with_console("`pvt topology apply` declares them", "On a server, `pvt topology apply` declares them.");
const TAKE_AGAIN: Remedy = Remedy::with_console("`pvt queues resume` lets workers take them", RESUME);
const REPAIR_ROUTES: Remedy = Remedy::with_console(
    "their queues are missing: `pvt topology apply` declares them, and the worker `scheduler` moves the messages \
        within seconds; `pvt dead list --unroutable` shows them, a key that no queue is bound to is a defect of its \
        publisher",
    "Their queues are missing. On a server, `pvt topology apply` declares them, and the worker scheduler moves the \
        messages within seconds; a key that no queue is bound to is a defect of its publisher.",
);

/// An alarm of the broker, which then takes no messages while everything else of it works.
pub(super) async fn alarm(config: &Config) -> Finding {
    let remedy = "the broker takes no messages until it ends: free disk space, or find the queue that fills the \
        memory; delete no queue";
    let nodes = async { anyhow::Ok(broker::management(config)?.nodes().await?) };
    let nodes = match timeout(PROBE_LIMIT, nodes).await {
        Ok(Ok(nodes)) => nodes,
        Ok(Err(error)) => return alarm_unknown(&error.to_string()),
        Err(_) => return alarm_unknown(&format!("no answer within {PROBE_LIMIT:?}")),
    };
    let on: Vec<String> = nodes.iter().flat_map(NodeState::alarms).collect();
    finding(ALARM, (!on.is_empty()).then(|| format!("on: {}", on.join(", "))), remedy)
}

fn alarm_unknown(reason: &str) -> Finding {
    let remedy = "check RABBITMQ_MANAGEMENT_URL; its user needs the tag `monitoring` or `administrator`";
    Finding { warning: true, ..finding(ALARM, Some(format!("unknown: {reason}")), remedy) }
}

pub(super) async fn rabbitmq(config: &Config, name: &str, pauses: &[QueuePause]) -> Vec<Finding> {
    let topology = broker::topology(config);
    let queues = topology.queues();
    let names: Vec<String> = queues.iter().map(|queue| queue.name.clone()).collect();
    let counts = match timeout(PROBE_LIMIT, queue_depths(config.amqp_url.expose_secret(), name, &names)).await {
        Ok(Ok(counts)) => counts,
        Ok(Err(error)) => return vec![broker_down(error.to_string())],
        Err(_) => return vec![broker_down(format!("no answer within {PROBE_LIMIT:?}"))],
    };
    let paused = queue_pauses::by_queue(&topology, pauses);
    let is_paused = |queue: &str| paused.contains_key(queue);
    let names = |wrong: &dyn Fn(&QueueSpec, Option<QueueDepth>) -> bool| {
        let found: Vec<&str> = queues
            .iter()
            .zip(&counts)
            .filter(|(queue, count)| wrong(queue, **count))
            .map(|(queue, _)| queue.name.as_str())
            .collect();
        (!found.is_empty()).then(|| found.join(", "))
    };
    let missing = names(&|_, count| count.is_none());
    let waiting = |(queue, count): (&QueueSpec, &Option<QueueDepth>)| {
        let ready = count.map_or(0, |count| count.ready);
        (ready > 0 && is_paused(&queue.name)).then(|| format!("{} ({ready})", queue.name))
    };
    let waiting: Vec<String> = queues.iter().zip(&counts).filter_map(waiting).collect();
    let waiting = (!waiting.is_empty()).then(|| format!("wait in {}", waiting.join(", ")));
    vec![
        finding(RABBITMQ, None, ""),
        finding(QUEUES, missing.map(|missing| format!("missing: {missing}")), DECLARE),
        finding(
            CONSUMERS,
            names(&|queue, count| {
                let is_consumed = count.is_none_or(|count| count.consumers > 0);
                matches!(queue.role, QueueRole::Work { .. }) && !is_consumed && !is_paused(&queue.name)
            }),
            Remedy::with_console(
                "start the workers of these queues, for example with `pvt workers run --all`",
                "Start the workers of these queues, or see why their processes have ended.",
            ),
        ),
        Finding { warning: true, ..finding(PAUSED_MESSAGES, waiting, TAKE_AGAIN) },
        finding(
            DEAD_LETTERS_IN_QUEUES,
            names(&|queue, count| {
                matches!(queue.role, QueueRole::Dead { .. }) && count.is_some_and(|count| count.ready > 0)
            }),
            Remedy::with_console(
                "the worker `scheduler` stores them within seconds unless it or MongoDB is down, or they cannot be \
                    stored: `pvt dead list` shows them",
                "The worker scheduler stores them within seconds: see whether one runs, and what its last error was.",
            ),
        ),
        finding(
            UNROUTABLE,
            names(&|queue, count| queue.role == QueueRole::Unroutable && count.is_some_and(|count| count.ready > 0)),
            REPAIR_ROUTES,
        ),
    ]
}

fn broker_down(trouble: String) -> Finding {
    let remedy =
        Remedy::with_console("check AMQP_URL; locally `pvt up` starts one", "Start RabbitMQ, or correct AMQP_URL.");
    finding(RABBITMQ, Some(trouble), remedy)
}
