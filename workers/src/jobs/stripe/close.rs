//! Closes checkout sessions and payments at Stripe, each recorded in the ledger before the next is closed.

use super::StripeCalls;
use crate::ledgers::SavedLedger;
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::Ledger;
use pvt_domain::ledger::facts::Observation;
use pvt_domain::stripe::{CheckoutSession, PaymentIntent};
use pvt_stripe::{Cancellation, Expiry, StripeClient, StripeError};
use pvt_worker_runtime::failpoint;

/// A Stripe object that a guest can pay.
pub(super) enum PayableObject {
    Session(CheckoutSession),
    Intent(PaymentIntent),
}

impl PayableObject {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Session(session) => &session.id,
            Self::Intent(intent) => &intent.id,
        }
    }

    /// Merges its state into the ledger.
    pub(super) fn observe(&self, ledger: &mut Ledger, observation: Observation) {
        match self {
            Self::Session(session) => ledger.observe_session(session, false, observation),
            Self::Intent(intent) => ledger.observe_intent(intent, observation),
        }
    }
}

impl StripeCalls {
    /// Closes a session or a payment and records its state; the caller emits the follow-ups. `None` when the booking
    /// does not exist.
    pub(super) async fn close(
        &self,
        client: &StripeClient,
        booking: BookingId,
        object: &str,
    ) -> Result<Option<SavedLedger<()>>, CallError> {
        let closed = if object.starts_with("cs_") {
            let (Expiry::Expired(session) | Expiry::NotOpen(session)) = client.expire_session(object).await?;
            PayableObject::Session(session)
        } else {
            let (Cancellation::Canceled(intent) | Cancellation::NotCancelable(intent)) =
                client.cancel_intent(object).await?;
            PayableObject::Intent(intent)
        };
        failpoint::hit("after_stripe_before_record");
        let observation = self.observation("close");
        Ok(self
            .ledgers
            .change(booking, |ledger, _| closed.observe(ledger, observation.clone()))
            .await
            .map_err(Failure::from)?)
    }
}

/// A failed call of Stripe, or another failure.
pub(super) enum CallError {
    Stripe(StripeError),
    Other(Failure),
}

impl From<StripeError> for CallError {
    fn from(error: StripeError) -> Self {
        Self::Stripe(error)
    }
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Stripe(error) => error.into(),
            CallError::Other(failure) => failure,
        }
    }
}
