//! `pvt up`: the whole system on this machine.

use anyhow::Result;
use clap::Args;
use pvt_supervisor::UpOptions;

/// Starts engines, API, workers, mail sink and Stripe simulator on this machine
#[derive(Debug, Default, Args)]
#[command(after_help = "Examples:
  pvt up
  pvt up --detach
  PVT_HTTP_ADDR=127.0.0.1:9090 pvt up --no-seed

Engines whose URL is in the environment are used as they are; the others are installed and started.
Ctrl-C finishes what has begun and stops everything; the data stays.")]
pub(crate) struct Up {
    /// Return once everything is ready, and keep running in the background
    #[arg(long)]
    detach: bool,
    /// Do not create the demonstration property
    #[arg(long)]
    no_seed: bool,
}

impl Up {
    pub(crate) async fn run(self) -> Result<()> {
        pvt_supervisor::up(UpOptions { detach: self.detach, seed: !self.no_seed }).await
    }
}

impl Default for super::Command {
    fn default() -> Self {
        Self::Up(Up::default())
    }
}
