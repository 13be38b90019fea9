//! Replies of workers to waiting API instances.

use crate::ids::BookingId;
use crate::values::refusal::RefusalDetail;
use crate::wire::{DecodeError, MessageType, decode_body, message_family};
use crate::wire_enum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

message_family! {
    Reply Reply {
        /// Result of a booking command.
        BOOKING_REPLY = "booking.reply.v1";
    }
}

message_family! {
    Reply PaymentReply {
        /// Result of a payment command.
        PAYMENT_REPLY = "payment.reply.v1";
    }
}

/// Reply to a waiting API instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reply {
    /// Booking or block: their ids never collide.
    pub booking_id: BookingId,
    /// Result of the command.
    pub outcome: ReplyOutcome,
    /// Details of a refusal.
    #[serde(default, rename = "why", skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<RefusalDetail>>,
}

wire_enum! {
    /// Result of a command.
    pub enum ReplyOutcome {
        /// Applied; the booking's stored state is the result.
        Decided = "decided",
        /// The idempotency key was used for another request.
        KeyReused = "key_reused",
        /// The booking's status does not allow it.
        Conflict = "conflict",
        /// The booking has a later revision than the expected one.
        Stale = "stale",
        /// A rule forbids it or no beds fit; nothing was changed.
        Refused = "refused",
    }
}

wire_enum! {
    /// Reason for which a payment command is refused.
    #[derive(Hash)]
    pub enum PaymentRefusal {
        /// Nothing is payable.
        NothingDue = "nothing_due",
        /// The booking cannot be paid in its status: cancelled, rejected, or its hold is over.
        NotPayable = "not_payable",
        /// The payment does not exist.
        UnknownPayment = "unknown_payment",
        /// More than is refundable.
        TooMuch = "too_much",
        /// The payment is disputed.
        Disputed = "disputed",
        /// The idempotency key was used for another request.
        KeyReused = "key_reused",
        /// Too many payment attempts; later ones may be possible again.
        TooManyAttempts = "too_many_attempts",
        /// Stripe refused it.
        ProviderRefused = "provider_refused",
        /// Stripe is unavailable.
        ProviderUnavailable = "provider_unavailable",
    }
}

/// Reply to an API instance that waits for a payment command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentReply {
    /// Booking.
    pub booking_id: BookingId,
    /// Payment: its id here, or Stripe's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<String>,
    /// URL of the checkout session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Client secret of the payment intent, for an app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// Reason of a refusal; absent on success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<PaymentRefusal>,
}

impl MessageType for Reply {
    fn kind(&self) -> &'static str {
        BOOKING_REPLY
    }
}

impl MessageType for PaymentReply {
    fn kind(&self) -> &'static str {
        PAYMENT_REPLY
    }
}

impl Reply {
    fn decode(_kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        decode_body(body)
    }
}

impl PaymentReply {
    fn decode(_kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        decode_body(body)
    }
}
