//! Scheduled changes: expiry of sessions and late results of banks. The caller passes the time.

use super::{Cause, State};
use serde::{Deserialize, Serialize};

/// Most scheduled results.
const MAX_WAITING: usize = 20_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct ScheduledRefundResult {
    at_ms: i64,
    refund: String,
    succeeds: bool,
}

/// Results of refunds that are scheduled for later.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct ScheduledResults {
    due: Vec<ScheduledRefundResult>,
}

impl ScheduledResults {
    /// Schedules the result of a refund. When too many are scheduled, the refund stays as it is.
    pub(crate) fn settle_refund(&mut self, refund: &str, succeeds: bool, at_ms: i64) {
        if self.due.len() < MAX_WAITING {
            self.due.push(ScheduledRefundResult { at_ms, refund: refund.to_owned(), succeeds });
        }
    }
}

impl State {
    /// Whether [`Self::advance_time`] would do anything.
    pub(crate) fn is_due(&self, now_ms: i64) -> bool {
        self.expiring.first().is_some_and(|(at, _)| *at <= now_ms / 1_000)
            || self.later.due.iter().any(|due| due.at_ms <= now_ms)
    }

    /// Applies every change that is due.
    pub(crate) fn advance_time(&mut self, now_ms: i64) {
        let cause = Cause::external(now_ms);
        while let Some((expires_at, id)) = self.expiring.first().cloned() {
            if expires_at > cause.now() {
                break;
            }
            self.expiring.pop_first();
            // A session that the table has dropped cannot expire.
            let _ = self.expire_session(&cause, &id);
        }
        if self.later.due.iter().any(|due| due.at_ms <= now_ms) {
            let (now, later) = std::mem::take(&mut self.later.due).into_iter().partition(|due| due.at_ms <= now_ms);
            self.later.due = later;
            for due in now {
                let _: Result<_, _> = self.settle_refund(&cause, &due.refund, due.succeeds);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::api::{self, Call};
    use crate::form;
    use crate::params::Params;
    use crate::state::checkout::PayOutcome;
    use crate::state::{Cause, State};

    #[test]
    fn session_expires_at_its_expiry_time() {
        let (mut state, cause) = (State::default(), Cause::external(1_000_000_000));
        let form = "mode=payment&success_url=http://a.test/&expires_at=1001800\
            &line_items[0][quantity]=1&line_items[0][price_data][currency]=cad\
            &line_items[0][price_data][unit_amount]=5000&line_items[0][price_data][product_data][name]=Bed";
        let params = Params::new(form::parse(form).unwrap());
        let session =
            api::answer(&mut state, &cause, &Call { method: "POST", path: "/checkout/sessions", params: &params })
                .unwrap();
        let id = session["id"].as_str().unwrap();
        assert!(!state.is_due(1_001_799_999));
        state.advance_time(1_001_799_999);
        assert!(state.outbox.is_empty());
        let late = state.pay_session(&Cause::external(1_001_800_000), id, PayOutcome::Success);
        assert!(late.is_err(), "too late, even before the expiry is applied");
        assert!(state.is_due(1_001_800_000));
        state.advance_time(1_001_800_000);
        let kinds: Vec<&str> = state.outbox.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["checkout.session.expired"]);
        assert!(!state.is_due(i64::MAX));
    }
}
