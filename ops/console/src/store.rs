//! Reads and changes of the stores on behalf of a page.

use crate::app::App;
use crate::failure::Failure;
use crate::live::reading::Outage;
use chrono::Utc;
use pvt_stores::StoreError;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::warn;

/// For what one page reads, or writes of its session.
const CALL_LIMIT: Duration = Duration::from_secs(5);

/// What a failed read says about its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// This store is down.
    Outage(&'static str),
    /// What was asked for takes too long.
    Slow,
    /// What was read cannot be understood, on however healthy a server.
    Broken,
}

/// An error of a read.
pub(crate) trait ReadError: Display + Send + 'static {
    /// What it says about the store.
    fn trouble(&self) -> Trouble;
}

impl ReadError for StoreError {
    fn trouble(&self) -> Trouble {
        match self {
            limited if limited.is_time_limit() => Trouble::Slow,
            Self::Unavailable { store: "postgres", .. } | Self::Transient { store: "postgres", .. } => {
                Trouble::Outage("PostgreSQL")
            }
            Self::Unavailable { .. } | Self::Transient { .. } => Trouble::Outage("MongoDB"),
            Self::Locked(_) => Trouble::Slow,
            Self::Duplicate(_) | Self::BookingExists(_) | Self::Stale(_) | Self::Broken { .. } => Trouble::Broken,
        }
    }
}

impl ReadError for anyhow::Error {
    fn trouble(&self) -> Trouble {
        self.downcast_ref::<StoreError>().map_or(Trouble::Broken, StoreError::trouble)
    }
}

/// Runs a change to its end, also when the user has gone away. Where it has not ended within `limit`, the answer is
/// `unended`.
///
/// # Errors
/// What the change says, and [`Failure::Conflict`] when it goes on.
pub(crate) async fn change<T: Send + 'static>(
    limit: Duration,
    unended: &str,
    work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> Result<T, Failure> {
    match timeout(limit, tokio::spawn(work)).await {
        Ok(Ok(done)) => done.map_err(Failure::of_operation),
        Ok(Err(panic)) => Err(Failure::internal(panic)),
        Err(_) => Err(Failure::Conflict(unended.to_owned())),
    }
}

/// Runs one read to its end, or says since when MongoDB cannot be read.
///
/// Spawned, and only the waiting is given up: a driver's future that is dropped half-way can leave its session in
/// disorder.
///
/// # Errors
/// [`Failure::Down`] when the store is down, [`Failure::Slow`] when it takes too long, [`Failure::Internal`] when what
/// is stored cannot be read.
pub(crate) async fn read<T, E>(
    app: &App,
    call: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    E: ReadError,
{
    let known = || app.board.figures().mongodb_outage().cloned();
    match timeout(CALL_LIMIT, tokio::spawn(call)).await {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(error))) => Err(failure(&error, known())),
        Ok(Err(panic)) => Err(Failure::internal(panic)),
        Err(_) => Err(known().map_or(Failure::Slow, |outage| Failure::Down("MongoDB", outage))),
    }
}

/// Writes what belongs to the user's session, such as its confirmation, to its end. For what operators change there is
/// [`change`].
///
/// # Errors
/// [`Failure::Unsure`] when the store is down or slow: then it may have been written. Otherwise as [`read`].
pub(crate) async fn write<T, E>(
    app: &App,
    call: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    E: ReadError,
{
    read(app, call).await.map_err(unsure)
}

/// The failure of a write that a read would have had.
fn unsure(failed: Failure) -> Failure {
    match failed {
        Failure::Down(store, _) => Failure::Unsure(store),
        Failure::Slow => Failure::Unsure("MongoDB"),
        other => other,
    }
}

/// The same for a read that is large or slow, of which few run at once. One that is given up keeps its place until its
/// end.
///
/// # Errors
/// As [`read`]; [`Failure::Busy`] when no place becomes free.
pub(crate) async fn read_in_turn<T, E>(
    app: &App,
    places: &Arc<Semaphore>,
    call: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    E: ReadError,
{
    let Ok(Ok(place)) = timeout(CALL_LIMIT, places.clone().acquire_owned()).await else { return Err(Failure::Busy) };
    let in_place = async move {
        let result = call.await;
        drop(place);
        result
    };
    read(app, in_place).await
}

/// The failure that an error leads to; an outage of MongoDB has lasted since the one that is known.
pub(crate) fn failure(error: &impl ReadError, known: Option<Outage>) -> Failure {
    match error.trouble() {
        Trouble::Outage(store) => {
            warn!(%error, store, "a store cannot be read");
            let known = known.filter(|_| store == "MongoDB").map(|outage| outage.since);
            let since = known.unwrap_or_else(|| Utc::now().into());
            Failure::Down(store, Outage { since, reason: error.to_string() })
        }
        Trouble::Slow => {
            warn!(%error, "a read takes too long");
            Failure::Slow
        }
        Trouble::Broken => Failure::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{ReadError as _, Trouble, failure, unsure};
    use crate::failure::Failure;
    use pvt_stores::StoreError;

    #[test]
    fn write_that_fails_says_nothing_of_what_is_shown() {
        let message = "refused".to_owned();
        let down = failure(&StoreError::Unavailable { store: "mongodb", message }, None);
        for failed in [down, Failure::Slow] {
            let (status, _, text) = unsure(failed).words();
            assert_eq!(
                (status, text.as_str()),
                (503, "MongoDB did not answer: it may have been stored or not. Try again.")
            );
        }
        assert!(matches!(unsure(Failure::Forbidden), Failure::Forbidden));
    }

    #[test]
    fn only_outages_are_reported_as_such() {
        let unavailable = |store, message: &str| StoreError::Unavailable { store, message: message.to_owned() };
        assert_eq!(unavailable("mongodb", "refused").trouble(), Trouble::Outage("MongoDB"));
        assert_eq!(unavailable("postgres", "refused").trouble(), Trouble::Outage("PostgreSQL"));
        let limit = "Error code 50 (MaxTimeMSExpired): operation exceeded time limit";
        assert_eq!(unavailable("mongodb", limit).trouble(), Trouble::Slow);
        let unreadable = StoreError::Broken { store: "mongodb", message: "invalid type".to_owned() };
        assert_eq!(anyhow::Error::from(unreadable).trouble(), Trouble::Broken);
        assert_eq!(anyhow::anyhow!("something else").trouble(), Trouble::Broken);
    }
}
