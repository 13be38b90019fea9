//! Sessions: families of refresh tokens, of which only the newest is valid.
//!
//! A family is one document, so rotation is one atomic update: of two concurrent uses of a token, one succeeds. Use of
//! a rotated token means that the token was stolen, by this caller or from it: the whole family is revoked, and both
//! must log in again. Only hashes are stored.

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

const COLLECTION: &str = "refresh_tokens";

/// Sessions of an account, to end them; its expired sessions, to delete them.
pub(crate) const INDEXES: &[Index] = &[(COLLECTION, &[("user_id", 1), ("expires_at", 1)], false)];

/// How long an unused refresh token is valid.
pub const REFRESH_TOKEN_AGE: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Prefix of every token, so that leaked tokens can be searched for.
const PREFIX: &str = "pvtr_";
const SECRET_BYTES: usize = 32;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Family {
    #[serde(rename = "_id", with = "uuid_text")]
    id: Uuid,
    user_id: UserId,
    /// Hash of the only valid token's secret.
    hash: String,
    began_at: Timestamp,
    rotated_at: Timestamp,
    expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
}

/// Result of using a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// It was valid and has been replaced.
    Rotated {
        /// Account of the session.
        user_id: UserId,
        /// The next token, shown once.
        token: String,
    },
    /// It was rotated before: its family has been revoked.
    Reused {
        /// Account of the session.
        user_id: UserId,
    },
    /// It is not a token, or its session has ended.
    Unknown,
}

/// Splits `pvtr_<family>_<secret>`.
fn parse(token: &str) -> Option<(Uuid, &str)> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let is_secret =
        secret.len() == 2 * SECRET_BYTES && secret.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let id = (id.len() == 32).then(|| Uuid::try_parse(id).ok()).flatten()?;
    is_secret.then_some((id, secret))
}

fn text(id: Uuid, secret: &str) -> String {
    format!("{PREFIX}{}_{secret}", id.simple())
}

fn expiry(now: Timestamp) -> Timestamp {
    (now.as_datetime() + REFRESH_TOKEN_AGE).into()
}

/// Sessions: families of refresh tokens.
#[derive(Debug, Clone, Copy)]
pub struct RefreshTokens<'a>(pub(super) &'a Mongo);

impl RefreshTokens<'_> {
    /// Begins a session and returns its first refresh token. Deletes the account's expired sessions.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn begin_session(self, user_id: UserId, now: Timestamp) -> Result<String, StoreError> {
        let secret = random_hex::<SECRET_BYTES>();
        let hash = hash_api_secret(&secret);
        let family = Family {
            id: Uuid::new_v4(),
            user_id,
            hash,
            began_at: now,
            rotated_at: now,
            expires_at: expiry(now),
            revoked_at: None,
        };
        self.rows()
            .delete_many(doc! { "user_id": user_id.to_string(), "expires_at": { "$lt": now.to_string() } })
            .await?;
        self.rows().insert_one(&family).await?;
        Ok(text(family.id, &secret))
    }

    /// Exchanges a refresh token for the next one of its family.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; then the token may have been rotated.
    pub async fn rotate(self, token: &str, now: Timestamp) -> Result<Rotation, StoreError> {
        let Some((id, secret)) = parse(token) else { return Ok(Rotation::Unknown) };
        let next = random_hex::<SECRET_BYTES>();
        let live = doc! { "_id": id.to_string(), "revoked_at": { "$exists": false },
        "expires_at": { "$gt": now.to_string() } };
        let mut good = live.clone();
        good.insert("hash", hash_api_secret(secret));
        let change = doc! { "$set": { "hash": hash_api_secret(&next), "rotated_at": now.to_string(),
        "expires_at": expiry(now).to_string() } };
        if let Some(family) = self.rows().find_one_and_update(good, change).await? {
            return Ok(Rotation::Rotated { user_id: family.user_id, token: text(id, &next) });
        }
        let ended = self.rows().find_one_and_update(live, doc! { "$set": { "revoked_at": now.to_string() } }).await?;
        Ok(ended.map_or(Rotation::Unknown, |family| Rotation::Reused { user_id: family.user_id }))
    }

    /// Ends the session of this refresh token, if there is one.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn end_session(self, token: &str, now: Timestamp) -> Result<(), StoreError> {
        let Some((id, _)) = parse(token) else { return Ok(()) };
        let live = doc! { "_id": id.to_string(), "revoked_at": { "$exists": false } };
        self.rows().update_one(live, doc! { "$set": { "revoked_at": now.to_string() } }).await?;
        Ok(())
    }

    /// Ends every session of an account.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn revoke_sessions(self, user_id: UserId, now: Timestamp) -> Result<(), StoreError> {
        let live = doc! { "user_id": user_id.to_string(), "revoked_at": { "$exists": false } };
        self.rows().update_many(live, doc! { "$set": { "revoked_at": now.to_string() } }).await?;
        Ok(())
    }

    fn rows(self) -> Collection<Family> {
        self.0.collection(COLLECTION)
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, text};
    use uuid::Uuid;

    #[test]
    fn only_well_formed_tokens_are_parsed() {
        let (id, secret) = (Uuid::from_u128(7), "ab".repeat(32));
        assert_eq!(parse(&text(id, &secret)), Some((id, secret.as_str())));
        for bad in [
            "",
            "pvtr_",
            "pvtr__",
            &format!("pvtr_{id}_{secret}"),
            &text(id, "ab"),
            &text(id, &"AB".repeat(32)),
            &text(id, &"$g".repeat(32)),
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
