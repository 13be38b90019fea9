//! Messages that wait apart because one operation of a dependency is unavailable. They return after a retry delay,
//! hold no slot meanwhile and lose no attempt, so that messages of other operations go on.
//!
//! The wait is bounded. When the operation was answered for another message meanwhile, the failure is the message's
//! own; so it is when it has waited for longer than an outage lasts.

use chrono::{DateTime, TimeDelta, Utc};
use pvt_messaging::{Delivery, RetryDelay};

/// Header: since when a message waits for an unavailable operation, RFC 3339.
pub const HEADER_UNAVAILABLE_SINCE: &str = "unavailable-since";

/// The longest wait that costs no attempt: a weekend with an expired key.
const MAX_WAIT: TimeDelta = TimeDelta::days(3);
/// A message that has waited for longer returns less often.
const SHORT_WAIT: TimeDelta = TimeDelta::minutes(1);

/// Since when a message waits.
pub(crate) fn since(delivery: &Delivery) -> Option<DateTime<Utc>> {
    let at = delivery.envelope.header(HEADER_UNAVAILABLE_SINCE)?;
    DateTime::parse_from_rfc3339(at).ok().map(|at| at.to_utc())
}

/// Whether the failure of a message that waits since then is its own, although it looks like an outage.
pub(crate) fn is_own_failure(
    since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    answered_since: impl FnOnce(DateTime<Utc>) -> bool,
) -> bool {
    since.is_some_and(|since| now - since > MAX_WAIT || answered_since(since))
}

/// The delay after which a message that waits since then is attempted again.
pub(crate) fn delay(since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> RetryDelay {
    match since {
        Some(since) if now - since > SHORT_WAIT => RetryDelay::M1,
        _ => RetryDelay::S5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_ends_when_others_were_answered_or_after_days() {
        let now = Utc::now();
        let minutes_ago = Some(now - TimeDelta::minutes(5));
        assert!(!is_own_failure(None, now, |_| true), "the first failure proves nothing");
        assert!(!is_own_failure(minutes_ago, now, |_| false));
        assert!(is_own_failure(minutes_ago, now, |since| Some(since) == minutes_ago));
        assert!(is_own_failure(Some(now - TimeDelta::days(4)), now, |_| false));
    }

    #[test]
    fn long_wait_returns_less_often() {
        let now = Utc::now();
        assert_eq!(delay(None, now), RetryDelay::S5);
        assert_eq!(delay(Some(now - TimeDelta::seconds(30)), now), RetryDelay::S5);
        assert_eq!(delay(Some(now - TimeDelta::minutes(2)), now), RetryDelay::M1);
    }
}
