//! The `pvt` program.

use pvt_operations::terminal;
use pvt_service::program;
use std::process::ExitCode;

/// Half the cost of a request is allocation with the system's allocator, and a tenth with this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    program::run(pvt_ops::main()).unwrap_or_else(|error| {
        terminal::note(format_args!("error: no runtime: {error}"));
        ExitCode::FAILURE
    })
}
