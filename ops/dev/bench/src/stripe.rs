//! Webhook events of paid bookings in Stripe's documented shapes, signed as Stripe signs them.
//!
//! It never calls Stripe, and the signing secret is the run's own.

use super::load_generator::Workload;
use anyhow::{Context, Result};
use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use pvt_domain::booking::Payment;
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::ledger::{Ledger, PaymentChannel};
use pvt_domain::money::Currency;
use pvt_domain::stripe::metadata::{BOOKING_ID, DEMAND, PAYMENT_ID, PROPERTY_ID};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;
use std::fmt::Write;
use std::sync::Arc;

/// Signing secret of the run.
pub(super) const SECRET: &str = "whsec_bench";
/// Path of the webhook endpoint.
pub(super) const PATH: &str = "/api/payments/webhook";
/// Events of one payment.
pub(super) const EVENTS_EACH: u64 = 4;
/// Lifetime of a Checkout page in seconds.
const PAGE_SECS: i64 = 30 * 60;

const SESSION: &str = include_str!("stripe/checkout_session.json");
const INTENT: &str = include_str!("stripe/payment_intent.json");
const CHARGE: &str = include_str!("stripe/charge.json");

/// An event of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StripeEventKind {
    /// The guest has completed the page.
    SessionCompleted,
    /// The payment has succeeded.
    IntentSucceeded,
    /// The charge of its one attempt has succeeded.
    ChargeSucceeded,
    /// The charge has its balance transaction.
    ChargeUpdated,
}

impl StripeEventKind {
    /// In the order in which Stripe creates them.
    pub(super) const ALL: [Self; EVENTS_EACH as usize] =
        [Self::ChargeSucceeded, Self::IntentSucceeded, Self::SessionCompleted, Self::ChargeUpdated];

    fn kind(self) -> &'static str {
        match self {
            Self::SessionCompleted => "checkout.session.completed",
            Self::IntentSucceeded => "payment_intent.succeeded",
            Self::ChargeSucceeded => "charge.succeeded",
            Self::ChargeUpdated => "charge.updated",
        }
    }

    fn object(self) -> &'static str {
        match self {
            Self::SessionCompleted => SESSION,
            Self::IntentSucceeded => INTENT,
            Self::ChargeSucceeded | Self::ChargeUpdated => CHARGE,
        }
    }
}

/// A held booking whose payment is due.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PendingPayment {
    #[serde(rename = "_id")]
    pub(super) id: BookingId,
    property_id: PropertyId,
    price: Price,
    payment: Payment,
}

#[derive(Debug, Clone, Deserialize)]
struct Price {
    currency: Currency,
}

impl PendingPayment {
    /// The amount due, in minor units.
    pub(super) fn amount(&self) -> i64 {
        self.payment.required
    }

    /// Its ledger with an open checkout.
    pub(super) fn ledger(&self) -> Ledger {
        let now = Utc::now().into();
        let mut ledger = Ledger::new(self.id, self.property_id.clone(), self.price.currency, now);
        ledger.open(self.id.as_uuid(), PaymentChannel::Checkout, self.amount(), now);
        ledger.opened(self.id.as_uuid(), &format!("cs_test_{}", self.name()));
        ledger.rev = 1;
        ledger
    }

    /// The common part of its ids at Stripe.
    fn name(&self) -> String {
        self.id.as_uuid().simple().to_string()
    }

    /// One event about it in Stripe's JSON.
    fn event(&self, event_kind: StripeEventKind, now: i64) -> String {
        let (kind, name) = (event_kind.kind(), self.name());
        let metadata = json!({ BOOKING_ID: self.id.to_string(), PROPERTY_ID: self.property_id.as_str(), DEMAND: "1",
                PAYMENT_ID: self.id.to_string() })
        .to_string();
        let balance =
            if event_kind == StripeEventKind::ChargeUpdated { format!("\"txn_{name}\"") } else { "null".to_owned() };
        let object = event_kind.object().trim_end().replace("METADATA", &metadata).replace("BALANCE", &balance);
        let object = object
            .replace("AMOUNT", &self.amount().to_string())
            .replace("CURRENCY", &self.price.currency.code().to_lowercase());
        let object = object.replace("BOOKING", &self.id.to_string()).replace("EXPIRES", &(now + PAGE_SECS).to_string());
        let object = object.replace("NOW", &now.to_string()).replace("_ID", &format!("_{name}"));
        format!(
            "{{\"id\":\"evt_{name}_{place}\",\"object\":\"event\",\
                \"api_version\":\"2025-09-30.clover\",\"created\":{now},\
                \"data\":{{\"object\":{object}}},\"livemode\":false,\"pending_webhooks\":1,\
                \"request\":{{\"id\":null,\"idempotency_key\":null}},\"type\":\"{kind}\"}}",
            place = kind.replace('.', "_"),
        )
    }
}

/// Signed requests, prepared so that the load generator only sends them.
#[derive(Clone)]
pub(super) struct WebhookWorkload {
    requests: Arc<[Vec<u8>]>,
    /// Size of all bodies together.
    body_bytes: usize,
    expected: u16,
}

impl WebhookWorkload {
    /// These events of each of these bookings.
    pub(super) fn of(payments: &[PendingPayment], event_kinds: &[StripeEventKind]) -> Result<Self> {
        let key = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).context("the signing key")?;
        let now = Utc::now().timestamp();
        let mut body_bytes = 0;
        let mut request = |due: &PendingPayment, event_kind: StripeEventKind| {
            let body = due.event(event_kind, now);
            body_bytes += body.len();
            signed(&key, now, &body).into_bytes()
        };
        let requests = payments
            .iter()
            .flat_map(|due| event_kinds.iter().map(move |event_kind| (due, *event_kind)))
            .map(|(due, event_kind)| request(due, event_kind))
            .collect();
        Ok(Self { requests, body_bytes, expected: 200 })
    }

    /// The same requests with another expected status.
    pub(super) fn expecting(&self, expected: u16) -> Self {
        Self { expected, ..self.clone() }
    }

    /// Number of requests.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.requests.len()).unwrap_or(u64::MAX)
    }

    /// Mean size of a body in bytes.
    pub(super) fn mean_body_bytes(&self) -> usize {
        self.body_bytes / self.requests.len().max(1)
    }
}

impl Workload for WebhookWorkload {
    fn write(&self, number: u64, request: &mut Vec<u8>) -> Result<()> {
        let push = usize::try_from(number)
            .ok()
            .and_then(|number| self.requests.get(number))
            .context("there is no such event")?;
        request.extend_from_slice(push);
        Ok(())
    }

    fn expected(&self, _number: u64) -> u16 {
        self.expected
    }

    fn max_unexpected(&self) -> u64 {
        0
    }
}

/// The whole HTTP request, with `Stripe-Signature: t=…,v1=…` over time, dot and body.
fn signed(key: &Hmac<Sha256>, now: i64, body: &str) -> String {
    let mut mac = key.clone();
    mac.update(format!("{now}.{body}").as_bytes());
    let mut signature = String::with_capacity(64);
    for byte in mac.finalize().into_bytes() {
        // Writing into a string cannot fail.
        let _ = write!(signature, "{byte:02x}");
    }
    let length = body.len();
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json; \
            charset=utf-8\r\nStripe-Signature: t={now},v1={signature}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::{PendingPayment, StripeEventKind};
    use pvt_domain::stripe::Event;
    use serde_json::json;

    #[test]
    fn every_event_kind_settles_its_booking() {
        let id = "0192d7a0-0000-7000-8000-00000000000a";
        let due = json!({ "_id": id, "property_id": "prepaid-001", "price": { "currency": "CAD" },
            "payment": { "required": 4_999 } });
        let due: PendingPayment = serde_json::from_value(due).unwrap();
        for event_kind in StripeEventKind::ALL {
            let text = due.event(event_kind, 1_800_000_000);
            assert!((1_500..=4_096).contains(&text.len()), "{event_kind:?}: {} bytes", text.len());
            let event = Event::read(&serde_json::from_str(&text).unwrap()).unwrap();
            assert_eq!((event.object.booking_id(), event.kind.as_str()), (Some(due.id), event_kind.kind()));
            let mut ledger = due.ledger();
            assert_eq!(ledger.apply(&event), None);
            let paid = if matches!(event_kind, StripeEventKind::SessionCompleted | StripeEventKind::IntentSucceeded) {
                4_999
            } else {
                0
            };
            assert_eq!((ledger.summary().cleared, ledger.summary().captured), (paid, paid), "{event_kind:?}");
        }
    }
}
