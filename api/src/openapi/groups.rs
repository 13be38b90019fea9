//! Operations of bookings and payments, whose handlers do not describe themselves yet.

mod booking_changes;
mod booking_payments;
mod bookings;
mod payments;

use super::{Group, document as assemble};
use crate::router::{resources, table};
use serde_json::Value;

/// Every group, in the order of the document.
pub(crate) fn groups() -> Vec<Group> {
    vec![bookings::group(), payments::group()]
}

/// The OpenAPI document of this API.
pub(crate) fn document() -> Value {
    assemble(&resources(), &table(), groups())
}
