//! The `pvt-workers` program.

use anyhow::Result;
use pvt_service::tls;

/// Half the cost of a request is allocation with the system's allocator, and a tenth with this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<()> {
    tls::install_provider();
    pvt_workers::cli::main().await
}
