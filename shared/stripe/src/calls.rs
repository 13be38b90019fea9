//! Sessions, payments, refunds and charges.

use crate::client::StripeClient;
use crate::error::StripeError;
use crate::form::Form;
use crate::requests::{NewIntent, NewRefund, NewSession};
use pvt_domain::stripe::{Charge, CheckoutSession, IntentStatus, PaymentIntent, Refund, SessionStatus};

const SESSIONS: [&str; 2] = ["checkout", "sessions"];
const INTENTS: &str = "payment_intents";
const REFUNDS: &str = "refunds";
const CHARGES: &str = "charges";

/// What ending a session came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Expiry {
    /// Nobody can pay on it any more and nobody has; by this call or by an earlier end.
    Expired(CheckoutSession),
    /// The guest has gone through it: paid, or about to be.
    NotOpen(CheckoutSession),
}

/// What giving up a payment came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Cancellation {
    /// It will never be paid; by this call or an earlier one.
    Canceled(PaymentIntent),
    /// It is paid or on its way.
    NotCancelable(PaymentIntent),
}

impl StripeClient {
    /// Makes a page on which a guest pays.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn create_session(&self, session: &NewSession, key: &str) -> Result<CheckoutSession, StripeError> {
        self.post("create_session", &SESSIONS, &session.form()?, Some(key)).await
    }

    /// The session as it is now.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn session(&self, id: &str) -> Result<CheckoutSession, StripeError> {
        let [checkout, sessions] = SESSIONS;
        self.get("session", &[checkout, sessions, id], &Form::default()).await
    }

    /// Ends a session, so that nobody can pay on it any more. Needs no key: an ended session stays ended.
    ///
    /// # Errors
    /// [`StripeError`]; also when Stripe refuses although the session is open.
    pub async fn expire_session(&self, id: &str) -> Result<Expiry, StripeError> {
        let [checkout, sessions] = SESSIONS;
        let expired = self.post("expire_session", &[checkout, sessions, id, "expire"], &Form::default(), None).await;
        let (session, refusal) = match expired {
            Ok(session) => (session, None),
            Err(refusal) if says_state(&refusal) => (self.session(id).await?, Some(refusal)),
            Err(error) => return Err(error),
        };
        match (session.status, refusal) {
            (SessionStatus::Expired, _) => Ok(Expiry::Expired(session)),
            (SessionStatus::Complete, Some(_)) => Ok(Expiry::NotOpen(session)),
            (_, Some(refusal)) => Err(refusal),
            (_, None) => Err(StripeError::Unreadable(format!("session {id} was ended and is {:?}", session.status))),
        }
    }

    /// Makes a payment that an app lets the guest pay.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn create_intent(&self, intent: &NewIntent, key: &str) -> Result<PaymentIntent, StripeError> {
        self.post("create_intent", &[INTENTS], &intent.form()?, Some(key)).await
    }

    /// The payment as it is now.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn intent(&self, id: &str) -> Result<PaymentIntent, StripeError> {
        self.get("intent", &[INTENTS, id], &Form::default()).await
    }

    /// Gives up a payment. Needs no key: a given up payment stays given up.
    ///
    /// # Errors
    /// [`StripeError`]; also when Stripe refuses for another reason than that the money is there or on its way. A
    /// session's payment is given up by ending the session.
    pub async fn cancel_intent(&self, id: &str) -> Result<Cancellation, StripeError> {
        let canceled = self.post("cancel_intent", &[INTENTS, id, "cancel"], &Form::default(), None).await;
        let (intent, refusal): (PaymentIntent, _) = match canceled {
            Ok(intent) => (intent, None),
            Err(refusal) if says_state(&refusal) => (self.intent(id).await?, Some(refusal)),
            Err(error) => return Err(error),
        };
        match (intent.status, refusal) {
            (IntentStatus::Canceled, _) => Ok(Cancellation::Canceled(intent)),
            (IntentStatus::Succeeded | IntentStatus::Processing, Some(_)) => Ok(Cancellation::NotCancelable(intent)),
            (_, Some(refusal)) => Err(refusal),
            (_, None) => Err(StripeError::Unreadable(format!("payment {id} was given up and is {:?}", intent.status))),
        }
    }

    /// Gives money back. Stripe may forget keys after 24 hours: after so long look for it by
    /// [`refunds_of`](Self::refunds_of) first.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn create_refund(&self, refund: &NewRefund, key: &str) -> Result<Refund, StripeError> {
        self.post("create_refund", &[REFUNDS], &refund.form(), Some(key)).await
    }

    /// The refund as it is now.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn refund(&self, id: &str) -> Result<Refund, StripeError> {
        self.get("refund", &[REFUNDS, id], &Form::default()).await
    }

    /// The attempt of a payment as it is now.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn charge(&self, id: &str) -> Result<Charge, StripeError> {
        self.get("charge", &[CHARGES, id], &Form::default()).await
    }
}

/// Whether a refusal may be about the state of what exists.
fn says_state(error: &StripeError) -> bool {
    matches!(error, StripeError::Refused { .. }) && !error.is_missing()
}
