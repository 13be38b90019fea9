//! Expires a booking's checkout sessions. Its beds are released only when it can no longer be paid; if it has been
//! paid, the booking gets the payment instead.

use super::{NOT_YET_DELAY, StripeCalls};
use crate::hold_expiry;
use pvt_domain::actor::Actor;
use pvt_domain::booking::Status;
use pvt_domain::booking::pending_change::keeps_hold;
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::{BOOKING_EXPIRE_HOLD, CommandHeader, ExpireCheckout, ExpireHold, StripeCommand};
use pvt_messaging::{EncodeError, Outgoing};
use pvt_stores::mongo::ledgers::BookingHead;
use pvt_worker_runtime::Job;
use uuid::Uuid;

impl StripeCalls {
    pub(super) async fn expire(&self, job: &mut Job<StripeCommand>, command: &ExpireCheckout) -> Result<(), Failure> {
        // The scheduler goes by MongoDB's clock: for it the hold has expired, also when this clock is behind.
        let now = self.ledgers.now().max(command.requested_at);
        let due = |head: &BookingHead| head.hold_ends().is_some_and(|ends| ends <= now);
        // First no new session may open; earlier ones are seen below, or closed by the delivery that opens them.
        let stopped = self
            .ledgers
            .change(command.booking_id, |ledger, head| {
                // The ledger of a standing booking stays open: what is paid too late for a change is refunded.
                ledger.closed |= command.release && due(head) && head.status == Status::Held;
            })
            .await?;
        let Some(stopped) = stopped else { return Err(Failure::Defer(NOT_YET_DELAY)) };
        if command.release && !due(&stopped.head) {
            // Paid, cancelled or expired by now, or never held.
            return Ok(());
        }
        // The command may have waited for Stripe while the guest changed the booking again and opened a payment for
        // that. Revisions say which came first; times would come from the clocks of two workers.
        let stands = !command.release && stopped.head.status.holds_beds();
        let payable = match command.rev.filter(|_| stands) {
            Some(rev) => stopped.after.payable_objects_before(rev),
            None => stopped.after.payable_objects(),
        };
        let mut saved = stopped;
        for object in payable {
            let closed = self.close(self.client()?, command.booking_id, &object).await?;
            saved = closed.ok_or(Failure::Defer(NOT_YET_DELAY))?;
        }
        self.ledgers.emit_follow_ups(job, &saved).await?;
        if command.release {
            let is_kept = keeps_hold(saved.head.status, &saved.after.summary());
            if !is_kept {
                job.emit(self.release(command, &saved.head)?);
            }
            self.record_answer(command.booking_id, is_kept.then_some(saved.after.rev)).await?;
        }
        Ok(())
    }

    /// Records that the request was carried out; with money in the hold, at which revision of its ledger.
    async fn record_answer(&self, booking_id: BookingId, ledger_rev: Option<u64>) -> Result<(), Failure> {
        let expiries = self.ledgers.mongo.hold_expiries();
        let (now, divisor) = (self.ledgers.now().as_datetime(), self.ledgers.topology.retry_divisor());
        let next_at = hold_expiry::after_answer(now, expiries.requests(booking_id).await?, divisor);
        Ok(expiries.carried_out(booking_id, next_at, ledger_rev).await?)
    }

    /// The command that releases the beds; the same on every delivery for one end of a hold.
    fn release(&self, command: &ExpireCheckout, head: &BookingHead) -> Result<Outgoing, EncodeError> {
        let ends = head.hold_ends().map(|ends| ends.to_string()).unwrap_or_default();
        let id = Uuid::new_v5(&command.booking_id.as_uuid(), format!("expire|{ends}").as_bytes());
        let header = CommandHeader {
            booking_id: command.booking_id,
            property_id: command.property_id.clone(),
            expected_rev: None,
            actor: Actor::SYSTEM,
            as_admin: false,
            reason: Some("not paid in time".to_owned()),
            requested_at: command.requested_at,
        };
        let key = self.ledgers.topology.command_key(BOOKING_EXPIRE_HOLD, command.property_id.as_str());
        Ok(Outgoing::command(key, id, &ExpireHold { header })?
            .with_correlation_id(command.booking_id.as_uuid())
            .with_actor(command.actor.clone()))
    }
}
