//! Cancellations.

use super::{Decider, Decision, NoRevision, Revision};
use crate::booking::{Action, Status};
use crate::events::BookingEvent;
use crate::messages::{CancelBooking, RefusalCode};
use uuid::Uuid;

impl Decider<'_> {
    /// Releases the beds and sets the fee as of the time of the request. Whether the fee is charged is decided apart.
    /// A later cancellation changes nothing; it is refused where it would waive a fee that stands.
    pub(super) fn cancel(&mut self, command_id: Uuid, cancel: &CancelBooking) -> Result<Decision, NoRevision> {
        let header = &cancel.header;
        if let Some(booking) = self.booking(header.booking_id)
            && booking.status == Status::Cancelled
            && let Some(entry) = booking.history.iter().rfind(|entry| entry.to == Status::Cancelled)
        {
            let has_fee = booking.cancellation_fee.is_some_and(|fee| fee > 0);
            if cancel.waive_fee && has_fee && entry.command_id != command_id {
                return Err(NoRevision::because(RefusalCode::TooLate));
            }
            return Ok(Decision::Decided(Box::new(BookingEvent::of(booking, entry))));
        }
        let mut booking = self.target_of(command_id, header)?;
        if !booking.status.may_become(Status::Cancelled) {
            return Err(NoRevision::conflict());
        }
        let fee = self
            .grid(&header.property_id)
            .map(|grid| booking.cancellation_fee_at(&grid.inventory().property, header.requested_at));
        booking.cancellation_fee = Some(fee.filter(|_| !cancel.waive_fee).unwrap_or(0));
        self.release_all_beds(&mut booking);
        Ok(Decision::Decided(Box::new(self.advance(
            booking,
            Status::Cancelled,
            Revision::of(Action::Cancel, command_id, header),
        ))))
    }
}
