//! Closing what a guest may still pay by: one object at Stripe, noted before the next is closed.

use super::StripeCalls;
use crate::ledgers::Kept;
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::Ledger;
use pvt_domain::ledger::facts::Told;
use pvt_domain::stripe::{CheckoutSession, PaymentIntent};
use pvt_stripe::{Cancellation, Expiry, StripeClient, StripeError};
use pvt_worker_runtime::fault;

/// An object at Stripe by which guests pay.
pub(super) enum Payable {
    Session(CheckoutSession),
    Intent(PaymentIntent),
}

impl Payable {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Session(session) => &session.id,
            Self::Intent(intent) => &intent.id,
        }
    }

    /// Tells the ledger what Stripe said of it.
    pub(super) fn tell(&self, ledger: &mut Ledger, told: Told) {
        match self {
            Self::Session(session) => ledger.tell_session(session, false, told),
            Self::Intent(intent) => ledger.tell_intent(intent, false, told),
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
    ) -> Result<Option<Kept<()>>, Trouble> {
        let closed = if object.starts_with("cs_") {
            let (Expiry::Expired(session) | Expiry::NotOpen(session)) = client.expire_session(object).await?;
            Payable::Session(session)
        } else {
            let (Cancellation::Canceled(intent) | Cancellation::NotCancelable(intent)) =
                client.cancel_intent(object).await?;
            Payable::Intent(intent)
        };
        fault::point("after_stripe_before_record");
        let told = self.told("close");
        Ok(self.ledgers.change(booking, |ledger, _| closed.tell(ledger, told.clone())).await.map_err(Failure::from)?)
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
