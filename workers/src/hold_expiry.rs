//! Times at which the end of an expired hold is requested again.

use chrono::{DateTime, TimeDelta, Utc};
use pvt_domain::timestamp::Timestamp;

/// Distance after the first request; each further one is three times as long.
const FIRST_DISTANCE: TimeDelta = TimeDelta::minutes(1);
const FACTOR: i32 = 3;
/// Longest distance. A request that was not answered for so long is lost or a dead letter.
const LONGEST_DISTANCE: TimeDelta = TimeDelta::hours(6);

/// When a request is repeated that was not answered: its command may be waiting until Stripe is back.
pub(crate) fn without_answer(requested_at: DateTime<Utc>, divisor: u32) -> Timestamp {
    (requested_at + scaled(LONGEST_DISTANCE, divisor)).into()
}

/// When the end of a hold is requested again after `requests` requests, the last of which did not end it.
pub(crate) fn after_answer(answered_at: DateTime<Utc>, requests: u32, divisor: u32) -> Timestamp {
    let factor = FACTOR.checked_pow(requests.saturating_sub(1));
    let distance = factor.and_then(|factor| FIRST_DISTANCE.checked_mul(factor)).unwrap_or(LONGEST_DISTANCE);
    (answered_at + scaled(distance.min(LONGEST_DISTANCE), divisor)).into()
}

/// The latest time at which a request is repeated, with room for clocks that differ. Anything later was recorded by a
/// wrong clock, or before the clock was set back.
pub(crate) fn latest(now: DateTime<Utc>) -> Timestamp {
    (now + LONGEST_DISTANCE * 2).into()
}

/// Shortened as retry delays are in tests.
fn scaled(distance: TimeDelta, divisor: u32) -> TimeDelta {
    i32::try_from(divisor).ok().and_then(|divisor| distance.checked_div(divisor)).unwrap_or(distance)
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_DISTANCE, after_answer, without_answer};
    use chrono::DateTime;

    #[test]
    fn distance_grows_to_its_bound() {
        let now = DateTime::UNIX_EPOCH;
        let minutes = |requests| (after_answer(now, requests, 1).as_datetime() - now).num_minutes();
        assert_eq!((1..=7).map(minutes).collect::<Vec<_>>(), [1, 3, 9, 27, 81, 243, 360]);
        assert_eq!(minutes(u32::MAX), 360);
        assert_eq!(without_answer(now, 1).as_datetime() - now, LONGEST_DISTANCE);
        assert_eq!((after_answer(now, 1, 100).as_datetime() - now).num_milliseconds(), 600, "scaled for tests");
    }
}
