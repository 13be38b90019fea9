//! `pvt down`: stops what `pvt up` started.

use anyhow::Result;

/// Drains and stops what `up` started
#[derive(Debug, clap::Args)]
pub(crate) struct Down;

impl Down {
    pub(crate) async fn run(self) -> Result<()> {
        pvt_supervisor::down().await
    }
}
