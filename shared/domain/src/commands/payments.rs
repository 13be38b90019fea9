//! Commands about payments: events pushed by Stripe, and calls to Stripe.
//!
//! They travel in three queues. `payments` carries events of Stripe, `records` what staff took themselves, and both are
//! fast; `stripe` carries what waits for an answer from Stripe, and must not delay the others.

use crate::actor::Actor;
use crate::ids::{BookingId, PropertyId, uuid_text};
use crate::ledger::{PaymentChannel, Record};
use crate::timestamp::Timestamp;
use crate::wire::{MessageType, inbox, queues};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

inbox! {
    /// Inbox of the `payments` queue.
    pub enum PaymentCommand on queues::PAYMENTS {
        commands {
            /// Record an event pushed by Stripe.
            STRIPE_EVENT = "stripe.event.v1" => Event(Box<StripeEvent>);
        }
        events {}
    }
}

inbox! {
    /// Inbox of the `stripe` queue.
    pub enum StripeCommand on queues::STRIPE {
        commands {
            /// Open a Stripe Checkout session for the payable amount.
            PAYMENT_OPEN_CHECKOUT = "payment.open_checkout.v1",
            /// Create a payment intent for an app that collects cards with Stripe's own fields.
            PAYMENT_CREATE_INTENT = "payment.create_intent.v1" => Open(OpenPayment);
            /// Expire the checkout sessions of a booking and, if its hold is over, release its beds.
            PAYMENT_EXPIRE_CHECKOUT = "payment.expire_checkout.v1" => Expire(ExpireCheckout);
            /// Refund what a booking has overpaid, or what staff request.
            PAYMENT_REFUND = "payment.refund.v1" => Refund(Refund);
            /// Read a payment from Stripe.
            PAYMENT_REFRESH = "payment.refresh.v1" => Refresh(RefreshPayment);
            /// Replay Stripe's events that never arrived.
            RECONCILE_PAYMENTS = "reconcile.payments.v1" => Reconcile(ReconcilePayments);
            /// Compare Stripe's balance transactions of one day with the ledgers.
            RECONCILE_BALANCE = "reconcile.balance.v1" => CompareBalance(CompareBalance);
        }
        moved {
            /// Record a cash, terminal or bank payment.
            PAYMENT_RECORD => Record(RecordPayment);
        }
        events {}
    }
}

inbox! {
    /// Inbox of the `records` queue.
    pub enum RecordCommand on queues::RECORDS {
        commands {
            /// Record a cash, terminal or bank payment.
            PAYMENT_RECORD = "payment.record.v1" => Record(RecordPayment);
        }
        events {}
    }
}

impl MessageType for OpenPayment {
    fn kind(&self) -> &'static str {
        match self.channel {
            PaymentChannel::Checkout => PAYMENT_OPEN_CHECKOUT,
            PaymentChannel::App => PAYMENT_CREATE_INTENT,
        }
    }
}

/// An event pushed by Stripe, verified at intake, or read from its list of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StripeEvent {
    /// Stripe's `evt_…`.
    pub event_id: String,
    /// Stripe's type, for example `checkout.session.completed`.
    pub event_type: String,
    /// The event as Stripe wrote it.
    pub payload: serde_json::Value,
    /// When intake verified it.
    pub received_at: Timestamp,
}

/// Namespace of message ids of Stripe's events.
const STRIPE_EVENTS: Uuid = Uuid::from_u128(0x8d0f_5a1b_77c4_4d9e_9a60_2f1e_3b5c_7d21);

/// The message id of an event, however it was received: the same event always has the same one.
pub fn stripe_event_message_id(event_id: &str) -> Uuid {
    Uuid::new_v5(&STRIPE_EVENTS, event_id.as_bytes())
}

/// Opening of a payment attempt for the payable amount of a booking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenPayment {
    /// Derived at intake; the same for every retry.
    #[serde(with = "uuid_text")]
    #[schemars(with = "Uuid")]
    pub payment_id: Uuid,
    /// Booking.
    pub booking_id: BookingId,
    /// Its property.
    pub property_id: PropertyId,
    /// Checkout session or payment intent.
    pub channel: PaymentChannel,
    /// Return URL after payment.
    pub success_url: String,
    /// Return URL after the guest turned back.
    pub cancel_url: String,
    /// Who requests it.
    pub actor: Actor,
    /// Time of the request.
    pub requested_at: Timestamp,
}

/// Expiry of a booking's checkout sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExpireCheckout {
    /// Booking.
    pub booking_id: BookingId,
    /// Its property.
    pub property_id: PropertyId,
    /// Whether its hold is over: the beds are released once it can no longer be paid.
    pub release: bool,
    /// The booking's revision that requests this. While the booking stands, what was opened for this revision or a
    /// later one stays open. Absent: everything is expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    /// Who requests it.
    pub actor: Actor,
    /// Time of the request.
    pub requested_at: Timestamp,
}

/// Refund requested by staff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefundRequest {
    /// Derived at intake; the same for every retry.
    #[serde(with = "uuid_text")]
    #[schemars(with = "Uuid")]
    pub refund_id: Uuid,
    /// Payment to refund: its id here, or Stripe's `pi_…`.
    pub payment_id: String,
    /// Minor units; absent: all that is refundable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// Reason.
    pub note: String,
}

/// Refund of an overpayment, or one requested by staff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refund {
    /// Booking.
    pub booking_id: BookingId,
    /// Its property.
    pub property_id: PropertyId,
    /// Request of staff; absent: whatever the booking's payment still has to refund.
    #[serde(default, rename = "wish", skip_serializing_if = "Option::is_none")]
    pub request: Option<RefundRequest>,
    /// Who requests it.
    pub actor: Actor,
    /// Time of the request.
    pub requested_at: Timestamp,
}

/// Payment or refund made outside Stripe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordPayment {
    /// Booking.
    pub booking_id: BookingId,
    /// Its property.
    pub property_id: PropertyId,
    /// The record.
    pub record: Record,
}

/// Reading of a payment from Stripe, because an event lacked something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefreshPayment {
    /// `pi_…`; absent when only its charge is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// `ch_…` or `py_…`: the payment is the one of this charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<String>,
    /// The event that made this necessary.
    pub event_id: String,
    /// Whether the event was merged into the ledger, so that only what it lacked is missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
    /// Time of the request.
    pub requested_at: Timestamp,
}

/// Replay of Stripe's events that never arrived, one span of time after the other, each with a command of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReconcilePayments {
    /// Id of the run and of its report.
    #[serde(with = "uuid_text")]
    #[schemars(with = "Uuid")]
    pub run_id: Uuid,
    /// Report only.
    pub dry_run: bool,
    /// Who requests it.
    pub actor: Actor,
    /// Time of the request.
    pub requested_at: Timestamp,
    /// The span to read; absent in the first command of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<SweepSpan>,
}

/// A span of time in which a sweep reads Stripe's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SweepSpan {
    /// Its start: the end of the span before.
    pub from: Timestamp,
    /// Its length, in seconds, unless it holds too many events.
    pub seconds: u32,
}

/// Comparison of Stripe's balance transactions of one day with the ledgers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CompareBalance {
    /// Id of the run and of its report.
    #[serde(with = "uuid_text")]
    #[schemars(with = "Uuid")]
    pub run_id: Uuid,
    /// The day, in UTC.
    pub day: NaiveDate,
    /// The last day of the run.
    pub last_day: NaiveDate,
    /// Report only: fees are not recorded.
    pub dry_run: bool,
    /// Who requests it.
    pub actor: Actor,
    /// Time of the request.
    pub requested_at: Timestamp,
}

impl StripeCommand {
    /// The booking of the command, if it has one.
    pub fn booking_id(&self) -> Option<BookingId> {
        match self {
            Self::Open(open) => Some(open.booking_id),
            Self::Expire(expire) => Some(expire.booking_id),
            Self::Refund(refund) => Some(refund.booking_id),
            Self::Record(record) => Some(record.booking_id),
            Self::Refresh(_) | Self::Reconcile(_) | Self::CompareBalance(_) => None,
        }
    }
}
