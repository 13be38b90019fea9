//! Webhook delivery: every event is sent to every endpoint, signed, and retried until the endpoint answers 2xx or the
//! attempts are exhausted. As at Stripe, neither order nor uniqueness is guaranteed.

mod queue;
mod signature;

use crate::fault_injection::{MAX_DUPLICATES, WebhookFaults};
use crate::objects::event::Event;
use anyhow::{Context, Result};
use queue::{Delivery, Next, Queue};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use url::Url;

/// Concurrent deliveries.
const MAX_IN_FLIGHT: usize = 64;
/// Time for an endpoint to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Attempts of one delivery: with the pauses below they span about nine minutes.
const MAX_ATTEMPTS: u32 = 40;
/// The pause after the first failure; it doubles up to the longest. Stripe's own pauses start at minutes.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Attempts that are kept.
const MAX_REMEMBERED: usize = 20_000;

/// A webhook endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its URL.
    pub url: Url,
    /// Active secrets, `whsec_…`; two during a rotation.
    pub secrets: Vec<String>,
}

/// An attempt to deliver an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeliveryAttempt {
    /// The event's id.
    pub event: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The URL of the endpoint.
    pub url: String,
    /// From 1.
    pub attempt: u32,
    /// 0 is the event itself, the others are injected duplicates.
    pub copy: u32,
    /// Time in milliseconds since 1970.
    pub at_ms: i64,
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// Reason why there was no answer.
    pub error: Option<String>,
    /// Whether it is retried.
    pub again: bool,
}

/// Endpoints, queue and attempts.
#[derive(Debug)]
pub(crate) struct Webhooks {
    endpoints: RwLock<Vec<Endpoint>>,
    queue: Queue,
    attempts: Mutex<VecDeque<DeliveryAttempt>>,
    http: reqwest::Client,
    places: Arc<Semaphore>,
}

/// The result of an attempt.
pub(crate) struct Outcome {
    pub(crate) event: String,
    /// Whether the event itself was delivered; never for duplicates.
    pub(crate) delivered: bool,
}

impl Webhooks {
    pub(crate) fn new(endpoints: Vec<Endpoint>) -> Result<Self> {
        // Both processes are on this machine, so no proxy is used, and webhooks follow no redirects.
        let http =
            reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(ANSWER_LIMIT);
        let http = http
            .pool_max_idle_per_host(MAX_IN_FLIGHT)
            .build()
            .context("the HTTP client for webhooks cannot be created")?;
        let places = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
        Ok(Self {
            endpoints: RwLock::new(endpoints),
            queue: Queue::default(),
            attempts: Mutex::default(),
            http,
            places,
        })
    }

    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        self.endpoints.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_endpoints(&self, endpoints: Vec<Endpoint>) {
        *self.endpoints.write().unwrap_or_else(PoisonError::into_inner) = endpoints;
    }

    /// Queues an event for every endpoint, subject to the faults.
    pub(crate) fn send(&self, event: &Event, faults: &WebhookFaults) {
        let body: Arc<str> = event.json().to_string().into();
        for endpoint in 0..self.endpoints().len() {
            for copy in 0..=faults.duplicates.min(MAX_DUPLICATES) {
                let (at, order) = due(faults);
                let delivery = Delivery {
                    event: event.id.clone(),
                    kind: event.kind.clone(),
                    body: body.clone(),
                    endpoint,
                    attempt: 1,
                    copy,
                };
                if !self.queue.add(delivery, at, order) {
                    tracing::warn!(event = event.id, "delivery queue full, delivery dropped");
                }
            }
        }
    }

    /// Newest first.
    pub(crate) fn attempts(&self, event: Option<&str>, limit: usize) -> Vec<DeliveryAttempt> {
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts
            .iter()
            .rev()
            .filter(|attempt| event.is_none_or(|event| attempt.event == event))
            .take(limit)
            .cloned()
            .collect()
    }

    pub(crate) fn outstanding(&self) -> usize {
        self.queue.outstanding()
    }

    pub(crate) async fn until_idle(&self) {
        self.queue.until_idle().await;
    }

    /// Wakes the delivery loop.
    pub(crate) fn wake(&self) {
        self.queue.changed.notify_one();
    }

    /// Waits for the next due delivery and for capacity to send it. While `stopped` returns true, nothing is due.
    pub(crate) async fn next(&self, stopped: impl Fn() -> bool) -> Option<(Delivery, OwnedSemaphorePermit)> {
        let place = self.places.clone().acquire_owned().await.ok()?;
        loop {
            let next = if stopped() { Next::Nothing } else { self.queue.next(Instant::now()) };
            match next {
                Next::Send(delivery) => return Some((delivery, place)),
                Next::Nothing => self.queue.changed.notified().await,
                Next::WaitUntil(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = self.queue.changed.notified() => {}
                    }
                }
            }
        }
    }

    /// Makes an attempt. When it fails, the next one is queued.
    pub(crate) async fn attempt(&self, delivery: Delivery, now_ms: i64) -> Outcome {
        let Some(endpoint) = self.endpoints().into_iter().nth(delivery.endpoint) else {
            self.queue.done();
            return Outcome { event: delivery.event, delivered: false };
        };
        let signature = signature::header(&endpoint.secrets, now_ms / 1_000, &delivery.body);
        let request = self.http.post(endpoint.url.clone()).header("content-type", "application/json; charset=utf-8");
        let request = request
            .header("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
            .header("stripe-signature", signature);
        let answer = request.body(delivery.body.to_string()).send().await;
        let (status, error) = match answer {
            Ok(answer) => (Some(answer.status().as_u16()), None),
            Err(error) => (None, Some(error.without_url().to_string())),
        };
        let taken = status.is_some_and(|status| (200..300).contains(&status));
        let again = !taken && delivery.attempt < MAX_ATTEMPTS;
        self.remember(DeliveryAttempt {
            event: delivery.event.clone(),
            kind: delivery.kind.clone(),
            url: endpoint.url.to_string(),
            attempt: delivery.attempt,
            copy: delivery.copy,
            at_ms: now_ms,
            status,
            error,
            again,
        });
        let outcome = Outcome { event: delivery.event.clone(), delivered: taken && delivery.copy == 0 };
        if again {
            let pause = pause_after(delivery.attempt);
            self.queue.add(Delivery { attempt: delivery.attempt + 1, ..delivery }, Instant::now() + pause, None);
        }
        self.queue.done();
        outcome
    }

    fn remember(&self, attempt: DeliveryAttempt) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.push_back(attempt);
        while attempts.len() > MAX_REMEMBERED {
            attempts.pop_front();
        }
    }
}

fn pause_after(attempt: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
}

/// The due time of a delivery, and its order among those that are due then.
fn due(faults: &WebhookFaults) -> (Instant, Option<u64>) {
    let (now, window) = (Instant::now(), faults.shuffle_window());
    let delay = faults.delay_max().mul_f64(rand::random::<f64>());
    if window.is_zero() {
        return (now + delay, None);
    }
    (window_end(now, window) + delay, Some(rand::random()))
}

/// The end of the time window that contains `now`.
fn window_end(now: Instant, window: Duration) -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let start = *START.get_or_init(|| now);
    let windows = now.saturating_duration_since(start).as_nanos() / window.as_nanos().max(1) + 1;
    start + window.saturating_mul(u32::try_from(windows).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_PAUSE, MAX_ATTEMPTS, pause_after};
    use std::time::Duration;

    #[test]
    fn retry_pauses_grow_up_to_a_limit() {
        assert_eq!([1, 2, 3].map(pause_after), [200, 400, 800].map(Duration::from_millis));
        assert_eq!(pause_after(MAX_ATTEMPTS), LONGEST_PAUSE);
        let all: Duration = (1..MAX_ATTEMPTS).map(pause_after).sum();
        assert!(all > Duration::from_secs(300) && all < Duration::from_secs(600), "{all:?}");
    }
}
