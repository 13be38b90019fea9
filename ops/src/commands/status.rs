//! `pvt status`: processes and engines of `pvt up`.

use crate::output::Output;
use anyhow::Result;

/// Shows every process and engine of `up` with its state, URL and log
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    #[command(flatten)]
    output: Output,
}

impl Status {
    pub(crate) async fn run(self) -> Result<()> {
        pvt_supervisor::status(self.output.json).await
    }
}
