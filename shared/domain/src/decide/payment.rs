//! Payments and holds: a hold that is paid, expires, is paid late, or is confirmed by staff.
//!
//! The amount to refund is decided here, with the booking, so that no payment both confirms and is refunded: see
//! [`Booking::total_to_refund`]. Refunds are made by another worker.

use super::{Decider, Decision, NoRevision, Revision};
use crate::booking::pending_change::keeps_hold;
use crate::booking::{Action, Booking, Status};
use crate::events::BookingEvent;
use crate::ids::BookingId;
use crate::messages::{ConfirmBooking, ExpireHold, RefusalCode, SettlePayment};
use uuid::Uuid;

impl Decider<'_> {
    /// Applies the totals of the ledger. A paid hold is confirmed; one that was paid after its beds were released gets
    /// beds for the same dates again or, if there are none, is refunded.
    pub(super) fn apply_payment(&mut self, command_id: Uuid, settle: &SettlePayment) -> Result<Decision, NoRevision> {
        let header = &settle.header;
        let booking = self.target_of(command_id, header)?;
        // Older totals than the known ones change nothing.
        if booking.payment.ledger.as_ref().is_some_and(|known| known.ledger_rev >= settle.ledger.ledger_rev) {
            return Ok(Decision::Decided(Box::new(latest(&booking).ok_or_else(NoRevision::conflict)?)));
        }
        let mut paid = booking;
        paid.payment.ledger = Some(settle.ledger.clone());
        let mut revision = Revision::of(Action::RecordPayment, command_id, header);
        let mut to = paid.status;
        let moved = match paid.status {
            Status::Held if paid.payment.covers() => Some(Vec::new()),
            Status::Confirmed if paid.pending_is_paid() => {
                self.apply_pending_change(&mut paid);
                revision.action = Action::Modify;
                None
            }
            Status::Expired if paid.payment.covers_late() => self.reallocate_late(&mut paid, command_id)?,
            _ => None,
        };
        if let Some(moved) = moved {
            (to, revision.action, revision.moved) = (Status::Confirmed, Action::Confirm, moved);
        }
        Ok(Decision::Decided(Box::new(self.advance(paid, to, revision))))
    }

    /// Beds for an expired booking on its dates; `None` when there are none left.
    fn reallocate_late(
        &mut self,
        booking: &mut Booking,
        command_id: Uuid,
    ) -> Result<Option<Vec<BookingId>>, NoRevision> {
        let today = self.today(&booking.property_id);
        if booking.stays.iter().any(|stay| stay.arrival < today) {
            return Ok(None);
        }
        let mark = self.journal.mark();
        match self.reallocate(booking, 0, command_id) {
            Ok(moved) => Ok(Some(moved)),
            Err(NoRevision::Unread) => Err(NoRevision::Unread),
            Err(NoRevision::Answer(_)) => {
                self.journal.undo_to(mark);
                Ok(None)
            }
        }
    }

    /// Releases the beds of an expired hold. The caller has made sure that it can no longer be paid. A payment that
    /// arrived meanwhile may keep the beds, see [`keeps_hold`].
    pub(super) fn expire_hold(&mut self, command_id: Uuid, expire: &ExpireHold) -> Result<Decision, NoRevision> {
        let header = &expire.header;
        let mut booking = self.target_of(command_id, header)?;
        if booking.status == Status::Expired {
            return Ok(Decision::Decided(Box::new(latest(&booking).ok_or_else(NoRevision::conflict)?)));
        }
        if booking.status != Status::Held && booking.pending_change.is_none() {
            return Err(NoRevision::conflict());
        }
        if booking.hold_ends().is_none_or(|expires_at| expires_at > self.now) {
            return Err(NoRevision::because(RefusalCode::TooEarly));
        }
        if keeps_hold(booking.status, &booking.payment.ledger()) {
            return Err(NoRevision::because(RefusalCode::PaymentUnderWay));
        }
        if booking.pending_change.is_some() {
            // The booking stands as it was.
            self.release_pending_change(&mut booking);
            let status = booking.status;
            let revision = Revision::of(Action::ReleaseChange, command_id, header);
            return Ok(Decision::Decided(Box::new(self.advance(booking, status, revision))));
        }
        self.release_all_beds(&mut booking);
        Ok(Decision::Decided(Box::new(self.advance(
            booking,
            Status::Expired,
            Revision::of(Action::Expire, command_id, header),
        ))))
    }

    /// Confirms a held booking unpaid.
    pub(super) fn confirm(&mut self, command_id: Uuid, confirm: &ConfirmBooking) -> Result<Decision, NoRevision> {
        let header = &confirm.header;
        let booking = self.target_of(command_id, header)?;
        if booking.status != Status::Held {
            return Err(NoRevision::conflict());
        }
        Ok(Decision::Decided(Box::new(self.advance(
            booking,
            Status::Confirmed,
            Revision::of(Action::Confirm, command_id, header),
        ))))
    }
}

/// The event of the booking's latest revision.
fn latest(booking: &Booking) -> Option<BookingEvent> {
    booking.history.last().map(|entry| BookingEvent::of(booking, entry))
}
