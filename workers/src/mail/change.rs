//! A revision of a booking as its event announces it, and what of it guests notice.
//!
//! Beds alone are not noticed: no guest is promised one, and guests are reassigned to make room for others.

use pvt_domain::booking::history::PaymentChange;
use pvt_domain::booking::{Action, Booking, Changes, HistoryEntry, Status, Stay};
use pvt_domain::events::BookingEvent;
use pvt_domain::ledger::Summary;

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

/// Whether beds are held from this revision on.
pub(super) fn enters_hold(entry: &HistoryEntry) -> bool {
    entry.from != Status::Held && entry.to == Status::Held
}

/// Whether this revision gave a held booking another address, which ends the links to the one before.
pub(super) fn readdresses_hold(entry: &HistoryEntry) -> bool {
    entry.action == Action::Modify && entry.to == Status::Held && changes_address(entry)
}

/// Whether this revision gave the guest another address, or none: only that ends the links together with a change of
/// the guest.
pub(super) fn changes_address(entry: &HistoryEntry) -> bool {
    entry.changes.as_deref().is_some_and(|changes| changes.guest && changes.links_revoked)
}

/// Whether a modification, or the absence of some guests or its reversal, changed what a guest was promised.
pub(super) fn is_guest_visible_change(entry: &HistoryEntry) -> bool {
    let request = |stay: &Option<Stay>| stay.as_ref().map(Stay::as_request);
    let is_visible = |changes: &Changes| {
        changes.guest
            || changes.price.is_some()
            || changes.stays.iter().any(|change| request(&change.before) != request(&change.after))
    };
    matches!(entry.action, Action::Modify | Action::NoShow | Action::Reinstate)
        && entry.changes.as_deref().is_some_and(is_visible)
}

/// Whether this revision dropped a change that was held until payment.
pub(super) fn releases_change(entry: &HistoryEntry) -> bool {
    entry.changes.as_deref().is_some_and(|changes| changes.change_released)
}

/// Whether the guest's latest change was dropped unpaid.
pub(super) fn is_change_released(booking: &Booking) -> bool {
    let concerns_change = |entry: &&HistoryEntry| {
        releases_change(entry) || entry.action == Action::HoldChange || is_guest_visible_change(entry)
    };
    let latest = booking.history.iter().rev().find(concerns_change);
    booking.pending_change.is_none()
        && latest.is_some_and(|entry| releases_change(entry) && !is_guest_visible_change(entry))
}

/// Whether the captured amount rose with this revision.
pub(super) fn captured_more(entry: &HistoryEntry) -> bool {
    increase(entry, |ledger| ledger.captured) > 0
}

/// Whether the refunded amount rose with this revision.
pub(super) fn refunded_more(entry: &HistoryEntry) -> bool {
    increase(entry, |ledger| ledger.refunded) > 0
}

/// Whether a refund failed with this revision: less is refunded than before, or more is left to staff, although nothing
/// else was paid or refunded.
pub(super) fn refund_failed(entry: &HistoryEntry) -> bool {
    let change = entry.changes.as_deref().and_then(|changes| changes.payment.as_ref());
    let is_failure = |change: &PaymentChange| {
        change.after.ledger().refunded < change.before.ledger().refunded
            || change.after.refunds_due().failed > change.before.refunds_due().failed
    };
    entry.action == Action::RecordPayment
        && change.is_some_and(is_failure)
        && !captured_more(entry)
        && !refunded_more(entry)
}

/// Whether a refund failed that was not made good since.
pub(super) fn is_refund_failed(booking: &Booking) -> bool {
    let mut latest = booking.history.iter().rev().filter(|entry| refund_failed(entry) || refunded_more(entry));
    latest.next().is_some_and(refund_failed)
}

/// How much a part of the ledger rose with this revision.
pub(super) fn increase(entry: &HistoryEntry, part: impl Fn(&Summary) -> i64) -> i64 {
    let change: Option<&PaymentChange> = entry.changes.as_deref().and_then(|changes| changes.payment.as_ref());
    change.map_or(0, |change| part(&change.after.ledger()) - part(&change.before.ledger()))
}
