//! A revision of a booking as its event announces it, and what of it calls for a mail.

use pvt_domain::booking::mails::{
    captured_more, changes_address, is_guest_visible_change, readdresses_hold, refund_failed, refunded_more,
    releases_change,
};
use pvt_domain::booking::{Action, Booking, HistoryEntry, Status};
use pvt_domain::events::BookingEvent;

/// A revision that an event announces.
pub(super) struct Change<'a> {
    event: &'a BookingEvent,
    /// Missing when the stored booking has no such revision.
    entry: Option<&'a HistoryEntry>,
}

impl<'a> Change<'a> {
    pub(super) fn of(event: &'a BookingEvent, booking: &'a Booking) -> Self {
        Self { event, entry: booking.history.iter().find(|entry| entry.rev == event.rev) }
    }

    /// Whether the booking reaches this status by a request, a cancellation or the like; an undone step does not count.
    pub(super) fn enters(&self, status: Status) -> bool {
        let decides = match self.event.action {
            None | Some(Action::Request | Action::Cancel | Action::Confirm | Action::Expire) => true,
            // Of some guests only, a booking is changed by it.
            Some(Action::NoShow) => status == Status::NoShow,
            _ => false,
        };
        decides && self.event.status == status
    }

    /// Whether a no-show is undone.
    pub(super) fn reinstates_no_show(&self) -> bool {
        self.by(Action::Reinstate).is_some_and(|entry| entry.from == Status::NoShow)
    }

    /// Whether dates, guests, room types, the price or the guest's details are changed.
    pub(super) fn modifies(&self) -> bool {
        let entry = [Action::Modify, Action::NoShow, Action::Reinstate].into_iter().find_map(|action| self.by(action));
        self.event.status.is_changeable() && entry.is_some_and(is_guest_visible_change)
    }

    /// Whether a held booking gets another address, which no link to its payment was sent to.
    pub(super) fn readdresses_hold(&self) -> bool {
        self.entry.is_some_and(readdresses_hold)
    }

    /// Whether a confirmed or checked-in booking gets another address, or loses its own.
    pub(super) fn readdresses(&self) -> bool {
        self.entry.is_some_and(|entry| changes_address(entry) && entry.to.is_changeable())
    }

    /// Whether a change is held until its deposit is paid.
    pub(super) fn is_held(&self) -> bool {
        self.by(Action::HoldChange).is_some()
    }

    /// Whether a change that was held is dropped, the booking stays, and no other mail says how it is now.
    pub(super) fn is_released(&self) -> bool {
        self.entry.is_some_and(|entry| {
            let is_reported = self.is_held() || self.modifies();
            releases_change(entry) && entry.from == entry.to && !is_reported
        })
    }

    /// The entry, if a payment was captured.
    pub(super) fn captured(&self) -> Option<&'a HistoryEntry> {
        self.by(Action::RecordPayment).filter(|entry| captured_more(entry))
    }

    /// The entry, if money was refunded and none was captured.
    pub(super) fn refunded(&self) -> Option<&'a HistoryEntry> {
        self.by(Action::RecordPayment).filter(|entry| refunded_more(entry) && !captured_more(entry))
    }

    /// The entry, if a refund that the guest was promised failed.
    pub(super) fn refund_failed(&self) -> Option<&'a HistoryEntry> {
        self.by(Action::RecordPayment).filter(|entry| refund_failed(entry))
    }

    fn by(&self, action: Action) -> Option<&'a HistoryEntry> {
        self.entry.filter(|_| self.event.action == Some(action))
    }
}
