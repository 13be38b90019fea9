//! What we write on Stripe's objects, so that whatever comes back names what it is for.

use crate::ids::BookingId;
use std::collections::BTreeMap;

/// Metadata as Stripe keeps it: at most 50 keys of 40 characters, values of 500.
pub type Metadata = BTreeMap<String, String>;

/// The booking's id.
pub const BOOKING_ID: &str = "booking_id";
/// The hostel's id.
pub const PROPERTY_ID: &str = "property_id";
/// The number of the demand that is paid.
pub const DEMAND: &str = "demand";
/// Our own name of a payment: the same as `Payment::id`.
pub const PAYMENT_ID: &str = "payment_id";
/// Our own name of a refund: what it is looked up by before it is asked for again.
pub const REFUND_KEY: &str = "refund_key";

/// The booking that an object says it belongs to.
pub fn booking_id(metadata: &Metadata) -> Option<BookingId> {
    metadata.get(BOOKING_ID)?.parse().ok()
}

/// The number of the demand that an object says it pays.
pub fn demand(metadata: &Metadata) -> Option<u32> {
    metadata.get(DEMAND)?.parse().ok()
}
