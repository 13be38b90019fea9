//! Refunds: first instructed in the ledger, then made at Stripe under the instruction's idempotency key, then recorded.

use super::{NOT_YET_DELAY, StripeCalls};
use crate::payment_replies::{done, refused, reply};
use chrono::TimeDelta;
use pvt_domain::actor::Actor;
use pvt_domain::failure::Failure;
use pvt_domain::ledger::{Ledger, RefundInstruction};
use pvt_domain::messages::{PaymentRefusal, Refund, RefundRequest, StripeCommand};
use pvt_domain::people::text::normal;
use pvt_domain::stripe;
use pvt_domain::stripe::metadata::{BOOKING_ID, PROPERTY_ID, REFUND_KEY};
use pvt_domain::timestamp::Timestamp;
use pvt_stripe::{NewRefund, StripeClient, StripeError};
use pvt_worker_runtime::{Job, failpoint};

/// Stripe may forget an idempotency key after 24 hours: before an older instruction is sent again, its refund is looked
/// up.
const KEY_LIFETIME: TimeDelta = TimeDelta::hours(20);

impl StripeCalls {
    pub(super) async fn refund(&self, job: &mut Job<StripeCommand>, command: &Refund) -> Result<(), Failure> {
        let now = self.ledgers.now();
        let instructed = self.ledgers.change(command.booking_id, |ledger, head| match &command.request {
            Some(request) => instruct_requested_refund(ledger, request, &command.actor, now).map(Some),
            None => {
                ledger.note_total_to_refund(head.payment.to_refund);
                // A refund decided from outdated totals waits: the booking gets the new ones and decides again.
                if head.ledger_rev() >= ledger.totals_rev {
                    ledger.instruct_refunds(head.payment.to_refund, now);
                }
                ledger.mark_overdue(now);
                Ok(None)
            }
        });
        let Some(instructed) = instructed.await? else { return Err(Failure::Defer(NOT_YET_DELAY)) };
        let requested_key = match instructed.answer {
            Ok(key) => key,
            Err(refusal) => return reply(job, refused(command.booking_id, refusal)),
        };
        let open: Vec<RefundInstruction> = instructed
            .after
            .open_instructions()
            .filter(|instruction| requested_key.as_ref().is_none_or(|key| *key == instruction.key))
            .cloned()
            .collect();
        for instruction in &open {
            match self.execute_refund(command, instruction, job.meta.attempt > 1).await {
                // Its next fire requests the refund again: only one such command should wait.
                Err(Failure::Unavailable(cause)) if cause.operation.is_some() && command.actor.is_schedule() => {
                    tracing::warn!(booking_id = %command.booking_id, %cause,
                        "refund is left to the schedule's next fire");
                    break;
                }
                executed => executed?,
            }
        }
        let Some(saved) = self.ledgers.change(command.booking_id, |_, _| ()).await? else {
            return Err(Failure::Defer(NOT_YET_DELAY));
        };
        self.ledgers.emit_follow_ups(job, &saved).await?;
        let Some(request) = &command.request else { return Ok(()) };
        // Read from the ledger, so that a repeated request gets the same reply.
        let is_refused = saved
            .after
            .refund_instructions
            .iter()
            .any(|instruction| requested_key.as_ref() == Some(&instruction.key) && instruction.refused.is_some());
        reply(
            job,
            match is_refused {
                true => refused(command.booking_id, PaymentRefusal::ProviderRefused),
                false => done(command.booking_id, request.payment_id.clone()),
            },
        )
    }

    /// Makes the refund of an instruction, or finds it made, and records its state.
    async fn execute_refund(
        &self,
        command: &Refund,
        instruction: &RefundInstruction,
        is_redelivery: bool,
    ) -> Result<(), Failure> {
        let (client, booking) = (self.client()?, command.booking_id);
        let age = self.ledgers.now().as_datetime() - instruction.instructed_at.as_datetime();
        let earlier = if age > KEY_LIFETIME || is_redelivery { find_refund(client, instruction).await? } else { None };
        let refund = match earlier {
            Some(refund) => Ok(refund),
            None => {
                failpoint::hit("before_stripe");
                let metadata = [
                    (BOOKING_ID.to_owned(), booking.to_string()),
                    (PROPERTY_ID.to_owned(), command.property_id.to_string()),
                ]
                .into();
                let request = NewRefund {
                    payment_intent: instruction.intent.clone(),
                    amount: instruction.amount,
                    refund_key: instruction.key.clone(),
                    metadata,
                };
                client.create_refund(&request, &instruction.key).await
            }
        };
        failpoint::hit("after_stripe_before_record");
        let observation = self.observation("refund");
        match refund {
            Ok(refund) => {
                self.ledgers.change(booking, |ledger, _| ledger.observe_refund(&refund, observation.clone())).await?;
                Ok(())
            }
            Err(StripeError::Refused { code, message, .. }) => {
                // It may have been refunded in the Stripe dashboard: record what is there before rejecting.
                let refunds = client.refunds_of(&instruction.intent).await?;
                let why = code.unwrap_or(message);
                tracing::warn!(booking_id = %booking, instruction = %instruction.key, reason = %why,
                    "Stripe refused a refund");
                self.ledgers
                    .change(booking, |ledger, _| {
                        refunds.iter().for_each(|refund| ledger.observe_refund(refund, observation.clone()));
                        ledger.reject_instruction(&instruction.key, &why);
                    })
                    .await?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The refund of an instruction, if Stripe has made it.
async fn find_refund(
    client: &StripeClient,
    instruction: &RefundInstruction,
) -> Result<Option<stripe::Refund>, StripeError> {
    let refunds = client.refunds_of(&instruction.intent).await?;
    Ok(refunds.into_iter().find(|refund| refund.metadata.get(REFUND_KEY) == Some(&instruction.key)))
}

/// Instructs a refund that staff requested; the key of the instruction.
fn instruct_requested_refund(
    ledger: &mut Ledger,
    request: &RefundRequest,
    actor: &Actor,
    now: Timestamp,
) -> Result<String, PaymentRefusal> {
    let Some(intent) = ledger.intent_of(&request.payment_id).cloned() else {
        return Err(PaymentRefusal::UnknownPayment);
    };
    if let Some(instruction) =
        ledger.refund_instructions.iter().find(|instruction| instruction.request == Some(request.refund_id))
    {
        let is_same = instruction.intent == intent.id
            && request.amount.is_none_or(|amount| amount == instruction.amount)
            && instruction.note.as_deref().map(normal) == Some(normal(&request.note));
        return is_same.then(|| instruction.key.clone()).ok_or(PaymentRefusal::KeyReused);
    }
    if ledger.is_frozen(&intent.id) {
        return Err(PaymentRefusal::Disputed);
    }
    let left = ledger.refundable(&intent);
    let amount = request.amount.unwrap_or(left);
    if amount <= 0 || amount > left {
        return Err(PaymentRefusal::TooMuch);
    }
    Ok(ledger.instruct_requested_refund(request.refund_id, &intent.id, amount, actor, &request.note, now).key.clone())
}
