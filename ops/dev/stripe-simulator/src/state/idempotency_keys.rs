//! Idempotency keys as Stripe keeps them: the first response is replayed for a day.
//! <https://docs.stripe.com/api/idempotent_requests>

use crate::error::ApiError;
use crate::table::{Row, Table};
use serde::{Deserialize, Serialize};

/// Lifetime of a key, in seconds.
const KEPT_S: i64 = 24 * 3_600;
/// Longest key, in characters.
const MAX_KEY: usize = 255;

/// A response as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredResponse {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) request_id: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct IdempotencyRecord {
    key: String,
    created: i64,
    /// Method, path and parameters.
    request: String,
    /// `None` while the first request is being executed.
    answer: Option<StoredResponse>,
}

impl Row for IdempotencyRecord {
    fn id(&self) -> &str {
        &self.key
    }

    fn created(&self) -> i64 {
        self.created
    }
}

/// The keys of the account.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct IdempotencyKeys {
    kept: Table<IdempotencyRecord>,
}

impl IdempotencyKeys {
    /// Begins a request; `Some` is the stored response of an earlier one.
    pub(crate) fn begin(&mut self, key: &str, request: &str, now: i64) -> Result<Option<StoredResponse>, ApiError> {
        if key.chars().count() > MAX_KEY {
            return Err(ApiError::invalid(format!("Idempotency keys must be at most {MAX_KEY} characters")));
        }
        if self.kept.get(key).is_some_and(|kept| kept.created + KEPT_S <= now) {
            self.kept.remove(key);
        }
        match self.kept.get(key) {
            Some(kept) if kept.request != request => Err(ApiError::key_reused(key)),
            Some(IdempotencyRecord { answer: Some(answer), .. }) => Ok(Some(answer.clone())),
            Some(_) => Err(ApiError::key_in_use(key)),
            None => {
                self.kept.add(IdempotencyRecord {
                    key: key.to_owned(),
                    created: now,
                    request: request.to_owned(),
                    answer: None,
                });
                Ok(None)
            }
        }
    }

    /// Ends a request whose response is to be replayed.
    pub(crate) fn keep(&mut self, key: &str, answer: StoredResponse) {
        if let Some(kept) = self.kept.get_mut(key) {
            kept.answer = Some(answer);
        }
    }

    /// Ends a request that was not executed.
    pub(crate) fn forget(&mut self, key: &str) {
        self.kept.remove(key);
    }

    /// Forgets requests that a restart interrupted.
    pub(crate) fn forget_unanswered(&mut self) {
        let open: Vec<String> =
            self.kept.newest().filter(|kept| kept.answer.is_none()).map(|kept| kept.key.clone()).collect();
        open.iter().for_each(|key| self.kept.remove(key));
    }
}
