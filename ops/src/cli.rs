//! The command line `pvt` with its help.

use crate::commands::Command;
use anyhow::Result;
use clap::Parser;

/// Runs and operates a PVT Booking back end
#[derive(Debug, Parser)]
#[command(name = "pvt", version, max_term_width = 110, after_help = EXAMPLES)]
#[cfg_attr(not(feature = "dev"), command(subcommand_required = true, arg_required_else_help = true))]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

/// The examples of `pvt --help`, with those of the development commands.
macro_rules! examples {
    ($($development:literal)?) => {
        concat!(
            "Examples:\n",
            $($development,)?
            "  pvt doctor                            find out what is wrong and what to do about it
  pvt queues list                       show how many messages wait in each queue
  pvt dead list                         group dead letters by reason
  pvt dead replay --queue emails --all  return dead letters to their original queue
  pvt trace PVT-HMY8YMKD1Q              show everything that happened to a booking
  pvt reconcile run --dry-run           compare the stores without repairing anything

Settings come from the environment (see .env.example); `pvt config check` shows them.
Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 5 differences or a conflict,
75 try again later."
        )
    };
}

#[cfg(feature = "dev")]
const EXAMPLES: &str = examples!(
    "  pvt                                   start everything on this machine, stop it with Ctrl-C
  pvt up --detach && pvt status         the same in the background
  pvt bench --json                      measure this machine
"
);
#[cfg(not(feature = "dev"))]
const EXAMPLES: &str = examples!();

impl Cli {
    /// Runs the command; without one, everything is started on this machine.
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            Some(command) => command.run().await,
            #[cfg(feature = "dev")]
            None => Command::default().run().await,
            #[cfg(not(feature = "dev"))]
            None => anyhow::bail!("a command is required; `pvt --help` lists them"),
        }
    }
}
