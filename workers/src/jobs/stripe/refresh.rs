//! Fetches a payment from Stripe whose event named no booking or lacked refunds.

use super::StripeCalls;
use pvt_domain::failure::Failure;
use pvt_domain::messages::{RefreshPayment, StripeCommand};
use pvt_domain::stripe::metadata;
use pvt_stripe::StripeError;
use pvt_worker_runtime::{HEADER_DEFERRALS, Job};
use std::time::Duration;

/// Missing refunds of a known payment mostly arrive as events a moment later.
const GRACE: Duration = Duration::from_secs(5);

impl StripeCalls {
    pub(super) async fn refresh(&self, job: &mut Job<StripeCommand>, command: &RefreshPayment) -> Result<(), Failure> {
        let intent_id = command.intent.as_str();
        let known = self.ledgers.mongo.ledgers().bookings_of_intents(&[intent_id]).await?.remove(intent_id);
        if let Some(booking) = known.filter(|_| command.joined) {
            if job.meta.header(HEADER_DEFERRALS).is_none() {
                return Err(Failure::Defer(GRACE));
            }
            // They are there; an earlier delivery may have stored them and crashed before publishing.
            let saved = self.ledgers.change(booking, |_, _| ()).await?;
            if let Some(saved) = saved.filter(|saved| !saved.after.lacks_refunds(intent_id)) {
                return self.emit_follow_ups(job, &saved).await;
            }
        }
        let client = self.client()?;
        let intent = match client.intent(intent_id).await {
            Ok(intent) => intent,
            // Of another account, or another mode.
            Err(error @ StripeError::Refused { .. }) => {
                tracing::warn!(intent = intent_id, %error, "payment of an event not found at Stripe");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let Some(booking) = known.or_else(|| metadata::booking_id(&intent.metadata)) else {
            tracing::info!(intent = intent_id, "payment is not for a booking");
            return Ok(());
        };
        let (refunds, disputes) = (client.refunds_of(intent_id).await?, client.disputes_of(intent_id).await?);
        let observation = self.observation("refresh");
        let saved = self.ledgers.change(booking, |ledger, _| {
            ledger.observe_intent(&intent, false, observation.clone());
            refunds.iter().for_each(|refund| ledger.observe_refund(refund, observation.clone()));
            disputes.iter().for_each(|dispute| ledger.observe_dispute(dispute, observation.clone()));
        });
        if let Some(saved) = saved.await? {
            self.emit_follow_ups(job, &saved).await?;
        }
        Ok(())
    }
}
