//! Messages that wait apart because one operation of a dependency is unavailable. They return after a retry delay,
//! hold no slot meanwhile and lose no attempt, so that messages of other operations go on.
//!
//! The wait is bounded. When the operation was answered for another message meanwhile, the failure is the message's
//! own; so it is when it has waited for longer than an outage lasts. A message for which the operation was not even
//! called has not failed.

use crate::disposition::timestamp;
use chrono::{DateTime, TimeDelta, Utc};
use pvt_domain::failure::Cause;
use pvt_messaging::{Envelope, RetryDelay};

/// Header: when a call for this message failed first, RFC 3339, since when it waits for the unavailable operation.
pub const HEADER_UNAVAILABLE_SINCE: &str = "unavailable-since";
/// Header: that operation. The version before did not write it.
pub const HEADER_UNAVAILABLE_OPERATION: &str = "unavailable-operation";

/// The longest wait that costs no attempt: a weekend with an expired key.
const MAX_WAIT: TimeDelta = TimeDelta::days(3);
/// A message that has waited for longer returns less often.
const SHORT_WAIT: TimeDelta = TimeDelta::minutes(1);

/// Since when a message waits for this operation.
pub(crate) fn since(envelope: &Envelope, operation: &str) -> Option<DateTime<Utc>> {
    let waits_for = envelope.header(HEADER_UNAVAILABLE_OPERATION);
    if waits_for.is_some_and(|waits_for| waits_for != operation) {
        return None;
    }
    begun(envelope)
}

/// Notes that a message waits for this operation after a call that failed for this cause. Without a call for it, its
/// wait has not begun: that others were answered since then would say nothing about it.
pub(crate) fn note(envelope: &mut Envelope, cause: &Cause, now: DateTime<Utc>) {
    let operation = cause.operation.unwrap_or_default();
    let since = since(envelope, operation).or((!cause.not_called).then_some(now));
    forget(envelope);
    if let Some(since) = since {
        envelope.set_header(HEADER_UNAVAILABLE_SINCE, timestamp(since));
        envelope.set_header(HEADER_UNAVAILABLE_OPERATION, operation);
    }
}

/// Removes what was noted: the message got past the operation, or failed by itself.
pub(crate) fn forget(envelope: &mut Envelope) {
    envelope.headers.retain(|(name, _)| name != HEADER_UNAVAILABLE_SINCE && name != HEADER_UNAVAILABLE_OPERATION);
}

/// The same, except for a message that has waited for as long as it may: from now on it follows its retry schedule
/// without another wait.
pub(crate) fn forget_unless_over(envelope: &mut Envelope, now: DateTime<Utc>) {
    if !begun(envelope).is_some_and(|since| is_over(since, now)) {
        forget(envelope);
    }
}

/// Whether a failure that looks like an outage is the own one of a message that waits since then.
pub(crate) fn is_own_failure(
    cause: &Cause,
    since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    answered_since: impl FnOnce(DateTime<Utc>) -> bool,
) -> bool {
    !cause.not_called && since.is_some_and(|since| is_over(since, now) || answered_since(since))
}

fn begun(envelope: &Envelope) -> Option<DateTime<Utc>> {
    let at = envelope.header(HEADER_UNAVAILABLE_SINCE)?;
    DateTime::parse_from_rfc3339(at).ok().map(|at| at.to_utc())
}

fn is_over(since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - since > MAX_WAIT
}

/// The delay after which a message is attempted again whose operation has been unavailable since then.
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
        let days_ago = Some(now - TimeDelta::days(4));
        let failed = Cause { operation: Some("create_refund"), ..Cause::new("stripe_unavailable", "500") };
        assert!(!is_own_failure(&failed, None, now, |_| true), "the first failure proves nothing");
        assert!(!is_own_failure(&failed, minutes_ago, now, |_| false));
        assert!(is_own_failure(&failed, minutes_ago, now, |since| Some(since) == minutes_ago));
        assert!(is_own_failure(&failed, days_ago, now, |_| false));
        let refused = Cause { not_called: true, ..failed };
        assert!(!is_own_failure(&refused, days_ago, now, |_| true), "no call failed");
    }

    #[test]
    fn long_wait_returns_less_often() {
        let now = Utc::now();
        assert_eq!(delay(None, now), RetryDelay::S5);
        assert_eq!(delay(Some(now - TimeDelta::seconds(30)), now), RetryDelay::S5);
        assert_eq!(delay(Some(now - TimeDelta::minutes(2)), now), RetryDelay::M1);
    }
}
