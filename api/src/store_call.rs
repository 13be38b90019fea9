//! Asking MongoDB on behalf of a request.

use crate::problem::{self, Problem};
use pvt_stores::StoreError;
use std::time::Duration;
use tokio::time::timeout;
use tracing::{error, warn};

/// For one read.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// What callers are told to wait while the store is away, in seconds.
const RETRY_AFTER_SECS: u32 = 5;

/// Runs one read to its end, or answers that the state cannot be read.
///
/// Spawned, and only the waiting is given up: a driver's future that is dropped half-way, as axum drops a handler whose client
/// went away, can leave its session in disorder.
pub(crate) async fn read<T: Send + 'static>(call: impl Future<Output = Result<T, StoreError>> + Send + 'static) -> Result<T, Problem> {
    let unavailable = || Problem::from(problem::STORE_UNAVAILABLE).retry_after(RETRY_AFTER_SECS);
    match timeout(READ_TIMEOUT, tokio::spawn(call)).await {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(failure @ StoreError::Broken { .. }))) => {
            error!(%failure, "a stored document cannot be read");
            Err(Problem::from(problem::INTERNAL))
        }
        Ok(Ok(Err(failure))) => {
            warn!(%failure, "the store cannot be read");
            Err(unavailable())
        }
        Ok(Err(panic)) => Err(Problem::internal(panic)),
        Err(_) => {
            warn!("the store did not answer in time");
            Err(unavailable())
        }
    }
}
