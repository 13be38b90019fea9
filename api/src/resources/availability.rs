//! Availability: free beds and room types for given nights, with their prices and restrictions.

mod nights;
mod search;
mod search_query;
mod search_view;

pub(crate) use nights::{occupancy, range};

use crate::auth::guard::{Resource, at, get};
use crate::auth::rules::OPEN;
use crate::http::problem;

pub(crate) fn resource() -> Resource {
    Resource {
        name: "Availability",
        about: "Free beds and room types, their prices and restrictions.",
        routes: vec![
            at(
                "/api/rooms/search",
                [get(OPEN, "search_rooms", search::search)
                    .summary("Search room types for a stay")
                    .about(
                        "By property and room type. A page may hold fewer properties than its limit: those with \
                        nothing that matches are left out.",
                    )
                    .stored()],
            ),
            at(
                "/api/rooms/{id}/availability",
                [get(OPEN, "room_availability", nights::room)
                    .summary("Show the free beds of a room by night")
                    .problems([problem::NOT_FOUND])
                    .stored()],
            ),
            at(
                "/api/room-types/{id}/calendar",
                [get(OPEN, "room_type_calendar", nights::room_type)
                    .summary("Show a month of a room type: units left, prices and restrictions")
                    .problems([problem::NOT_FOUND])
                    .stored()],
            ),
        ],
    }
}

#[cfg(test)]
mod tests;
