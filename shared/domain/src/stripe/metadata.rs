//! Metadata written on Stripe's objects, so that every event names what it is for.

use crate::ids::BookingId;
use std::collections::BTreeMap;

/// Metadata: at most 50 keys of 40 characters, values of 500.
pub type Metadata = BTreeMap<String, String>;

/// Id of the booking.
pub const BOOKING_ID: &str = "booking_id";
/// Id of the property.
pub const PROPERTY_ID: &str = "property_id";
/// Number of the demand that is paid.
pub const DEMAND: &str = "demand";
/// Id of the payment attempt.
pub const PAYMENT_ID: &str = "payment_id";
/// Key of the refund instruction, by which a refund is looked up before it is retried.
pub const REFUND_KEY: &str = "refund_key";

/// The booking named by an object's metadata.
pub fn booking_id(metadata: &Metadata) -> Option<BookingId> {
    metadata.get(BOOKING_ID)?.parse().ok()
}

/// The demand named by an object's metadata.
pub fn demand(metadata: &Metadata) -> Option<u32> {
    metadata.get(DEMAND)?.parse().ok()
}
