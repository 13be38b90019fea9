//! The beginning of every preview: the booking that it is of, unchanged.

use pvt_domain::booking::{Booking, Status};
use pvt_domain::ids::BookingId;
use pvt_domain::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// The booking, and when it was looked at.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PreviewHead<'a> {
    id: BookingId,
    reference: &'a str,
    /// As it is now.
    status: Status,
    #[schemars(range(min = 1))]
    rev: u32,
    dry_run: bool,
    /// The instant of this preview; the fee grows towards arrival.
    at: Timestamp,
}

impl<'a> PreviewHead<'a> {
    pub(super) fn new(booking: &'a Booking, at: Timestamp) -> Self {
        Self {
            id: booking.id,
            reference: &booking.reference,
            status: booking.status,
            rev: booking.rev,
            dry_run: true,
            at,
        }
    }
}
