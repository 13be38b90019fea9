//! Disposition of failed messages: a retry delay, a deferral or the dead letters. Pure.

use crate::waiting;
use chrono::{DateTime, SecondsFormat, Utc};
use pvt_domain::failure::{Cause, Failure};
use pvt_messaging::{Delivery, Envelope, FIRST_ATTEMPT, Outgoing, RetryDelay, Target};
use std::sync::Arc;

/// After this many deferrals a message counts as failed.
pub const DEFERRAL_CAP: u32 = 50;
/// Maximum length of the error message in a dead letter.
pub const ERROR_MESSAGE_MAX_BYTES: usize = 1_024;

/// Header of dead letters and retries: the class of the last error.
pub const HEADER_ERROR_CLASS: &str = "error-class";
/// Header: the message of the last error, truncated to [`ERROR_MESSAGE_MAX_BYTES`].
pub const HEADER_ERROR_MESSAGE: &str = "error-message";
/// Header: the worker whose handler failed.
pub const HEADER_WORKER: &str = "worker";
/// Header: the time of the first failure, RFC 3339.
pub const HEADER_FIRST_FAILED_AT: &str = "first-failed-at";
/// Header: the number of deferrals.
pub const HEADER_DEFERRALS: &str = "deferrals";
/// Header: the replay operation that sent a dead letter back to its queue.
pub const HEADER_REPLAY: &str = "replay";
/// Header: the worker that returned a message to its queue unhandled, with its counts.
pub const HEADER_RETURNED_BY: &str = "returned-by";

/// Headers of earlier attempts. The time of the first failure stays, so that a message that fails again can be seen to
/// have failed before.
const HEADERS_OF_ATTEMPTS: [&str; 7] = [
    HEADER_DEFERRALS,
    HEADER_ERROR_CLASS,
    HEADER_ERROR_MESSAGE,
    HEADER_RETURNED_BY,
    waiting::HEADER_UNAVAILABLE_OPERATION,
    waiting::HEADER_UNAVAILABLE_SINCE,
    HEADER_WORKER,
];

/// Makes a dead letter a message that begins its retry schedule anew.
pub fn begin_anew(envelope: &mut Envelope) {
    envelope.attempt = FIRST_ATTEMPT;
    envelope.headers.retain(|(name, _)| !HEADERS_OF_ATTEMPTS.contains(&name.as_ref()));
}

/// What happens to a failed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Another attempt after this delay.
    Retry(RetryDelay, Cause),
    /// The same attempt after this delay.
    Defer(RetryDelay),
    /// The same attempt after this delay, because an operation is unavailable.
    Wait(RetryDelay, Cause),
    /// Dead letter.
    Dead(Cause),
}

/// Chooses the disposition. `attempt` is the one that failed, counted from 1. [`Failure::Unavailable`] is decided
/// before and is not expected here; it would be retried.
pub(crate) fn choose(failure: Failure, attempt: u32, deferrals: u32, retry_schedule: &[RetryDelay]) -> Disposition {
    let failed_before = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    let next = retry_schedule.get(failed_before).copied();
    match failure {
        Failure::Retry(cause) | Failure::Unavailable(cause) => match next {
            Some(delay) => Disposition::Retry(delay, cause),
            None => Disposition::Dead(cause),
        },
        Failure::RetryAfter(cause, delay) => match next {
            Some(_) => Disposition::Retry(RetryDelay::at_least(delay), cause),
            None => Disposition::Dead(cause),
        },
        Failure::Defer(_) if deferrals >= DEFERRAL_CAP => choose(
            Failure::retry("deferred_too_often", format!("deferred {deferrals} times")),
            attempt,
            deferrals,
            retry_schedule,
        ),
        Failure::Defer(delay) => Disposition::Defer(RetryDelay::at_least(delay)),
        Failure::Reject(cause) => Disposition::Dead(cause),
    }
}

/// A delivery whose attempts and deferrals are counted anew unless it is back from the retry schedule, or this worker
/// [returned] it itself: a dead letter that another tool moved to its queue still carries the counts of its last stay,
/// and would be dead again at once.
pub(crate) fn recounted(mut delivery: Delivery, worker: &str) -> Delivery {
    let envelope = &delivery.envelope;
    let returned_by = envelope.header(HEADER_RETURNED_BY);
    let counts = envelope.attempt > FIRST_ATTEMPT || envelope.header(HEADER_DEFERRALS).is_some();
    let begins_anew = counts && !delivery.is_retry && returned_by != Some(worker);
    if begins_anew || returned_by.is_some() {
        let envelope = Arc::make_mut(&mut delivery.envelope);
        envelope.headers.retain(|(name, _)| name != HEADER_RETURNED_BY);
        if begins_anew {
            envelope.attempt = FIRST_ATTEMPT;
            envelope.headers.retain(|(name, _)| name != HEADER_DEFERRALS);
        }
    }
    delivery
}

/// The same message for the end of its queue, with its counts.
pub(crate) fn returned(delivery: &Delivery, queue: &str, worker: &str) -> Outgoing {
    let mut message = delivery.republish(Target::Queue, queue);
    message.envelope.set_header(HEADER_RETURNED_BY, worker.to_owned());
    message
}

/// The number of deferrals of a message.
pub(crate) fn deferrals(delivery: &Delivery) -> u32 {
    delivery.envelope.header(HEADER_DEFERRALS).and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// The message to publish for a disposition. `queue` is the full name of the work queue.
pub(crate) fn message(
    disposition: &Disposition,
    delivery: &Delivery,
    queue: &str,
    worker: &str,
    now: DateTime<Utc>,
) -> Outgoing {
    let mut message = match disposition {
        Disposition::Retry(delay, _) => {
            let mut message = delivery.republish(Target::Retry(*delay), queue);
            message.envelope.attempt = message.envelope.attempt.saturating_add(1);
            waiting::forget_unless_over(&mut message.envelope, now);
            message
        }
        Disposition::Defer(delay) => {
            let mut message = delivery.republish(Target::Retry(*delay), queue);
            message.envelope.set_header(HEADER_DEFERRALS, (deferrals(delivery) + 1).to_string());
            waiting::forget(&mut message.envelope);
            message
        }
        Disposition::Wait(delay, cause) => {
            let mut message = delivery.republish(Target::Retry(*delay), queue);
            waiting::note(&mut message.envelope, cause, now);
            message
        }
        Disposition::Dead(_) => {
            let mut message = delivery.republish(Target::Dead, queue);
            waiting::forget(&mut message.envelope);
            message
        }
    };
    if let Disposition::Retry(_, cause) | Disposition::Dead(cause) = disposition {
        message.envelope.set_header(HEADER_ERROR_CLASS, cause.class.to_owned());
        message.envelope.set_header(HEADER_ERROR_MESSAGE, truncated(&cause.message).to_owned());
        message.envelope.set_header(HEADER_WORKER, worker.to_owned());
        if delivery.envelope.header(HEADER_FIRST_FAILED_AT).is_none() {
            message.envelope.set_header(HEADER_FIRST_FAILED_AT, timestamp(now));
        }
    }
    message
}

pub(crate) fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The longest prefix within the limit that ends between characters.
fn truncated(text: &str) -> &str {
    let mut end = text.len().min(ERROR_MESSAGE_MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use std::time::Duration;

    const RETRY_SCHEDULE: &[RetryDelay] = &[RetryDelay::S5, RetryDelay::M10];

    fn delivery(headers: &[(&str, &str)]) -> Delivery {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned().into(), (*value).to_owned())).collect();
        let envelope = Envelope { kind: "a.b.v1".into(), attempt: 1, headers, ..Envelope::default() };
        Delivery { tag: 1, envelope: Arc::new(envelope), body: "{}".into(), ..Delivery::default() }
    }

    #[test]
    fn attempts_follow_the_retry_schedule_then_dead_letter() {
        let disposition = |attempt| choose(Failure::retry("c", "m"), attempt, 0, RETRY_SCHEDULE);
        assert!(matches!(disposition(1), Disposition::Retry(RetryDelay::S5, _)));
        assert!(matches!(disposition(2), Disposition::Retry(RetryDelay::M10, _)));
        assert!(matches!(disposition(3), Disposition::Dead(cause) if cause.class == "c"));
        assert!(matches!(choose(Failure::retry("c", "m"), 1, 0, &[]), Disposition::Dead(_)), "no schedule, no retry");
    }

    #[test]
    fn only_the_retry_schedule_hands_on_counts() {
        let mut held = delivery(&[(HEADER_DEFERRALS, "50"), ("k", "v")]);
        Arc::make_mut(&mut held.envelope).attempt = 5;
        let anew = recounted(held.clone(), "w");
        assert_eq!((anew.envelope.attempt, deferrals(&anew), anew.envelope.header("k")), (1, 0, Some("v")));
        held.is_retry = true;
        let counted = recounted(held, "w");
        assert_eq!((counted.envelope.attempt, deferrals(&counted)), (5, 50));
    }

    #[test]
    fn message_that_its_worker_returned_keeps_its_counts_and_shows_that_once() {
        let mut held = delivery(&[(HEADER_DEFERRALS, "4")]);
        Arc::make_mut(&mut held.envelope).attempt = 3;
        let sent = returned(&held, "q", "w");
        assert_eq!((sent.target, &*sent.routing_key), (Target::Queue, "q"));
        held.envelope = Arc::new(sent.envelope);
        let counted = recounted(held.clone(), "w");
        assert_eq!((counted.envelope.attempt, deferrals(&counted)), (3, 4));
        assert_eq!(counted.envelope.header(HEADER_RETURNED_BY), None);
        assert_eq!(recounted(counted, "w").envelope.attempt, 1);
        let of_another = recounted(held, "v");
        assert_eq!((of_another.envelope.attempt, of_another.envelope.header(HEADER_RETURNED_BY)), (1, None));
    }

    #[test]
    fn requested_delay_costs_an_attempt() {
        let wait = Duration::from_secs(61);
        let disposition = |attempt| choose(Failure::RetryAfter(Cause::new("c", "m"), wait), attempt, 0, RETRY_SCHEDULE);
        assert!(matches!(disposition(1), Disposition::Retry(RetryDelay::M10, _)));
        assert!(matches!(disposition(3), Disposition::Dead(_)));
    }

    #[test]
    fn deferrals_cost_no_attempt_until_the_cap() {
        let wait = Failure::Defer(Duration::from_secs(1));
        assert_eq!(choose(wait.clone(), 3, 0, RETRY_SCHEDULE), Disposition::Defer(RetryDelay::S5));
        assert!(matches!(choose(wait.clone(), 1, DEFERRAL_CAP, RETRY_SCHEDULE),
                Disposition::Retry(RetryDelay::S5, cause) if cause.class == "deferred_too_often"));
        assert!(matches!(choose(wait, 3, DEFERRAL_CAP, RETRY_SCHEDULE), Disposition::Dead(_)));

        let sent = message(&Disposition::Defer(RetryDelay::S5), &delivery(&[("deferrals", "4")]), "q", "w", Utc::now());
        assert_eq!(sent.envelope.attempt, 1);
        assert_eq!(sent.envelope.headers, [("deferrals".into(), "5".to_owned())]);
    }

    fn unavailable(operation: &'static str) -> Cause {
        Cause { operation: Some(operation), ..Cause::new("stripe_unavailable", "500") }
    }

    /// The delivery after this disposition at this time.
    fn next(held: &Delivery, disposition: &Disposition, now: DateTime<Utc>) -> Delivery {
        let envelope = Arc::new(message(disposition, held, "q", "w", now).envelope);
        Delivery { envelope, is_retry: true, ..held.clone() }
    }

    fn wait(held: &Delivery, cause: Cause, now: DateTime<Utc>) -> Delivery {
        next(held, &Disposition::Wait(RetryDelay::S5, cause), now)
    }

    #[test]
    fn wait_keeps_the_attempt_and_its_beginning_until_the_failure_counts() {
        let (first, later) = (some_time(), some_time() + TimeDelta::seconds(9));
        let held = wait(&delivery(&[]), unavailable("refund"), first);
        let held = wait(&held, unavailable("refund"), later);
        assert_eq!((held.envelope.attempt, held.envelope.headers.len()), (1, 2));
        assert_eq!(waiting::since(&held.envelope, "refund"), Some(first));
        let retried = next(&held, &Disposition::Retry(RetryDelay::S5, unavailable("refund")), later);
        assert_eq!((retried.envelope.attempt, waiting::since(&retried.envelope, "refund")), (2, None));
    }

    #[test]
    fn wait_begins_anew_for_another_operation_and_after_a_deferral() {
        let (first, later) = (some_time(), some_time() + TimeDelta::hours(9));
        let held = wait(&delivery(&[]), unavailable("expire"), first);
        assert_eq!(waiting::since(&held.envelope, "refund"), None);
        let other = wait(&held, unavailable("refund"), later);
        assert_eq!(
            (waiting::since(&other.envelope, "refund"), waiting::since(&other.envelope, "expire")),
            (Some(later), None)
        );
        let deferred = next(&held, &Disposition::Defer(RetryDelay::S5), later);
        assert_eq!(waiting::since(&deferred.envelope, "expire"), None);
    }

    #[test]
    fn wait_without_a_call_has_no_beginning() {
        let refused = |operation| Cause { not_called: true, ..unavailable(operation) };
        let first = some_time();
        assert_eq!(wait(&delivery(&[]), refused("refund"), first).envelope.headers, []);
        let called = wait(&delivery(&[]), unavailable("refund"), first);
        let again = wait(&called, refused("refund"), first + TimeDelta::minutes(1));
        assert_eq!(waiting::since(&again.envelope, "refund"), Some(first));
        assert_eq!(
            waiting::since(&wait(&called, refused("expire"), first).envelope, "refund"),
            None,
            "it got past the call"
        );
    }

    #[test]
    fn wait_that_the_version_before_noted_is_read_for_any_operation() {
        let first = some_time();
        let held = delivery(&[(waiting::HEADER_UNAVAILABLE_SINCE, &timestamp(first))]);
        assert_eq!(waiting::since(&held.envelope, "refund"), Some(first));
        let held = wait(&held, unavailable("refund"), first + TimeDelta::minutes(1));
        assert_eq!(
            (waiting::since(&held.envelope, "refund"), waiting::since(&held.envelope, "expire")),
            (Some(first), None)
        );
    }

    #[test]
    fn message_that_waited_for_days_follows_its_retry_schedule_at_once() {
        let begun = some_time();
        let (mut held, mut now) = (delivery(&[]), begun);
        let mut attempts = Vec::new();
        let dead = loop {
            let cause = unavailable("refund");
            let since = waiting::since(&held.envelope, "refund");
            let disposition = match waiting::is_own_failure(&cause, since, now, |_| false) {
                true => choose(Failure::Retry(cause), held.envelope.attempt, 0, RETRY_SCHEDULE),
                false => Disposition::Wait(RetryDelay::M1, cause),
            };
            attempts.push(held.envelope.attempt);
            held = next(&held, &disposition, now);
            if matches!(disposition, Disposition::Dead(_)) {
                break held;
            }
            now += TimeDelta::hours(1);
        };
        assert_eq!(now - begun, TimeDelta::hours(3 * 24 + 3), "three days, then the schedule");
        assert_eq!(attempts.iter().filter(|attempt| **attempt > 1).count(), RETRY_SCHEDULE.len());
        assert_eq!(waiting::since(&dead.envelope, "refund"), None);
    }

    fn some_time() -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000).unwrap()
    }

    #[test]
    fn dead_letter_carries_the_error_and_the_first_failure() {
        let before = "2026-01-01T00:00:00.000Z";
        let cause = Cause::new("smtp_refused", "é".repeat(ERROR_MESSAGE_MAX_BYTES));
        let held = delivery(&[(HEADER_FIRST_FAILED_AT, before), (HEADER_ERROR_CLASS, "older")]);
        let sent = message(&Disposition::Dead(cause), &held, "t.emails", "emails", Utc::now());
        let header = |name: &str| {
            sent.envelope
                .headers
                .iter()
                .filter(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!((sent.target, &*sent.routing_key), (Target::Dead, "t.emails"));
        assert_eq!(header(HEADER_ERROR_CLASS), ["smtp_refused"]);
        assert_eq!(header(HEADER_FIRST_FAILED_AT), [before]);
        assert_eq!(header(HEADER_WORKER), ["emails"]);
        assert_eq!(header(HEADER_ERROR_MESSAGE).first().map(|text| text.len()), Some(ERROR_MESSAGE_MAX_BYTES));
    }
}
