//! Closing what a guest may still pay by: one object at Stripe, noted before the next is closed.

use super::StripeCalls;
use crate::ledgers::Kept;
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::stripe::{CheckoutSession, PaymentIntent};
use pvt_stripe::{Cancellation, Expiry, StripeClient, StripeError};
use pvt_worker_runtime::fault;

/// An object at Stripe by which nobody can begin to pay any more; somebody may have paid by it.
enum Closed {
    Session(CheckoutSession),
    Intent(PaymentIntent),
}

impl StripeCalls {
    /// Closes a session or a payment and notes what became of it, for the caller to follow; `None` when there is no such booking.
    pub(super) async fn close(&self, client: &StripeClient, booking: BookingId, object: &str) -> Result<Option<Kept<()>>, Trouble> {
        let closed = if object.starts_with("cs_") {
            let (Expiry::Expired(session) | Expiry::NotOpen(session)) = client.expire_session(object).await?;
            Closed::Session(session)
        } else {
            let (Cancellation::Canceled(intent) | Cancellation::NotCancelable(intent)) = client.cancel_intent(object).await?;
            Closed::Intent(intent)
        };
        fault::point("after_stripe_before_record");
        let told = self.told("close");
        let kept = self.ledgers.change(booking, |ledger, _| match &closed {
            Closed::Session(session) => ledger.tell_session(session, false, told.clone()),
            Closed::Intent(intent) => ledger.tell_intent(intent, false, told.clone()),
        });
        Ok(kept.await.map_err(Failure::from)?)
    }
}

/// Stripe's or ours.
pub(super) enum Trouble {
    Stripe(StripeError),
    Other(Failure),
}

impl From<StripeError> for Trouble {
    fn from(error: StripeError) -> Self {
        Self::Stripe(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Stripe(error) => error.into(),
            Trouble::Other(failure) => failure,
        }
    }
}
