//! Authentication of API keys, with each key cached for a minute.

use crate::http::problem::{self, Problem};
use crate::store_call;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::api_keys::{ApiKey, hash_api_secret, parse_api_key};
use quick_cache::sync::Cache;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::time::Instant;

/// How long a key is believed without reading it again: how late a revocation may be noticed.
const MAX_KEY_AGE: Duration = Duration::from_secs(60);
/// How much longer, while the store cannot be read; and how long after a failed read it is not tried again.
const MAX_KEY_AGE_IN_OUTAGE: Duration = Duration::from_secs(15 * 60);
const RETRY_PAUSE_IN_OUTAGE: Duration = Duration::from_secs(5);
/// How long an id is believed to name no key.
const MAX_UNKNOWN_AGE: Duration = Duration::from_secs(2);
const MAX_CACHED_KEYS: usize = 10_000;

/// Reads and remembers keys.
pub(crate) struct ApiKeyCache {
    mongo: Mongo,
    cache: Cache<String, CachedKey>,
}

#[derive(Clone)]
struct CachedKey {
    key: Option<Arc<ApiKey>>,
    read_at: Instant,
    until: Instant,
}

impl ApiKeyCache {
    pub(crate) fn new(mongo: Mongo) -> Self {
        Self { mongo, cache: Cache::new(MAX_CACHED_KEYS) }
    }

    /// The key that a bearer value is; `None` when it has not the form of one.
    ///
    /// # Errors
    /// 401 for a key that is not valid, 503 when that cannot be found out.
    pub(crate) async fn authenticate(&self, value: &str) -> Result<Option<Arc<ApiKey>>, Problem> {
        let Some((id, secret)) = parse_api_key(value) else { return Ok(None) };
        let key = self.find(id).await?.ok_or_else(unauthenticated)?;
        let same = bool::from(hash_api_secret(secret).as_bytes().ct_eq(key.hash.as_bytes()));
        if !same || key.revoked_at.is_some() {
            return Err(unauthenticated());
        }
        Ok(Some(key))
    }

    async fn find(&self, id: &str) -> Result<Option<Arc<ApiKey>>, Problem> {
        let now = Instant::now();
        let remembered = self.cache.get(id);
        if let Some(known) = remembered.as_ref().filter(|known| known.until > now) {
            return Ok(known.key.clone());
        }
        let (mongo, wanted) = (self.mongo.clone(), id.to_owned());
        match store_call::read(async move { mongo.api_keys().find(&wanted).await }).await {
            Ok(key) => {
                let key = key.map(Arc::new);
                let age = if key.is_some() { MAX_KEY_AGE } else { MAX_UNKNOWN_AGE };
                self.cache.insert(id.to_owned(), CachedKey { key: key.clone(), read_at: now, until: now + age });
                Ok(key)
            }
            // Intake goes on while the store is away, also for clients that are known.
            Err(problem) => {
                match remembered.filter(|known| known.key.is_some() && known.read_at + MAX_KEY_AGE_IN_OUTAGE > now) {
                    Some(known) => {
                        self.cache
                            .insert(id.to_owned(), CachedKey { until: now + RETRY_PAUSE_IN_OUTAGE, ..known.clone() });
                        Ok(known.key)
                    }
                    None => Err(problem),
                }
            }
        }
    }
}

fn unauthenticated() -> Problem {
    problem::UNAUTHENTICATED.into()
}
