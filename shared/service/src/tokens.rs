//! Booking tokens: what lets a guest without an account follow, or change, one booking.
//!
//! A token names its purpose and the epoch of the booking's tokens, and carries an HMAC of both and of the booking's
//! id. Nothing is stored: a valid token for a booking that is not stored yet proves that intake accepted it. Whether
//! the epoch is still the booking's is for the reader of the booking to check. The API issues and verifies tokens, and
//! mails carry them in their links; both derive the keys from `JWT_SECRET`, and verify with `JWT_PREVIOUS_SECRET`, too.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use pvt_domain::ids::BookingId;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;

/// Bytes of a signature: 128 bits cannot be guessed online.
const SIGNATURE_BYTES: usize = 16;
/// Bytes before the signature: purpose and epoch.
const CLAIMS_BYTES: usize = 5;
/// Bytes of a token; as many as fill its text of 28 characters.
const TOKEN_BYTES: usize = CLAIMS_BYTES + SIGNATURE_BYTES;
/// What the key is derived for; another use of the same secret derives another key.
const PURPOSE: &[u8] = b"pvt-booking/booking-token/v2";
/// As [`PURPOSE`], of tokens from before there were purposes: an HMAC of the booking's id alone.
const UNSCOPED_PURPOSE: &[u8] = b"pvt-booking/booking-token/v1";

type HmacSha256 = Hmac<Sha256>;
type Signature = [u8; SIGNATURE_BYTES];

/// What a token is good for, from the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// To see the booking without contact data, its receipt and calendar, and to pay.
    View = 1,
    /// To change and cancel it, too.
    Manage = 2,
}

/// What a valid token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenClaims {
    /// What it is good for.
    pub purpose: Purpose,
    /// The epoch that it was issued in.
    pub epoch: u32,
}

/// The keys that sign and verify tokens. Show nothing of themselves.
#[derive(Clone)]
pub struct TokenKeys {
    signing: TokenKey,
    previous: Option<TokenKey>,
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKeys(…)")
    }
}

/// The keys of one secret.
#[derive(Clone)]
struct TokenKey {
    scoped: HmacSha256,
    unscoped: HmacSha256,
}

impl TokenKeys {
    /// Derives the keys from the configured secret and, while it is being rotated, the one before.
    ///
    /// # Errors
    /// Never for any secret: HMAC takes keys of every length. The type says otherwise, so the caller may see it.
    pub fn derive(secret: &SecretString, previous: Option<&SecretString>) -> Result<Self, hmac::digest::InvalidLength> {
        Ok(Self { signing: TokenKey::derive(secret)?, previous: previous.map(TokenKey::derive).transpose()? })
    }

    /// A token of this booking, for this purpose, in this epoch.
    pub fn token(&self, id: BookingId, purpose: Purpose, epoch: u32) -> String {
        let claims = TokenClaims { purpose, epoch };
        let mut token = [0; TOKEN_BYTES];
        let (head, signature) = token.split_at_mut(CLAIMS_BYTES);
        head.copy_from_slice(&claims.to_bytes());
        signature.copy_from_slice(&self.signing.sign(id, claims));
        URL_SAFE_NO_PAD.encode(token)
    }

    /// What the booking's token says; `None` for any other text. Takes the same time whether or not it is nearly right.
    ///
    /// Tokens from before there were purposes may do everything, and are of the first epoch.
    pub fn verify(&self, id: BookingId, token: &str) -> Option<TokenClaims> {
        let mut given = [0; TOKEN_BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(token, &mut given).ok()?;
        let matches = |given: &[u8], signature: &dyn Fn(&TokenKey) -> Signature| {
            let accepted = std::iter::once(&self.signing).chain(&self.previous);
            accepted.fold(false, |found, key| found | bool::from(given.ct_eq(&signature(key))))
        };
        let (head, signature) = given.split_first_chunk::<CLAIMS_BYTES>()?;
        match length {
            TOKEN_BYTES => {
                let claims = TokenClaims::from_bytes(*head)?;
                matches(signature, &|key| key.sign(id, claims)).then_some(claims)
            }
            SIGNATURE_BYTES => matches(given.get(..SIGNATURE_BYTES)?, &|key| key.sign_unscoped(id))
                .then_some(TokenClaims { purpose: Purpose::Manage, epoch: 0 }),
            _ => None,
        }
    }

    /// Whether a text holds a token of this booking anywhere, as an address may in query, fragment or path.
    pub fn occurs_in(&self, id: BookingId, text: &str) -> bool {
        let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '-' | '_'));
        words.any(|word| self.verify(id, word).is_some())
    }
}

impl TokenClaims {
    fn to_bytes(self) -> [u8; CLAIMS_BYTES] {
        let [a, b, c, d] = self.epoch.to_be_bytes();
        [self.purpose as u8, a, b, c, d]
    }

    fn from_bytes([purpose, epoch @ ..]: [u8; CLAIMS_BYTES]) -> Option<Self> {
        let purpose = [Purpose::View, Purpose::Manage].into_iter().find(|known| *known as u8 == purpose)?;
        Some(Self { purpose, epoch: u32::from_be_bytes(epoch) })
    }
}

impl TokenKey {
    fn derive(secret: &SecretString) -> Result<Self, hmac::digest::InvalidLength> {
        let key = |purpose| {
            let mut derivation = HmacSha256::new_from_slice(secret.expose_secret().as_bytes())?;
            derivation.update(purpose);
            HmacSha256::new_from_slice(&derivation.finalize().into_bytes())
        };
        Ok(Self { scoped: key(PURPOSE)?, unscoped: key(UNSCOPED_PURPOSE)? })
    }

    fn sign(&self, id: BookingId, claims: TokenClaims) -> Signature {
        let mac = self.scoped.clone().chain_update(claims.to_bytes());
        signature(mac.chain_update(id.as_uuid().as_bytes()))
    }

    fn sign_unscoped(&self, id: BookingId) -> Signature {
        signature(self.unscoped.clone().chain_update(id.as_uuid().as_bytes()))
    }
}

fn signature(mac: HmacSha256) -> Signature {
    let full = mac.finalize().into_bytes();
    let mut signature = [0; SIGNATURE_BYTES];
    signature.iter_mut().zip(full).for_each(|(to, from)| *to = from);
    signature
}

#[cfg(test)]
mod tests {
    use super::{Purpose, TokenClaims, TokenKeys};
    use pvt_domain::ids::BookingId;
    use secrecy::SecretString;

    fn keys(secret: &str, previous: Option<&str>) -> TokenKeys {
        let previous = previous.map(SecretString::from);
        TokenKeys::derive(&SecretString::from(secret), previous.as_ref()).unwrap()
    }

    #[test]
    fn token_opens_its_own_booking_only() {
        let keys = keys("a secret", None);
        let (one, other) = (BookingId::derive(None, "1", "a"), BookingId::derive(None, "2", "a"));
        for (purpose, epoch) in [(Purpose::View, 0), (Purpose::Manage, 7)] {
            let token = keys.token(one, purpose, epoch);
            assert_eq!(token.len(), 28);
            assert_eq!(keys.verify(one, &token), Some(TokenClaims { purpose, epoch }));
            assert_eq!(keys.verify(other, &token), None);
            for bad in ["", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA", &token[..27], &format!("{token}A"), "né pas ça, c'est sûr"]
            {
                assert_eq!(keys.verify(one, bad), None, "{bad}");
            }
        }
    }

    /// The first characters hold purpose and epoch: with those of another token the signature does not fit.
    #[test]
    fn purpose_and_epoch_cannot_be_exchanged() {
        let keys = keys("a secret", None);
        let id = BookingId::derive(None, "1", "a");
        let (view, manage, later) =
            (keys.token(id, Purpose::View, 0), keys.token(id, Purpose::Manage, 0), keys.token(id, Purpose::View, 1));
        for head in [&manage, &later] {
            let forged = format!("{}{}", &head[..7], &view[7..]);
            assert_ne!(forged, view);
            assert_eq!(keys.verify(id, &forged), None);
        }
    }

    /// Mails from before there were purposes hold these; the value is from that version.
    #[test]
    fn earlier_tokens_are_accepted_in_the_first_epoch() {
        let id = BookingId::derive(None, "1", "a");
        let earlier = TokenClaims { purpose: Purpose::Manage, epoch: 0 };
        assert_eq!(keys("a secret", None).verify(id, EARLIER_TOKEN), Some(earlier));
        assert_eq!(keys("another", Some("a secret")).verify(id, EARLIER_TOKEN), Some(earlier), "also when rotating");
        assert_eq!(keys("another", None).verify(id, EARLIER_TOKEN), None);
        assert_eq!(keys("a secret", None).verify(BookingId::derive(None, "2", "a"), EARLIER_TOKEN), None);
    }

    #[test]
    fn rotation_signs_with_the_new_secret_and_accepts_both() {
        let id = BookingId::derive(None, "1", "a");
        let (old, rotating, new) = (keys("a", None), keys("b", Some("a")), keys("b", None));
        let of_old = old.token(id, Purpose::View, 0);
        assert!(rotating.verify(id, &of_old).is_some());
        assert!(new.verify(id, &of_old).is_none(), "another secret is another key");
        let of_rotating = rotating.token(id, Purpose::View, 0);
        assert_eq!(of_rotating, new.token(id, Purpose::View, 0));
        assert!(old.verify(id, &of_rotating).is_none());
    }

    #[test]
    fn tokens_are_found_in_addresses() {
        let keys = keys("a secret", None);
        let id = BookingId::derive(None, "1", "a");
        let token = keys.token(id, Purpose::View, 0);
        for address in [
            format!("https://book.example.com/thanks?token={token}"),
            format!("https://book.example.com/thanks#t={token}&x=1"),
            format!("https://book.example.com/{token}/thanks"),
            format!("https://book.example.com/thanks?t={EARLIER_TOKEN}"),
        ] {
            assert!(keys.occurs_in(id, &address), "{address}");
        }
        assert!(!keys.occurs_in(id, &format!("https://book.example.com/bookings/{id}?x=1")));
    }

    const EARLIER_TOKEN: &str = "ny5d3IQZ_7Zzl5vHFNV0kA";
}
