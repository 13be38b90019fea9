//! The other mails about a booking, and what they mean for one that is about to be sent.
//!
//! A mail that says what changed compares with the newest revision that its guest was sent before: they never read of a
//! price that no mail showed them.

use super::decide::PlannedMail;
use super::kinds;
use pvt_domain::booking::Booking;
use pvt_domain::booking::mails::is_guest_visible_change;

/// Another mail about the same booking, as the ledger has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherMail {
    /// The revision that it shows.
    pub shown: u32,
    /// How far it has got.
    pub progress: Progress,
}

/// How far the delivery of another mail has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A living process is sending it.
    Sending,
    /// The server accepted it.
    Delivered,
    /// It was not accepted, or that is unknown.
    Undelivered,
}

/// What the other mails mean for this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precedence {
    /// Send it.
    Send {
        /// The revision to compare the booking with, if the mail says what changed and anything was shown before.
        compared_with: Option<u32>,
    },
    /// An earlier state is being sent to the guest: wait until its delivery is known.
    Wait,
    /// A later state was written about already: the booking was read too early.
    Behind,
}

/// Whether the other mails matter: the guest may have been shown another state than the present one.
pub fn matter(booking: &Booking) -> bool {
    booking.history.iter().any(is_guest_visible_change)
}

/// What the `others` mean for this mail about the booking as it was read.
pub fn precedence(plan: &PlannedMail, booking: &Booking, others: &[OtherMail]) -> Precedence {
    if others.iter().any(|other| other.shown > booking.rev) {
        return Precedence::Behind;
    }
    if !kinds::of(plan.kind).shows.changes {
        return Precedence::Send { compared_with: None };
    }
    let earlier = || others.iter().filter(|other| other.shown < plan.rev);
    if earlier().any(|other| other.progress == Progress::Sending) {
        return Precedence::Wait;
    }
    // Without any row it is unknown what the guest was sent: most likely the revision before.
    let unknown = plan.rev.checked_sub(1).filter(|rev| others.is_empty() && *rev > 0);
    let delivered = earlier().filter(|other| other.progress == Progress::Delivered);
    Precedence::Send { compared_with: delivered.map(|other| other.shown).max().or(unknown) }
}

#[cfg(test)]
mod tests {
    use super::{OtherMail, Precedence, Progress, matter, precedence};
    use crate::mail::decide::PlannedMail;
    use crate::mail::fixtures::{booking, modified, next_revision};
    use crate::mail::identity::{LedgerKey, Version};
    use Progress::{Delivered, Sending, Undelivered};
    use pvt_domain::booking::{Action, Booking, Status};
    use pvt_domain::messages::NotificationKind::{self, BookingModified, PaymentReceived};

    /// Changed twice: the third revision is the newest.
    fn twice() -> Booking {
        let once = modified();
        let mut other = once.clone();
        other.stays[0].guests = 1;
        next_revision(&once, other, Action::Modify, Status::Confirmed)
    }

    fn precedence_of(kind: NotificationKind, rev: u32, others: &[(u32, Progress)]) -> Precedence {
        let booking = twice();
        let key = LedgerKey::new(booking.id, kind, Version::Rev(rev), &booking.guest.email);
        let others: Vec<OtherMail> =
            others.iter().map(|(shown, progress)| OtherMail { shown: *shown, progress: *progress }).collect();
        precedence(&PlannedMail { kind, rev, key }, &booking, &others)
    }

    #[test]
    fn change_is_compared_with_the_newest_state_delivered_before() {
        type Others = &'static [(u32, Progress)];
        let table: [(Others, Option<u32>); 7] = [
            (&[(1, Delivered)], Some(1)),
            (&[(1, Delivered), (2, Delivered)], Some(2)),
            (&[(2, Delivered), (1, Delivered)], Some(2)),
            // The mail about the second revision may or may not have arrived.
            (&[(1, Delivered), (2, Undelivered)], Some(1)),
            // A receipt was faster, and showed the change without naming it.
            (&[(1, Delivered), (3, Delivered)], Some(1)),
            (&[(3, Sending)], None),
            (&[], Some(2)),
        ];
        for (others, expected) in table {
            assert_eq!(
                precedence_of(BookingModified, 3, others),
                Precedence::Send { compared_with: expected },
                "{others:?}"
            );
        }
    }

    #[test]
    fn mail_waits_for_an_earlier_one_and_never_follows_a_later_one() {
        assert_eq!(precedence_of(BookingModified, 3, &[(1, Delivered), (2, Sending)]), Precedence::Wait);
        assert_eq!(precedence_of(PaymentReceived, 3, &[(2, Sending)]), Precedence::Send { compared_with: None });
        for kind in [BookingModified, PaymentReceived] {
            assert_eq!(precedence_of(kind, 3, &[(1, Delivered), (4, Undelivered)]), Precedence::Behind);
        }
    }

    #[test]
    fn other_mails_matter_once_what_guests_see_has_changed() {
        assert!(!matter(&booking()) && matter(&modified()));
        let paid = next_revision(&booking(), booking(), Action::RecordPayment, Status::Confirmed);
        assert!(!matter(&paid));
    }
}
