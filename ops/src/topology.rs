//! `pvt topology`: exchanges, queues and policies, as one module of the messaging crate declares them.

use crate::outcome::Problem;
use crate::{broker, output};
use anyhow::{Result, bail};
use pvt_messaging::{Publisher, definitions_json};
use pvt_service::config::Config;
use secrecy::ExposeSecret;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const BROKER_LIMIT: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Prints RabbitMQ's definitions document.
pub(crate) fn show(config: &Config) -> Result<()> {
    output::json(&definitions_json(&broker::topology(config)))
}

/// Declares everything and sets the policies.
pub(crate) async fn apply(config: &Config) -> Result<()> {
    let topology = broker::topology(config);
    // Every fresh connection of ours declares the topology before it is ready.
    let publisher = Publisher::start(config.amqp_url.expose_secret(), topology.clone(), "pvt topology");
    let deadline = Instant::now() + BROKER_LIMIT;
    while !publisher.is_ready() {
        if Instant::now() > deadline {
            return Err(Problem::TryLater("RabbitMQ does not answer at AMQP_URL".to_owned()).into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    publisher.close(CLOSE_LIMIT).await;
    broker::management(config)?.apply_policies(&topology).await.map_err(|error| Problem::TryLater(format!("RabbitMQ's management API: {error}")))?;
    Ok(())
}

/// Says which queues the broker lacks, and which it has that nothing declares any more.
pub(crate) async fn diff(config: &Config) -> Result<()> {
    let topology = broker::topology(config);
    let states = broker::management(config)?.queues(topology.prefix()).await?;
    let present: BTreeSet<String> = states.iter().map(|state| state.name.clone()).collect();
    let declared: BTreeSet<String> = topology.queues().into_iter().map(|queue| queue.name).collect();
    let missing: Vec<&String> = declared.difference(&present).collect();
    let lone_policies = states.iter().filter(|state| declared.contains(&state.name) && state.policy.is_none());
    // Broker-named queues (`amq.…`) belong to waiting API instances.
    let extra = present.difference(&declared).filter(|name| !name.starts_with("amq."));
    missing.iter().for_each(|name| output::data(format_args!("- {name}  (missing: `pvt topology apply`)")));
    lone_policies.for_each(|state| output::data(format_args!("~ {}  (no policy: `pvt topology apply`)", state.name)));
    extra.for_each(|name| output::data(format_args!("+ {name}  (not declared here)")));
    if missing.is_empty() { Ok(()) } else { bail!("{} queues are missing", missing.len()) }
}
