//! What is said of what staff look at from the desk.

use super::bookings::STATUSES;
use crate::http::problem;
use crate::openapi::schema::{about, choice, date, flag, joined, list, named, object, one_of, text, uuid, whole};
use crate::openapi::{Group, Operation, get};
use axum::http::StatusCode;
use pvt_domain::block::BlockKind;
use serde_json::{Value, json};

pub(super) fn group() -> Group {
    Group {
        name: "Desk",
        about: "Who comes, who goes, who sleeps where.",
        operations: vec![
            listing(
                get("/api/properties/{id}/arrivals", "list_arrivals", "Bookings with a stay that begins on a day"),
                "Who arrives, by name.",
            ),
            listing(
                get("/api/properties/{id}/departures", "list_departures", "Bookings with a stay that ends on a day"),
                "Who leaves, by name.",
            ),
            plan(),
            stats(),
        ],
        schemas: vec![("DeskListing", desk_listing()), ("BedPlan", bed_plan()), ("HouseStats", house_stats())],
    }
}

fn listing(operation: Operation, words: &'static str) -> Operation {
    operation
        .query("date", date(), "Which day; the property's business day unless said.")
        .answers(StatusCode::OK, words, named("DeskListing"))
        .stored()
}

fn plan() -> Operation {
    get("/api/properties/{id}/calendar", "property_calendar", "Every bed with its bookings and blocks")
        .required_query("from", date(), "First night.")
        .required_query("until", date(), "The day after the last, at most 92 nights later.")
        .answers(StatusCode::OK, "The plan of the house.", named("BedPlan"))
        .stored()
}

fn stats() -> Operation {
    get("/api/rooms/stats", "room_stats", "Beds by state and use on a night")
        .query("property_id", text(), "Only this property; else all of the caller's.")
        .query("date", date(), "Which night; tonight unless said.")
        .answers(StatusCode::OK, "By property.", object([("items", list(named("HouseStats")))]))
        .problems([problem::NOT_FOUND])
        .stored()
}

fn desk_listing() -> Value {
    let stay = object([
        ("index", about(whole(0), "Its place in the booking.")),
        ("room_type_id", text()),
        ("arrival", date()),
        ("departure", date()),
        ("guests", whole(1)),
        ("assigned_beds", list(text())),
        ("ready", about(flag(), "All its beds are made.")),
    ]);
    let item = object([
        ("booking_id", uuid()),
        ("reference", text()),
        ("status", one_of(STATUSES)),
        ("rev", whole(0)),
        ("guest", named("Guest")),
        ("due", about(named("Money"), "Still to be paid.")),
        ("stays", about(list(stay), "Those of this day.")),
    ]);
    object([("property_id", text()), ("date", date()), ("items", list(item))])
}

fn bed_plan() -> Value {
    let by_booking = object([
        ("from", date()),
        ("until", date()),
        ("kind", json!({ "const": "booking" })),
        ("booking_id", uuid()),
        ("reference", text()),
        ("status", one_of(STATUSES)),
        ("guest", text()),
        ("stay", about(whole(0), "Its place in the booking.")),
        ("locked", flag()),
    ]);
    let by_block = object([
        ("from", date()),
        ("until", date()),
        ("kind", json!({ "const": "block" })),
        ("block_id", uuid()),
        ("reason", choice(&BlockKind::ALL)),
    ]);
    let bed = object([
        ("id", text()),
        ("service", one_of(["active", "out_of_service"])),
        ("cleanliness", one_of(["clean", "dirty"])),
        (
            "entries",
            about(list(json!({ "anyOf": [by_booking, by_block] })), "By their first night; `until` is not slept in."),
        ),
    ]);
    let room = object([("id", text()), ("room_type_id", text()), ("beds", list(bed))]);
    object([("property_id", text()), ("from", date()), ("until", date()), ("rooms", list(room))])
}

fn bed_stats() -> [(&'static str, Value); 7] {
    [
        ("rooms", whole(0)),
        ("beds", whole(0)),
        ("out_of_service", about(whole(0), "Cannot be sold until further notice.")),
        ("dirty", about(whole(0), "To be cleaned, whoever has them.")),
        ("blocked", about(whole(0), "Not for sale on this night.")),
        ("occupied", about(whole(0), "Slept in, or booked to be.")),
        ("free", whole(0)),
    ]
}

fn house_stats() -> Value {
    let of_type = joined([object([("room_type_id", text())]), object(bed_stats())]);
    joined([object([("property_id", text()), ("date", date()), ("room_types", list(of_type))]), object(bed_stats())])
}
