//! Calls of MongoDB beside the path of messages, for which nothing waits for long.

use pvt_stores::StoreError;
use std::time::Duration;
use tokio::time::timeout;

/// Waits for a call as long as `limit`. One that takes longer is left to its end: a driver's future that is dropped
/// half-way can leave its session in disorder.
pub(crate) async fn within<T: Send + 'static>(
    limit: Duration,
    call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, String> {
    match timeout(limit, tokio::spawn(call)).await {
        Ok(Ok(done)) => done.map_err(|error| error.to_string()),
        Ok(Err(panic)) => Err(panic.to_string()),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}
