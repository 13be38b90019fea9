//! `pvt maintenance`: the switch by which every API instance refuses changes.

use crate::output::Output;
use crate::reachability::Dependency::MongoDb;
use crate::reason;
use crate::settings;
use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use pvt_operations::{OPERATOR, maintenance, terminal};
use pvt_stores::mongo::Mongo;
use secrecy::ExposeSecret;
use serde_json::json;

/// The name of its connections.
const NAME: &str = "pvt maintenance";

/// Lets every API instance refuse changes, for an upgrade or a restore, while reads go on
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt maintenance on --reason 'the mart is moved' --until 2027-01-15T04:30:00Z
  pvt maintenance show
  pvt maintenance off

Workers, schedules, the console and this program go on; `pvt queues pause` stops the consumption of a queue.
The schedules expire_holds and night_audit wait for the end, and then as long again, at most an hour.")]
pub(crate) struct Maintenance {
    #[command(subcommand)]
    command: MaintenanceCommand,
}

#[derive(Debug, Subcommand)]
enum MaintenanceCommand {
    /// Begins it, or changes reason and expected end of the one that is on
    On(On),
    /// Ends it
    Off(Off),
    /// Shows whether it is on
    Show(Output),
}

/// Within two seconds every API instance that can read MongoDB answers changes with 503 and `Retry-After`; reads,
/// signing in, quotes and Stripe's events go on. Only `pvt maintenance off` ends it.
#[derive(Debug, Args)]
struct On {
    /// Why; for operators, and recorded in the audit
    #[arg(long, value_parser = reason::reason)]
    reason: String,
    /// When it is expected to end, for example 2027-01-15T04:30:00Z; clients are asked to come back then
    #[arg(long)]
    until: Option<DateTime<Utc>>,
}

/// API instances accept changes again within two seconds.
#[derive(Debug, Args)]
struct Off {
    /// Why; recorded in the audit
    #[arg(long, default_value = "ended", value_parser = reason::reason)]
    reason: String,
}

impl Maintenance {
    pub(crate) async fn run(self) -> Result<()> {
        let config = settings::ready(&[MongoDb]).await?;
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), NAME).await?;
        let done = match self.command {
            MaintenanceCommand::On(On { reason, until }) => begin(&mongo, until, &reason).await,
            MaintenanceCommand::Off(Off { reason }) => end(&mongo, &reason).await,
            MaintenanceCommand::Show(output) => show(&mongo, output.json).await,
        };
        mongo.shutdown().await;
        done
    }
}

async fn begin(mongo: &Mongo, until: Option<DateTime<Utc>>, reason: &str) -> Result<()> {
    let stored = maintenance::begin(mongo, until, OPERATOR, reason).await?;
    terminal::note(format_args!(
        "maintenance is {}. Within two seconds every API instance that can read MongoDB refuses changes; only \
            `pvt maintenance off` ends it.",
        maintenance::summary(&stored)
    ));
    Ok(())
}

async fn end(mongo: &Mongo, reason: &str) -> Result<()> {
    let Some(ended) = maintenance::end(mongo, OPERATOR, reason).await? else {
        terminal::note("maintenance was not on");
        return Ok(());
    };
    terminal::note(format_args!(
        "maintenance has ended; it was {}. The API accepts changes again within two seconds.",
        maintenance::summary(&ended)
    ));
    if let Some(until) = mongo.maintenance().deferral().await?.and_then(|deferral| deferral.until) {
        terminal::note(format_args!("The schedules expire_holds and night_audit wait until {until}."));
    }
    Ok(())
}

async fn show(mongo: &Mongo, json: bool) -> Result<()> {
    let stored = mongo.maintenance().find().await?;
    if json {
        return terminal::json(&json!({ "maintenance": stored }));
    }
    match &stored {
        Some(stored) => terminal::data(format_args!("maintenance is {}", maintenance::summary(stored))),
        None => terminal::data("maintenance is off"),
    }
    Ok(())
}
