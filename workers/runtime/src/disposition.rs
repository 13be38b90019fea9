//! Disposition of failed messages: a retry delay, a deferral or the dead letters. Pure.

use crate::waiting::{self, HEADER_UNAVAILABLE_SINCE};
use chrono::{DateTime, SecondsFormat, Utc};
use pvt_domain::failure::{Cause, Failure};
use pvt_messaging::{Delivery, FIRST_ATTEMPT, Outgoing, RetryDelay, Target};
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

/// A delivery whose attempts and deferrals are counted anew unless it is back from the retry schedule: a dead letter
/// that another tool moved to its queue still carries the counts of its last stay, and would be dead again at once.
pub(crate) fn recounted(mut delivery: Delivery) -> Delivery {
    let counts = delivery.envelope.attempt > FIRST_ATTEMPT || delivery.envelope.header(HEADER_DEFERRALS).is_some();
    if counts && !delivery.is_retry {
        let envelope = Arc::make_mut(&mut delivery.envelope);
        envelope.attempt = FIRST_ATTEMPT;
        envelope.headers.retain(|(name, _)| name != HEADER_DEFERRALS);
    }
    delivery
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
            message
        }
        Disposition::Defer(delay) => {
            let mut message = delivery.republish(Target::Retry(*delay), queue);
            message.envelope.set_header(HEADER_DEFERRALS, (deferrals(delivery) + 1).to_string());
            message
        }
        Disposition::Wait(delay, _) => {
            let mut message = delivery.republish(Target::Retry(*delay), queue);
            let since = waiting::since(delivery).unwrap_or(now);
            message.envelope.set_header(HEADER_UNAVAILABLE_SINCE, timestamp(since));
            message
        }
        Disposition::Dead(_) => delivery.republish(Target::Dead, queue),
    };
    if let Disposition::Retry(_, cause) | Disposition::Dead(cause) = disposition {
        message.envelope.headers.retain(|(name, _)| name != HEADER_UNAVAILABLE_SINCE);
        message.envelope.set_header(HEADER_ERROR_CLASS, cause.class.to_owned());
        message.envelope.set_header(HEADER_ERROR_MESSAGE, truncated(&cause.message).to_owned());
        message.envelope.set_header(HEADER_WORKER, worker.to_owned());
        if delivery.envelope.header(HEADER_FIRST_FAILED_AT).is_none() {
            message.envelope.set_header(HEADER_FIRST_FAILED_AT, timestamp(now));
        }
    }
    message
}

fn timestamp(time: DateTime<Utc>) -> String {
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
    use pvt_messaging::Envelope;
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
        let anew = recounted(held.clone());
        assert_eq!((anew.envelope.attempt, deferrals(&anew), anew.envelope.header("k")), (1, 0, Some("v")));
        held.is_retry = true;
        let counted = recounted(held);
        assert_eq!((counted.envelope.attempt, deferrals(&counted)), (5, 50));
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

    #[test]
    fn wait_keeps_the_attempt_and_its_beginning_until_the_failure_counts() {
        let cause = Cause::new("stripe_unavailable", "500");
        let (first, later) = (Utc::now(), Utc::now() + chrono::TimeDelta::seconds(9));
        let wait =
            |held: &Delivery, now| message(&Disposition::Wait(RetryDelay::S5, cause.clone()), held, "q", "w", now);
        let mut held = delivery(&[]);
        held.envelope = Arc::new(wait(&held, first).envelope);
        held.envelope = Arc::new(wait(&held, later).envelope);
        assert_eq!((held.envelope.attempt, held.envelope.headers.len()), (1, 1));
        assert_eq!(held.envelope.header(HEADER_UNAVAILABLE_SINCE), Some(timestamp(first).as_str()));
        let retried = message(&Disposition::Retry(RetryDelay::S5, cause), &held, "q", "w", later);
        assert_eq!((retried.envelope.attempt, retried.envelope.header(HEADER_UNAVAILABLE_SINCE)), (2, None));
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
