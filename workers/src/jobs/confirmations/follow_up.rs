//! Consequences of a decision: its event, the reply to a waiting caller, and commands about the booking's payments.

use super::DECIDED;
use pvt_domain::actor::Actor;
use pvt_domain::booking::Action;
use pvt_domain::decide::Decision;
use pvt_domain::events::BookingEvent;
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::{
    BookingCommand, ExpireCheckout, PAYMENT_EXPIRE_CHECKOUT, PAYMENT_REFUND, Refund, Reply, ReplyOutcome,
};
use pvt_messaging::{EncodeError, Outgoing, unversioned};
use pvt_worker_runtime::Job;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Delay of a command whose booking is not stored yet: its request is still in a queue.
const NOT_YET_DELAY: Duration = Duration::from_secs(5);

/// The outcome as spans name it.
pub(super) fn outcome_name(decision: &Decision) -> &'static str {
    match decision {
        Decision::Decided(event) => event.status.as_str(),
        Decision::Changed(_) => "changed",
        Decision::Refused(outcome, _) => outcome.as_str(),
        Decision::NotYet => "deferred",
    }
}

/// Queues what follows from a decision: its event, follow-up commands, and the reply to a waiting caller.
pub(super) fn emit_outcome(job: &mut Job<Arc<BookingCommand>>, decision: Decision) -> Result<(), Failure> {
    let subject = job.message.subject();
    let (outcome, detail) = match decision {
        Decision::Decided(event) => {
            metrics::counter!(DECIDED, "status" => event.status.as_str()).increment(1);
            job.emit(Outgoing::event(event.event_id, event.as_ref())?.with_correlation_id(subject));
            follow_up_commands(&event)?.into_iter().for_each(|command| job.emit(command));
            (ReplyOutcome::Decided, None)
        }
        Decision::Changed(event) => {
            job.emit(Outgoing::event(event.event_id, event.as_ref())?.with_correlation_id(subject));
            (ReplyOutcome::Decided, None)
        }
        Decision::Refused(outcome, detail) => {
            // By rule: the caller is informed, and there is nothing for operators to mend.
            tracing::info!(%subject, ?outcome, code = ?detail.as_ref().map(|detail| detail.code), "command refused");
            (outcome, detail)
        }
        Decision::NotYet => {
            job.fail(Failure::Defer(NOT_YET_DELAY));
            return Ok(());
        }
    };
    if let Some(queue) = job.meta.reply_to.clone() {
        let reply = Reply { booking_id: BookingId::from_uuid(subject), outcome, detail };
        job.emit(Outgoing::reply(queue, job.meta.id, &reply)?.with_correlation_id(subject));
    }
    Ok(())
}

/// Whether less than before may be owed to the guest, so that the ledger must know.
fn may_owe_less(event: &BookingEvent) -> bool {
    let Some(ledger) = event.payment.ledger.as_ref().filter(|ledger| ledger.captured > 0) else { return false };
    match event.action {
        Some(Action::Modify | Action::HoldChange | Action::Reinstate) => true,
        Some(Action::RecordPayment) => ledger.charged_back > 0,
        // A late payment got beds after all.
        Some(Action::Confirm) => event.payment.expires_at.is_some_and(|expires_at| expires_at <= event.occurred_at),
        _ => false,
    }
}

/// The commands to the `stripe` worker that follow from the payments of a booking; the same whenever the event is
/// emitted again.
fn follow_up_commands(event: &BookingEvent) -> Result<Vec<Outgoing>, EncodeError> {
    let (booking_id, property_id, requested_at) = (event.booking_id, event.property_id.clone(), event.occurred_at);
    let command_id = |name: &str| Uuid::new_v5(&event.event_id, name.as_bytes());
    let mut commands = Vec::new();
    if event.payment.refund_due() > 0 || may_owe_less(event) {
        let command =
            Refund { booking_id, property_id: property_id.clone(), request: None, actor: Actor::SYSTEM, requested_at };
        commands.push(
            Outgoing::command(unversioned(PAYMENT_REFUND), command_id("refund"), &command)?.with_actor(Actor::SYSTEM),
        );
    }
    // A checkout session that a guest still has open must not be paid any more.
    let has_ended = matches!(event.action, Some(Action::Cancel | Action::NoShow)) && !event.status.holds_beds();
    // Where another change takes its place, opening the payment of that one closes what is superseded.
    let is_dropped = event.change_released && event.action != Some(Action::HoldChange);
    if (has_ended || is_dropped) && event.price.is_some() {
        let (release, rev) = (false, Some(event.rev));
        let command = ExpireCheckout { booking_id, property_id, release, rev, actor: Actor::SYSTEM, requested_at };
        commands.push(
            Outgoing::command(unversioned(PAYMENT_EXPIRE_CHECKOUT), command_id("expire_checkout"), &command)?
                .with_actor(Actor::SYSTEM),
        );
    }
    Ok(commands)
}

#[cfg(test)]
mod tests {
    //! Commands that follow from a decision.
    use super::{PAYMENT_EXPIRE_CHECKOUT, follow_up_commands};
    use crate::mail::fixtures::{next_revision, with_pending_change};
    use pvt_domain::booking::{Action, Booking};
    use pvt_domain::events::BookingEvent;
    use pvt_domain::messages::ExpireCheckout;

    /// Whether the latest revision closes what was opened before it.
    fn closes_checkout(booking: &Booking) -> bool {
        let event = BookingEvent::of(booking, booking.history.last().unwrap());
        let commands = follow_up_commands(&event).unwrap();
        let closes = commands.iter().find(|command| command.envelope.kind == PAYMENT_EXPIRE_CHECKOUT);
        let closes = closes.map(|command| serde_json::from_slice::<ExpireCheckout>(&command.body).unwrap());
        assert!(closes.iter().all(|command| command.rev == Some(booking.rev) && !command.release));
        closes.is_some()
    }

    #[test]
    fn checkout_of_a_dropped_change_is_closed() {
        let pending = with_pending_change();
        assert!(!closes_checkout(&pending));
        let dropped = Booking { pending_change: None, ..pending.clone() };
        assert!(closes_checkout(&next_revision(&pending, dropped, Action::Assign, pending.status)));
        let mut applied = pending.clone();
        applied.apply_pending();
        assert!(!closes_checkout(&next_revision(&pending, applied, Action::Modify, pending.status)));
    }
}
