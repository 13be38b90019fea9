//! Rate limits by GCRA: a quota of 100 in 15 minutes is a burst of 100 and one more every nine seconds. Counted in this
//! process alone.

use crate::config::{Config, Environment, Rate};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Counter: requests that were one too many. Label `limit`: the name of the limit.
const RATE_LIMITED: &str = "pvt_rate_limited_total";
/// How often callers whose quota is whole again are to be forgotten.
pub const EVICTION_INTERVAL: Duration = Duration::from_secs(60);

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RateLimitKey {
    /// Those of an address.
    Address(IpAddr),
    /// Those of a known client.
    Client(String),
}

impl RateLimitKey {
    /// The key of an address. A customer of an IPv6 provider has a whole /64, so that is counted as one.
    pub fn at(address: IpAddr) -> Self {
        Self::Address(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        })
    }
}

type Limiter =
    RateLimiter<RateLimitKey, DefaultKeyedStateStore<RateLimitKey>, DefaultClock, StateInformationMiddleware>;

/// A request that was one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// When the next one is within the limit, in seconds.
    pub retry_after_secs: u32,
}

/// One limit.
pub struct RateLimit {
    name: &'static str,
    limiter: Limiter,
}

impl std::fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimit").field("name", &self.name).finish_non_exhaustive()
    }
}

impl RateLimit {
    /// `None` when nothing is limited.
    pub fn new(name: &'static str, rate: Option<Rate>) -> Option<Self> {
        let rate = rate?;
        let quota = Quota::with_period(rate.window / rate.requests.get())?.allow_burst(rate.requests);
        Some(Self { name, limiter: RateLimiter::keyed(quota).with_middleware() })
    }

    /// Counts one request; how many more are left.
    ///
    /// # Errors
    /// [`Exceeded`] when it is one too many.
    pub fn count(&self, key: &RateLimitKey) -> Result<u32, Exceeded> {
        self.limiter.check_key(key).map(|state| state.remaining_burst_capacity()).map_err(|early| {
            metrics::counter!(RATE_LIMITED, "limit" => self.name).increment(1);
            let wait = early.wait_time_from(self.limiter.clock().now());
            Exceeded { retry_after_secs: u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX) }
        })
    }

    /// Removes callers that have their whole quota again: memory holds only recent callers.
    pub fn evict_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

/// Whether requests from loopback are counted at all: a developer's machine is not limited, for any of its users. In
/// reach of other machines it is, since a proxy on the same machine connects from loopback, too.
pub fn exempts_loopback(config: &Config) -> bool {
    config.environment == Environment::Development && config.is_local()
}

#[cfg(test)]
mod tests {
    use super::{RateLimit, RateLimitKey};
    use crate::config::Config;
    use std::net::IpAddr;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn quota_is_counted_down_then_refused() {
        let config = Config::from_pairs([("PVT_RATE_AUTH", "2/15m")]).unwrap();
        let limit = RateLimit::new("auth", config.rate_auth).unwrap();
        let count = |from: &str| limit.count(&RateLimitKey::at(address(from)));
        assert_eq!((count("203.0.113.7"), count("203.0.113.7")), (Ok(1), Ok(0)));
        assert!(count("203.0.113.7").is_err_and(|exceeded| (1..=451).contains(&exceeded.retry_after_secs)));
        assert_eq!(count("203.0.113.8"), Ok(1), "another address is another caller");
    }

    #[test]
    fn ipv6_addresses_of_one_64_share_a_quota() {
        assert_eq!(RateLimitKey::at(address("2001:db8::1")), RateLimitKey::at(address("2001:db8::ffff")));
        assert_ne!(RateLimitKey::at(address("2001:db8::1")), RateLimitKey::at(address("2001:db8:0:1::1")));
    }
}
