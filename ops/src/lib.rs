//! The operator's command line `pvt`. The development commands (`up`, `bench`, `dev` and their like) and the crates
//! behind them are part of the feature `dev`, which release images are built without.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cli;
mod commands;
mod exit_code;
mod output;
mod reachability;
mod reason;
mod settings;

use clap::{CommandFactory, Parser};
use cli::Cli;
use pvt_operations::terminal;
use pvt_service::tls;
use std::process::ExitCode;

/// Runs the command line and returns its exit code.
pub async fn main() -> ExitCode {
    tls::install_provider();
    match Box::pin(Cli::parse().run()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::note(format_args!("error: {error:#}"));
            exit_code::of(&error).into()
        }
    }
}

/// The definition of the command line, for whatever checks or documents it.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn command_definition_is_valid() {
        super::command().debug_assert();
    }
}
