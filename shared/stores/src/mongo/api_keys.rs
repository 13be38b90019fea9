//! API keys: credentials of programs. Only a hash of the secret is stored; the key is shown once, when it is created.

use super::audit::AuditEntry;
use super::{Index, Mongo};
use crate::StoreError;
use futures_util::TryStreamExt;
use mongodb::bson::doc;
use pvt_domain::actor::Actor;
use pvt_domain::ids::PropertyId;
use pvt_domain::timestamp::Timestamp;
use pvt_domain::wire_enum;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use uuid::Uuid;

const COLLECTION: &str = "api_keys";

/// None beyond `_id`: keys are only read by their id.
pub(crate) const INDEXES: &[Index] = &[];

/// Prefix of every key, so that leaked keys can be searched for.
const PREFIX: &str = "pvt_";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;

wire_enum! {
    /// Role of a key.
    pub enum ApiRole {
        /// Creates bookings and sees those it created.
        Client = "client",
        /// Manages every booking of its properties.
        Staff = "staff",
        /// Manages everything.
        Admin = "admin",
    }
}

/// Properties that a staff key covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PropertyScope {
    /// Every property, including those added later.
    All,
    /// The listed properties.
    Only(Vec<PropertyId>),
}

impl PropertyScope {
    /// Whether the property is covered.
    pub fn covers(&self, property: &PropertyId) -> bool {
        match self {
            Self::All => true,
            Self::Only(listed) => listed.contains(property),
        }
    }
}

wire_enum! {
    /// One permission of a key, within what its role allows.
    #[derive(Hash)]
    pub enum Scope {
        /// Read bookings.
        BookingsRead = "bookings:read",
        /// Create, change and cancel bookings.
        BookingsWrite = "bookings:write",
        /// Read payments.
        PaymentsRead = "payments:read",
        /// Create checkouts, record payments and refund them.
        PaymentsWrite = "payments:write",
        /// Change properties, rooms, beds and blocks.
        InventoryWrite = "inventory:write",
        /// Change prices and restrictions.
        RatesWrite = "rates:write",
        /// Send mails.
        NotificationsWrite = "notifications:write",
        /// Read analytics, reports and the audit log.
        ReportsRead = "reports:read",
        /// Read and change accounts and keys.
        AccountsWrite = "accounts:write",
    }
}

/// Permissions of a key, within what its role allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeSet {
    /// All; also the default of keys that were created before scopes existed.
    #[default]
    All,
    /// The listed scopes.
    Only(Vec<Scope>),
}

impl ScopeSet {
    /// Whether the scope is covered.
    pub fn covers(&self, scope: Scope) -> bool {
        match self {
            Self::All => true,
            Self::Only(listed) => listed.contains(&scope),
        }
    }
}

/// A key as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its public part, which identifies it in histories and logs.
    #[serde(rename = "_id")]
    pub id: String,
    /// SHA-256 of the secret part, lower-case hexadecimal.
    pub hash: String,
    /// Its role.
    pub role: ApiRole,
    /// Display name.
    pub name: String,
    /// Properties it covers; only relevant for staff.
    pub properties: PropertyScope,
    /// Its permissions.
    #[serde(default)]
    pub scopes: ScopeSet,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// A key to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// Its role.
    pub role: ApiRole,
    /// Display name.
    pub name: String,
    /// Properties it covers.
    pub properties: PropertyScope,
    /// Its permissions.
    pub scopes: ScopeSet,
}

/// Splits a key `pvt_<id>_<secret>` into id and secret; `None` when it has another form.
pub fn parse_api_key(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let is_hex = |part: &str, bytes: usize| {
        part.len() == 2 * bytes && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    (is_hex(id, ID_BYTES) && is_hex(secret, SECRET_BYTES)).then_some((id, secret))
}

/// The stored form of a secret. A plain hash is enough: the secret has 256 random bits, so there is nothing to guess.
pub fn hash_api_secret(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// API keys, of which only hashes of the secrets are stored.
#[derive(Debug, Clone, Copy)]
pub struct ApiKeys<'a>(pub(super) &'a Mongo);

impl ApiKeys<'_> {
    /// Creates and stores a key, with an audit entry that names this actor. Returns it with its text, which cannot be
    /// retrieved later.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn create(
        self,
        new: NewApiKey,
        actor: impl Into<Actor>,
        now: Timestamp,
    ) -> Result<(ApiKey, String), StoreError> {
        let (id, secret) = (random_hex::<ID_BYTES>(), random_hex::<SECRET_BYTES>());
        let NewApiKey { role, name, properties, scopes } = new;
        let key = ApiKey {
            hash: hash_api_secret(&secret),
            role,
            name,
            properties,
            scopes,
            created_at: now,
            revoked_at: None,
            id,
        };
        let detail = format!("{} key `{}`", key.role.as_str(), key.name);
        let entry = AuditEntry::new(Uuid::now_v7(), now, actor, "api_key.create".to_owned(), &key.id, &detail);
        let audit = self.0.audit_log();
        let mut session = audit.begin().await?;
        let inserted = self.0.collection::<ApiKey>(COLLECTION).insert_one(&key).session(&mut session).await;
        audit.end(session, inserted.map(Some).map_err(StoreError::from), &entry).await?;
        let text = format!("{PREFIX}{}_{secret}", key.id);
        Ok((key, text))
    }

    /// The key of this id, revoked or not.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find(self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.0.collection::<ApiKey>(COLLECTION).find_one(doc! { "_id": id }).await?)
    }

    /// Keys ordered by id, after `after`, at most `limit`; including revoked ones.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn list(self, after: Option<&str>, limit: i64) -> Result<Vec<ApiKey>, StoreError> {
        let found = self
            .0
            .collection::<ApiKey>(COLLECTION)
            .find(doc! { "_id": { "$gt": after.unwrap_or_default() } })
            .sort(doc! { "_id": 1 })
            .limit(limit)
            .await?;
        Ok(found.try_collect().await?)
    }

    /// Revokes a key, with an audit entry that names this actor; `false`, and no entry, when it does not exist or was
    /// revoked already. Processes that cache keys notice within a minute.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn revoke(self, id: &str, actor: impl Into<Actor>, now: Timestamp) -> Result<bool, StoreError> {
        let active = doc! { "_id": id, "revoked_at": { "$exists": false } };
        let revoked = doc! { "$set": { "revoked_at": now.to_string() } };
        let audit = self.0.audit_log();
        let mut session = audit.begin().await?;
        let keys = self.0.collection::<ApiKey>(COLLECTION);
        let key = keys.find_one_and_update(active, revoked).session(&mut session).await.map_err(StoreError::from);
        let name = |key: &ApiKey| format!("{} key `{}`", key.role.as_str(), key.name);
        let detail = key.as_ref().ok().and_then(Option::as_ref).map(name).unwrap_or_default();
        let entry = AuditEntry::new(Uuid::now_v7(), now, actor, "api_key.revoke".to_owned(), id, &detail);
        Ok(audit.end(session, key, &entry).await?.is_some())
    }
}

/// Random bytes as lower-case hexadecimal.
pub(super) fn random_hex<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    rand::rng().fill_bytes(&mut bytes);
    hex(&bytes)
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{PREFIX, PropertyScope, hash_api_secret, parse_api_key, random_hex};

    #[test]
    fn only_well_formed_keys_are_parsed() {
        let (id, secret) = (random_hex::<6>(), random_hex::<32>());
        assert_eq!(parse_api_key(&format!("{PREFIX}{id}_{secret}")), Some((id.as_str(), secret.as_str())));
        let upper_case = format!("pvt_0123456789ab_{}", "A".repeat(64));
        for bad in
            ["", "pvt_", "pvt__", "pvt_abc_def", &format!("{id}_{secret}"), &format!("pvt_{id}_{secret}0"), &upper_case]
        {
            assert_eq!(parse_api_key(bad), None, "{bad}");
        }
    }

    #[test]
    fn secrets_are_hashed_with_sha_256() {
        assert_eq!(hash_api_secret("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn empty_scope_covers_nothing() {
        assert!(!PropertyScope::Only(Vec::new()).covers(&"pvt-montreal".into()));
        assert!(PropertyScope::All.covers(&"pvt-montreal".into()));
    }
}
