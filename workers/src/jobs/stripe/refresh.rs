//! Fetches a payment from Stripe whose event named no booking, or only its charge, or lacked refunds.

use super::StripeCalls;
use pvt_domain::failure::Failure;
use pvt_domain::messages::{RefreshPayment, StripeCommand};
use pvt_domain::stripe::{Charge, PaymentIntent, metadata};
use pvt_stripe::StripeError;
use pvt_worker_runtime::{HEADER_DEFERRALS, Job};
use std::time::Duration;

/// Missing refunds of a known payment mostly arrive as events a moment later.
const GRACE: Duration = Duration::from_secs(5);
/// Counter, label `reason`: payments that were read because of an event and are not for a booking.
const FOREIGN: &str = "pvt_stripe_foreign_payments_total";

impl StripeCalls {
    pub(super) async fn refresh(&self, job: &mut Job<StripeCommand>, command: &RefreshPayment) -> Result<(), Failure> {
        if let Some(intent) = command.intent.as_deref().filter(|_| command.joined) {
            let known = self.ledgers.mongo.ledgers().bookings_of_intents(&[intent]).await?.remove(intent);
            if let Some(booking) = known {
                if job.meta.header(HEADER_DEFERRALS).is_none() {
                    return Err(Failure::Defer(GRACE));
                }
                // They are there; an earlier delivery may have stored them and crashed before publishing.
                let saved = self.ledgers.change(booking, |_, _| ()).await?;
                if let Some(saved) = saved.filter(|saved| !saved.after.lacks_refunds(intent)) {
                    return self.ledgers.emit_follow_ups(job, &saved).await;
                }
            }
        }
        let Some((intent, charge)) = self.read_payment(command).await? else { return Ok(()) };
        let intent_id = intent.id.as_str();
        let known = self.ledgers.mongo.ledgers().bookings_of_intents(&[intent_id]).await?.remove(intent_id);
        let Some(booking) = known.or_else(|| metadata::booking_id(&intent.metadata)) else {
            foreign(command, "no_booking");
            return Ok(());
        };
        let client = self.client()?;
        let (refunds, disputes) = (client.refunds_of(intent_id).await?, client.disputes_of(intent_id).await?);
        let observation = self.observation("refresh");
        let saved = self.ledgers.change(booking, |ledger, _| {
            ledger.observe_intent(&intent, observation.clone());
            charge.iter().for_each(|charge| ledger.observe_charge(charge, &intent.id));
            refunds.iter().for_each(|refund| ledger.observe_refund(refund, observation.clone()));
            disputes.iter().for_each(|dispute| ledger.observe_dispute(dispute, observation.clone()));
        });
        match saved.await? {
            Some(saved) => self.ledgers.emit_follow_ups(job, &saved).await,
            None => {
                foreign(command, "unknown_booking");
                Ok(())
            }
        }
    }

    /// The payment at Stripe, and the charge by which it was found. `None` when it is not for a booking.
    async fn read_payment(&self, command: &RefreshPayment) -> Result<Option<(PaymentIntent, Option<Charge>)>, Failure> {
        let client = self.client()?;
        let charge = match &command.charge {
            Some(charge) => match existing(client.charge(charge).await)? {
                Some(charge) => Some(charge),
                None => return Ok(missing(command)),
            },
            None => None,
        };
        let of_charge = charge.as_ref().and_then(|charge| charge.payment_intent.as_deref());
        let Some(intent) = command.intent.as_deref().or(of_charge) else {
            // Charged without an intent: we never do.
            foreign(command, "no_intent");
            return Ok(None);
        };
        match existing(client.intent(intent).await)? {
            Some(intent) => Ok(Some((intent, charge))),
            None => Ok(missing(command)),
        }
    }
}

/// What was read; `None` when Stripe does not have it.
fn existing<T>(read: Result<T, StripeError>) -> Result<Option<T>, Failure> {
    match read {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Of another account, or another mode.
fn missing<T>(command: &RefreshPayment) -> Option<T> {
    foreign(command, "missing");
    None
}

fn foreign(command: &RefreshPayment, reason: &'static str) {
    metrics::counter!(FOREIGN, "reason" => reason).increment(1);
    tracing::warn!(event = %command.event_id, intent = command.intent, charge = command.charge, reason,
        "payment of an event is not for a booking");
}
