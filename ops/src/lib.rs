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

    /// The commands below this one that take a reason, by the words that lead there.
    fn with_reason(command: &clap::Command, words: &[String]) -> Vec<Vec<String>> {
        let mut words = words.to_vec();
        words.push(command.get_name().to_owned());
        let has_reason = command.get_arguments().any(|argument| argument.get_id() == "reason");
        let below = command.get_subcommands().flat_map(|inner| with_reason(inner, &words));
        let below: Vec<Vec<String>> = below.collect();
        has_reason.then_some(words).into_iter().chain(below).collect()
    }

    #[test]
    fn blank_reason_is_refused_by_every_command() {
        let found = with_reason(&super::command(), &[]);
        assert!(found.len() > 8, "{found:?}");
        for words in found {
            let with_blank = words.iter().map(String::as_str).chain(["--reason", " "]);
            let refused = super::command().try_get_matches_from(with_blank).unwrap_err();
            assert_eq!(refused.kind(), clap::error::ErrorKind::ValueValidation, "{words:?}: {refused}");
        }
    }
}
