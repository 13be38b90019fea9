//! The objects themselves. Amounts are minor units, currencies are Stripe's lower-case codes, instants are Unix
//! seconds.

use super::metadata::Metadata;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A reference that Stripe writes as an id or, when asked to expand it, as the whole object.
fn id_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(deserializer)? {
        Some(Value::String(id)) => Some(id),
        Some(Value::Object(object)) => object.get("id").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    })
}

/// What may be `null` and then means nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $wire:literal),+ $(,)? } else $(#[$other_doc:meta])* $other:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $(#[$other_doc])*
            $other,
            $($(#[$variant_doc])* #[serde(rename = $wire)] $variant,)+
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(match Option::<String>::deserialize(deserializer)?.as_deref() {
                    $(Some($wire) => Self::$variant,)+
                    _ => Self::$other,
                })
            }
        }
    };
}

wire_enum! {
    /// Where a checkout session stands.
    SessionStatus {
        /// The guest may pay.
        Open = "open",
        /// Nobody can pay any more.
        Expired = "expired",
        /// The guest has gone through it; whether the money is there is said apart.
        Complete = "complete",
    } else /// Something newer than this program.
    Unknown
}

wire_enum! {
    /// Whether a session's money is there.
    SessionPayment {
        /// Not, or not yet.
        Unpaid = "unpaid",
        /// There was nothing to pay.
        NotNeeded = "no_payment_required",
        /// It is.
        Paid = "paid",
    } else /// Something newer than this program.
    Unknown
}

wire_enum! {
    /// Where a payment stands. The order is that in which a payment may move on: what is greater is later.
    IntentStatus {
        /// No means of payment, or the last one failed.
        RequiresPaymentMethod = "requires_payment_method",
        /// To be confirmed.
        RequiresConfirmation = "requires_confirmation",
        /// The guest has to do something at their bank.
        RequiresAction = "requires_action",
        /// On its way, for hours or days.
        Processing = "processing",
        /// Reserved on the card.
        RequiresCapture = "requires_capture",
        /// Given up.
        Canceled = "canceled",
        /// The money is there.
        Succeeded = "succeeded",
    } else /// Something newer than this program.
    Unknown
}

wire_enum! {
    /// Where a refund stands. The order is that in which a refund may move on: even what succeeded may still fail.
    RefundStatus {
        /// On its way.
        Pending = "pending",
        /// The guest has to do something.
        RequiresAction = "requires_action",
        /// As far as Stripe knows the money is there.
        Succeeded = "succeeded",
        /// Taken back before it left.
        Canceled = "canceled",
        /// It came back.
        Failed = "failed",
    } else /// Something newer than this program.
    Unknown
}

impl IntentStatus {
    /// Whether nobody can pay by it any more: it was paid, or given up.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Canceled)
    }
}

impl RefundStatus {
    /// Whether the money left, or is leaving.
    pub fn is_effective(self) -> bool {
        !matches!(self, Self::Canceled | Self::Failed)
    }
}

/// A page at Stripe on which a guest pays.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CheckoutSession {
    /// `cs_…`.
    pub id: String,
    /// Where it stands.
    pub status: SessionStatus,
    /// Whether the money is there.
    pub payment_status: SessionPayment,
    /// The payment, once the guest has begun one.
    #[serde(default, deserialize_with = "id_of")]
    pub payment_intent: Option<String>,
    /// What is to be paid.
    #[serde(default, deserialize_with = "or_default")]
    pub amount_total: i64,
    /// In which currency.
    #[serde(default, deserialize_with = "or_default")]
    pub currency: String,
    /// Where the page is, while it is open.
    #[serde(default)]
    pub url: Option<String>,
    /// When it ends by itself.
    #[serde(default, deserialize_with = "or_default")]
    pub expires_at: i64,
    /// When it was made.
    #[serde(default, deserialize_with = "or_default")]
    pub created: i64,
    /// What we wrote on it.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Metadata,
}

/// By what whoever has it can pay. Shows nothing of itself, so that no log line ever can.
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

/// A payment.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PaymentIntent {
    /// `pi_…`.
    pub id: String,
    /// Where it stands.
    pub status: IntentStatus,
    /// What is to be paid.
    pub amount: i64,
    /// What was.
    #[serde(default, deserialize_with = "or_default")]
    pub amount_received: i64,
    /// In which currency.
    pub currency: String,
    /// By what an app lets the guest pay it; secret.
    #[serde(default)]
    pub client_secret: Option<ClientSecret>,
    /// The attempt that counts.
    #[serde(default, deserialize_with = "id_of")]
    pub latest_charge: Option<String>,
    /// When it was made.
    #[serde(default, deserialize_with = "or_default")]
    pub created: i64,
    /// What we wrote on it.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Metadata,
}

/// An attempt of a payment.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Charge {
    /// `ch_…`.
    pub id: String,
    /// The payment.
    #[serde(default, deserialize_with = "id_of")]
    pub payment_intent: Option<String>,
    /// What it took.
    #[serde(default, deserialize_with = "or_default")]
    pub amount: i64,
    /// What it gave back so far.
    #[serde(default, deserialize_with = "or_default")]
    pub amount_refunded: i64,
    /// In which currency.
    #[serde(default, deserialize_with = "or_default")]
    pub currency: String,
    /// What was written on the payment when it was made.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Metadata,
}

/// Money on its way back.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Refund {
    /// `re_…`.
    pub id: String,
    /// The payment.
    #[serde(default, deserialize_with = "id_of")]
    pub payment_intent: Option<String>,
    /// The attempt.
    #[serde(default, deserialize_with = "id_of")]
    pub charge: Option<String>,
    /// How much.
    pub amount: i64,
    /// In which currency.
    pub currency: String,
    /// Where it stands.
    #[serde(default = "unknown_refund")]
    pub status: RefundStatus,
    /// Why it failed.
    #[serde(default)]
    pub failure_reason: Option<String>,
    /// When it was made.
    #[serde(default, deserialize_with = "or_default")]
    pub created: i64,
    /// What we wrote on it.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Metadata,
}

fn unknown_refund() -> RefundStatus {
    RefundStatus::Unknown
}

/// A guest's bank wants the money back.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Dispute {
    /// `dp_…`.
    pub id: String,
    /// The payment.
    #[serde(default, deserialize_with = "id_of")]
    pub payment_intent: Option<String>,
    /// The attempt.
    #[serde(default, deserialize_with = "id_of")]
    pub charge: Option<String>,
    /// How much.
    pub amount: i64,
    /// In which currency.
    pub currency: String,
    /// Stripe's word for where it stands, for example `needs_response`, `won`, `lost`.
    pub status: String,
    /// Stripe's word for why.
    #[serde(default, deserialize_with = "or_default")]
    pub reason: String,
    /// When it was made.
    #[serde(default, deserialize_with = "or_default")]
    pub created: i64,
    /// What was taken and given back for it.
    #[serde(default, deserialize_with = "or_default")]
    pub balance_transactions: Vec<BalanceTransaction>,
}

/// A line of Stripe's own ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BalanceTransaction {
    /// `txn_…`.
    pub id: String,
    /// What came (positive) or went.
    pub amount: i64,
    /// What Stripe kept of it.
    #[serde(default, deserialize_with = "or_default")]
    pub fee: i64,
    /// In which currency.
    pub currency: String,
    /// When.
    #[serde(default, deserialize_with = "or_default")]
    pub created: i64,
    /// Stripe's word for what kind it is, for example `charge`, `refund`, `dispute`.
    #[serde(default, deserialize_with = "or_default")]
    pub reporting_category: String,
    /// The object that made it.
    #[serde(default, deserialize_with = "id_of", skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}
