//! PaymentIntents: <https://docs.stripe.com/api/payment_intents/object>.

use super::Method;
use crate::params::Metadata;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The status of a PaymentIntent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IntentStatus {
    /// No attempt yet, or the last one failed.
    RequiresPaymentMethod,
    /// It has a method and is not confirmed.
    RequiresConfirmation,
    /// The bank has not answered yet.
    Processing,
    /// Authorized, not captured.
    RequiresCapture,
    /// Captured.
    Succeeded,
    /// Canceled.
    Canceled,
}

impl IntentStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::Processing => "processing",
            Self::RequiresCapture => "requires_capture",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }
}

/// The time of the capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CaptureMethod {
    /// At once; the fee is known a moment later.
    AutomaticAsync,
    /// At once.
    Automatic,
    /// On request.
    Manual,
}

impl CaptureMethod {
    pub(crate) const NAMES: [&'static str; 3] = ["automatic", "automatic_async", "manual"];

    pub(crate) fn of(name: Option<&str>) -> Self {
        match name {
            Some("manual") => Self::Manual,
            Some("automatic") => Self::Automatic,
            _ => Self::AutomaticAsync,
        }
    }
}

/// A PaymentIntent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) status: IntentStatus,
    pub(crate) capture: CaptureMethod,
    pub(crate) amount_received: i64,
    pub(crate) client_secret: String,
    pub(crate) metadata: Metadata,
    pub(crate) description: Option<String>,
    pub(crate) receipt_email: Option<String>,
    pub(crate) payment_method: Option<String>,
    pub(crate) method: Method,
    pub(crate) last_error: Option<Value>,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) cancellation_reason: Option<String>,
    /// Attempts, oldest first.
    pub(crate) charges: Vec<String>,
    /// Oldest first.
    pub(crate) refunds: Vec<String>,
    /// The Checkout Session that it belongs to.
    pub(crate) session: Option<String>,
    /// The idempotency key that created it.
    pub(crate) key: Option<String>,
}

impl Intent {
    /// Its JSON as Stripe shows it.
    pub(crate) fn json(&self) -> Value {
        let capturable = if self.status == IntentStatus::RequiresCapture { self.amount } else { 0 };
        let method = self.method.stripe_type(&self.currency);
        let types = if self.session.is_some() {
            vec!["card", Method::BankDebit.stripe_type(&self.currency)]
        } else {
            vec![method]
        };
        let processing = (self.status == IntentStatus::Processing).then(|| json!({ "type": method }));
        json!({
            "id": self.id, "object": "payment_intent", "amount": self.amount, "amount_capturable": capturable,
            "amount_details": { "tip": {} },
            "amount_received": self.amount_received, "application": null, "application_fee_amount": null,
            "automatic_payment_methods": if self.session.is_some() { Value::Null } else {
                json!({ "allow_redirects": "always", "enabled": true })
            },
            "canceled_at": self.canceled_at, "cancellation_reason": self.cancellation_reason,
            "capture_method": self.capture,
            "client_secret": self.client_secret, "confirmation_method": "automatic", "created": self.created,
            "currency": self.currency, "customer": null,
            "description": self.description, "excluded_payment_method_types": null,
            "last_payment_error": self.last_error,
            "latest_charge": self.charges.last(), "livemode": false, "metadata": self.metadata, "next_action": null,
            "on_behalf_of": null,
            "payment_method": self.payment_method, "payment_method_configuration_details": null,
            "payment_method_options": { "card": { "installments": null, "mandate_options": null, "network": null,
            "request_three_d_secure": "automatic" } },
            "payment_method_types": types, "processing": processing, "receipt_email": self.receipt_email,
            "review": null, "setup_future_usage": null,
            "shipping": null, "source": null, "statement_descriptor": null, "statement_descriptor_suffix": null,
            "status": self.status,
            "transfer_data": null, "transfer_group": null,
        })
    }
}
