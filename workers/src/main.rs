//! The `pvt-workers` program.

use anyhow::Result;
use pvt_service::{program, tls};

/// Half the cost of a request is allocation with the system's allocator, and a tenth with this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    tls::install_provider();
    program::run(pvt_workers::cli::main())?
}
