//! Deciding a cancellation.

use super::{Decider, Revision, Stop, Verdict};
use crate::booking::{Action, Status};
use crate::events::BookingEvent;
use crate::messages::CancelBooking;
use crate::rates::cancellation::cancellation_fee;
use chrono::NaiveDate;
use uuid::Uuid;

impl Decider<'_> {
    /// Frees the beds and says what it costs, at the time at which it was asked. Whether that is charged is decided
    /// apart.
    pub(super) fn cancel(&mut self, command_id: Uuid, cancel: &CancelBooking) -> Result<Verdict, Stop> {
        let order = &cancel.order;
        if let Some(booking) = self.booking(order.booking_id)
            && booking.status == Status::Cancelled
            && let Some(entry) = booking.history.iter().rfind(|entry| entry.to == Status::Cancelled)
        {
            return Ok(Verdict::Decided(Box::new(BookingEvent::of(booking, entry))));
        }
        let mut booking = self.ordered(command_id, order)?;
        if !booking.status.may_become(Status::Cancelled) {
            return Err(Stop::conflict());
        }
        let fee = self
            .view(&order.property_id)
            .map(|view| cancellation_fee(&booking, &view.inventory().property, order.requested_at));
        // Who was not confirmed yet owes nothing for leaving.
        let is_free = cancel.waive_fee || booking.status == Status::Held;
        booking.cancellation_fee = Some(if is_free { 0 } else { fee.unwrap_or(0) });
        self.vacate(&order.property_id, &booking.stays, NaiveDate::MIN);
        Ok(Verdict::Decided(Box::new(self.advance(
            booking,
            Status::Cancelled,
            Revision::of(Action::Cancel, command_id, order),
        ))))
    }
}
