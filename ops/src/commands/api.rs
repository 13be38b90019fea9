//! `pvt api`: the API as a process of this program.

use anyhow::Result;
use pvt_service::config::Config;
use pvt_service::{shutdown, telemetry};

/// Runs one API process
#[derive(Debug, clap::Args)]
pub(crate) struct Api;

impl Api {
    pub(crate) async fn run(self) -> Result<()> {
        let config = Config::from_env()?;
        let telemetry = telemetry::init(&config, pvt_api::NAME)?;
        let ended = pvt_api::run(config, shutdown::signal()?).await;
        telemetry.close().await;
        ended
    }
}
