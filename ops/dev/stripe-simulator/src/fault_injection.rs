//! Fault injection: failures of Stripe and of the network to it, so that the product can be tested against them.
//! Without a request for it, nothing fails.

use serde::{Deserialize, Serialize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest delay that can be requested, in milliseconds.
const MAX_DELAY_MS: u64 = 600_000;
/// Time for which an unanswered request hangs by default, in milliseconds.
const HANG_MS: u64 = 60_000;
/// Value of `Retry-After` by default, in seconds.
const RETRY_AFTER_S: u64 = 1;
/// Most duplicates of one event.
pub(crate) const MAX_DUPLICATES: u32 = 20;

/// The way in which a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestFaultKind {
    /// 429 with `Retry-After`; no effect, and nothing is kept under the idempotency key.
    RateLimited,
    /// 403: the key lacks a right; no effect, and nothing is kept under the idempotency key.
    Forbidden,
    /// 500 before execution; a retry with the same key executes the request.
    ServerError,
    /// 500 after execution began, without an effect; as at Stripe, the key replays the 500.
    ServerErrorKept,
    /// 500 after the effect; the key replays the 500.
    ServerErrorAfterEffect,
    /// No effect and no response; the connection closes after `delay_ms`.
    TimeoutBeforeEffect,
    /// The effect happens and is kept under the key, without a response; the connection closes after `delay_ms`.
    TimeoutAfterEffect,
    /// Executed and answered after `delay_ms`. Meanwhile the same key answers 409.
    Slow,
}

/// A fault of API requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestFault {
    /// Leading path segments, where `*` matches any one: `/v1/refunds`, `/v1/checkout/sessions/*/expire`. Empty
    /// matches every request.
    #[serde(default)]
    pub path: String,
    /// Only this method.
    #[serde(default)]
    pub method: Option<String>,
    /// The kind of failure.
    pub kind: RequestFaultKind,
    /// How many times; `null` is until it is changed.
    #[serde(default)]
    pub next: Option<u32>,
    /// Probability between 0 and 1; `null` is always.
    #[serde(default)]
    pub probability: Option<f64>,
    /// Delay of the failure, in milliseconds, at most ten minutes.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// Value of `Retry-After`, in seconds.
    #[serde(default)]
    pub retry_after_s: Option<u64>,
}

impl RequestFault {
    /// A fault of every request until it is changed.
    pub fn new(kind: RequestFaultKind) -> Self {
        Self {
            path: String::new(),
            method: None,
            kind,
            next: None,
            probability: None,
            delay_ms: None,
            retry_after_s: None,
        }
    }

    /// Limits it to the next requests, this many.
    #[must_use]
    pub fn next(self, count: u32) -> Self {
        Self { next: Some(count), ..self }
    }

    /// Limits it to paths that begin with this one.
    #[must_use]
    pub fn at(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// Sets the delay.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay_ms: Some(u64::try_from(delay.as_millis()).unwrap_or(MAX_DELAY_MS)), ..self }
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        let mut given = path.trim_matches('/').split('/');
        let fits = self
            .path
            .split('/')
            .filter(|step| !step.is_empty())
            .all(|step| given.next().is_some_and(|one| step == "*" || step == one));
        fits && self.method.as_deref().is_none_or(|only| only.eq_ignore_ascii_case(method))
    }

    pub(crate) fn delay_time(&self) -> Duration {
        Duration::from_millis(self.delay_ms.unwrap_or(HANG_MS).min(MAX_DELAY_MS))
    }

    pub(crate) fn retry_after_s(&self) -> u64 {
        self.retry_after_s.unwrap_or(RETRY_AFTER_S)
    }
}

/// Faults of webhooks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookFaults {
    /// Duplicates of each event.
    pub duplicates: u32,
    /// Each delivery waits a random time up to this, in milliseconds.
    pub delay_max_ms: u64,
    /// Length of a time window in milliseconds; the events of a window are sent at its end, in random order.
    pub shuffle_window_ms: u64,
    /// Number of next events that are never sent; only the list of events has them.
    pub drop_next: u32,
    /// Probability between 0 and 1 that an event is never sent.
    pub drop_probability: f64,
    /// Types of events that are never sent.
    pub drop_types: Vec<String>,
    /// Nothing is sent while this is set; everything is sent afterwards.
    pub outage: bool,
}

impl WebhookFaults {
    pub(crate) fn delay_max(&self) -> Duration {
        Duration::from_millis(self.delay_max_ms.min(MAX_DELAY_MS))
    }

    pub(crate) fn shuffle_window(&self) -> Duration {
        Duration::from_millis(self.shuffle_window_ms.min(MAX_DELAY_MS))
    }
}

/// All injected faults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultInjection {
    /// The first one that matches a request applies.
    pub requests: Vec<RequestFault>,
    /// Faults of webhooks.
    pub webhooks: WebhookFaults,
}

impl FaultInjection {
    /// A single fault of requests.
    pub fn of_requests(fault: RequestFault) -> Self {
        Self { requests: vec![fault], ..Self::default() }
    }

    /// Faults of webhooks alone.
    pub fn of_webhooks(webhooks: WebhookFaults) -> Self {
        Self { webhooks, ..Self::default() }
    }
}

/// The faults that are set, shared by all requests and deliveries.
#[derive(Debug, Default)]
pub(crate) struct FaultInjector {
    set: Mutex<FaultInjection>,
}

impl FaultInjector {
    pub(crate) fn set(&self, faults: FaultInjection) {
        *self.lock() = faults;
    }

    pub(crate) fn get(&self) -> FaultInjection {
        self.lock().clone()
    }

    pub(crate) fn outage(&self) -> bool {
        self.lock().webhooks.outage
    }

    /// The fault to inject into this request, counted down.
    pub(crate) fn inject(&self, method: &str, path: &str) -> Option<RequestFault> {
        let mut faults = self.lock();
        let chance =
            |fault: &RequestFault| fault.probability.is_none_or(|probability| rand::random::<f64>() < probability);
        let fault = faults
            .requests
            .iter_mut()
            .find(|fault| fault.next != Some(0) && fault.matches(method, path) && chance(fault))?;
        if let Some(left) = &mut fault.next {
            *left -= 1;
        }
        Some(fault.clone())
    }

    /// The faults of the webhooks of one event; `None` when it is never sent.
    pub(crate) fn of_event(&self, kind: &str) -> Option<WebhookFaults> {
        let mut faults = self.lock();
        let webhooks = &mut faults.webhooks;
        if webhooks.drop_next > 0 {
            webhooks.drop_next -= 1;
            return None;
        }
        let dropped = webhooks.drop_types.iter().any(|dropped| dropped == kind)
            || rand::random::<f64>() < webhooks.drop_probability;
        (!dropped).then(|| webhooks.clone())
    }

    /// No panic can happen while it is held, so a poisoned lock is still consistent.
    fn lock(&self) -> MutexGuard<'_, FaultInjection> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{FaultInjection, FaultInjector, RequestFault, RequestFaultKind};

    #[test]
    fn counted_fault_applies_n_times_at_its_path() {
        let faults = FaultInjector::default();
        faults.set(FaultInjection::of_requests(
            RequestFault::new(RequestFaultKind::ServerError).at("/v1/checkout/sessions/*/expire").next(2),
        ));
        let applies = |path| faults.inject("POST", path).is_some();
        assert!(!applies("/v1/checkout/sessions") && !applies("/v1/refunds"));
        assert!(applies("/v1/checkout/sessions/cs_1/expire") && applies("/v1/checkout/sessions/cs_2/expire"));
        assert!(!applies("/v1/checkout/sessions/cs_3/expire"));
    }
}
