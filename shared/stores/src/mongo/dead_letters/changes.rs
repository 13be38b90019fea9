//! Discarding and editing of dead letters.

use super::{DeadLetter, DeadLetters, Discarded, Edit, StoredMessage, expiry};
use crate::StoreError;
use crate::mongo::audit::AuditEntry;
use crate::mongo::inventory::end;
use mongodb::ClientSession;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, doc, serialize_to_bson};

impl DeadLetters<'_> {
    /// Discards one that is dead, with its audit entry; `false` when it has changed since it was read.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn discard(
        self,
        dead_letter: &DeadLetter,
        discarded: &Discarded,
        entry: &AuditEntry,
    ) -> Result<bool, StoreError> {
        let discarded = serialize_to_bson(discarded).map_err(mongodb::error::Error::from)?;
        let change = doc! { "$set": { "state": "discarded", "discarded": discarded, "expires_at": expiry() } };
        self.change(dead_letter, change, entry).await
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
        let edits = i32::try_from(dead_letter.edits.len()).unwrap_or(i32::MAX);
        let same = doc! { "_id": dead_letter.id.to_string(), "state": "dead",
        "last.id": dead_letter.last.id.to_string(), "edits": { "$size": edits } };
        if self.rows().update_one(same, change).session(&mut *session).await?.matched_count == 0 {
            return Ok(false);
        }
        self.0.audit_log().append_in(session, entry).await?;
        Ok(true)
    }
}
