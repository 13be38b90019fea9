//! Access tokens: signed statements of a user's identity and role, valid for a quarter of an hour (RFC 9068).
//!
//! One algorithm, one key, one issuer, one audience, one type. Whatever a token's header says beyond that is a reason
//! to refuse it, never an instruction. Nothing is stored: a token is good until it runs out, so what a role may do can
//! be taken away within that time. The API issues them to users and verifies them; the console issues one, good for a
//! moment, for each request that it sends to the API for a user.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use pvt_domain::accounts::{AccessClaims, User};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::fmt;
use std::time::Duration;
use uuid::Uuid;

/// How long a token is good that a user is given.
pub const ACCESS_TOKEN_AGE: Duration = Duration::from_secs(15 * 60);
/// By how much the clocks of two instances may differ.
const LEEWAY_SECS: u64 = 5;
const ALGORITHM: Algorithm = Algorithm::HS256;
/// `typ` of access tokens (RFC 9068 §2.1): no other token of ours has it.
const TYPE: &str = "at+jwt";
const AUDIENCE: &str = "pvt-booking";
/// What the key is derived for; another use of the same secret derives another key.
const PURPOSE: &[u8] = b"pvt-booking/access-token/v1";
/// Longest token that is looked at, in bytes: a member of staff with a hundred properties stays below.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A key or a token that cannot be made; not known to happen.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AccessTokenError(String);

impl From<jsonwebtoken::errors::Error> for AccessTokenError {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        Self(error.to_string())
    }
}

/// Signs and verifies.
pub struct AccessTokens {
    signing: EncodingKey,
    /// The signing key, and while the secret is being rotated the one before.
    verifying: Vec<DecodingKey>,
    validation: Validation,
    issuer: String,
}

/// Shows nothing of the keys.
impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl AccessTokens {
    /// Derives the keys from the configured secret and, while it is being rotated, the one before; the issuer is how
    /// guests reach the API.
    ///
    /// # Errors
    /// When no key can be made of a secret; the derived keys have 32 bytes, so none is known to fail.
    pub fn new(
        secret: &SecretString,
        previous: Option<&SecretString>,
        public_url: &str,
    ) -> Result<Self, AccessTokenError> {
        let derived = |secret: &SecretString| -> Result<_, AccessTokenError> {
            let mut derivation = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
                .map_err(|error| AccessTokenError(error.to_string()))?;
            derivation.update(PURPOSE);
            Ok(derivation.finalize().into_bytes())
        };
        let key = derived(secret)?;
        let mut verifying = vec![DecodingKey::from_secret(&key)?];
        if let Some(previous) = previous {
            verifying.push(DecodingKey::from_secret(&derived(previous)?)?);
        }
        let issuer = public_url.trim_end_matches('/').to_owned();
        let mut validation = Validation::new(ALGORITHM);
        validation.leeway = LEEWAY_SECS;
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[&issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Ok(Self { signing: EncodingKey::from_secret(&key)?, verifying, validation, issuer })
    }

    /// A token for this account as it is now.
    ///
    /// # Errors
    /// Never for claims of ours; the library's type says otherwise.
    pub fn issue(&self, user: &User, now: DateTime<Utc>) -> Result<String, AccessTokenError> {
        self.issue_for(user, now, ACCESS_TOKEN_AGE)
    }

    /// The same, good for `age`.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn issue_for(&self, user: &User, now: DateTime<Utc>, age: Duration) -> Result<String, AccessTokenError> {
        let issued = now.timestamp();
        let claims = AccessClaims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: user.id,
            jti: Uuid::new_v4(),
            iat: issued,
            exp: issued.saturating_add_unsigned(age.as_secs()),
            role: user.role,
            properties: user.properties.clone(),
        };
        let header = Header { typ: Some(TYPE.to_owned()), ..Header::new(ALGORITHM) };
        Ok(encode(&header, &claims, &self.signing)?)
    }

    /// What a token says; `None` for every token that is not ours, not an access token, or not good any more.
    pub fn verify(&self, token: &str) -> Option<AccessClaims> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        // A header with anything but algorithm and type was not written here.
        let expected = Header { typ: Some(TYPE.to_owned()), ..Header::new(ALGORITHM) };
        if decode_header(token).ok()? != expected {
            return None;
        }
        let mut keys = self.verifying.iter();
        keys.find_map(|key| decode(token, key, &self.validation).ok()).map(|data| data.claims)
    }
}

/// Whether a bearer value has the form of a signed token: no key and no booking's token holds a dot.
pub fn is_signed_token(value: &str) -> bool {
    value.contains('.')
}

#[cfg(test)]
mod tests;
