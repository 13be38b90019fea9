//! Hashing of passwords without starving intake: on threads of its own, few at a time, with a bounded wait for a
//! permit.

use crate::http::problem::{self, Problem};
use pvt_service::passwords::{self, HashError};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a request waits for its turn.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(3);
/// `Retry-After` when there was none, in seconds.
const RETRY_AFTER_SECS: u32 = 2;

/// The place where passwords are hashed.
pub(crate) struct Hasher {
    permits: Arc<Semaphore>,
}

impl Hasher {
    /// With as many turns at once as leave half of the cores to everything else.
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { permits: Arc::new(Semaphore::new((cores / 2).max(1))) }
    }

    /// The hash of a new password.
    ///
    /// # Errors
    /// 503 when too many ask at once.
    pub(crate) async fn hash(&self, password: SecretString) -> Result<String, Problem> {
        self.run(move || passwords::hash(password.expose_secret())).await
    }

    /// Whether this is the password of the hash; `None` costs the same and is never right.
    ///
    /// # Errors
    /// 503 when too many ask at once.
    pub(crate) async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, Problem> {
        self.run(move || passwords::verify(password.expose_secret(), hash.as_deref())).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, Problem> {
        let Ok(Ok(permit)) = timeout(PERMIT_TIMEOUT, self.permits.clone().acquire_owned()).await else {
            return Err(Problem::from(problem::OVERLOADED).retry_after(RETRY_AFTER_SECS));
        };
        // The turn goes along: a caller that hangs up does not make room before the work is done.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        done.await.map_err(Problem::internal)?.map_err(Problem::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::Hasher;
    use secrecy::SecretString;

    #[tokio::test(start_paused = true)]
    async fn hashing_is_refused_when_all_permits_are_taken() {
        let hasher = Hasher::new();
        let all = u32::try_from(hasher.permits.available_permits()).unwrap();
        let taken = hasher.permits.clone().acquire_many_owned(all).await.unwrap();
        assert_eq!(hasher.hash(SecretString::from("correct horse")).await.unwrap_err().code(), "overloaded");
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
