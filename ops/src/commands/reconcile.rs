//! `pvt reconcile`: requests reconciliation through the queue, as the schedule does, and prints reports.

use crate::output::Output;
use crate::reachability::Dependency::{MongoDb, RabbitMq};
use crate::settings;
use anyhow::Result;
use clap::{Args, Subcommand};
use pvt_domain::ids::PropertyId;
use pvt_operations::actor_names::ActorNames;
use pvt_operations::{OperationError, reconcile, terminal};
use pvt_stores::mongo::{Mongo, reconciliations};
use secrecy::ExposeSecret;
use uuid::Uuid;

/// Compares the stores with each other
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt reconcile run --dry-run
  pvt reconcile run --property pvt-montreal --json
  pvt reconcile report --property pvt-montreal")]
pub(crate) struct Reconcile {
    #[command(subcommand)]
    command: ReconcileCommand,
}

#[derive(Debug, Subcommand)]
enum ReconcileCommand {
    /// Queues a run for one property or for all, waits for the reports and prints them
    Run(Run),
    /// Prints a stored report, or the newest one of each property
    Report(Report),
}

/// Exits with 3 when there is no such report.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt reconcile report
  pvt reconcile report --property pvt-montreal --json
  pvt reconcile report 01890000-0000-7000-8000-000000000001")]
struct Report {
    /// Id of the run, as `--json` shows it
    run: Option<Uuid>,
    /// Only this property
    #[arg(long)]
    property: Option<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt reconcile run --dry-run
  pvt reconcile run --property pvt-montreal")]
struct Run {
    /// Only this property
    #[arg(long)]
    property: Option<String>,
    /// Report without repairing anything
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

impl Reconcile {
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            ReconcileCommand::Run(command) => command.run().await,
            ReconcileCommand::Report(command) => command.run().await,
        }
    }
}

impl Run {
    async fn run(self) -> Result<()> {
        let config = settings::ready(&[MongoDb, RabbitMq]).await?;
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt reconcile").await?;
        let all = mongo.inventories().property_ids().await?;
        let properties: Vec<PropertyId> = match &self.property {
            Some(one) => vec![
                all.into_iter()
                    .find(|id| id.as_str() == one)
                    .ok_or_else(|| OperationError::NotFound(format!("there is no property `{one}`")))?,
            ],
            None => all,
        };
        let reports = reconcile::reports(&config, &mongo, properties, self.dry_run).await;
        show(mongo, reports, &self.output).await
    }
}

impl Report {
    async fn run(self) -> Result<()> {
        let config = settings::ready(&[MongoDb]).await?;
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt reconcile").await?;
        let reports = reconcile::stored(&mongo, self.run, self.property.as_deref().map(PropertyId::from)).await;
        show(mongo, reports, &self.output).await
    }
}

async fn show(mongo: Mongo, reports: Result<Vec<reconciliations::Report>>, output: &Output) -> Result<()> {
    let actors = reports.as_ref().ok().into_iter().flatten().map(|report| &report.actor);
    let names = ActorNames::read(&mongo, actors).await;
    mongo.shutdown().await;
    let reports = reports?;
    if output.json {
        return terminal::json(&reports);
    }
    reports.iter().for_each(|report| terminal::data(names.within(&report.to_string())));
    Ok(())
}
