//! The command line of `pvt-workers`, which `pvt workers run` shares.

use crate::process::{self, worker_names, workers_help};
use anyhow::Result;
use clap::{Args, CommandFactory, Parser, Subcommand};
use pvt_service::{Config, shutdown};

/// Runs PVT Booking's workers. Any number of processes on any number of hosts may run the same workers.
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
#[command(after_help = workers_help())]
pub struct Run {
    /// Names of workers
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
    /// When a setting is invalid or a worker cannot be started.
    pub async fn run(self) -> Result<()> {
        let names = if self.all { worker_names().map(str::to_owned).collect() } else { self.names };
        process::run(Config::from_env()?, &names, shutdown::signal()?).await
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

/// The definition of the command line, for tests and documentation.
pub fn command() -> clap::Command {
    Cli::command()
}
