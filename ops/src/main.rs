//! The `pvt` program.

use std::process::ExitCode;

/// Half the cost of a request is allocation with the system's allocator, and a tenth with this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    pvt_ops::main().await
}
