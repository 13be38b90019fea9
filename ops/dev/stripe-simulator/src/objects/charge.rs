//! Charges: <https://docs.stripe.com/api/charges/object>.

use super::Method;
use super::refund::RefundOutcome;
use crate::params::Metadata;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The status of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChargeStatus {
    /// Approved by the bank.
    Succeeded,
    /// The bank has not answered yet.
    Pending,
    /// Declined by the bank.
    Failed,
}

/// Why a charge failed: Stripe's code, the bank's code, and a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Decline {
    pub(crate) code: String,
    pub(crate) decline_code: String,
    pub(crate) message: String,
}

/// An attempt to charge a payment method.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) intent: String,
    pub(crate) amount: i64,
    pub(crate) amount_captured: i64,
    pub(crate) amount_refunded: i64,
    pub(crate) currency: String,
    pub(crate) status: ChargeStatus,
    pub(crate) captured: bool,
    pub(crate) method: Method,
    pub(crate) payment_method: String,
    pub(crate) decline: Option<Decline>,
    pub(crate) balance_transaction: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) description: Option<String>,
    pub(crate) email: Option<String>,
    /// Oldest first.
    pub(crate) refunds: Vec<String>,
    pub(crate) dispute: Option<String>,
    /// The outcome of its refunds, when the test card determines it.
    #[serde(default)]
    pub(crate) refund_outcome: Option<RefundOutcome>,
}

impl Charge {
    /// The amount that can still be refunded.
    pub(crate) fn refundable(&self) -> i64 {
        let taken = if self.captured { self.amount_captured } else { self.amount };
        taken - self.amount_refunded
    }

    /// Its JSON as Stripe shows it; `base` is the base URL of the pages.
    pub(crate) fn json(&self, base: &str) -> Value {
        let refunded = self.status == ChargeStatus::Succeeded && self.refundable() == 0;
        let failed = self.decline.as_ref();
        let receipt = (self.status == ChargeStatus::Succeeded).then(|| format!("{}/receipts/{}", base, self.id));
        json!({
            "id": self.id, "object": "charge", "amount": self.amount, "amount_captured": self.amount_captured,
            "amount_refunded": self.amount_refunded,
            "application": null, "application_fee": null, "application_fee_amount": null,
            "balance_transaction": self.balance_transaction,
            "billing_details": { "address": { "city": null, "country": null, "line1": null, "line2": null,
            "postal_code": null, "state": null },
                "email": self.email, "name": null, "phone": null, "tax_id": null },
            "calculated_statement_descriptor": "PVT BOOKING", "captured": self.captured, "created": self.created,
            "currency": self.currency, "customer": null,
            "description": self.description, "disputed": self.dispute.is_some(), "failure_balance_transaction": null,
            "failure_code": failed.map(|decline| &decline.code),
            "failure_message": failed.map(|decline| &decline.message), "fraud_details": {},
            "livemode": false, "metadata": self.metadata, "on_behalf_of": null, "outcome": self.outcome(),
            "paid": self.status == ChargeStatus::Succeeded,
            "payment_intent": self.intent, "payment_method": self.payment_method,
            "payment_method_details": self.method_details(), "presentment_details": null,
            "receipt_email": self.email, "receipt_number": null, "receipt_url": receipt, "refunded": refunded,
            "review": null, "shipping": null,
            "source": null, "source_transfer": null, "statement_descriptor": null, "statement_descriptor_suffix": null,
            "status": self.status,
            "transfer_data": null, "transfer_group": null,
        })
    }

    fn outcome(&self) -> Value {
        match &self.decline {
            None => json!({
                "advice_code": null, "network_advice_code": null, "network_decline_code": null,
                "network_status": "approved_by_network", "reason": null,
                "risk_level": "normal", "risk_score": 12, "seller_message": "Payment complete.", "type": "authorized",
            }),
            Some(decline) => json!({
                "advice_code": "try_again_later", "network_advice_code": null, "network_decline_code": null,
                "network_status": "declined_by_network",
                "reason": decline.decline_code, "risk_level": "normal", "risk_score": 12,
                "seller_message": "The bank did not return any further details with this \
                    decline.", "type": "issuer_declined",
            }),
        }
    }

    fn method_details(&self) -> Value {
        let name = self.method.stripe_type(&self.currency);
        let details = match self.method {
            Method::Card => json!({
                "amount_authorized": self.amount, "authorization_code": null, "brand": "visa",
                "checks": { "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass" },
                "country": "US", "exp_month": 12,
                "exp_year": 2034, "extended_authorization": { "status": "disabled" }, "fingerprint": "SimulatedVisa424",
                "funding": "credit",
                "incremental_authorization": { "status": "unavailable" }, "installments": null, "last4": "4242",
                "mandate": null,
                "multicapture": { "status": "unavailable" }, "network": "visa", "network_token": { "used": false },
                "network_transaction_id": null,
                "overcapture": { "maximum_amount_capturable": self.amount, "status": "unavailable" },
                "regulated_status": "unregulated",
                "three_d_secure": null, "wallet": null,
            }),
            Method::BankDebit => {
                json!({ "bank_name": "STRIPE TEST BANK", "fingerprint": "SimulatedBank678", "last4": "6789",
                    "mandate": null })
            }
        };
        json!({ "type": name, name: details })
    }
}
