//! Rate limits: a known client is counted by its id, every other caller by address.

use crate::auth::policy::{Bucket, Caller};
use crate::http::problem::{self, Problem};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use pvt_service::config::{Config, Rate};
use pvt_service::periodic::Turns;
use pvt_service::rate_limits::{self, EVICTION_INTERVAL, Exceeded, RateLimitKey};
use std::net::IpAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Headers of draft-ietf-httpapi-ratelimit-headers-10.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// One limit, with the header that describes it.
struct RateLimit {
    name: &'static str,
    policy: HeaderValue,
    limit: rate_limits::RateLimit,
}

impl RateLimit {
    /// `None` when nothing is limited.
    fn new(name: &'static str, rate: Option<Rate>) -> Option<Self> {
        let described = rate?;
        let policy =
            HeaderValue::try_from(format!("\"{name}\";q={};w={}", described.requests, described.window.as_secs()));
        Some(Self { name, policy: policy.ok()?, limit: rate_limits::RateLimit::new(name, rate)? })
    }

    fn count(&self, key: &RateLimitKey) -> Result<RateLimitHeaders, Problem> {
        match self.limit.count(key) {
            Ok(left) => {
                let left = HeaderValue::try_from(format!("\"{}\";r={left}", self.name)).ok();
                Ok(RateLimitHeaders {
                    headers: left.map(|left| [(RATE_LIMIT, left), (RATE_LIMIT_POLICY, self.policy.clone())]),
                })
            }
            Err(Exceeded { retry_after_secs: seconds }) => {
                let problem = Problem::from(problem::RATE_LIMITED)
                    .retry_after(seconds)
                    .with_header(RATE_LIMIT_POLICY, self.policy.clone());
                match HeaderValue::try_from(format!("\"{}\";r=0;t={seconds}", self.name)) {
                    Ok(left) => Err(problem.with_header(RATE_LIMIT, left)),
                    Err(_) => Err(problem),
                }
            }
        }
    }
}

/// A request that was within its limit.
pub(crate) struct RateLimitHeaders {
    headers: Option<[(HeaderName, HeaderValue); 2]>,
}

impl RateLimitHeaders {
    const UNLIMITED: Self = Self { headers: None };

    /// Tells the caller what is left.
    pub(crate) fn write_to(self, headers: &mut HeaderMap) {
        headers.extend(self.headers.into_iter().flatten());
    }
}

/// All limits of an instance.
pub(crate) struct RateLimits {
    general: Option<RateLimit>,
    auth: Option<RateLimit>,
    booking: Option<RateLimit>,
    client: Option<RateLimit>,
    exempt_loopback: bool,
}

impl RateLimits {
    /// As configured.
    pub(crate) fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self {
            general: RateLimit::new("general", config.rate_general),
            auth: RateLimit::new("auth", config.rate_auth),
            booking: RateLimit::new("booking", config.rate_booking),
            client: RateLimit::new("client", config.rate_client),
            exempt_loopback: rate_limits::exempts_loopback(config),
        })
    }

    /// Counts one request.
    ///
    /// # Errors
    /// 429 when it is one too many.
    pub(crate) fn count(&self, bucket: Bucket, caller: &Caller, address: IpAddr) -> Result<RateLimitHeaders, Problem> {
        if self.exempt_loopback && address.is_loopback() {
            return Ok(RateLimitHeaders::UNLIMITED);
        }
        let client = caller.client().map(|client| RateLimitKey::Client(client.to_owned()));
        let (limit, key) = match (bucket, client) {
            (Bucket::Unlimited, _) => return Ok(RateLimitHeaders::UNLIMITED),
            // Passwords are guessed from an address, so it is counted whether or not a user has logged in there.
            (Bucket::Auth, _) => (&self.auth, RateLimitKey::at(address)),
            (Bucket::General | Bucket::Booking, Some(client)) => (&self.client, client),
            (Bucket::General, None) => (&self.general, RateLimitKey::at(address)),
            (Bucket::Booking, None) => (&self.booking, RateLimitKey::at(address)),
        };
        limit.as_ref().map_or(Ok(RateLimitHeaders::UNLIMITED), |limit| limit.count(&key))
    }

    /// Removes, until `stop`, callers that have their whole quota again: memory holds only recent callers.
    pub(crate) async fn evict_idle(self: Arc<Self>, stop: CancellationToken) {
        let mut turns = Turns::new(EVICTION_INTERVAL, &stop);
        while turns.next().await {
            for limit in [&self.general, &self.auth, &self.booking, &self.client].into_iter().flatten() {
                limit.limit.evict_idle();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RateLimits;
    use crate::auth::policy::{Bucket, Caller};
    use axum::http::HeaderMap;
    use pvt_service::Config;
    use std::net::IpAddr;

    fn limits(pairs: &[(&str, &str)]) -> std::sync::Arc<RateLimits> {
        RateLimits::new(&Config::from_pairs(pairs.iter().copied()).unwrap())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn quota_is_counted_down_then_refused() {
        let limits = limits(&[("PVT_RATE_AUTH", "2/15m")]);
        let count = |from: &str| limits.count(Bucket::Auth, &Caller::Anonymous, address(from));
        let mut headers = HeaderMap::new();
        count("203.0.113.7").unwrap_or_else(|_| panic!("the first")).write_to(&mut headers);
        assert_eq!(
            (headers["ratelimit"].to_str().unwrap(), headers["ratelimit-policy"].to_str().unwrap()),
            ("\"auth\";r=1", "\"auth\";q=2;w=900")
        );
        assert!(count("203.0.113.7").is_ok());
        assert_eq!(count("203.0.113.7").err().map(|problem| problem.code()), Some("rate_limited"));
        assert!(count("203.0.113.8").is_ok(), "another address is another caller");
        assert!(
            limits.count(Bucket::General, &Caller::Anonymous, address("203.0.113.7")).is_ok(),
            "another limit is another count"
        );
        assert!(limits.count(Bucket::Unlimited, &Caller::Anonymous, address("203.0.113.7")).is_ok());
    }

    #[test]
    fn loopback_is_exempt_in_development_only() {
        let limits = limits(&[("PVT_RATE_BOOKING", "1/1h")]);
        assert!((0..5).all(|_| limits.count(Bucket::Booking, &Caller::Anonymous, address("127.0.0.1")).is_ok()));
        let strict = RateLimits { exempt_loopback: false, ..std::sync::Arc::into_inner(limits).unwrap() };
        assert!(strict.count(Bucket::Booking, &Caller::Anonymous, address("127.0.0.1")).is_ok());
        assert!(strict.count(Bucket::Booking, &Caller::Anonymous, address("127.0.0.1")).is_err());
    }

    #[test]
    fn limit_can_be_disabled() {
        let limits = limits(&[("PVT_RATE_AUTH", "off")]);
        assert!((0..50).all(|_| limits.count(Bucket::Auth, &Caller::Anonymous, address("203.0.113.7")).is_ok()));
    }
}
