//! Password hashing: argon2id with OWASP's parameters, stored as a PHC string that contains them.
//!
//! Each call costs tens of milliseconds of one core and 19 MiB: a [`Hasher`] bounds the number of concurrent calls and
//! runs them outside the threads of the async runtime. Passwords are never logged.

mod hasher;

pub use hasher::{Hasher, HasherError};

use argon2::password_hash::{PasswordHash, SaltString};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use rand::Rng as _;
use thiserror::Error;

/// Memory, in KiB, passes, and lanes: OWASP's Password Storage Cheat Sheet, argon2id.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// Hash of no password. A log-in with an unknown address is verified against it, so that it takes as long as any other.
const UNKNOWN_ACCOUNT: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdCBvZiBub2JvZHkuLg$nGtEuYdmcxRoyEdPyqGzi4Xqx6oTo4dfc1sRdXYBlcE";

/// A stored hash, or parameters, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("hashing a password: {0}")]
pub struct HashError(String);

impl HashError {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

fn argon2id() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(HashError::of)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The hash of a password, with a random salt.
///
/// # Errors
/// Never for a password of bounded length; the library's signature requires it.
pub fn hash(password: &str) -> Result<String, HashError> {
    let mut salt = [0; SALT_BYTES];
    rand::rng().fill_bytes(&mut salt);
    let salt = SaltString::encode_b64(&salt).map_err(HashError::of)?;
    Ok(argon2id()?.hash_password(password.as_bytes(), &salt).map_err(HashError::of)?.to_string())
}

/// Whether this is the password that was hashed. `None` stands for an unknown account: the same work, and never `true`.
///
/// # Errors
/// When the stored value is not a hash.
pub fn verify(password: &str, hash: Option<&str>) -> Result<bool, HashError> {
    let stored = PasswordHash::new(hash.unwrap_or(UNKNOWN_ACCOUNT)).map_err(HashError::of)?;
    let same = argon2id()?.verify_password(password.as_bytes(), &stored).is_ok();
    Ok(same && hash.is_some())
}

#[cfg(test)]
mod tests {
    use super::{UNKNOWN_ACCOUNT, hash, verify};

    #[test]
    fn hash_verifies_only_its_own_password() {
        let stored = hash("correct horse battery").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_ne!(stored, hash("correct horse battery").unwrap(), "every hash has its own salt");
        assert_eq!(verify("correct horse battery", Some(&stored)), Ok(true));
        assert_eq!(verify("correct horse batterY", Some(&stored)), Ok(false));
        assert!(verify("x", Some("plain text")).is_err());
    }

    #[test]
    fn unknown_account_costs_the_same_and_never_verifies() {
        let parameters = |text: &str| text.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parameters(UNKNOWN_ACCOUNT), parameters(&hash("correct horse battery").unwrap()));
        assert_eq!(verify("", None), Ok(false));
    }
}
