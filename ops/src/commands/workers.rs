//! `pvt workers`: workers in this process.

use anyhow::Result;
use clap::{Args, Subcommand};
use pvt_operations::terminal;
use pvt_workers::cli::Run;

/// Runs workers in this process
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt workers list
  pvt workers run confirmations emails
  pvt workers run --all")]
pub(crate) struct Workers {
    #[command(subcommand)]
    command: WorkersCommand,
}

#[derive(Debug, Subcommand)]
enum WorkersCommand {
    /// Runs the named workers, or all, until SIGTERM
    Run(Run),
    /// Lists the workers
    List,
}

impl Workers {
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            WorkersCommand::Run(command) => command.run().await,
            WorkersCommand::List => {
                pvt_workers::worker_names().for_each(terminal::data);
                Ok(())
            }
        }
    }
}
