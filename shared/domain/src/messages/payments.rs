//! Commands about money: what Stripe pushed, and what is to be asked of Stripe.
//!
//! They travel in two queues. `payments` carries what only has to be written down, and is fast; `stripe` carries what
//! needs an answer from Stripe, and waits for nobody's beds.

use super::{DecodeError, Inbox, MessageType, decode_body};
use crate::ids::{BookingId, PropertyId, uuid_text};
use crate::ledger::{PaymentChannel, Record};
use crate::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Wire name of [`StripeEvent`].
pub const STRIPE_EVENT: &str = "stripe.event.v1";
/// Wire name of [`OpenPayment`] on Stripe's page.
pub const PAYMENT_OPEN_CHECKOUT: &str = "payment.open_checkout.v1";
/// Wire name of [`OpenPayment`] in an app.
pub const PAYMENT_CREATE_INTENT: &str = "payment.create_intent.v1";
/// Wire name of [`ExpireCheckout`].
pub const PAYMENT_EXPIRE_CHECKOUT: &str = "payment.expire_checkout.v1";
/// Wire name of [`Refund`].
pub const PAYMENT_REFUND: &str = "payment.refund.v1";
/// Wire name of [`RecordPayment`].
pub const PAYMENT_RECORD: &str = "payment.record.v1";
/// Wire name of [`RefreshPayment`].
pub const PAYMENT_REFRESH: &str = "payment.refresh.v1";
/// Wire name of [`ReconcilePayments`].
pub const RECONCILE_PAYMENTS: &str = "reconcile.payments.v1";

const STRIPE_CALLS: [&str; 7] = [
    PAYMENT_OPEN_CHECKOUT,
    PAYMENT_CREATE_INTENT,
    PAYMENT_EXPIRE_CHECKOUT,
    PAYMENT_REFUND,
    PAYMENT_RECORD,
    PAYMENT_REFRESH,
    RECONCILE_PAYMENTS,
];

/// An event that Stripe pushed and whose signature was verified at intake, or that its list of events has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// Name space of message ids of Stripe's events.
const STRIPE_EVENTS: Uuid = Uuid::from_u128(0x8d0f_5a1b_77c4_4d9e_9a60_2f1e_3b5c_7d21);

/// The message id of an event, whoever hands it on: the same event always has the same one.
pub fn stripe_event_message_id(event_id: &str) -> Uuid {
    Uuid::new_v5(&STRIPE_EVENTS, event_id.as_bytes())
}

/// What the `payments` queue carries.
#[derive(Debug, Clone, PartialEq)]
pub enum PaymentCommand {
    /// Stripe said something.
    Event(Box<StripeEvent>),
}

/// A guest wants to pay what a booking owes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPayment {
    /// Derived at intake; the same for every repetition.
    #[serde(with = "uuid_text")]
    pub payment_id: Uuid,
    /// Which booking.
    pub booking_id: BookingId,
    /// Its hostel.
    pub property_id: PropertyId,
    /// Where.
    pub channel: PaymentChannel,
    /// Where Stripe's page sends who has paid.
    pub success_url: String,
    /// Where Stripe's page sends who has not.
    pub cancel_url: String,
    /// Who asks.
    pub actor: String,
    /// When it was asked.
    pub requested_at: Timestamp,
}

/// Nobody is to pay for a booking any more: its pages at Stripe are to be closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpireCheckout {
    /// Which booking.
    pub booking_id: BookingId,
    /// Its hostel.
    pub property_id: PropertyId,
    /// Whether its hold is over: once nobody can pay any more, the beds are to be released.
    pub release: bool,
    /// Who asks.
    pub actor: String,
    /// When it was asked.
    pub requested_at: Timestamp,
}

/// Staff want money to be given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundRequest {
    /// Derived at intake; the same for every repetition.
    #[serde(with = "uuid_text")]
    pub refund_id: Uuid,
    /// Which payment gives it back: its id here, or Stripe's `pi_…`.
    pub payment_id: String,
    /// Minor units; absent: all that is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// Why.
    pub note: String,
}

/// Money is to be given back: what the booking came to leaves too much, or staff want it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Which booking.
    pub booking_id: BookingId,
    /// Its hostel.
    pub property_id: PropertyId,
    /// What staff want; absent: whatever the booking says is to be given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<RefundRequest>,
    /// Who asks.
    pub actor: String,
    /// When it was asked.
    pub requested_at: Timestamp,
}

/// Staff took or gave back money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPayment {
    /// Which booking.
    pub booking_id: BookingId,
    /// Its hostel.
    pub property_id: PropertyId,
    /// What.
    pub record: Record,
}

/// A payment is to be read from Stripe, because what was told of it lacks something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshPayment {
    /// `pi_…`.
    pub intent: String,
    /// The event that made this necessary.
    pub event_id: String,
    /// Whether what it told was joined to the payment's ledger, so that only what it did not tell is wanting.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
    /// When it was asked.
    pub requested_at: Timestamp,
}

/// Stripe's list of events and its ledger are to be compared with ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcilePayments {
    /// Names the run: its report is stored under this id.
    #[serde(with = "uuid_text")]
    pub run_id: Uuid,
    /// Report only.
    pub dry_run: bool,
    /// Who asks.
    pub actor: String,
    /// When it was asked.
    pub requested_at: Timestamp,
}

/// What the `stripe` queue carries.
#[derive(Debug, Clone, PartialEq)]
pub enum StripeCommand {
    /// A guest wants to pay.
    Open(OpenPayment),
    /// Nobody is to pay any more.
    Expire(ExpireCheckout),
    /// Money is to be given back.
    Refund(Refund),
    /// Staff took or gave back money.
    Record(RecordPayment),
    /// A payment is to be read.
    Refresh(RefreshPayment),
    /// Stripe's ledger and ours are to be compared.
    Reconcile(ReconcilePayments),
}

impl StripeCommand {
    /// The booking that it is about, if it is about one.
    pub fn booking_id(&self) -> Option<BookingId> {
        match self {
            Self::Open(open) => Some(open.booking_id),
            Self::Expire(expire) => Some(expire.booking_id),
            Self::Refund(refund) => Some(refund.booking_id),
            Self::Record(record) => Some(record.booking_id),
            Self::Refresh(_) | Self::Reconcile(_) => None,
        }
    }
}

/// Why something about money was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentRefusal {
    /// There is nothing to pay.
    NothingDue,
    /// The booking cannot be paid as it stands: it is cancelled, refused, or its hold is over.
    NotPayable,
    /// There is no such payment.
    UnknownPayment,
    /// More than is left of the payment.
    TooMuch,
    /// A bank argues about the payment.
    Disputed,
    /// The same key was used for something else.
    KeyReused,
    /// The booking was sent to pay too often; later it may be again.
    TooManyAttempts,
    /// Stripe refused it.
    ProviderRefused,
    /// Stripe does not answer.
    ProviderUnavailable,
}

/// What a worker answers to a waiting API instance about money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentReply {
    /// About which booking.
    pub booking_id: BookingId,
    /// Which payment: its id here, or Stripe's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<String>,
    /// Where the guest pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// By what an app lets the guest pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// Why it was refused; absent when it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<PaymentRefusal>,
}

/// Wire name of [`PaymentReply`].
pub const PAYMENT_REPLY: &str = "payment.reply.v1";

impl MessageType for OpenPayment {
    fn kind(&self) -> &'static str {
        match self.channel {
            PaymentChannel::Checkout => PAYMENT_OPEN_CHECKOUT,
            PaymentChannel::App => PAYMENT_CREATE_INTENT,
        }
    }
}

wire_name! {
    StripeEvent => STRIPE_EVENT,
    ExpireCheckout => PAYMENT_EXPIRE_CHECKOUT,
    Refund => PAYMENT_REFUND,
    RecordPayment => PAYMENT_RECORD,
    RefreshPayment => PAYMENT_REFRESH,
    ReconcilePayments => RECONCILE_PAYMENTS,
    PaymentReply => PAYMENT_REPLY,
}

impl Inbox for PaymentCommand {
    fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        match kind {
            STRIPE_EVENT => decode_body(body).map(|event| Self::Event(Box::new(event))),
            other => Err(DecodeError::unknown(other, &[STRIPE_EVENT])),
        }
    }
}

impl Inbox for StripeCommand {
    fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        match kind {
            PAYMENT_OPEN_CHECKOUT | PAYMENT_CREATE_INTENT => decode_body(body).map(Self::Open),
            PAYMENT_EXPIRE_CHECKOUT => decode_body(body).map(Self::Expire),
            PAYMENT_REFUND => decode_body(body).map(Self::Refund),
            PAYMENT_RECORD => decode_body(body).map(Self::Record),
            PAYMENT_REFRESH => decode_body(body).map(Self::Refresh),
            RECONCILE_PAYMENTS => decode_body(body).map(Self::Reconcile),
            other => Err(DecodeError::unknown(other, &STRIPE_CALLS)),
        }
    }
}
