//! Requests that create something at Stripe, as async-stripe's builders write them.

use crate::error::StripeError;
use crate::locale;
use pvt_domain::money::Currency;
use pvt_domain::stripe::amounts::{self, AmountRefusal};
use pvt_domain::stripe::metadata::{BOOKING_ID, Metadata, REFUND_KEY};
use std::collections::HashMap;
use std::convert::Infallible;
use std::str::FromStr;
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionLineItems, CreateCheckoutSessionLineItemsPriceData,
    CreateCheckoutSessionPaymentIntentData, ProductData,
};
use stripe_checkout::{CheckoutSessionLocale, CheckoutSessionMode};
use stripe_core::payment_intent::{CreatePaymentIntent, CreatePaymentIntentAutomaticPaymentMethods};
use stripe_core::refund::CreateRefund;

/// A Checkout session to create: a page on which a guest pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Amount to pay, in minor units.
    pub amount: i64,
    /// Its currency.
    pub currency: Currency,
    /// What the page shows as the product.
    pub title: String,
    /// The guest's e-mail address, filled in on the page.
    pub email: Option<String>,
    /// The guest's language, for example `fr-CA`; the nearest one that Stripe offers is used.
    pub locale: String,
    /// Where the browser goes after payment; Stripe replaces `{CHECKOUT_SESSION_ID}` by the session's id.
    pub success_url: String,
    /// Where the browser goes when the guest cancels.
    pub cancel_url: String,
    /// When the page ends by itself, in Unix seconds: 30 minutes to 24 hours from now, else Stripe refuses. Unset: 24
    /// hours.
    pub expires_at: Option<i64>,
    /// Metadata of the session and of its payment.
    pub metadata: Metadata,
}

impl NewSession {
    pub(crate) fn request(&self) -> Result<CreateCheckoutSession, StripeError> {
        let mut price = CreateCheckoutSessionLineItemsPriceData::new(currency(self.currency)?);
        price.unit_amount = Some(self.amount);
        price.product_data = Some(ProductData::new(self.title.clone()));
        let mut item = CreateCheckoutSessionLineItems::new();
        (item.price_data, item.quantity) = (Some(price), Some(1));
        let mut request = CreateCheckoutSession::new()
            .mode(CheckoutSessionMode::Payment)
            .line_items(vec![item])
            .locale(known::<CheckoutSessionLocale>(locale::nearest(&self.locale)))
            .success_url(&*self.success_url)
            .cancel_url(&*self.cancel_url);
        if let Some(booking) = self.metadata.get(BOOKING_ID) {
            request = request.client_reference_id(booking);
        }
        if let Some(email) = &self.email {
            request = request.customer_email(email);
        }
        if let Some(expires_at) = self.expires_at {
            request = request.expires_at(expires_at);
        }
        if !self.metadata.is_empty() {
            let mut payment = CreateCheckoutSessionPaymentIntentData::new();
            payment.metadata = Some(entries(&self.metadata));
            request = request.metadata(entries(&self.metadata)).payment_intent_data(payment);
        }
        Ok(request)
    }
}

/// A payment intent to create, for an app with Stripe's own card fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIntent {
    /// Amount to pay, in minor units.
    pub amount: i64,
    /// Its currency.
    pub currency: Currency,
    /// Description in Stripe's dashboard.
    pub title: String,
    /// Metadata of the payment.
    pub metadata: Metadata,
}

impl NewIntent {
    pub(crate) fn request(&self) -> Result<CreatePaymentIntent, StripeError> {
        Ok(CreatePaymentIntent::new(self.amount, currency(self.currency)?)
            .automatic_payment_methods(CreatePaymentIntentAutomaticPaymentMethods::new(true))
            .description(&*self.title)
            .metadata(entries(&self.metadata)))
    }
}

/// A refund to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRefund {
    /// The payment to refund: `pi_…`.
    pub payment_intent: String,
    /// Amount in minor units of the payment's currency.
    pub amount: i64,
    /// Our own key of the refund, by which it is found again.
    pub refund_key: String,
    /// Metadata of the refund, beside the key.
    pub metadata: Metadata,
}

impl NewRefund {
    pub(crate) fn request(&self) -> CreateRefund {
        let mut metadata = entries(&self.metadata);
        metadata.insert(REFUND_KEY.to_owned(), self.refund_key.clone());
        CreateRefund::new().payment_intent(&*self.payment_intent).amount(self.amount).metadata(metadata)
    }
}

/// Stripe's name of a currency; refused where Stripe counts it in other units.
fn currency(currency: Currency) -> Result<stripe_types::Currency, StripeError> {
    if amounts::limits(currency).is_none() {
        return Err(StripeError::Refused {
            code: Some("currency_units".to_owned()),
            kind: "not_asked".to_owned(),
            message: AmountRefusal::Units(currency).to_string(),
            param: Some("currency".to_owned()),
            decline_code: None,
        });
    }
    Ok(known(&currency.code().to_ascii_lowercase()))
}

/// A value of one of Stripe's enumerations; text that the crate does not know is kept and sent as it is.
fn known<T: FromStr<Err = Infallible>>(name: &str) -> T {
    match name.parse() {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

fn entries(metadata: &Metadata) -> HashMap<String, String> {
    metadata.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}
