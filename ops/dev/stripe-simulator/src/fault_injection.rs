//! Misbehaviour on request: how Stripe and the way to it fail, so that the product can be shown to survive it. Nothing
//! goes wrong unasked.

use serde::{Deserialize, Serialize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest delay that may be asked for, in milliseconds.
const MAX_DELAY_MS: u64 = 600_000;
/// How long a request that is never answered hangs unless told otherwise, in milliseconds.
const HANG_MS: u64 = 60_000;
/// What `Retry-After` says unless told otherwise, in seconds.
const RETRY_AFTER_S: u64 = 1;
/// Most further copies of one event.
pub(crate) const MAX_DUPLICATES: u32 = 20;

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestFaultKind {
    /// 429 with `Retry-After`; nothing is done, nothing is kept under the idempotency key.
    RateLimited,
    /// 500 before anything began; the same key may do it afterwards.
    ServerError,
    /// 500 after execution began, without an effect: as at Stripe the key answers 500 from now on.
    ServerErrorKept,
    /// It is done, and the answer is 500, also to the same key from now on.
    ServerErrorAfterEffect,
    /// Nothing is done; no answer comes, and after `delay_ms` the connection closes.
    TimeoutBeforeEffect,
    /// It is done and kept under the key; no answer comes, and after `delay_ms` the connection closes.
    TimeoutAfterEffect,
    /// It is done and answered, after `delay_ms`. Meanwhile the same key answers 409.
    Slow,
}

/// What is to go wrong with requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestFault {
    /// Leading segments of paths, where `*` is any one: `/v1/refunds`, `/v1/checkout/sessions/*/expire`. Empty means
    /// every request.
    #[serde(default)]
    pub path: String,
    /// Only this method.
    #[serde(default)]
    pub method: Option<String>,
    /// How.
    pub kind: RequestFaultKind,
    /// How often; `null` is until told otherwise.
    #[serde(default)]
    pub next: Option<u32>,
    /// Between 0 and 1; `null` is always.
    #[serde(default)]
    pub probability: Option<f64>,
    /// How long it hangs or is slow, in milliseconds, at most ten minutes.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// What `Retry-After` says, in seconds.
    #[serde(default)]
    pub retry_after_s: Option<u64>,
}

impl RequestFault {
    /// A fault of every request until told otherwise.
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

    /// Only the next so many.
    #[must_use]
    pub fn next(self, count: u32) -> Self {
        Self { next: Some(count), ..self }
    }

    /// Only requests to paths that begin like this.
    #[must_use]
    pub fn at(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// How long it hangs or is slow.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay_ms: Some(u64::try_from(delay.as_millis()).unwrap_or(MAX_DELAY_MS)), ..self }
    }

    fn meets(&self, method: &str, path: &str) -> bool {
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

/// What is to go wrong with webhooks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookFaults {
    /// Each event is sent so many times more.
    pub duplicates: u32,
    /// Each delivery waits a random time up to this, in milliseconds.
    pub delay_max_ms: u64,
    /// Events of each such span of time are sent at its end, in random order, in milliseconds.
    pub shuffle_window_ms: u64,
    /// So many next events are never sent: only the list of events has them.
    pub drop_next: u32,
    /// Each event is never sent with this probability, between 0 and 1.
    pub drop_probability: f64,
    /// Events of these types are never sent.
    pub drop_types: Vec<String>,
    /// Nothing is sent until this ends; then everything is.
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

/// Everything that is to go wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultInjection {
    /// The first that meets a request strikes.
    pub requests: Vec<RequestFault>,
    /// What happens to webhooks.
    pub webhooks: WebhookFaults,
}

impl FaultInjection {
    /// Only a fault of requests.
    pub fn of_requests(fault: RequestFault) -> Self {
        Self { requests: vec![fault], ..Self::default() }
    }

    /// Only faults of webhooks.
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

    /// The fault that strikes this request, counted down.
    pub(crate) fn inject(&self, method: &str, path: &str) -> Option<RequestFault> {
        let mut faults = self.lock();
        let chance =
            |fault: &RequestFault| fault.probability.is_none_or(|probability| rand::random::<f64>() < probability);
        let fault = faults
            .requests
            .iter_mut()
            .find(|fault| fault.next != Some(0) && fault.meets(method, path) && chance(fault))?;
        if let Some(left) = &mut fault.next {
            *left -= 1;
        }
        Some(fault.clone())
    }

    /// What happens to the webhooks of one event; `None` when it is never sent.
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

    /// Nothing can panic while it is held.
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
        let strikes = |path| faults.inject("POST", path).is_some();
        assert!(!strikes("/v1/checkout/sessions") && !strikes("/v1/refunds"));
        assert!(strikes("/v1/checkout/sessions/cs_1/expire") && strikes("/v1/checkout/sessions/cs_2/expire"));
        assert!(!strikes("/v1/checkout/sessions/cs_3/expire"));
    }
}
