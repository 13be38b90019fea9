//! The `pvt` program.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    pvt_ops::main().await
}
