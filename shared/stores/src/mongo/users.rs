//! Accounts. The hash of a password is part of the document and leaves this repository only through
//! [`Users::credentials_by_email`] and [`Users::credentials`]; a [`User`] never contains it.

use super::audit::AuditEntry;
use super::{Index, Mongo};
use crate::StoreError;
use futures_util::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use mongodb::options::ReturnDocument;
use pvt_domain::accounts::{Email, Profile, Role, User, UserId};
use pvt_domain::ids::PropertyId;
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

const COLLECTION: &str = "users";

/// Log-in, unique so that an address has one account; staff of a property.
pub(crate) const INDEXES: &[Index] =
    &[(COLLECTION, &[("email", 1)], true), (COLLECTION, &[("role", 1), ("properties", 1)], false)];

/// Most recipients of one alert.
const MAX_RECIPIENTS: i64 = 50;

/// A document as stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    user: User,
    password_hash: String,
}

/// Accounts.
#[derive(Debug, Clone, Copy)]
pub struct Users<'a>(pub(super) &'a Mongo);

impl Users<'_> {
    /// Creates an account.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the address has an account.
    pub async fn create(self, user: User, password_hash: String) -> Result<(), StoreError> {
        self.0.collection::<Stored>(COLLECTION).insert_one(Stored { user, password_hash }).await?;
        Ok(())
    }

    /// Creates an account, with its audit entry.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the address has an account.
    pub async fn create_audited(self, user: User, password_hash: String, entry: &AuditEntry) -> Result<(), StoreError> {
        let audit = self.0.audit_log();
        let mut session = audit.begin().await?;
        let stored = Stored { user, password_hash };
        let inserted = self.0.collection::<Stored>(COLLECTION).insert_one(stored).session(&mut session).await;
        audit.end(session, inserted.map(Some).map_err(StoreError::from), entry).await?;
        Ok(())
    }

    /// The account of this id.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find(self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.rows().find_one(doc! { "_id": id.to_string() }).await?)
    }

    /// The given accounts, as far as they are stored.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find_by_ids(self, ids: impl IntoIterator<Item = UserId>) -> Result<HashMap<UserId, User>, StoreError> {
        self.0.find_by_ids(COLLECTION, ids, |found: &User| found.id).await
    }

    /// The account of this address.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find_by_email(self, email: &Email) -> Result<Option<User>, StoreError> {
        Ok(self.rows().find_one(doc! { "email": email.as_str() }).await?)
    }

    /// The account of this address with its password's hash.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn credentials_by_email(self, email: &Email) -> Result<Option<(User, String)>, StoreError> {
        let found = self.0.collection::<Stored>(COLLECTION).find_one(doc! { "email": email.as_str() }).await?;
        Ok(found.map(|stored| (stored.user, stored.password_hash)))
    }

    /// The account of this id with its password's hash.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn credentials(self, id: UserId) -> Result<Option<(User, String)>, StoreError> {
        let found = self.0.collection::<Stored>(COLLECTION).find_one(doc! { "_id": id.to_string() }).await?;
        Ok(found.map(|stored| (stored.user, stored.password_hash)))
    }

    /// Accounts ordered by id, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn list(self, after: Option<&str>, limit: i64) -> Result<Vec<User>, StoreError> {
        let found = self
            .rows()
            .find(doc! { "_id": { "$gt": after.unwrap_or_default() } })
            .sort(doc! { "_id": 1 })
            .limit(limit)
            .await?;
        Ok(found.try_collect().await?)
    }

    /// Recipients of alerts about a property: its staff or, without any, administrators. At most 50, never disabled
    /// accounts.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn staff_alert_recipients(self, property: &PropertyId) -> Result<Vec<User>, StoreError> {
        let active = doc! { "$exists": false };
        let staff = doc! { "role": "staff", "properties": property.as_str(), "disabled_at": active.clone() };
        let found: Vec<User> =
            self.rows().find(staff).sort(doc! { "_id": 1 }).limit(MAX_RECIPIENTS).await?.try_collect().await?;
        if !found.is_empty() {
            return Ok(found);
        }
        let admins = doc! { "role": "admin", "disabled_at": active };
        Ok(self.rows().find(admins).sort(doc! { "_id": 1 }).limit(MAX_RECIPIENTS).await?.try_collect().await?)
    }

    /// Changes the profile if the account still has this revision. Returns the changed account.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it has another revision or does not exist.
    pub async fn set_profile(self, id: UserId, rev: u32, profile: &Profile) -> Result<User, StoreError> {
        self.update(id, rev, doc! { "name": &profile.name, "locale": profile.locale.as_deref() }).await
    }

    /// Changes role and properties, with their audit entry, if the account still has this revision. Returns the changed
    /// account.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it has another revision or does not exist.
    pub async fn set_role(
        self,
        id: UserId,
        rev: u32,
        (role, properties): (Role, &[PropertyId]),
        entry: &AuditEntry,
    ) -> Result<User, StoreError> {
        let properties: Vec<&str> = properties.iter().map(PropertyId::as_str).collect();
        let audit = self.0.audit_log();
        let mut session = audit.begin().await?;
        let expected = doc! { "_id": id.to_string(), "rev": rev };
        let change = doc! { "$set": { "role": role.as_str(), "properties": properties }, "$inc": { "rev": 1 } };
        let users = self.rows();
        let changed = users.find_one_and_update(expected, change).return_document(ReturnDocument::After);
        let changed = changed.session(&mut session).await.map_err(StoreError::from);
        audit.end(session, changed, entry).await?.ok_or_else(|| stale(id, rev))
    }

    /// Disables an account, with its audit entry, and ends its sessions; `false`, and no entry, when it does not exist
    /// or was disabled already.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; then its sessions may go on: disable it again.
    pub async fn disable(self, id: UserId, now: Timestamp, entry: &AuditEntry) -> Result<bool, StoreError> {
        let active = doc! { "_id": id.to_string(), "disabled_at": { "$exists": false } };
        let change = doc! { "$set": { "disabled_at": now.to_string() }, "$inc": { "rev": 1 } };
        let audit = self.0.audit_log();
        let mut session = audit.begin().await?;
        let changed = self.rows().update_one(active, change).session(&mut session).await.map_err(StoreError::from);
        let changed = changed.map(|changed| (changed.modified_count == 1).then_some(()));
        let disabled = audit.end(session, changed, entry).await?.is_some();
        self.0.refresh_tokens().revoke_sessions(id, now).await?;
        self.0.console_sessions().end_all(id).await?;
        Ok(disabled)
    }

    /// Replaces the password, ends every session and voids every reset of the account.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; then the password may have been replaced already.
    pub async fn set_password(self, id: UserId, password_hash: &str, now: Timestamp) -> Result<(), StoreError> {
        self.rows()
            .update_one(doc! { "_id": id.to_string() }, doc! { "$set": { "password_hash": password_hash } })
            .await?;
        self.0.refresh_tokens().revoke_sessions(id, now).await?;
        self.0.console_sessions().end_all(id).await?;
        self.0.password_resets().void_all(id).await
    }

    async fn update(self, id: UserId, rev: u32, fields: Document) -> Result<User, StoreError> {
        let (set, unset): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(_, value)| value.as_null().is_none());
        let mut change = doc! { "$set": Document::from_iter(set), "$inc": { "rev": 1 } };
        if !unset.is_empty() {
            change.insert("$unset", Document::from_iter(unset));
        }
        let expected = doc! { "_id": id.to_string(), "rev": rev };
        let changed = self.rows().find_one_and_update(expected, change).return_document(ReturnDocument::After).await?;
        changed.ok_or_else(|| stale(id, rev))
    }

    fn rows(self) -> Collection<User> {
        self.0.collection(COLLECTION)
    }
}

fn stale(id: UserId, rev: u32) -> StoreError {
    StoreError::Stale(format!("user {id} is not at revision {rev}"))
}
