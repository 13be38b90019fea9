//! Pauses of queues: what operators have stopped workers from taking, until it is resumed.
//!
//! A pause names a queue without the broker's prefix, or a family of partitions. It is stored and removed together with
//! an audit entry that says by whom and why.

use super::Mongo;
use super::audit::AuditEntry;
use super::transactions::end;
use crate::StoreError;
use futures_util::TryStreamExt as _;
use mongodb::bson::doc;
use mongodb::{ClientSession, Collection};
use pvt_domain::actor::Actor;
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) const COLLECTION: &str = "queue_pauses";

/// A pause of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuePause {
    /// The queue without the broker's prefix, for example `emails` or `bookings.2`; `bookings` for all partitions.
    #[serde(rename = "_id")]
    pub queue: String,
    /// When it began.
    pub since: Timestamp,
    /// Who paused it.
    pub actor: Actor,
    /// Why.
    pub reason: String,
}

/// Pauses of queues.
#[derive(Debug, Clone, Copy)]
pub struct QueuePauses<'a>(pub(super) &'a Mongo);

impl QueuePauses<'_> {
    /// All pauses, by queue.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn list(self) -> Result<Vec<QueuePause>, StoreError> {
        Ok(self.rows().find(doc! {}).sort(doc! { "_id": 1 }).await?.try_collect().await?)
    }

    /// Stores a pause with its audit entry; `false` when the queue is paused already, or a concurrent change was
    /// faster.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn insert(self, pause: &QueuePause, entry: &AuditEntry) -> Result<bool, StoreError> {
        let mut session = self.0.client().start_session().await?;
        session.start_transaction().await?;
        let inserted = self.insert_in(&mut session, pause, entry).await;
        end(&mut session, inserted).await
    }

    async fn insert_in(
        self,
        session: &mut ClientSession,
        pause: &QueuePause,
        entry: &AuditEntry,
    ) -> Result<bool, StoreError> {
        self.rows().insert_one(pause).session(&mut *session).await?;
        self.0.audit_log().append_in(session, entry).await?;
        Ok(true)
    }

    /// Removes these pauses, each with its audit entry; `false`, and none is removed, when one of them is not in force
    /// any more: another pause of the same queue is not the one that was meant.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn remove(self, ended: &[(QueuePause, AuditEntry)]) -> Result<bool, StoreError> {
        let mut session = self.0.client().start_session().await?;
        session.start_transaction().await?;
        let removed = self.remove_in(&mut session, ended).await;
        end(&mut session, removed).await
    }

    async fn remove_in(
        self,
        session: &mut ClientSession,
        ended: &[(QueuePause, AuditEntry)],
    ) -> Result<bool, StoreError> {
        for (pause, entry) in ended {
            let meant = doc! { "_id": &pause.queue, "since": pause.since.to_string() };
            if self.rows().delete_one(meant).session(&mut *session).await?.deleted_count == 0 {
                return Ok(false);
            }
            self.0.audit_log().append_in(session, entry).await?;
        }
        Ok(true)
    }

    fn rows(self) -> Collection<QueuePause> {
        self.0.collection(COLLECTION)
    }
}
