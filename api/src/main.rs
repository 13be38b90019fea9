//! The API as a process of its own.

use anyhow::Context as _;
use pvt_service::{Config, program, shutdown, telemetry, tls};

/// Half the cost of a request is allocation with the system's allocator, and a tenth with this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    tls::install_provider();
    let config = Config::from_env()?;
    let telemetry = telemetry::init(&config, pvt_api::NAME)?;
    program::run(async {
        let stop = shutdown::signal().context("signals cannot be handled")?;
        let ended = pvt_api::run(config, stop).await;
        telemetry.close().await;
        ended
    })
    .context("no runtime")?
}
