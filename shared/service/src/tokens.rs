//! Booking tokens: what lets a guest without an account follow one booking.
//!
//! A token is an HMAC of the booking's id. Nothing is stored: a valid token for a booking that is not stored yet proves
//! that intake accepted it. The API checks tokens, and mails carry them in their links; both derive the key from
//! `JWT_SECRET`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use pvt_domain::ids::BookingId;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;

/// Bytes of a token: 128 bits cannot be guessed online.
const TOKEN_BYTES: usize = 16;
/// What the key is derived for; another use of the same secret derives another key.
const PURPOSE: &[u8] = b"pvt-booking/booking-token/v1";

type HmacSha256 = Hmac<Sha256>;

/// The key that signs tokens. Shows nothing of itself.
#[derive(Clone)]
pub struct TokenKey(HmacSha256);

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(…)")
    }
}

impl TokenKey {
    /// Derives the key from the configured secret.
    ///
    /// # Errors
    /// Never for any secret: HMAC takes keys of every length. The type says otherwise, so the caller may see it.
    pub fn derive(secret: &SecretString) -> Result<Self, hmac::digest::InvalidLength> {
        let mut derivation = HmacSha256::new_from_slice(secret.expose_secret().as_bytes())?;
        derivation.update(PURPOSE);
        HmacSha256::new_from_slice(&derivation.finalize().into_bytes()).map(Self)
    }

    /// The token of this booking.
    pub fn token(&self, id: BookingId) -> String {
        URL_SAFE_NO_PAD.encode(self.sign(id))
    }

    /// Whether this is the booking's token; takes the same time whether or not it is nearly right.
    pub fn verify(&self, id: BookingId, token: &str) -> bool {
        let mut given = [0; TOKEN_BYTES];
        let decoded = URL_SAFE_NO_PAD.decode_slice(token, &mut given);
        decoded == Ok(TOKEN_BYTES) && bool::from(given.ct_eq(&self.sign(id)))
    }

    fn sign(&self, id: BookingId) -> [u8; TOKEN_BYTES] {
        let mut mac = self.0.clone();
        mac.update(id.as_uuid().as_bytes());
        let full = mac.finalize().into_bytes();
        let mut token = [0; TOKEN_BYTES];
        token.iter_mut().zip(full).for_each(|(to, from)| *to = from);
        token
    }
}

#[cfg(test)]
mod tests {
    use super::TokenKey;
    use pvt_domain::ids::BookingId;
    use secrecy::SecretString;

    #[test]
    fn a_token_opens_its_own_booking_only() {
        let key = TokenKey::derive(&SecretString::from("a secret")).unwrap();
        let (one, other) = (BookingId::derive(None, "1", "a"), BookingId::derive(None, "2", "a"));
        let token = key.token(one);
        assert_eq!(token.len(), 22);
        assert!(key.verify(one, &token));
        assert!(!key.verify(other, &token));
        for bad in ["", "AAAAAAAAAAAAAAAAAAAAAA", &token[..21], &format!("{token}A"), "né pas ça, c'est sûr, non"] {
            assert!(!key.verify(one, bad), "{bad}");
        }
    }

    #[test]
    fn another_secret_is_another_key() {
        let id = BookingId::derive(None, "1", "a");
        let (one, other) =
            (TokenKey::derive(&SecretString::from("a")).unwrap(), TokenKey::derive(&SecretString::from("b")).unwrap());
        assert!(!other.verify(id, &one.token(id)));
    }
}
