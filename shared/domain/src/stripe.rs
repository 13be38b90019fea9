//! Stripe's wire objects, as far as the ledger reads them: tolerant of unknown fields, strict about those that payments
//! depend on.
//!
//! Shapes are those of Stripe's API reference. They stand in this crate because the ledger's rules are about them;
//! nothing here decides what an object means, see [`crate::ledger`].

pub mod amounts;
pub mod metadata;
mod objects;

pub use objects::{
    BalanceTransaction, Charge, ChargeStatus, CheckoutSession, ClientSecret, Dispute, IntentStatus, LatestCharge,
    PaymentError, PaymentIntent, Refund, RefundStatus, SessionPayment, SessionStatus,
};

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// An event, as Stripe pushes and lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `evt_…`.
    pub id: String,
    /// Type, for example `checkout.session.completed`.
    pub kind: String,
    /// Creation, in Unix seconds.
    pub created: i64,
    /// Whether it is about real money.
    pub livemode: Option<bool>,
    /// Its object at that time.
    pub object: Object,
}

/// The object of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A checkout session.
    Session(CheckoutSession),
    /// A payment intent.
    Intent(PaymentIntent),
    /// A charge.
    Charge(Charge),
    /// A refund.
    Refund(Refund),
    /// A dispute.
    Dispute(Dispute),
    /// An object that is not followed: stored and counted, never an error.
    Other,
}

/// Reason for which an event can never be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EventError {
    /// Not an event.
    #[error("not a Stripe event: {0}")]
    Envelope(String),
    /// Its object does not match its type.
    #[error("the object of a `{kind}` cannot be read: {reason}")]
    Object {
        /// The event's type.
        kind: String,
        /// The mismatch.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Envelope {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    created: i64,
    #[serde(default)]
    livemode: Option<bool>,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

/// Event types that are followed, by what precedes the last dot.
const SESSION_EVENTS: &str = "checkout.session.";
const INTENT_EVENTS: &str = "payment_intent.";
const DISPUTE_EVENTS: &str = "charge.dispute.";
const REFUND_EVENTS: &str = "refund.";
/// A guest completed a session; the payment may be processing.
pub const SESSION_COMPLETED: &str = "checkout.session.completed";
/// The payment of a completed session succeeded later.
pub const SESSION_PAID: &str = "checkout.session.async_payment_succeeded";
/// The payment of a completed session failed later.
pub const SESSION_FAILED: &str = "checkout.session.async_payment_failed";
/// A session expired.
pub const SESSION_EXPIRED: &str = "checkout.session.expired";
/// A payment succeeded.
pub const INTENT_SUCCEEDED: &str = "payment_intent.succeeded";
/// An attempt of a payment failed.
pub const INTENT_FAILED: &str = "payment_intent.payment_failed";
/// The former name of `refund.updated`.
const CHARGE_REFUND_UPDATED: &str = "charge.refund.updated";
const CHARGE_EVENTS: &str = "charge.";

impl Event {
    /// [`EventError`] when it is not an event, or its object lacks a field that payments depend on.
    pub fn read(payload: &Value) -> Result<Self, EventError> {
        let envelope = Envelope::deserialize(payload).map_err(|error| EventError::Envelope(error.to_string()))?;
        let object = Object::read(&envelope.kind, envelope.data.object)?;
        let Envelope { id, kind, created, livemode, .. } = envelope;
        Ok(Self { id, kind, created, livemode, object })
    }
}

impl Object {
    fn read(kind: &str, object: Value) -> Result<Self, EventError> {
        let read = if kind.starts_with(SESSION_EVENTS) {
            CheckoutSession::deserialize(object).map(|session| Self::Session(with_status(session, kind)))
        } else if kind.starts_with(INTENT_EVENTS) {
            PaymentIntent::deserialize(object).map(Self::Intent)
        } else if kind.starts_with(DISPUTE_EVENTS) {
            Dispute::deserialize(object).map(Self::Dispute)
        } else if kind.starts_with(REFUND_EVENTS) || kind == CHARGE_REFUND_UPDATED {
            Refund::deserialize(object).map(Self::Refund)
        } else if kind.starts_with(CHARGE_EVENTS) {
            Charge::deserialize(object).map(Self::Charge)
        } else {
            Ok(Self::Other)
        };
        read.map_err(|error| EventError::Object { kind: kind.to_owned(), reason: error.to_string() })
    }

    /// The booking named by its metadata, if any.
    pub fn booking_id(&self) -> Option<crate::ids::BookingId> {
        metadata::booking_id(match self {
            Self::Session(session) => &session.metadata,
            Self::Intent(intent) => &intent.metadata,
            Self::Charge(charge) => &charge.metadata,
            Self::Refund(refund) => &refund.metadata,
            Self::Dispute(_) | Self::Other => return None,
        })
    }

    /// Its payment intent, if there is one yet.
    pub fn intent_id(&self) -> Option<&str> {
        match self {
            Self::Session(session) => session.payment_intent.as_deref(),
            Self::Intent(intent) => Some(&intent.id),
            Self::Charge(charge) => charge.payment_intent.as_deref(),
            Self::Refund(refund) => refund.payment_intent.as_deref(),
            Self::Dispute(dispute) => dispute.payment_intent.as_deref(),
            Self::Other => None,
        }
    }

    /// The charge that it is or names. Refunds and disputes may name nothing else.
    pub fn charge_id(&self) -> Option<&str> {
        match self {
            Self::Charge(charge) => Some(&charge.id),
            Self::Refund(refund) => refund.charge.as_deref(),
            Self::Dispute(dispute) => dispute.charge.as_deref(),
            Self::Session(_) | Self::Intent(_) | Self::Other => None,
        }
    }
}

/// The session, with the status that the type of the event implies where it does not say it itself.
fn with_status(mut session: CheckoutSession, kind: &str) -> CheckoutSession {
    if session.status == SessionStatus::Unknown {
        session.status = match kind {
            SESSION_COMPLETED | SESSION_PAID | SESSION_FAILED => SessionStatus::Complete,
            SESSION_EXPIRED => SessionStatus::Expired,
            _ => SessionStatus::Unknown,
        };
    }
    session
}

#[cfg(test)]
mod tests;
