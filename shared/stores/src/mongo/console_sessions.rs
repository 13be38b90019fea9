//! Sessions of the console. Only hashes of their tokens are stored, so that a copy of the database opens none.

use super::api_keys::{hash_api_secret, random_hex};
use super::{Index, Mongo};
use crate::StoreError;
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use pvt_domain::accounts::UserId;
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const COLLECTION: &str = "console_sessions";

/// Sessions of an account, to end them; its expired sessions, to delete them.
pub(crate) const INDEXES: &[Index] = &[(COLLECTION, &[("user_id", 1), ("expires_at", 1)], false)];

/// How long a session lasts, used or not: a long working day.
pub const SESSION_AGE: Duration = Duration::from_secs(12 * 3_600);

/// How long a session counts as confirmed after its password was given again.
pub const CONFIRMATION_AGE: Duration = Duration::from_secs(10 * 60);

const SECRET_BYTES: usize = 32;

/// A session as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Session {
    /// Hash of its token.
    #[serde(rename = "_id")]
    hash: String,
    user_id: UserId,
    /// Digest of the hash of the password that opened it; empty in sessions from before it was stored.
    #[serde(default)]
    password: String,
    began_at: Timestamp,
    expires_at: Timestamp,
    /// Until when the password need not be given again, for what cannot be undone.
    #[serde(default)]
    confirmed_until: Option<Timestamp>,
}

/// A session that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// The account whose session it is.
    pub user_id: UserId,
    password: String,
}

impl OpenSession {
    /// Whether it was opened with the password of this hash: a session that began while the password was being changed
    /// is not among those that the change has ended.
    pub fn is_of_password(&self, password_hash: &str) -> bool {
        self.password == hash_api_secret(password_hash)
    }
}

/// Matches the session of this token while it lasts.
fn live(token: &str, now: Timestamp) -> Document {
    doc! { "_id": hash_api_secret(token), "expires_at": { "$gt": now.to_string() } }
}

/// Whether a text has the form of a token.
fn is_token(text: &str) -> bool {
    text.len() == 2 * SECRET_BYTES && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Sessions of the console.
#[derive(Debug, Clone, Copy)]
pub struct ConsoleSessions<'a>(pub(super) &'a Mongo);

impl ConsoleSessions<'_> {
    /// Begins a session of the account, by the password of this hash, and returns its token, which is shown this once.
    /// Deletes the account's expired sessions.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn begin(self, user_id: UserId, password_hash: &str, now: Timestamp) -> Result<String, StoreError> {
        let expired = doc! { "user_id": user_id.to_string(), "expires_at": { "$lte": now.to_string() } };
        self.rows().delete_many(expired).await?;
        let token = random_hex::<SECRET_BYTES>();
        let expires_at = (now.as_datetime() + SESSION_AGE).into();
        let password = hash_api_secret(password_hash);
        let hash = hash_api_secret(&token);
        let session = Session { hash, user_id, password, began_at: now, expires_at, confirmed_until: None };
        self.rows().insert_one(&session).await?;
        Ok(token)
    }

    /// The session that this token opens; `None` when it has ended or never was.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find(self, token: &str, now: Timestamp) -> Result<Option<OpenSession>, StoreError> {
        if !is_token(token) {
            return Ok(None);
        }
        let open = |Session { user_id, password, .. }| OpenSession { user_id, password };
        Ok(self.rows().find_one(live(token, now)).await?.map(open))
    }

    /// Notes that the password of this session was given again; `false` when it has ended.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn confirm(self, token: &str, now: Timestamp) -> Result<bool, StoreError> {
        let until: Timestamp = (now.as_datetime() + CONFIRMATION_AGE).into();
        let change = doc! { "$set": { "confirmed_until": until.to_string() } };
        Ok(self.rows().update_one(live(token, now), change).await?.matched_count > 0)
    }

    /// Whether the password of this session was given again a short time ago.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn is_confirmed(self, token: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut confirmed = live(token, now);
        confirmed.insert("confirmed_until", doc! { "$gt": now.to_string() });
        Ok(self.rows().find_one(confirmed).await?.is_some())
    }

    /// Ends the session of this token, if there is one.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn end(self, token: &str) -> Result<(), StoreError> {
        self.rows().delete_one(doc! { "_id": hash_api_secret(token) }).await?;
        Ok(())
    }

    /// Ends every session of an account.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn end_all(self, user_id: UserId) -> Result<(), StoreError> {
        self.rows().delete_many(doc! { "user_id": user_id.to_string() }).await?;
        Ok(())
    }

    fn rows(self) -> Collection<Session> {
        self.0.collection(COLLECTION)
    }
}

#[cfg(test)]
mod tests {
    use super::{SECRET_BYTES, is_token, random_hex};

    #[test]
    fn only_well_formed_tokens_are_looked_up() {
        assert!(is_token(&random_hex::<SECRET_BYTES>()));
        let (upper, other) = ("A".repeat(64), "g".repeat(64));
        assert!(["", "ab", upper.as_str(), other.as_str(), &"a".repeat(65)].iter().all(|bad| !is_token(bad)));
    }
}
