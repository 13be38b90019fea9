//! The `pvt-workers` program.

use anyhow::Result;
use clap::{Parser, Subcommand};
use pvt_service::{Config, shutdown, tls};
use pvt_workers::registry;

/// Half the cost of a request is allocation with the system's allocator, and a tenth with this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs PVT Booking's workers. Any number of processes on any number of hosts may run the same ones.
#[derive(Parser)]
#[command(name = "pvt-workers", version, after_help = "Example: pvt-workers run confirmations emails")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the named workers, or all, until SIGTERM
    Run {
        /// confirmations, payments, emails, analytics, reconciliation, scheduler
        #[arg(required_unless_present = "all")]
        names: Vec<String>,
        /// Every worker
        #[arg(long)]
        all: bool,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    tls::install_provider();
    let Command::Run { names, all } = Cli::parse().command;
    let names = if all { registry::NAMES.map(str::to_owned).to_vec() } else { names };
    registry::run(Config::from_env()?, &names, shutdown::signal()?).await
}
