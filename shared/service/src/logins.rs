//! Attempts to log in: how they are counted, and how long an answer takes at least.

use pvt_domain::wire_enum;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Counter: what became of attempts to log in. Label `outcome`: [`LoginOutcome`].
const LOGINS: &str = "pvt_logins_total";
/// No answer about an address comes sooner than this: longer than hashing, storing and queueing take, so that the time
/// reveals none of them.
const MIN_ANSWER_TIME: Duration = Duration::from_millis(400);

wire_enum! {
    /// What became of an attempt to log in, or to go on with a session.
    pub enum LoginOutcome {
        /// A session began.
        Accepted = "accepted",
        /// The address or the password is wrong.
        Refused = "refused",
        /// A session goes on.
        Refreshed = "refreshed",
        /// A refresh token was used twice, which ends its session.
        Reused = "reused",
        /// The session is over.
        Ended = "ended",
    }
}

/// Counts an attempt to log in.
pub fn count_login(outcome: LoginOutcome) {
    count(outcome.as_str(), 1);
}

/// An alert compares with the scrape before, so counters begin at 0, not with their first event.
pub fn begin_counters() {
    LoginOutcome::ALL.into_iter().for_each(|(outcome, _)| count(outcome, 0));
}

fn count(outcome: &'static str, logins: u64) {
    metrics::counter!(LOGINS, "outcome" => outcome).increment(logins);
}

/// Waits until an answer may be given to a request that began then.
pub async fn pad_answer_time(begun: Instant) {
    sleep_until(begun + MIN_ANSWER_TIME).await;
}
