//! Deciding a cancellation.

use super::{Decider, Decision, NoRevision, Revision};
use crate::booking::{Action, Status};
use crate::events::BookingEvent;
use crate::messages::CancelBooking;
use crate::rates::cancellation::cancellation_fee;
use chrono::NaiveDate;
use uuid::Uuid;

impl Decider<'_> {
    /// Frees the beds and says what it costs, at the time at which it was asked. Whether that is charged is decided
    /// apart.
    pub(super) fn cancel(&mut self, command_id: Uuid, cancel: &CancelBooking) -> Result<Decision, NoRevision> {
        let header = &cancel.header;
        if let Some(booking) = self.booking(header.booking_id)
            && booking.status == Status::Cancelled
            && let Some(entry) = booking.history.iter().rfind(|entry| entry.to == Status::Cancelled)
        {
            return Ok(Decision::Decided(Box::new(BookingEvent::of(booking, entry))));
        }
        let mut booking = self.target_of(command_id, header)?;
        if !booking.status.may_become(Status::Cancelled) {
            return Err(NoRevision::conflict());
        }
        let fee = self
            .grid(&header.property_id)
            .map(|grid| cancellation_fee(&booking, &grid.inventory().property, header.requested_at));
        // Who was not confirmed yet owes nothing for leaving.
        let is_free = cancel.waive_fee || booking.status == Status::Held;
        booking.cancellation_fee = Some(if is_free { 0 } else { fee.unwrap_or(0) });
        self.release_beds(&header.property_id, &booking.stays, NaiveDate::MIN);
        Ok(Decision::Decided(Box::new(self.advance(
            booking,
            Status::Cancelled,
            Revision::of(Action::Cancel, command_id, header),
        ))))
    }
}
