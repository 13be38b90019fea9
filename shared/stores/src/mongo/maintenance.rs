//! Maintenance of the whole system: while it is stored, the API accepts no changes.
//!
//! There is one at most. It is stored and removed together with an audit entry that says by whom and why. What it puts
//! off outlasts it.

use super::Mongo;
use super::audit::AuditEntry;
use super::transactions::end;
use crate::StoreError;
use mongodb::bson::{Bson, doc, serialize_to_document};
use mongodb::{ClientSession, Collection};
use pvt_domain::actor::Actor;
use pvt_domain::maintenance::Deferral;
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) const COLLECTION: &str = "maintenance";

/// The id of the maintenance that is on.
const ID: &str = "api";
/// The id of what the last one puts off.
const LAST: &str = "last";

/// A maintenance that is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// When it began.
    pub since: Timestamp,
    /// When it is expected to end. It does not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who began it, or announced its end last.
    pub actor: Actor,
    /// Why.
    pub reason: String,
}

/// The maintenance that is on.
#[derive(Debug, Clone, Copy)]
pub struct MaintenanceMode<'a>(pub(super) &'a Mongo);

impl MaintenanceMode<'_> {
    /// The maintenance that is on, if there is one.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find(self) -> Result<Option<Maintenance>, StoreError> {
        Ok(self.rows().find_one(doc! { "_id": ID }).await?)
    }

    /// What the maintenance that is on, or the last one, puts off.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn deferral(self) -> Result<Option<Deferral>, StoreError> {
        match self.find().await? {
            Some(on) => Ok(Some(Deferral::during(on.since))),
            None => Ok(self.deferrals().find_one(doc! { "_id": LAST }).await?),
        }
    }

    /// Stores a maintenance with its audit entry, in place of one that is on; `false` when a concurrent change was
    /// faster.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn store(self, maintenance: &Maintenance, entry: &AuditEntry) -> Result<bool, StoreError> {
        let mut session = self.0.client().start_session().await?;
        session.start_transaction().await?;
        let stored = self.store_in(&mut session, maintenance, entry).await;
        end(&mut session, stored).await
    }

    async fn store_in(
        self,
        session: &mut ClientSession,
        maintenance: &Maintenance,
        entry: &AuditEntry,
    ) -> Result<bool, StoreError> {
        self.rows().replace_one(doc! { "_id": ID }, maintenance).upsert(true).session(&mut *session).await?;
        self.0.audit_log().append_in(session, entry).await?;
        Ok(true)
    }

    /// Removes this maintenance with its audit entry; `false` when it is not the one that is on any more.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn remove(self, ended: &Maintenance, entry: &AuditEntry) -> Result<bool, StoreError> {
        let mut session = self.0.client().start_session().await?;
        session.start_transaction().await?;
        let removed = self.remove_in(&mut session, ended, entry).await;
        end(&mut session, removed).await
    }

    async fn remove_in(
        self,
        session: &mut ClientSession,
        ended: &Maintenance,
        entry: &AuditEntry,
    ) -> Result<bool, StoreError> {
        let mut meant = serialize_to_document(ended).map_err(mongodb::error::Error::from)?;
        meant.insert("_id", ID);
        // Without an expected end only one that has none either is meant.
        meant.entry("until".to_owned()).or_insert(Bson::Null);
        if self.rows().delete_one(meant).session(&mut *session).await?.deleted_count == 0 {
            return Ok(false);
        }
        let earlier = self.deferrals().find_one(doc! { "_id": LAST }).session(&mut *session).await?;
        let deferral = Deferral::after(ended.since, entry.at, earlier);
        self.deferrals().replace_one(doc! { "_id": LAST }, deferral).upsert(true).session(&mut *session).await?;
        self.0.audit_log().append_in(session, entry).await?;
        Ok(true)
    }

    fn deferrals(self) -> Collection<Deferral> {
        self.0.collection(COLLECTION)
    }

    fn rows(self) -> Collection<Maintenance> {
        self.0.collection(COLLECTION)
    }
}
