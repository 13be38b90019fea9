//! Transactions: attempts after conflicts, and their end.

use crate::StoreError;
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use mongodb::ClientSession;
use mongodb::error::UNKNOWN_TRANSACTION_COMMIT_RESULT;
use std::time::{Duration, Instant};

/// How long a transaction is tried again after conflicts and elections before the message's own retries take over.
const TRANSACTION_BUDGET: Duration = Duration::from_secs(10);
/// Between two requests for the outcome of one commit.
const COMMIT_DELAY: Duration = Duration::from_millis(5);
const MAX_DELAY: Duration = Duration::from_millis(350);
/// Delays of 3–6 ms at first, doubling to 350–700 ms. The jitter adds up to the delay itself.
const DELAYS: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(3))
    .with_max_delay(MAX_DELAY)
    .with_jitter()
    .without_max_times();

/// Attempts of one transaction that meets others: after pauses that grow, until its budget is used up. Without pauses
/// a lock that another transaction or the creation of an index holds for a moment would refuse all of them.
pub struct Attempts {
    started: Instant,
    budget: Duration,
    delays: ExponentialBackoff,
}

impl Attempts {
    /// Attempts for up to ten seconds, for work that has no caller who waits.
    pub fn new() -> Self {
        Self::within(TRANSACTION_BUDGET)
    }

    /// Attempts until `budget` has passed.
    pub fn within(budget: Duration) -> Self {
        Self { started: Instant::now(), budget, delays: DELAYS.build() }
    }

    /// When the first attempt began.
    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    /// Waits before a further attempt; `false` when there is no time left for one.
    pub async fn pause(&mut self) -> bool {
        if self.started.elapsed() >= self.budget {
            return false;
        }
        metrics::counter!("pvt_transaction_retries_total").increment(1);
        tokio::time::sleep(self.delays.next().unwrap_or(MAX_DELAY)).await;
        true
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Self::new()
    }
}

/// Ends a change: commits it if it was written, aborts it otherwise. A concurrent change of the same document that was
/// faster is a lost race, not a failure: `false`.
pub(super) async fn end(session: &mut ClientSession, written: Result<bool, StoreError>) -> Result<bool, StoreError> {
    match end_transaction(session, written.map(|is_written| is_written.then_some(()))).await {
        Err(StoreError::Transient { .. } | StoreError::Duplicate(_)) => Ok(false),
        outcome => outcome.map(|written| written.is_some()),
    }
}

/// Commits, asking again while the server cannot say whether it did: a repeated commit of the same transaction is
/// harmless.
pub(super) async fn commit_until_known(session: &mut ClientSession, started: Instant) -> Result<(), StoreError> {
    loop {
        match session.commit_transaction().await {
            Ok(()) => return Ok(()),
            Err(error)
                if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
                    && started.elapsed() < TRANSACTION_BUDGET =>
            {
                tokio::time::sleep(COMMIT_DELAY).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends a transaction: what was changed is committed; where nothing was, or on a failure, it is aborted.
pub(super) async fn end_transaction<T>(
    session: &mut ClientSession,
    changed: Result<Option<T>, StoreError>,
) -> Result<Option<T>, StoreError> {
    match changed {
        Ok(Some(value)) => commit_until_known(session, Instant::now()).await.map(|()| Some(value)),
        unchanged => {
            abort(session).await;
            unchanged
        }
    }
}

/// The server aborts it in any case; this only frees its locks sooner.
pub(super) async fn abort(session: &mut ClientSession) {
    if let Err(error) = session.abort_transaction().await {
        tracing::debug!(%error, "abort was not acknowledged");
    }
}
