//! Password resets: single-use tokens sent by mail, of which only hashes are stored.

use super::api_keys::{hash_api_secret, random_hex};
use super::{Index, Mongo};
use crate::StoreError;
use mongodb::Collection;
use mongodb::bson::doc;
use pvt_domain::accounts::UserId;
use pvt_domain::ids::uuid_text;
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

const COLLECTION: &str = "password_resets";

/// Resets of an account, to void them; the reset of a token.
pub(crate) const INDEXES: &[Index] = &[(COLLECTION, &[("user_id", 1)], false), (COLLECTION, &[("hash", 1)], true)];

/// How long a token is valid.
pub const PASSWORD_RESET_AGE: Duration = Duration::from_secs(3_600);

const SECRET_BYTES: usize = 32;

/// The token of one mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reset {
    /// The mail that contains it.
    #[serde(rename = "_id", with = "uuid_text")]
    mail_id: Uuid,
    user_id: UserId,
    hash: String,
    expires_at: Timestamp,
}

/// Single-use tokens for password resets.
#[derive(Debug, Clone, Copy)]
pub struct PasswordResets<'a>(pub(super) &'a Mongo);

impl PasswordResets<'_> {
    /// Creates the token of this mail and returns it. A second attempt at the same mail replaces the first token.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn create(self, mail_id: Uuid, user_id: UserId, now: Timestamp) -> Result<String, StoreError> {
        let token = random_hex::<SECRET_BYTES>();
        let expires_at = (now.as_datetime() + PASSWORD_RESET_AGE).into();
        let reset = Reset { mail_id, user_id, hash: hash_api_secret(&token), expires_at };
        self.rows()
            .delete_many(doc! { "user_id": user_id.to_string(), "expires_at": { "$lt": now.to_string() } })
            .await?;
        self.rows().replace_one(doc! { "_id": mail_id.to_string() }, &reset).upsert(true).await?;
        Ok(token)
    }

    /// The account of a valid token. Does not consume it.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find(self, token: &str, now: Timestamp) -> Result<Option<UserId>, StoreError> {
        let found = self
            .rows()
            .find_one(doc! { "hash": hash_api_secret(token), "expires_at": { "$gt": now.to_string() } })
            .await?;
        Ok(found.map(|reset| reset.user_id))
    }

    /// Consumes a token and returns its account: of two concurrent uses, one succeeds.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; then the token may have been consumed.
    pub async fn consume(self, token: &str, now: Timestamp) -> Result<Option<UserId>, StoreError> {
        let used = self
            .rows()
            .find_one_and_delete(doc! { "hash": hash_api_secret(token), "expires_at": { "$gt": now.to_string() } })
            .await?;
        Ok(used.map(|reset| reset.user_id))
    }

    /// Voids every token of an account.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn void_all(self, user_id: UserId) -> Result<(), StoreError> {
        self.rows().delete_many(doc! { "user_id": user_id.to_string() }).await?;
        Ok(())
    }

    fn rows(self) -> Collection<Reset> {
        self.0.collection(COLLECTION)
    }
}
