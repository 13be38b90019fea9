//! The command line of `pvt-workers`, which `pvt workers run` shares.

use crate::registry;
use anyhow::Result;
use clap::{Args, CommandFactory, Parser, Subcommand};
use pvt_service::{Config, shutdown};

/// Runs PVT Booking's workers. Any number of processes on any number of hosts may run the same ones.
#[derive(Debug, Parser)]
#[command(
    name = "pvt-workers",
    version,
    after_help = "Examples:
  pvt-workers run confirmations emails
  pvt-workers run --all"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the named workers, or all, until SIGTERM
    Run(Run),
}

/// The workers of a process.
#[derive(Debug, Args)]
pub struct Run {
    /// confirmations, payments, emails, analytics, reconciliation, scheduler
    #[arg(required_unless_present = "all")]
    names: Vec<String>,
    /// Every worker
    #[arg(long)]
    all: bool,
}

impl Run {
    /// Runs the workers until SIGTERM or Ctrl-C.
    ///
    /// # Errors
    /// When a setting is wrong or a worker cannot be started.
    pub async fn run(self) -> Result<()> {
        let names = if self.all { registry::NAMES.map(str::to_owned).to_vec() } else { self.names };
        registry::run(Config::from_env()?, &names, shutdown::signal()?).await
    }
}

/// Runs the command line.
///
/// # Errors
/// As [`Run::run`].
pub async fn main() -> Result<()> {
    let Command::Run(run) = Cli::parse().command;
    run.run().await
}

/// The definition of the command line, for whatever checks or documents it.
pub fn command() -> clap::Command {
    Cli::command()
}
