//! Addresses that a booking's mails went to until they were corrected.

use super::Booking;
use crate::ids::BookingId;
use crate::timestamp::Timestamp;
use crate::values::guest::{Guest, is_same_address};
use serde::{Deserialize, Serialize};

// Personal data: never in an event, a header, a log or the mart.
/// The address that a revision took from a booking, and what a last mail to it needs. It is no part of the booking, so
/// that it can be removed while the booking stays as it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerAddress {
    /// The booking.
    pub booking_id: BookingId,
    /// The revision that gave it another address, or none.
    pub rev: u32,
    /// The address before that revision.
    pub email: String,
    /// The name to greet by, as it was before that revision.
    pub called: String,
    /// The guest's language tag before that revision, if it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Time of the revision.
    pub at: Timestamp,
}

impl FormerAddress {
    /// The address that `after`, the next revision of `before`, no longer has. None while the booking is only held, or
    /// is over: the reader at that address was promised nothing that still matters.
    pub fn left_by(before: &Booking, after: &Booking) -> Option<Self> {
        let address = before.guest.mail_address().filter(|_| !before.guest.has_address_of(&after.guest))?;
        let is_promised = before.status.is_changeable() && after.status.is_changeable();
        is_promised.then(|| Self {
            booking_id: after.id,
            rev: after.rev,
            email: address.to_owned(),
            called: before.guest.called().to_owned(),
            locale: before.guest.locale.clone(),
            at: after.updated_at,
        })
    }

    /// Whether it is this guest's address, perhaps again.
    pub fn is_of(&self, guest: &Guest) -> bool {
        is_same_address(&self.email, &guest.email)
    }
}

/// Redacted, so that no log line can carry personal data.
impl std::fmt::Debug for FormerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FormerAddress({} at revision {}, …)", self.booking_id, self.rev)
    }
}
