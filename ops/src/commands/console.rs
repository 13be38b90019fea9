//! `pvt console`: the operator's console as a process of this program.

use anyhow::Result;
use pvt_service::config::Config;
use pvt_service::{shutdown, telemetry};

/// Runs the operator's console: what is wrong, queues, bookings, the front desk's day, in a browser
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pvt console
  PVT_CONSOLE_ADDR=127.0.0.1:9094 pvt console

Accounts are those of the API: administrators see everything and may pause queues, staff see their properties.")]
pub(crate) struct Console;

impl Console {
    pub(crate) async fn run(self) -> Result<()> {
        let config = Config::from_env()?;
        let telemetry = telemetry::init(&config, "pvt-console")?;
        let ended = pvt_console::run(config, shutdown::signal()?).await;
        telemetry.close().await;
        ended
    }
}
