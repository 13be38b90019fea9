//! API keys: who may act through a program. Only a hash of the secret is stored; the key's text is shown once, when it
//! is made.

use super::{Index, Mongo};
use crate::StoreError;
use futures_util::TryStreamExt;
use mongodb::bson::doc;
use pvt_domain::ids::PropertyId;
use pvt_domain::timestamp::Timestamp;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

const COLLECTION: &str = "api_keys";

/// None beyond `_id`: keys are only ever read by their id.
pub(crate) const INDEXES: &[Index] = &[];

/// What every key's text begins with, so that leaked ones can be searched for.
const PREFIX: &str = "pvt_";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiRole {
    /// Books in its own name and sees what it booked.
    Client,
    /// Acts on every booking of its properties.
    Staff,
    /// Everything.
    Admin,
}

impl ApiRole {
    /// Every role with its name.
    pub const ALL: [(&'static str, Self); 3] =
        [("client", Self::Client), ("staff", Self::Staff), ("admin", Self::Admin)];
}

/// The properties that a staff key is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PropertyScope {
    /// Every one, also those that are added later.
    All,
    /// These.
    Only(Vec<PropertyId>),
}

impl PropertyScope {
    /// Whether this property is among them.
    pub fn covers(&self, property: &PropertyId) -> bool {
        match self {
            Self::All => true,
            Self::Only(listed) => listed.contains(property),
        }
    }
}

/// One thing that a key may be for, whatever its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Look at bookings.
    #[serde(rename = "bookings:read")]
    BookingsRead,
    /// Ask for bookings, change and cancel them.
    #[serde(rename = "bookings:write")]
    BookingsWrite,
    /// Look at payments.
    #[serde(rename = "payments:read")]
    PaymentsRead,
    /// Send guests to pay, record money and give it back.
    #[serde(rename = "payments:write")]
    PaymentsWrite,
    /// Change properties, rooms, beds and blocks.
    #[serde(rename = "inventory:write")]
    InventoryWrite,
    /// Change prices and restrictions.
    #[serde(rename = "rates:write")]
    RatesWrite,
    /// Have mails sent.
    #[serde(rename = "notifications:write")]
    NotificationsWrite,
    /// Look at figures, reports and the audit.
    #[serde(rename = "reports:read")]
    ReportsRead,
    /// Look at accounts and keys, and change them.
    #[serde(rename = "accounts:write")]
    AccountsWrite,
}

impl Scope {
    /// Every scope with its wire name.
    pub const ALL: [(&'static str, Self); 9] = [
        ("bookings:read", Self::BookingsRead),
        ("bookings:write", Self::BookingsWrite),
        ("payments:read", Self::PaymentsRead),
        ("payments:write", Self::PaymentsWrite),
        ("inventory:write", Self::InventoryWrite),
        ("rates:write", Self::RatesWrite),
        ("notifications:write", Self::NotificationsWrite),
        ("reports:read", Self::ReportsRead),
        ("accounts:write", Self::AccountsWrite),
    ];
}

/// What a key is for, within what its role allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeSet {
    /// Everything; also keys that were made before there were scopes.
    #[default]
    All,
    /// These.
    Only(Vec<Scope>),
}

impl ScopeSet {
    /// Whether this is among them.
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
    /// Its public part, which names it in histories and logs.
    #[serde(rename = "_id")]
    pub id: String,
    /// SHA-256 of the secret part, lower-case hexadecimal.
    pub hash: String,
    /// What it may do.
    pub role: ApiRole,
    /// For people.
    pub name: String,
    /// Where it may do it; matters for staff only.
    pub properties: PropertyScope,
    /// What it may be used for.
    #[serde(default)]
    pub scopes: ScopeSet,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is void.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// What a new key is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// What it may do.
    pub role: ApiRole,
    /// For people.
    pub name: String,
    /// Where it may do it.
    pub properties: PropertyScope,
    /// What it may be used for.
    pub scopes: ScopeSet,
}

/// Splits a key's text `pvt_<id>_<secret>` into id and secret; `None` when it has not that form.
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
    /// Makes a key and stores it. Returns it with its text, which cannot be had again.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn create(self, new: NewApiKey, now: Timestamp) -> Result<(ApiKey, String), StoreError> {
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
        self.0.collection::<ApiKey>(COLLECTION).insert_one(&key).await?;
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

    /// Keys by id, those after `after`, at most `limit`; revoked ones too.
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

    /// Makes a key void; `false` when there is no such key or it was void already. Processes that cache keys notice
    /// within a minute.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn revoke(self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let active = doc! { "_id": id, "revoked_at": { "$exists": false } };
        let revoked = self
            .0
            .collection::<ApiKey>(COLLECTION)
            .update_one(active, doc! { "$set": { "revoked_at": now.to_string() } })
            .await?;
        Ok(revoked.modified_count == 1)
    }
}

/// So many random bytes, as lower-case hexadecimal.
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
    fn a_keys_text_splits_into_its_parts_and_nothing_else_does() {
        let (id, secret) = (random_hex::<6>(), random_hex::<32>());
        assert_eq!(parse_api_key(&format!("{PREFIX}{id}_{secret}")), Some((id.as_str(), secret.as_str())));
        let shouted = format!("pvt_0123456789ab_{}", "A".repeat(64));
        for bad in
            ["", "pvt_", "pvt__", "pvt_abc_def", &format!("{id}_{secret}"), &format!("pvt_{id}_{secret}0"), &shouted]
        {
            assert_eq!(parse_api_key(bad), None, "{bad}");
        }
    }

    #[test]
    fn secrets_are_hashed_as_sha_256() {
        assert_eq!(hash_api_secret("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_scope_of_nothing_covers_nothing() {
        assert!(!PropertyScope::Only(Vec::new()).covers(&"pvt-montreal".into()));
        assert!(PropertyScope::All.covers(&"pvt-montreal".into()));
    }
}
