//! `pvt topology`: exchanges, queues and policies as the messaging crate declares them, compared with the broker's.

mod differences;

use crate::reachability::Dependency::{Management, RabbitMq};
use crate::settings;
use anyhow::Result;
use clap::{Args, Subcommand};
use differences::Present;
use pvt_messaging::{definitions_json, queue_depths};
use pvt_operations::{OperationError, broker, terminal, topology};
use secrecy::ExposeSecret;

/// Shows, applies and compares exchanges, queues and policies
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt topology show > definitions.json
  pvt topology apply
  pvt topology diff")]
pub(crate) struct Topology {
    #[command(subcommand)]
    command: TopologyCommand,
}

#[derive(Debug, Subcommand)]
enum TopologyCommand {
    /// Prints exchanges, queues, bindings and policies as RabbitMQ's definitions in JSON, which it imports
    #[command(visible_alias = "export")]
    Show,
    /// Declares exchanges and queues and sets policies on the broker
    Apply,
    /// Compares exchanges, queues, bindings and policies with the declared ones; exit code 5 when they differ
    Diff,
}

impl Topology {
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            TopologyCommand::Show => {
                let config = settings::load()?;
                terminal::json(&definitions_json(&broker::topology(&config), &broker::vhost(&config)?))
            }
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
    let missing = declared.into_iter().zip(counts).filter(|(_, count)| count.is_none()).map(|(name, _)| name);
    let management = broker::management(&config)?;
    let present = Present {
        exchanges: management.exchanges().await?,
        queues: management.queues(topology.prefix()).await?,
        bindings: management.bindings().await?,
        policies: management.policies().await?,
    };
    let found = differences::differences(&topology, &missing.collect(), &present);
    found.iter().for_each(terminal::data);
    if found.is_empty() {
        terminal::note("The broker has exactly what is declared here.");
        return Ok(());
    }
    Err(OperationError::Different(format!("{} differences", found.len())).into())
}
