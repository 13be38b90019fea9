//! Presence of this process while it sends mails: others take over its mails only once it is gone.

use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::mail_senders::RENEW_EVERY;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tracing::warn;
use uuid::Uuid;

/// The identity of this process, and when it was last recorded to be alive.
pub(super) struct Presence {
    process: String,
    renewed_at: Mutex<Option<Instant>>,
}

impl Default for Presence {
    fn default() -> Self {
        Self { process: Uuid::new_v4().to_string(), renewed_at: Mutex::default() }
    }
}

impl Presence {
    /// The process in the ledgers of mails.
    pub(super) fn process(&self) -> &str {
        &self.process
    }

    /// Renews the presence unless that was done a moment ago.
    pub(super) async fn renew(&self, mongo: &Mongo) -> Result<(), StoreError> {
        let begun = Instant::now();
        let is_recent = |at: Instant| begun.duration_since(at) < RENEW_EVERY;
        if self.renewed_at.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(is_recent) {
            return Ok(());
        }
        mongo.mail_senders().renew(&self.process).await?;
        *self.renewed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
        Ok(())
    }

    /// Renews the presence until dropped.
    pub(super) async fn keep(&self, mongo: &Mongo) -> Infallible {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            if let Err(error) = self.renew(mongo).await {
                warn!(%error, "presence of this mail sender not renewed");
            }
        }
    }
}
