//! Readings of MongoDB that may be given up.

use anyhow::Result;

/// Runs a reading to its end, even if the caller stops waiting for it: a driver's future that is dropped half-way can
/// leave its session in disorder.
///
/// # Errors
/// That of the reading, or its panic.
pub async fn to_its_end<T, E>(reading: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T>
where
    T: Send + 'static,
    E: Into<anyhow::Error> + Send + 'static,
{
    tokio::spawn(reading).await?.map_err(Into::into)
}
