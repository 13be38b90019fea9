//! Discarding and editing of dead letters.

use super::{COLLECTION, DeadLetter, DeadLetters, Discarded, Edit, StoredMessage, expiry, never_first};
use crate::StoreError;
use crate::mongo::audit::AuditEntry;
use crate::mongo::transactions::{Attempts, end};
use mongodb::ClientSession;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, doc, serialize_to_bson};
use pvt_domain::ids::uuid_text;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

impl DeadLetters<'_> {
    /// Discards those that are dead and have not changed since they were read, each with its audit entry, in one
    /// transaction; the ids of those that were discarded.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails, or other changes are always faster.
    pub async fn discard(
        self,
        selected: &[(&DeadLetter, AuditEntry)],
        discarded: &Discarded,
    ) -> Result<HashSet<Uuid>, StoreError> {
        let discarded = serialize_to_bson(discarded).map_err(mongodb::error::Error::from)?;
        let change = doc! { "$set": { "state": "discarded", "discarded": discarded, "expires_at": expiry() } };
        let mut attempts = Attempts::new();
        loop {
            let mut session = self.0.client().start_session().await?;
            session.start_transaction().await?;
            let mut unchanged = HashSet::new();
            let written = self.discard_in(&mut session, selected, &change, &mut unchanged).await;
            let is_empty = matches!(written, Ok(false));
            if end(&mut session, written).await? || is_empty {
                return Ok(unchanged);
            }
            if !attempts.pause().await {
                return Err(never_first());
            }
        }
    }

    async fn discard_in(
        self,
        session: &mut ClientSession,
        selected: &[(&DeadLetter, AuditEntry)],
        change: &Document,
        unchanged: &mut HashSet<Uuid>,
    ) -> Result<bool, StoreError> {
        let ids: Vec<String> = selected.iter().map(|(dead_letter, _)| dead_letter.id.to_string()).collect();
        let now = doc! { "last.id": 1, "edits": { "$size": "$edits" } };
        let rows = self.0.collection::<Now>(COLLECTION);
        let dead = rows.find(doc! { "_id": { "$in": ids }, "state": "dead" });
        let mut found = dead.projection(now).session(&mut *session).await?;
        let mut versions = HashMap::new();
        while let Some(Now { id, last, edits }) = found.next(&mut *session).await.transpose()? {
            versions.insert(id, (last.id, edits));
        }
        let is_same = |dead_letter: &DeadLetter| {
            let version = (dead_letter.last.id, dead_letter.edit_count());
            versions.get(&dead_letter.id) == Some(&version)
        };
        let same: Vec<_> = selected.iter().filter(|(dead_letter, _)| is_same(dead_letter)).collect();
        if same.is_empty() {
            return Ok(false);
        }
        let ids: Vec<String> = same.iter().map(|(dead_letter, _)| dead_letter.id.to_string()).collect();
        self.rows().update_many(doc! { "_id": { "$in": ids } }, change.clone()).session(&mut *session).await?;
        self.0.audit_log().append_all_in(session, same.iter().map(|(_, entry)| entry)).await?;
        unchanged.extend(same.iter().map(|(dead_letter, _)| dead_letter.id));
        Ok(true)
    }

    /// Replaces the body of one that is dead, with its audit entry, and keeps the original; `false` when it has changed
    /// since it was read.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn edit(
        self,
        dead_letter: &DeadLetter,
        message: &StoredMessage,
        body: Vec<u8>,
        edit: &Edit,
        entry: &AuditEntry,
    ) -> Result<bool, StoreError> {
        let binary = |bytes: Vec<u8>| Binary { subtype: BinarySubtype::Generic, bytes };
        let bytes = i64::try_from(body.len()).unwrap_or(i64::MAX);
        let mut set = doc! { "message.body": binary(body), "last.bytes": bytes };
        if dead_letter.original.is_none() {
            set.insert("original", binary(message.body.clone()));
        }
        let edit = serialize_to_bson(edit).map_err(mongodb::error::Error::from)?;
        self.change(dead_letter, doc! { "$set": set, "$push": { "edits": edit } }, entry).await
    }

    async fn change(self, dead_letter: &DeadLetter, change: Document, entry: &AuditEntry) -> Result<bool, StoreError> {
        let mut session = self.0.client().start_session().await?;
        session.start_transaction().await?;
        let written = self.change_in(&mut session, dead_letter, change, entry).await;
        end(&mut session, written).await
    }

    async fn change_in(
        self,
        session: &mut ClientSession,
        dead_letter: &DeadLetter,
        change: Document,
        entry: &AuditEntry,
    ) -> Result<bool, StoreError> {
        let same = doc! { "_id": dead_letter.id.to_string(), "state": "dead",
        "last.id": dead_letter.last.id.to_string(), "edits": { "$size": dead_letter.edit_count() } };
        if self.rows().update_one(same, change).session(&mut *session).await?.matched_count == 0 {
            return Ok(false);
        }
        self.0.audit_log().append_in(session, entry).await?;
        Ok(true)
    }
}

/// A dead letter as it is now, as far as a change compares it.
#[derive(Deserialize)]
struct Now {
    #[serde(rename = "_id", with = "uuid_text")]
    id: Uuid,
    last: LastDeath,
    edits: i32,
}

#[derive(Deserialize)]
struct LastDeath {
    #[serde(with = "uuid_text")]
    id: Uuid,
}
