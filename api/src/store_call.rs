//! Calls of MongoDB on behalf of a request: reads, and writes of accounts and inventories.

use crate::http::metrics::{StoreFailure, count_store_failure};
use crate::http::problem::{self, Problem};
use pvt_stores::StoreError;
use std::time::Duration;
use tokio::time::timeout;
use tracing::{debug, error};

/// For one read.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// For one write: it waits for a majority of the servers.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// `Retry-After` while the store is unreachable, in seconds.
const RETRY_AFTER_SECS: u32 = 5;

/// Runs one read to its end, or answers that the state cannot be read.
///
/// Spawned, and only the waiting is given up: a driver's future that is dropped half-way, as axum drops a handler whose
/// client went away, can leave its session in disorder.
pub(crate) async fn read<T: Send + 'static>(
    call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, Problem> {
    run(call, READ_TIMEOUT).await
}

/// As [`read`], for a write: after a 503 it may have been done.
pub(crate) async fn write<T: Send + 'static>(
    call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, Problem> {
    run(call, WRITE_TIMEOUT).await
}

async fn run<T: Send + 'static>(
    call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    limit: Duration,
) -> Result<T, Problem> {
    let failure = match timeout(limit, tokio::spawn(call)).await {
        Ok(Ok(Ok(value))) => return Ok(value),
        Ok(Ok(Err(failure))) => failure,
        Ok(Err(panic)) => return Err(Problem::internal(panic)),
        Err(_) => return Err(unavailable(StoreFailure::Timeout)),
    };
    if let StoreError::Broken { .. } = failure {
        count_store_failure(StoreFailure::Broken);
        error!(%failure, "a stored document cannot be read");
        return Err(problem::INTERNAL.into());
    }
    // A line for each request of an outage would only hide its cause, which the catalogue reports as it goes.
    debug!(%failure, "the store cannot be read");
    Err(unavailable(StoreFailure::Unavailable))
}

fn unavailable(class: StoreFailure) -> Problem {
    count_store_failure(class);
    Problem::from(problem::STORE_UNAVAILABLE).retry_after(RETRY_AFTER_SECS)
}
