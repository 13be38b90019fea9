//! Hashing of passwords without starving other requests: on threads of its own, few at a time, with a bounded wait for
//! a permit.

use super::{hash, verify};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a request waits for its turn.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(3);

/// The reason why a password was not hashed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HasherError {
    /// Too many ask at once.
    #[error("too many passwords are being hashed")]
    Busy,
    /// The stored value is not a hash, or the work itself failed.
    #[error("hashing a password: {0}")]
    Failed(String),
}

/// The place where passwords are hashed.
pub struct Hasher {
    permits: Arc<Semaphore>,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(…)")
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher {
    /// With as many turns at once as leave half of the cores to everything else.
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { permits: Arc::new(Semaphore::new((cores / 2).max(1))) }
    }

    /// The hash of a new password.
    ///
    /// # Errors
    /// [`HasherError::Busy`] when too many ask at once.
    pub async fn hash(&self, password: SecretString) -> Result<String, HasherError> {
        self.run(move || hash(password.expose_secret())).await
    }

    /// Whether this is the password of the hash; `None` costs the same and is never right.
    ///
    /// # Errors
    /// [`HasherError::Busy`] when too many ask at once; [`HasherError::Failed`] when the stored value is not a hash.
    pub async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, HasherError> {
        self.run(move || verify(password.expose_secret(), hash.as_deref())).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, super::HashError> + Send + 'static,
    ) -> Result<T, HasherError> {
        let Ok(Ok(permit)) = timeout(PERMIT_TIMEOUT, self.permits.clone().acquire_owned()).await else {
            return Err(HasherError::Busy);
        };
        // The turn goes along: a caller that hangs up does not make room before the work is done.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        let failed = |error: &dyn std::fmt::Display| HasherError::Failed(error.to_string());
        done.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::{Hasher, HasherError};
    use secrecy::SecretString;

    #[tokio::test(start_paused = true)]
    async fn hashing_is_refused_when_all_permits_are_taken() {
        let hasher = Hasher::new();
        let all = u32::try_from(hasher.permits.available_permits()).unwrap();
        let taken = hasher.permits.clone().acquire_many_owned(all).await.unwrap();
        assert_eq!(hasher.hash(SecretString::from("correct horse")).await, Err(HasherError::Busy));
        drop(taken);
    }

    #[tokio::test]
    async fn hash_is_verified() {
        let hasher = Hasher::new();
        let hash = hasher.hash(SecretString::from("correct horse")).await.unwrap();
        assert!(hasher.verify(SecretString::from("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify(SecretString::from("wrong horse"), Some(hash)).await.unwrap());
        assert!(!hasher.verify(SecretString::from("correct horse"), None).await.unwrap());
    }
}
