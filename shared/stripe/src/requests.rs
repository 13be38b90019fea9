//! What can be made at Stripe, and the forms in which it is asked for.

use crate::error::StripeError;
use crate::form::Form;
use crate::locale;
use pvt_domain::money::Currency;
use pvt_domain::stripe::metadata::{BOOKING_ID, Metadata, REFUND_KEY};

/// Currencies of which Stripe counts other units than ISO 4217 does: it takes ISK and UGX in hundredths and MGA in
/// whole ones. Sent as they are, amounts would be a hundredth or a hundredfold of what is meant.
const OTHER_UNITS: [Currency; 3] = [Currency::ISK, Currency::UGX, Currency::MGA];

/// A page on which a guest pays, to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// What is to be paid, in minor units.
    pub amount: i64,
    /// In which currency.
    pub currency: Currency,
    /// What the page says it is for.
    pub title: String,
    /// The guest's address, so that they need not type it.
    pub email: Option<String>,
    /// The guest's language, for example `fr-CA`; the nearest that Stripe has is taken.
    pub locale: String,
    /// Where the guest goes on after paying; Stripe puts the session's id for `{CHECKOUT_SESSION_ID}`.
    pub success_url: String,
    /// Where they go on when they would rather not.
    pub cancel_url: String,
    /// When the page ends by itself, in Unix seconds: 30 minutes to 24 hours from now, else Stripe refuses. Unset: 24
    /// hours.
    pub expires_at: Option<i64>,
    /// Written on the session and on its payment.
    pub metadata: Metadata,
}

impl NewSession {
    pub(crate) fn form(&self) -> Result<Form, StripeError> {
        Ok(Form::default()
            .with("mode", "payment")
            .with("line_items[0][quantity]", 1)
            .with("line_items[0][price_data][currency]", code(self.currency)?)
            .with("line_items[0][price_data][unit_amount]", self.amount)
            .with("line_items[0][price_data][product_data][name]", &self.title)
            .with_some("client_reference_id", self.metadata.get(BOOKING_ID))
            .with_some("customer_email", self.email.as_ref())
            .with("locale", locale::nearest(&self.locale))
            .with("success_url", &self.success_url)
            .with("cancel_url", &self.cancel_url)
            .with_some("expires_at", self.expires_at)
            .with_metadata("metadata", &self.metadata)
            .with_metadata("payment_intent_data[metadata]", &self.metadata))
    }
}

/// A payment for an app that takes cards by Stripe's own fields, to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIntent {
    /// What is to be paid, in minor units.
    pub amount: i64,
    /// In which currency.
    pub currency: Currency,
    /// What it is for, as the dashboard shows it.
    pub title: String,
    /// Written on it.
    pub metadata: Metadata,
}

impl NewIntent {
    pub(crate) fn form(&self) -> Result<Form, StripeError> {
        Ok(Form::default()
            .with("amount", self.amount)
            .with("currency", code(self.currency)?)
            .with("automatic_payment_methods[enabled]", true)
            .with("description", &self.title)
            .with_metadata("metadata", &self.metadata))
    }
}

/// Money to be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRefund {
    /// The payment that gives it back: `pi_…`.
    pub payment_intent: String,
    /// How much, in minor units of the payment's currency.
    pub amount: i64,
    /// Our own name of it, by which it is found again.
    pub refund_key: String,
    /// Written on it together with the key.
    pub metadata: Metadata,
}

impl NewRefund {
    pub(crate) fn form(&self) -> Form {
        let mut metadata = self.metadata.clone();
        metadata.insert(REFUND_KEY.to_owned(), self.refund_key.clone());
        Form::default()
            .with("payment_intent", &self.payment_intent)
            .with("amount", self.amount)
            .with_metadata("metadata", &metadata)
    }
}

/// As Stripe writes it.
fn code(currency: Currency) -> Result<String, StripeError> {
    if OTHER_UNITS.contains(&currency) {
        return Err(StripeError::Refused {
            code: Some("currency_units".to_owned()),
            kind: "not_asked".to_owned(),
            message: format!("Stripe counts other units of {} than we do", currency.code()),
            param: Some("currency".to_owned()),
            decline_code: None,
        });
    }
    Ok(currency.code().to_ascii_lowercase())
}
