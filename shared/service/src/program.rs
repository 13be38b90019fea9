//! The async runtime of a program.

use std::io;

/// Runs the program on a multi-threaded runtime, which ends only with the process. Threads of the AMQP client that are
/// still closing a connection use it, and would panic if it were shut down before them.
///
/// # Errors
/// When the system refuses threads.
pub fn run<T>(program: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(program);
    std::mem::forget(runtime);
    Ok(result)
}
