//! `pvt config`: the settings in force and where each comes from.

use crate::settings;
use anyhow::Result;
use clap::{Args, Subcommand};
use pvt_operations::terminal;

/// Shows the settings in force
#[derive(Debug, Args)]
#[command(after_help = "Example:
  pvt config check")]
pub(crate) struct Config {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Prints the settings with secrets masked, or everything that is wrong with them
    Check,
}

impl Config {
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            ConfigCommand::Check => check(),
        }
    }
}

fn check() -> Result<()> {
    let config = settings::load()?;
    let rows = config
        .settings()
        .iter()
        .map(|setting| [setting.name.to_owned(), setting.shown.clone(), setting.origin.to_string()]);
    terminal::table(["VARIABLE", "VALUE", "FROM"], rows);
    Ok(())
}
