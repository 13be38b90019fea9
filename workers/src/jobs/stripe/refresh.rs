//! Reading a payment from Stripe, because what was told of it named no booking or lacked something.

use super::StripeCalls;
use pvt_domain::failure::Failure;
use pvt_domain::messages::{RefreshPayment, StripeCommand};
use pvt_domain::stripe::metadata;
use pvt_stripe::StripeError;
use pvt_worker_runtime::{HEADER_DEFERRALS, Job};
use std::time::Duration;

/// What a ledger lacks mostly comes by itself a moment later; what was not joined to one does not.
const GRACE: Duration = Duration::from_secs(5);

impl StripeCalls {
    pub(super) async fn refresh(&self, job: &mut Job<StripeCommand>, command: &RefreshPayment) -> Result<(), Failure> {
        let intent_id = command.intent.as_str();
        let known = self.ledgers.mongo.ledgers().bookings_of_intents(&[intent_id]).await?.remove(intent_id);
        if let Some(booking) = known.filter(|_| command.joined) {
            if job.meta.header(HEADER_DEFERRALS).is_none() {
                return Err(Failure::Defer(GRACE));
            }
            // It is there: perhaps an earlier delivery of this brought it, and died before it told of it.
            let kept = self.ledgers.change(booking, |_, _| ()).await?;
            if let Some(kept) = kept.filter(|kept| !kept.after.lacks_refunds(intent_id)) {
                return self.emit_follow_ups(job, &kept).await;
            }
        }
        let client = self.client()?;
        let intent = match client.intent(intent_id).await {
            Ok(intent) => intent,
            // Another account's, or another mode's.
            Err(error @ StripeError::Refused { .. }) => {
                tracing::warn!(intent = intent_id, %error, "a payment that Stripe told of is not there");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let Some(booking) = known.or_else(|| metadata::booking_id(&intent.metadata)) else {
            tracing::info!(intent = intent_id, "a payment that is not for a booking");
            return Ok(());
        };
        let (refunds, disputes) = (client.refunds_of(intent_id).await?, client.disputes_of(intent_id).await?);
        let told = self.observation("refresh");
        let kept = self.ledgers.change(booking, |ledger, _| {
            ledger.observe_intent(&intent, false, told.clone());
            refunds.iter().for_each(|refund| ledger.observe_refund(refund, told.clone()));
            disputes.iter().for_each(|dispute| ledger.observe_dispute(dispute, told.clone()));
        });
        if let Some(kept) = kept.await? {
            self.emit_follow_ups(job, &kept).await?;
        }
        Ok(())
    }
}
