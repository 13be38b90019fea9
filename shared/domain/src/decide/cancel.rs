//! Deciding a cancellation, and a confirmation by staff.

use super::{Decider, Revision, Stop, Verdict};
use crate::booking::{Action, PaymentStatus, Status};
use crate::events::BookingEvent;
use crate::messages::{CancelBooking, ConfirmBooking};
use crate::rates::cancellation::cancellation_fee;
use chrono::NaiveDate;
use uuid::Uuid;

impl Decider<'_> {
    /// Frees the beds and says what it costs, at the time at which it was asked. Whether that is charged is decided apart.
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
        let fee = self.view(&order.property_id).map(|view| cancellation_fee(&booking, &view.inventory().property, order.requested_at));
        booking.cancellation_fee = Some(if cancel.waive_fee { 0 } else { fee.unwrap_or(0) });
        booking.payment_status = PaymentStatus::NotDue;
        self.vacate(&order.property_id, &booking.stays, NaiveDate::MIN);
        Ok(Verdict::Decided(Box::new(self.advance(booking, Status::Cancelled, Revision::of(Action::Cancel, command_id, order)))))
    }

    /// Nothing waits for a confirmation as long as every request is decided at once.
    pub(super) fn confirm(&mut self, command_id: Uuid, confirm: &ConfirmBooking) -> Result<Verdict, Stop> {
        self.ordered(command_id, &confirm.order)?;
        Err(Stop::conflict())
    }
}
