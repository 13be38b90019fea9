//! Rate limits: a known client is counted by its id, every other caller by address.
//!
//! Counted in this process alone, by GCRA: a quota of 100 in 15 minutes is a burst of 100 and one more every nine
//! seconds.

use crate::auth::policy::{Bucket, Caller};
use crate::http::metrics::RATE_LIMITED;
use crate::http::problem::{self, Problem};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use pvt_service::config::{Config, Environment, Rate};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often callers whose quota is whole again are forgotten.
const EVICTION_INTERVAL: Duration = Duration::from_secs(60);

/// Headers of draft-ietf-httpapi-ratelimit-headers-10.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum RateLimitKey {
    Address(IpAddr),
    Client(String),
}

impl RateLimitKey {
    /// A customer of an IPv6 provider has a whole /64, so that is counted as one.
    fn at(address: IpAddr) -> Self {
        Self::Address(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        })
    }
}

type Limiter =
    RateLimiter<RateLimitKey, DefaultKeyedStateStore<RateLimitKey>, DefaultClock, StateInformationMiddleware>;

/// One limit.
struct RateLimit {
    name: &'static str,
    policy: HeaderValue,
    limiter: Limiter,
}

impl RateLimit {
    /// `None` when nothing is limited.
    fn new(name: &'static str, rate: Option<Rate>) -> Option<Self> {
        let rate = rate?;
        let quota = Quota::with_period(rate.window / rate.requests.get())?.allow_burst(rate.requests);
        let policy =
            HeaderValue::try_from(format!("\"{name}\";q={};w={}", rate.requests, rate.window.as_secs())).ok()?;
        Some(Self { name, policy, limiter: RateLimiter::keyed(quota).with_middleware() })
    }

    fn count(&self, key: &RateLimitKey) -> Result<RateLimitHeaders, Problem> {
        match self.limiter.check_key(key) {
            Ok(state) => {
                let left =
                    HeaderValue::try_from(format!("\"{}\";r={}", self.name, state.remaining_burst_capacity())).ok();
                Ok(RateLimitHeaders {
                    headers: left.map(|left| [(RATE_LIMIT, left), (RATE_LIMIT_POLICY, self.policy.clone())]),
                })
            }
            Err(early) => {
                metrics::counter!(RATE_LIMITED, "limit" => self.name).increment(1);
                let wait = early.wait_time_from(self.limiter.clock().now());
                let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
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
    /// A developer's machine is not limited, for any of its users.
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
            // A proxy on the same machine connects from loopback, too.
            exempt_loopback: config.environment == Environment::Development && config.is_local(),
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
        let mut ticks = interval(EVICTION_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            for limit in [&self.general, &self.auth, &self.booking, &self.client].into_iter().flatten() {
                limit.limiter.retain_recent();
                limit.limiter.shrink_to_fit();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RateLimitKey, RateLimits};
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

    #[test]
    fn ipv6_addresses_of_one_64_share_a_quota() {
        assert_eq!(RateLimitKey::at(address("2001:db8::1")), RateLimitKey::at(address("2001:db8::ffff")));
        assert_ne!(RateLimitKey::at(address("2001:db8::1")), RateLimitKey::at(address("2001:db8:0:1::1")));
    }
}
