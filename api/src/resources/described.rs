//! What the document of the API says of the routes: one file a resource, named as the file of its handlers.
//!
//! A route of the table that is not described here fails a test, and so does a description without a route.

mod booking_changes;
mod booking_payments;
mod bookings;
mod payments;

use crate::openapi::{self, Group};
use crate::router::{resources, table};
use serde_json::Value;

/// Every group, in the order of the document.
pub(crate) fn groups() -> Vec<Group> {
    vec![bookings::group(), payments::group()]
}

/// The OpenAPI document of this API.
pub(crate) fn document() -> Value {
    openapi::document(&resources(), &table(), groups())
}
