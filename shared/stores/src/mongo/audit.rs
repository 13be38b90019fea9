//! Who did what: insert-only. Nothing here may ever change or delete a row.

use super::{Index, Mongo};
use crate::StoreError;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::{ClientSession, Collection};
use pvt_domain::actor::Actor;
use pvt_domain::ids::uuid_text;
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const COLLECTION: &str = "audit";

/// What one run or command did; the history of one subject; the newest first.
pub(crate) const INDEXES: &[Index] = &[
    (COLLECTION, &[("cause", 1)], false),
    (COLLECTION, &[("subject", 1), ("at", -1), ("_id", -1)], false),
    (COLLECTION, &[("at", -1), ("_id", -1)], false),
];

/// One thing that somebody did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// A function of the cause, action and subject, so that a repetition is the same entry.
    #[serde(rename = "_id", with = "uuid_text")]
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Who: `staff:<id>`, `schedule:<name>`, …
    pub actor: Actor,
    /// What, for example `repair.orphan_claim`.
    pub action: String,
    /// To what: a booking's id, a claim's key.
    pub subject: String,
    /// For people.
    pub detail: String,
    /// The run or the command that this was part of.
    #[serde(with = "uuid_text")]
    pub cause: Uuid,
}

impl AuditEntry {
    /// An entry whose id is derived from its cause, action and subject.
    pub fn new(
        cause: Uuid,
        at: Timestamp,
        actor: impl Into<Actor>,
        action: String,
        subject: &str,
        detail: &str,
    ) -> Self {
        let id = Uuid::new_v5(&cause, format!("{action}\n{subject}").as_bytes());
        Self { id, at, actor: actor.into(), action, subject: subject.to_owned(), detail: detail.to_owned(), cause }
    }
}

/// Audit log: insert-only.
#[derive(Debug, Clone, Copy)]
pub struct AuditLog<'a>(pub(super) &'a Mongo);

impl AuditLog<'_> {
    /// Adds an entry; the same one again changes nothing.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn append(self, entry: &AuditEntry) -> Result<(), StoreError> {
        match self.rows().insert_one(entry).await.map_err(StoreError::from) {
            Ok(_) | Err(StoreError::Duplicate(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Adds an entry within a transaction, where a repetition fails it.
    pub(super) async fn append_in(self, session: &mut ClientSession, entry: &AuditEntry) -> Result<(), StoreError> {
        self.rows().insert_one(entry).session(session).await?;
        Ok(())
    }

    /// What a run or a command did, in the order in which it did so.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn of_cause(self, cause: Uuid) -> Result<Vec<AuditEntry>, StoreError> {
        let found = self.rows().find(doc! { "cause": cause.to_string() }).sort(doc! { "at": 1, "_id": 1 }).await?;
        Ok(found.try_collect().await?)
    }

    /// What was done, the newest first: what came before the given entry, at most `limit`, to one subject or to all.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn list(
        self,
        subject: Option<&str>,
        before: Option<(&str, &str)>,
        limit: i64,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let mut query = Document::new();
        if let Some(subject) = subject {
            query.insert("subject", subject);
        }
        if let Some((at, id)) = before {
            query.insert("$or", [doc! { "at": { "$lt": at } }, doc! { "at": at, "_id": { "$lt": id } }].to_vec());
            // The bound that an index can use.
            query.insert("at", doc! { "$lte": at });
        }
        let found = self.rows().find(query).sort(doc! { "at": -1, "_id": -1 }).limit(limit).await?;
        Ok(found.try_collect().await?)
    }

    fn rows(self) -> Collection<AuditEntry> {
        self.0.collection(COLLECTION)
    }
}
