//! The option `--json`, which commands with a result share.

use clap::Args;

/// The form in which a command prints its result.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
