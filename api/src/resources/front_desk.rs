//! The front desk: arrivals, departures, the bed calendar and bed statistics.
//!
//! Read from the store, not from memory: staff must see a booking as soon as it is stored.

mod arrivals;
mod calendar;
mod stats;

use crate::auth::guard::{Resource, at, get};
use crate::auth::policy::Caller;
use crate::auth::rules::FRONT_DESK_READ;
use crate::http::problem::{self, Problem};
use crate::resources::properties::change::stored_inventory;
use crate::state::SharedApp;
use chrono::{NaiveDate, Utc};
use pvt_domain::business_day::business_date;
use pvt_domain::ids::PropertyId;
use pvt_domain::inventory::Inventory;
use std::sync::Arc;

pub(crate) fn resource() -> Resource {
    Resource {
        name: "Desk",
        about: "Arrivals, departures and beds, for the front desk.",
        routes: vec![
            at(
                "/api/properties/{id}/arrivals",
                [get(FRONT_DESK_READ, "list_arrivals", arrivals::arrivals)
                    .summary("List bookings that arrive on a day, by name")
                    .stored()],
            ),
            at(
                "/api/properties/{id}/departures",
                [get(FRONT_DESK_READ, "list_departures", arrivals::departures)
                    .summary("List bookings that depart on a day, by name")
                    .stored()],
            ),
            at(
                "/api/properties/{id}/calendar",
                [get(FRONT_DESK_READ, "property_calendar", calendar::calendar)
                    .summary("Show every bed with its bookings and blocks")
                    .stored()],
            ),
            at(
                "/api/rooms/stats",
                [get(FRONT_DESK_READ, "room_stats", stats::stats)
                    .summary("Count beds by state and use on a night")
                    .problems([problem::NOT_FOUND])
                    .stored()],
            ),
        ],
    }
}

/// A property that the caller works for, as it is stored. Others do not exist for them.
async fn staffed_inventory(app: &SharedApp, caller: &Caller, id: PropertyId) -> Result<Arc<Inventory>, Problem> {
    if !caller.is_staff_of(&id) {
        return Err(problem::NOT_FOUND.into());
    }
    stored_inventory(app, &id).await
}

/// The business day at a property.
fn today(inventory: &Inventory) -> NaiveDate {
    business_date(&inventory.property, Utc::now().into())
}

#[cfg(test)]
mod tests;
