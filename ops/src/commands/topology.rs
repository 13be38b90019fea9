//! `pvt topology`: exchanges, queues and policies as the messaging crate declares them, compared with the broker's.

use crate::reachability::Dependency::{Management, RabbitMq};
use crate::settings;
use anyhow::Result;
use clap::{Args, Subcommand};
use pvt_messaging::management::PolicyState;
use pvt_messaging::topology::Policy;
use pvt_messaging::{definitions_json, queue_depths};
use pvt_operations::{OperationError, broker, terminal, topology};
use secrecy::ExposeSecret;

/// Shows, applies and compares exchanges, queues and policies
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt topology show
  pvt topology apply
  pvt topology diff")]
pub(crate) struct Topology {
    #[command(subcommand)]
    command: TopologyCommand,
}

#[derive(Debug, Subcommand)]
enum TopologyCommand {
    /// Prints exchanges, queues, bindings and policies as RabbitMQ's definitions in JSON
    Show,
    /// Declares exchanges and queues and sets policies on the broker
    Apply,
    /// Compares the broker's queues and policies with the declared ones; exit code 5 when they differ
    Diff,
}

impl Topology {
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            TopologyCommand::Show => terminal::json(&definitions_json(&broker::topology(&settings::load()?))),
            TopologyCommand::Apply => {
                topology::apply(&settings::ready(&[RabbitMq, Management]).await?).await?;
                terminal::note("Exchanges, queues and policies are in place.");
                Ok(())
            }
            TopologyCommand::Diff => diff().await,
        }
    }
}

async fn diff() -> Result<()> {
    let config = settings::ready(&[RabbitMq, Management]).await?;
    let topology = broker::topology(&config);
    let declared: Vec<String> = topology.queues().into_iter().map(|queue| queue.name).collect();
    let counts = queue_depths(config.amqp_url.expose_secret(), "pvt topology", &declared).await?;
    let missing = declared
        .iter()
        .zip(counts)
        .filter(|(_, count)| count.is_none())
        .map(|(name, _)| format!("- queue {name}  (missing: `pvt topology apply`)"));
    let management = broker::management(&config)?;
    let policies = policy_differences(&topology.policies(), &management.policies().await?);
    let present = management.queues(topology.prefix()).await?.into_iter().map(|state| state.name);
    // Queues that the broker named (`amq.…`) are the reply queues of API instances.
    let extra = present
        .filter(|name| !declared.contains(name) && !name.starts_with("amq."))
        .map(|name| format!("+ queue {name}  (not declared here)"));
    let differences: Vec<String> = missing.chain(policies).chain(extra).collect();
    differences.iter().for_each(terminal::data);
    if differences.is_empty() {
        terminal::note("The broker has exactly what is declared here.");
        return Ok(());
    }
    Err(OperationError::Different(format!("{} differences", differences.len())).into())
}

/// Declared policies that the broker lacks or has with other values. Queues without a policy, such as retry queues, do
/// not count.
fn policy_differences(declared: &[Policy], present: &[PolicyState]) -> Vec<String> {
    let difference = |policy: &Policy| {
        let Some(state) = present.iter().find(|state| state.name == policy.name) else { return Some("missing") };
        let same = state.pattern == policy.pattern
            && state.priority == i64::from(policy.priority)
            && state.definition == policy.definition;
        (!same).then_some("other than declared here")
    };
    declared
        .iter()
        .filter_map(|policy| Some(format!("~ policy {}  ({}: `pvt topology apply`)", policy.name, difference(policy)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvt_messaging::Topology;

    #[test]
    fn missing_and_changed_policies_are_differences() {
        let declared = Topology::new("t.", 2).policies();
        let state = |policy: &Policy| PolicyState {
            name: policy.name.clone(),
            pattern: policy.pattern.clone(),
            priority: i64::from(policy.priority),
            definition: policy.definition.clone(),
        };
        let mut present: Vec<PolicyState> = declared.iter().map(state).collect();
        assert!(policy_differences(&declared, &present).is_empty());
        present[0].definition.clear();
        present.pop();
        assert_eq!(policy_differences(&declared, &present).len(), 2);
    }
}
