//! Reads of the stores on behalf of a page.

use crate::app::App;
use crate::failure::Failure;
use crate::live::reading::Outage;
use chrono::Utc;
use std::fmt::Display;
use std::time::Duration;
use tokio::time::timeout;
use tracing::debug;

/// For what one page reads.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// Runs one read to its end, or says since when MongoDB cannot be read.
///
/// Spawned, and only the waiting is given up: a driver's future that is dropped half-way can leave its session in
/// disorder.
///
/// # Errors
/// [`Failure::Down`] when it fails or takes too long.
pub(crate) async fn read<T, E>(
    app: &App,
    call: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    E: Display + Send + 'static,
{
    let reason = match timeout(READ_LIMIT, tokio::spawn(call)).await {
        Ok(Ok(Ok(value))) => return Ok(value),
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(panic)) => panic.to_string(),
        Err(_) => format!("no answer within {} s", READ_LIMIT.as_secs()),
    };
    debug!(%reason, "MongoDB cannot be read");
    let known = app.board.figures().mongodb_outage().map(|outage| outage.since);
    Err(Failure::Down("MongoDB", Outage { since: known.unwrap_or_else(|| Utc::now().into()), reason }))
}
