//! Closing what a guest may still pay by: one object at Stripe, noted before the next is closed.

use super::StripeCalls;
use crate::ledgers::SavedLedger;
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::Ledger;
use pvt_domain::ledger::facts::Observation;
use pvt_domain::stripe::{CheckoutSession, PaymentIntent};
use pvt_stripe::{Cancellation, Expiry, StripeClient, StripeError};
use pvt_worker_runtime::failpoint;

/// An object at Stripe by which guests pay.
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

    /// Tells the ledger what Stripe said of it.
    pub(super) fn observe(&self, ledger: &mut Ledger, told: Observation) {
        match self {
            Self::Session(session) => ledger.observe_session(session, false, told),
            Self::Intent(intent) => ledger.observe_intent(intent, false, told),
        }
    }
}

impl StripeCalls {
    /// Closes a session or a payment and notes what became of it, for the caller to follow; `None` when there is no
    /// such booking.
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
        let told = self.observation("close");
        Ok(self
            .ledgers
            .change(booking, |ledger, _| closed.observe(ledger, told.clone()))
            .await
            .map_err(Failure::from)?)
    }
}

/// Stripe's or ours.
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
    fn from(trouble: CallError) -> Self {
        match trouble {
            CallError::Stripe(error) => error.into(),
            CallError::Other(failure) => failure,
        }
    }
}
