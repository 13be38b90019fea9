//! Calls about Checkout sessions, payment intents, refunds and charges.

use crate::client::{StripeClient, segment};
use crate::error::StripeError;
use crate::requests::{NewIntent, NewRefund, NewSession};
use pvt_domain::stripe::{Charge, CheckoutSession, IntentStatus, PaymentIntent, Refund, SessionStatus};
use stripe_checkout::checkout_session::{ExpireCheckoutSession, RetrieveCheckoutSession};
use stripe_core::charge::RetrieveCharge;
use stripe_core::payment_intent::{CancelPaymentIntent, RetrievePaymentIntent};
use stripe_core::refund::RetrieveRefund;

/// Outcome of expiring a Checkout session.
#[derive(Debug, Clone, PartialEq)]
pub enum Expiry {
    /// It is expired, by this call or before, and was not paid.
    Expired(CheckoutSession),
    /// The guest has completed it: it is paid or the payment is processing.
    NotOpen(CheckoutSession),
}

/// Outcome of cancelling a payment intent.
#[derive(Debug, Clone, PartialEq)]
pub enum Cancellation {
    /// It is canceled, by this call or before.
    Canceled(PaymentIntent),
    /// It is paid or processing.
    NotCancelable(PaymentIntent),
}

impl StripeClient {
    /// Creates a Checkout session.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn create_session(&self, session: &NewSession, key: &str) -> Result<CheckoutSession, StripeError> {
        self.send("create_session", &session.request()?, Some(key)).await
    }

    /// Retrieves a Checkout session.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn session(&self, id: &str) -> Result<CheckoutSession, StripeError> {
        self.send("session", &RetrieveCheckoutSession::new(segment(id)), None).await
    }

    /// Expires a Checkout session, so that it can no longer be paid. Needs no key: an expired session stays expired.
    ///
    /// # Errors
    /// [`StripeError`]; also when Stripe refuses although the session is open.
    pub async fn expire_session(&self, id: &str) -> Result<Expiry, StripeError> {
        let expired = self.send("expire_session", &ExpireCheckoutSession::new(segment(id)), None).await;
        let (session, refusal) = match expired {
            Ok(session) => (session, None),
            Err(refusal) if says_state(&refusal) => (self.session(id).await?, Some(refusal)),
            Err(error) => return Err(error),
        };
        match (session.status, refusal) {
            (SessionStatus::Expired, _) => Ok(Expiry::Expired(session)),
            (SessionStatus::Complete, Some(_)) => Ok(Expiry::NotOpen(session)),
            (_, Some(refusal)) => Err(refusal),
            (_, None) => Err(StripeError::Unreadable(format!("session {id} was expired and is {:?}", session.status))),
        }
    }

    /// Creates a payment intent for an app.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn create_intent(&self, intent: &NewIntent, key: &str) -> Result<PaymentIntent, StripeError> {
        self.send("create_intent", &intent.request()?, Some(key)).await
    }

    /// Retrieves a payment intent with its latest charge.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn intent(&self, id: &str) -> Result<PaymentIntent, StripeError> {
        self.send("intent", &RetrievePaymentIntent::new(segment(id)).expand(vec!["latest_charge".to_owned()]), None)
            .await
    }

    /// Cancels a payment intent. Needs no key: a canceled intent stays canceled.
    ///
    /// # Errors
    /// [`StripeError`]; also when Stripe refuses for another reason than that it is paid or processing. The intent of a
    /// session is canceled by expiring the session.
    pub async fn cancel_intent(&self, id: &str) -> Result<Cancellation, StripeError> {
        let canceled = self.send("cancel_intent", &CancelPaymentIntent::new(segment(id)), None).await;
        let (intent, refusal): (PaymentIntent, _) = match canceled {
            Ok(intent) => (intent, None),
            Err(refusal) if says_state(&refusal) => (self.intent(id).await?, Some(refusal)),
            Err(error) => return Err(error),
        };
        match (intent.status, refusal) {
            (IntentStatus::Canceled, _) => Ok(Cancellation::Canceled(intent)),
            (IntentStatus::Succeeded | IntentStatus::Processing, Some(_)) => Ok(Cancellation::NotCancelable(intent)),
            (_, Some(refusal)) => Err(refusal),
            (_, None) => Err(StripeError::Unreadable(format!("payment {id} was canceled and is {:?}", intent.status))),
        }
    }

    /// Creates a refund. Stripe may forget idempotency keys after 24 hours: after that look for it with
    /// [`refunds_of`](Self::refunds_of) first.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn create_refund(&self, refund: &NewRefund, key: &str) -> Result<Refund, StripeError> {
        self.send("create_refund", &refund.request(), Some(key)).await
    }

    /// Retrieves a refund.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn refund(&self, id: &str) -> Result<Refund, StripeError> {
        self.send("refund", &RetrieveRefund::new(segment(id)), None).await
    }

    /// Retrieves a charge: one attempt of a payment.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn charge(&self, id: &str) -> Result<Charge, StripeError> {
        self.send("charge", &RetrieveCharge::new(segment(id)), None).await
    }
}

/// Whether a refusal may be about the state of what exists.
fn says_state(error: &StripeError) -> bool {
    matches!(error, StripeError::Refused { .. }) && !error.is_missing()
}
