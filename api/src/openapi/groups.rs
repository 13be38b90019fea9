//! Operations of bookings, whose handlers do not describe themselves yet.

mod booking_changes;
mod booking_payments;
mod bookings;

use super::{Group, document as assemble};
use crate::router::{resources, table};
use serde_json::Value;

/// Every group, in the order of the document.
pub(crate) fn groups() -> Vec<Group> {
    vec![bookings::group()]
}

/// The OpenAPI document of this API.
pub(crate) fn document() -> Value {
    assemble(&resources(), &table(), groups())
}
