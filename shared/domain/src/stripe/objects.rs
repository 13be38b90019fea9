//! Stripe's objects. Amounts are minor units, currencies are Stripe's lower-case codes, instants are Unix seconds.

use super::metadata::Metadata;
use crate::wire_enum;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A reference, which Stripe writes as an id or, when expanded, as the whole object.
fn id_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(deserializer)? {
        Some(Value::String(id)) => Some(id),
        Some(Value::Object(object)) => object.get("id").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    })
}

/// A value that may be `null`, which is read as its default.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// The items of an embedded list, as far as they can be read: what a list leaves out is read from Stripe.
fn items<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    struct List {
        #[serde(default)]
        data: Vec<Value>,
    }
    let list = Option::<List>::deserialize(deserializer)?;
    let data = list.map(|list| list.data).unwrap_or_default();
    Ok(data.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect())
}

wire_enum! {
    /// State of a checkout session.
    pub enum SessionStatus {
        /// The guest may pay.
        Open = "open",
        /// Expired.
        Expired = "expired",
        /// Completed; the payment status is separate.
        Complete = "complete",
    } else Unknown
}

wire_enum! {
    /// Payment status of a checkout session.
    pub enum SessionPayment {
        /// Not paid, or not yet.
        Unpaid = "unpaid",
        /// Nothing was due.
        NotNeeded = "no_payment_required",
        /// Paid.
        Paid = "paid",
    } else Unknown
}

wire_enum! {
    /// Status of a payment intent, in the order in which one attempt advances. A failed attempt goes back to the first.
    pub enum IntentStatus {
        /// No payment method, or the last one failed.
        RequiresPaymentMethod = "requires_payment_method",
        /// To be confirmed.
        RequiresConfirmation = "requires_confirmation",
        /// The guest must authenticate with their bank.
        RequiresAction = "requires_action",
        /// Processing, for hours or days.
        Processing = "processing",
        /// Authorized, not captured.
        RequiresCapture = "requires_capture",
        /// Canceled.
        Canceled = "canceled",
        /// Paid.
        Succeeded = "succeeded",
    } else Unknown
}

wire_enum! {
    /// Status of a refund, in the order in which it may advance: even one that succeeded may still fail.
    pub enum RefundStatus {
        /// Pending.
        Pending = "pending",
        /// The guest must act.
        RequiresAction = "requires_action",
        /// Succeeded, as far as Stripe knows.
        Succeeded = "succeeded",
        /// Canceled before it was sent.
        Canceled = "canceled",
        /// Failed.
        Failed = "failed",
    } else Unknown
}

/// The status of a payment intent, by its present name or the one that it had before API version 2019-02-11.
fn intent_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IntentStatus, D::Error> {
    let name = Value::deserialize(deserializer)?;
    Ok(match name.as_str() {
        Some("requires_source") => IntentStatus::RequiresPaymentMethod,
        Some("requires_source_action") => IntentStatus::RequiresAction,
        _ => serde_json::from_value(name).unwrap_or(IntentStatus::Unknown),
    })
}

impl IntentStatus {
    /// Whether it can no longer be paid: it was paid or canceled.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Canceled)
    }
}

impl RefundStatus {
    /// Whether the amount was refunded, or will be.
    pub fn is_effective(self) -> bool {
        !matches!(self, Self::Canceled | Self::Failed)
    }
}

/// A checkout session.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CheckoutSession {
    /// `cs_…`.
    pub id: String,
    /// Status; events before 2021 do not have it, see [`super::Event::read`].
    #[serde(default = "unknown_session")]
    pub status: SessionStatus,
    /// Payment status.
    #[serde(default = "unknown_payment")]
    pub payment_status: SessionPayment,
    /// Its payment intent, once there is one.
    #[serde(default, deserialize_with = "id_of")]
    pub payment_intent: Option<String>,
    /// Amount.
    #[serde(default, deserialize_with = "or_default")]
    pub amount_total: i64,
    /// Currency.
    #[serde(default, deserialize_with = "or_default")]
    pub currency: String,
    /// Its URL, while it is open.
    #[serde(default)]
    pub url: Option<String>,
    /// Expiry.
    #[serde(default, deserialize_with = "or_default")]
    pub expires_at: i64,
    /// Creation.
    #[serde(default, deserialize_with = "or_default")]
    pub created: i64,
    /// Metadata.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Metadata,
}

fn unknown_session() -> SessionStatus {
    SessionStatus::Unknown
}

fn unknown_payment() -> SessionPayment {
    SessionPayment::Unknown
}

/// A client secret: a bearer of it can pay. Redacted in debug output, so that no log line can carry it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ClientSecret(String);

impl ClientSecret {
    /// The secret, for the app that is to pay.
    pub fn into_text(self) -> String {
        self.0
    }
}

impl std::fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

/// A payment intent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PaymentIntent {
    /// `pi_…`.
    pub id: String,
    /// Status.
    #[serde(deserialize_with = "intent_status")]
    pub status: IntentStatus,
    /// Amount.
    pub amount: i64,
    /// Amount received.
    #[serde(default, deserialize_with = "or_default")]
    pub amount_received: i64,
    /// Currency.
    pub currency: String,
    /// Client secret for the app of the guest.
    #[serde(default)]
    pub client_secret: Option<ClientSecret>,
    /// Its latest charge, since API version 2022-11-15.
    #[serde(default)]
    pub latest_charge: Option<LatestCharge>,
    /// Its charges, newest first, before API version 2022-11-15.
    #[serde(default, deserialize_with = "items")]
    pub charges: Vec<Charge>,
    /// Failure of the last attempt.
    #[serde(default)]
    pub last_payment_error: Option<PaymentError>,
    /// Creation.
    #[serde(default, deserialize_with = "or_default")]
    pub created: i64,
    /// Metadata.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Metadata,
}

/// The latest charge of a payment intent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum LatestCharge {
    /// `ch_…` or `py_…`.
    Id(String),
    /// Expanded.
    Expanded(Box<Charge>),
}

/// Failure of a payment attempt.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PaymentError {
    /// The charge that failed, if there was one.
    #[serde(default, deserialize_with = "id_of")]
    pub charge: Option<String>,
}

impl PaymentIntent {
    /// The id of its latest charge.
    pub fn latest_charge_id(&self) -> Option<&str> {
        match &self.latest_charge {
            Some(LatestCharge::Id(id)) => Some(id),
            Some(LatestCharge::Expanded(charge)) => Some(&charge.id),
            None => self.charges.first().map(|charge| charge.id.as_str()),
        }
    }

    /// Its charges, as far as they are embedded.
    pub fn embedded_charges(&self) -> impl Iterator<Item = &Charge> {
        let latest = match &self.latest_charge {
            Some(LatestCharge::Expanded(charge)) => Some(charge.as_ref()),
            Some(LatestCharge::Id(_)) | None => None,
        };
        latest.into_iter().chain(&self.charges)
    }
}

wire_enum! {
    /// Status of a charge.
    pub enum ChargeStatus {
        /// The bank has not answered.
        Pending = "pending",
        /// Approved.
        Succeeded = "succeeded",
        /// Failed.
        Failed = "failed",
    } else Unknown
}

fn unknown_charge() -> ChargeStatus {
    ChargeStatus::Unknown
}

/// A charge: one attempt of a payment.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Charge {
    /// `ch_…` or `py_…`.
    pub id: String,
    /// Its payment intent; absent for one that was made without.
    #[serde(default, deserialize_with = "id_of")]
    pub payment_intent: Option<String>,
    /// Status.
    #[serde(default = "unknown_charge")]
    pub status: ChargeStatus,
    /// Creation.
    #[serde(default, deserialize_with = "or_default")]
    pub created: i64,
    /// Its newest refunds, before API version 2022-11-15.
    #[serde(default, deserialize_with = "items")]
    pub refunds: Vec<Refund>,
    /// Amount.
    #[serde(default, deserialize_with = "or_default")]
    pub amount: i64,
    /// Amount refunded so far.
    #[serde(default, deserialize_with = "or_default")]
    pub amount_refunded: i64,
    /// Currency.
    #[serde(default, deserialize_with = "or_default")]
    pub currency: String,
    /// Metadata of the payment intent at its creation.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Metadata,
}

/// A refund.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Refund {
    /// `re_…`.
    pub id: String,
    /// Its payment intent.
    #[serde(default, deserialize_with = "id_of")]
    pub payment_intent: Option<String>,
    /// Its charge.
    #[serde(default, deserialize_with = "id_of")]
    pub charge: Option<String>,
    /// Amount.
    pub amount: i64,
    /// Currency.
    pub currency: String,
    /// Status.
    #[serde(default = "unknown_refund")]
    pub status: RefundStatus,
    /// Failure reason.
    #[serde(default)]
    pub failure_reason: Option<String>,
    /// Creation.
    #[serde(default, deserialize_with = "or_default")]
    pub created: i64,
    /// Metadata.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Metadata,
}

fn unknown_refund() -> RefundStatus {
    RefundStatus::Unknown
}

/// A dispute.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Dispute {
    /// `dp_…`.
    pub id: String,
    /// Its payment intent.
    #[serde(default, deserialize_with = "id_of")]
    pub payment_intent: Option<String>,
    /// Its charge.
    #[serde(default, deserialize_with = "id_of")]
    pub charge: Option<String>,
    /// Amount.
    pub amount: i64,
    /// Currency.
    pub currency: String,
    /// Status, for example `needs_response`, `won`, `lost`.
    pub status: String,
    /// Reason.
    #[serde(default, deserialize_with = "or_default")]
    pub reason: String,
    /// Creation.
    #[serde(default, deserialize_with = "or_default")]
    pub created: i64,
    /// Its balance transactions.
    #[serde(default, deserialize_with = "or_default")]
    pub balance_transactions: Vec<BalanceTransaction>,
}

/// A balance transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BalanceTransaction {
    /// `txn_…`.
    pub id: String,
    /// Amount, negative when outgoing.
    pub amount: i64,
    /// Fee.
    #[serde(default, deserialize_with = "or_default")]
    pub fee: i64,
    /// Currency.
    pub currency: String,
    /// Creation.
    #[serde(default, deserialize_with = "or_default")]
    pub created: i64,
    /// Type, for example `charge`, `refund`, `dispute`.
    #[serde(default, deserialize_with = "or_default")]
    pub reporting_category: String,
    /// Its source object.
    #[serde(default, deserialize_with = "id_of", skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}
