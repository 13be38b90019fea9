//! `pvt topology`: exchanges, queues and policies, as one module of the messaging crate declares them.

use crate::cli_error::CliError;
use crate::{broker, output};
use anyhow::Result;
use pvt_messaging::management::PolicyState;
use pvt_messaging::topology::Policy;
use pvt_messaging::{Publisher, definitions_json, queue_depths};
use pvt_service::config::Config;
use secrecy::ExposeSecret;
use std::time::{Duration, Instant};

const BROKER_LIMIT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
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
            return Err(CliError::TryLater("RabbitMQ does not answer at AMQP_URL".to_owned()).into());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    publisher.close(CLOSE_LIMIT).await;
    broker::management(config)?
        .apply_policies(&topology)
        .await
        .map_err(|error| CliError::TryLater(format!("RabbitMQ's management API: {error}")))?;
    Ok(())
}

/// Says in what the broker's queues and policies differ from ours.
pub(crate) async fn diff(config: &Config) -> Result<()> {
    let topology = broker::topology(config);
    let declared: Vec<String> = topology.queues().into_iter().map(|queue| queue.name).collect();
    let counts = queue_depths(config.amqp_url.expose_secret(), "pvt topology", &declared).await?;
    let missing = declared
        .iter()
        .zip(counts)
        .filter(|(_, count)| count.is_none())
        .map(|(name, _)| format!("- queue {name}  (missing: `pvt topology apply`)"));
    let management = broker::management(config)?;
    let policies = policy_differences(&topology.policies(), &management.policies().await?);
    let present = management.queues(topology.prefix()).await?.into_iter().map(|state| state.name);
    // Broker-named queues (`amq.…`) belong to waiting API instances.
    let extra = present
        .filter(|name| !declared.contains(name) && !name.starts_with("amq."))
        .map(|name| format!("+ queue {name}  (not declared here)"));
    let differences: Vec<String> = missing.chain(policies).chain(extra).collect();
    differences.iter().for_each(output::data);
    if differences.is_empty() {
        output::note("The broker has what is declared here.");
        return Ok(());
    }
    Err(CliError::Different(format!("{} differences", differences.len())).into())
}

/// Our policies that the broker lacks or has otherwise. Queues that need none, as those of the retry ladder, have none.
fn policy_differences(ours: &[Policy], theirs: &[PolicyState]) -> Vec<String> {
    let difference = |policy: &Policy| {
        let Some(state) = theirs.iter().find(|state| state.name == policy.name) else { return Some("missing") };
        let same = state.pattern == policy.pattern
            && state.priority == i64::from(policy.priority)
            && state.definition == policy.definition;
        (!same).then_some("other than declared here")
    };
    ours.iter()
        .filter_map(|policy| Some(format!("~ policy {}  ({}: `pvt topology apply`)", policy.name, difference(policy)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvt_messaging::Topology;

    #[test]
    fn missing_and_changed_policies_are_differences() {
        let ours = Topology::new("t.", 2).policies();
        let state = |policy: &Policy| PolicyState {
            name: policy.name.clone(),
            pattern: policy.pattern.clone(),
            priority: i64::from(policy.priority),
            definition: policy.definition.clone(),
        };
        let mut theirs: Vec<PolicyState> = ours.iter().map(state).collect();
        assert!(policy_differences(&ours, &theirs).is_empty());
        theirs[0].definition.clear();
        theirs.pop();
        assert_eq!(policy_differences(&ours, &theirs).len(), 2);
    }
}
