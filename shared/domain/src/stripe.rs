//! Stripe's objects, as far as we read them: tolerant of every field that we do not know, strict about those that money
//! depends on.
//!
//! Shapes are those of Stripe's API reference. Nothing here decides what an object means; see [`crate::ledger`].

pub mod metadata;
mod objects;

pub use objects::{
    BalanceTransaction, Charge, CheckoutSession, ClientSecret, Dispute, IntentStatus, PaymentIntent, Refund,
    RefundStatus, SessionPayment, SessionStatus,
};

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// An event as Stripe pushes and lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `evt_…`.
    pub id: String,
    /// For example `checkout.session.completed`.
    pub kind: String,
    /// When Stripe made it, in Unix seconds.
    pub created: i64,
    /// What it is about, as it was then.
    pub object: Object,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A page on which a guest pays.
    Session(CheckoutSession),
    /// A payment.
    Intent(PaymentIntent),
    /// An attempt of a payment.
    Charge(Charge),
    /// Money on its way back.
    Refund(Refund),
    /// A guest's bank wants the money back.
    Dispute(Dispute),
    /// Something that we do not follow: kept and counted, never an error.
    Other,
}

/// Why an event cannot be read, however often it is tried.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EventError {
    /// It is not an event at all.
    #[error("not a Stripe event: {0}")]
    Envelope(String),
    /// Its object is not what its type promises.
    #[error("the object of a `{kind}` cannot be read: {reason}")]
    Object {
        /// The event's type.
        kind: String,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Envelope {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    created: i64,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

/// Event types that we follow, by what comes before the last dot, and how their objects are called there.
const SESSION_EVENTS: &str = "checkout.session.";
const INTENT_EVENTS: &str = "payment_intent.";
const DISPUTE_EVENTS: &str = "charge.dispute.";
const REFUND_EVENTS: &str = "refund.";
/// The older name of `refund.updated`.
const CHARGE_REFUND_UPDATED: &str = "charge.refund.updated";
const CHARGE_EVENTS: &str = "charge.";

impl Event {
    /// Reads an event as Stripe wrote it.
    ///
    /// # Errors
    /// [`EventError`] when it is none, or when an object that money depends on is not of its documented shape.
    pub fn read(payload: &Value) -> Result<Self, EventError> {
        let envelope = Envelope::deserialize(payload).map_err(|error| EventError::Envelope(error.to_string()))?;
        let object = Object::read(&envelope.kind, envelope.data.object)?;
        Ok(Self { id: envelope.id, kind: envelope.kind, created: envelope.created, object })
    }
}

impl Object {
    fn read(kind: &str, object: Value) -> Result<Self, EventError> {
        let read = if kind.starts_with(SESSION_EVENTS) {
            CheckoutSession::deserialize(object).map(Self::Session)
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

    /// The booking that it says it belongs to, if it does.
    pub fn booking_id(&self) -> Option<crate::ids::BookingId> {
        metadata::booking_id(match self {
            Self::Session(session) => &session.metadata,
            Self::Intent(intent) => &intent.metadata,
            Self::Charge(charge) => &charge.metadata,
            Self::Refund(refund) => &refund.metadata,
            Self::Dispute(_) | Self::Other => return None,
        })
    }

    /// The payment intent that it belongs to, if there is one yet.
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
}

#[cfg(test)]
mod tests;
