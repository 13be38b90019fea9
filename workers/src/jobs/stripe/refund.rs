//! Giving money back: first ordered in the ledger, then asked of Stripe under the order's own key, then noted.

use super::{NOT_YET_DELAY, StripeCalls, answer, done, refused};
use chrono::TimeDelta;
use pvt_domain::actor::Actor;
use pvt_domain::failure::Failure;
use pvt_domain::ledger::{Ledger, RefundInstruction};
use pvt_domain::messages::{PaymentRefusal, Refund, RefundRequest, StripeCommand};
use pvt_domain::stripe;
use pvt_domain::stripe::metadata::{BOOKING_ID, PROPERTY_ID, REFUND_KEY};
use pvt_domain::timestamp::Timestamp;
use pvt_stripe::{NewRefund, StripeClient, StripeError};
use pvt_worker_runtime::{Job, failpoint};

/// Stripe may forget an idempotency key after 24 hours: an order that is older than this is looked for before it is
/// asked for again.
const KEY_LIFETIME: TimeDelta = TimeDelta::hours(20);

impl StripeCalls {
    pub(super) async fn refund(&self, job: &mut Job<StripeCommand>, command: &Refund) -> Result<(), Failure> {
        let now = self.ledgers.now();
        let ordered = self.ledgers.change(command.booking_id, |ledger, head| match &command.request {
            Some(wish) => instruct_requested_refund(ledger, wish, &command.actor, now).map(Some),
            None => {
                // Decided upon sums that have moved on, it is told them first, and asks again.
                if head.ledger_rev() >= ledger.totals_rev {
                    ledger.instruct_refunds(head.payment.to_refund, now);
                }
                Ok(None)
            }
        });
        let Some(ordered) = ordered.await? else { return Err(Failure::Defer(NOT_YET_DELAY)) };
        let wanted = match ordered.answer {
            Ok(key) => key,
            Err(refusal) => return answer(job, refused(command.booking_id, refusal)),
        };
        let open: Vec<RefundInstruction> = ordered
            .after
            .open_instructions()
            .filter(|order| wanted.as_ref().is_none_or(|key| *key == order.key))
            .cloned()
            .collect();
        for order in &open {
            self.execute_refund(command, order, job.meta.attempt > 1).await?;
        }
        let Some(kept) = self.ledgers.change(command.booking_id, |_, _| ()).await? else {
            return Err(Failure::Defer(NOT_YET_DELAY));
        };
        self.emit_follow_ups(job, &kept).await?;
        let Some(wish) = &command.request else { return Ok(()) };
        // Asked of the ledger, so that whoever repeats a wish is answered as they were.
        let is_refused = kept
            .after
            .refund_instructions
            .iter()
            .any(|order| wanted.as_ref() == Some(&order.key) && order.refused.is_some());
        answer(
            job,
            match is_refused {
                true => refused(command.booking_id, PaymentRefusal::ProviderRefused),
                false => done(command.booking_id, wish.payment_id.clone()),
            },
        )
    }

    /// Makes the refund of an order, or finds it made, and notes what Stripe says.
    async fn execute_refund(&self, command: &Refund, order: &RefundInstruction, is_again: bool) -> Result<(), Failure> {
        let (client, booking) = (self.client()?, command.booking_id);
        let age = self.ledgers.now().as_datetime() - order.instructed_at.as_datetime();
        let earlier = if age > KEY_LIFETIME || is_again { made(client, order).await? } else { None };
        let refund = match earlier {
            Some(refund) => Ok(refund),
            None => {
                failpoint::hit("before_stripe");
                let metadata = [
                    (BOOKING_ID.to_owned(), booking.to_string()),
                    (PROPERTY_ID.to_owned(), command.property_id.to_string()),
                ]
                .into();
                let wish = NewRefund {
                    payment_intent: order.intent.clone(),
                    amount: order.amount,
                    refund_key: order.key.clone(),
                    metadata,
                };
                client.create_refund(&wish, &order.key).await
            }
        };
        failpoint::hit("after_stripe_before_record");
        let told = self.observation("refund");
        match refund {
            Ok(refund) => {
                self.ledgers.change(booking, |ledger, _| ledger.observe_refund(&refund, told.clone())).await?;
                Ok(())
            }
            Err(StripeError::Refused { code, message, .. }) => {
                // Somebody may have given it back at Stripe: what is there is taken in before the order is given up.
                let there = client.refunds_of(&order.intent).await?;
                let why = code.unwrap_or(message);
                tracing::warn!(%booking, order = %order.key, %why, "Stripe refused a refund");
                self.ledgers
                    .change(booking, |ledger, _| {
                        there.iter().for_each(|refund| ledger.observe_refund(refund, told.clone()));
                        ledger.reject_instruction(&order.key, &why);
                    })
                    .await?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The refund of an order, if Stripe has made it.
async fn made(client: &StripeClient, order: &RefundInstruction) -> Result<Option<stripe::Refund>, StripeError> {
    let there = client.refunds_of(&order.intent).await?;
    Ok(there.into_iter().find(|refund| refund.metadata.get(REFUND_KEY) == Some(&order.key)))
}

/// Orders what staff want; the key of the order.
fn instruct_requested_refund(
    ledger: &mut Ledger,
    wish: &RefundRequest,
    actor: &Actor,
    now: Timestamp,
) -> Result<String, PaymentRefusal> {
    let Some(intent) = ledger.intent_of(&wish.payment_id).cloned() else { return Err(PaymentRefusal::UnknownPayment) };
    if let Some(order) = ledger.refund_instructions.iter().find(|order| order.request == Some(wish.refund_id)) {
        let is_same = order.intent == intent.id
            && wish.amount.is_none_or(|amount| amount == order.amount)
            && order.note.as_ref() == Some(&wish.note);
        return is_same.then(|| order.key.clone()).ok_or(PaymentRefusal::KeyReused);
    }
    if ledger.is_frozen(&intent.id) {
        return Err(PaymentRefusal::Disputed);
    }
    let left = ledger.refundable(&intent);
    let amount = wish.amount.unwrap_or(left);
    if amount <= 0 || amount > left {
        return Err(PaymentRefusal::TooMuch);
    }
    Ok(ledger.instruct_requested_refund(wish.refund_id, &intent.id, amount, actor, &wish.note, now).key.clone())
}
