//! What is said of searching, and of calendars that anybody may read.

use crate::http::problem;
use crate::openapi::schema::{
    about, choice, date, flag, list, named, object, one_of, page, text, text_of, whole, whole_of,
};
use crate::openapi::{Group, Operation, get};
use axum::http::StatusCode;
use pvt_domain::booking::PartyGender;
use pvt_domain::booking::Rejection;
use pvt_domain::intake::MAX_GROUP_GUESTS;
use pvt_domain::inventory::{DormGender, RoomKind};
use serde_json::{Value, json};

/// Names of [`pvt_domain::rates::restrictions::RestrictionKind`].
const RESTRICTIONS: [&str; 8] = [
    "stop_sell",
    "closed_to_arrival",
    "closed_to_departure",
    "min_stay_arrival",
    "min_stay_through",
    "max_stay",
    "advance_too_short",
    "advance_too_long",
];

pub(super) fn group() -> Group {
    Group {
        name: "Availability",
        about: "What is free, for whom, and for how much.",
        operations: vec![search(), room(), room_type()],
        schemas: vec![
            ("FoundProperty", found_property()),
            ("FoundRoomType", found_type()),
            ("Offer", offer()),
            ("RoomNights", room_nights()),
            ("RoomTypeMonth", month()),
            ("Restriction", restriction()),
        ],
    }
}

fn search() -> Operation {
    get("/api/rooms/search", "search_rooms", "What can be booked for a stay")
        .about(
            "By property and room type. A page may hold fewer properties than its limit: those with nothing of \
            what is asked for are left out.",
        )
        .required_query("arrival", date(), "First night.")
        .required_query("departure", date(), "Day of departure, at most a year later.")
        .query("guests", whole_of(1, MAX_GROUP_GUESTS.into()), "Who sleeps there; 1 unless said.")
        .query("kind", choice(&RoomKind::ALL), "Only such room types.")
        .query("gender", choice(&PartyGender::ALL), "Who the guests are.")
        .query("youngest_age", whole_of(0, 255), "In years.")
        .query("room_type_id", text(), "Only this room type.")
        .query("rate_plan_id", text(), "Only offers of this plan.")
        .query("property_id", text(), "Only these properties, with commas between them.")
        .query("city", text(), "Only properties with this in their address.")
        .query(
            "min_price",
            json!({ "type": "integer", "format": "int64" }),
            "Least price of the whole stay in minor \
            units, taxes included.",
        )
        .query("max_price", json!({ "type": "integer", "format": "int64" }), "Most, likewise.")
        .query("bookable", flag(), "Only what can be booked as it is.")
        .answers(StatusCode::OK, "A page of properties.", page(named("FoundProperty")))
        .example(json!({ "items": [search_example()] }))
        .paged()
        .stored()
}

fn room() -> Operation {
    get("/api/rooms/{id}/availability", "room_availability", "Free beds of a room, night by night")
        .required_query("property_id", text(), "The property of the room.")
        .required_query("from", date(), "First night.")
        .required_query("until", date(), "The day after the last, at most 92 nights later.")
        .answers(StatusCode::OK, "Its nights.", named("RoomNights"))
        .problems([problem::NOT_FOUND])
        .stored()
}

fn room_type() -> Operation {
    get(
        "/api/room-types/{id}/calendar",
        "room_type_calendar",
        "A month of a room type: what is left, for how much, with which restrictions",
    )
    .required_query("property_id", text(), "The property of the room type.")
    .required_query(
        "month",
        json!({ "type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$", "examples": ["2027-01"] }),
        "Which.",
    )
    .query("rate_plan_id", text(), "Whose prices and restrictions; the first plan that sells the type unless said.")
    .answers(StatusCode::OK, "Its days.", named("RoomTypeMonth"))
    .problems([problem::NOT_FOUND])
    .stored()
}

fn found_property() -> Value {
    object([
        ("property_id", text()),
        ("name", text()),
        ("address", text()),
        ("arrival", date()),
        ("departure", date()),
        ("guests", whole(1)),
        ("room_types", list(named("FoundRoomType"))),
    ])
}

fn found_type() -> Value {
    object([
        ("room_type_id", text()),
        ("name", text()),
        ("kind", choice(&RoomKind::ALL)),
        ("gender", choice(&DormGender::ALL)),
        ("units_left", about(whole(0), "Beds of a dorm, or private rooms large enough, on the fullest night.")),
        (
            "bookable",
            about(flag(), "A request would be confirmed now. It promises nothing: only a booking takes beds."),
        ),
        ("reason?", about(choice(&Rejection::ALL), "Why not, where no plan can help.")),
        ("offers", about(list(named("Offer")), "One a rate plan.")),
    ])
}

fn offer() -> Value {
    let tax = object([("code", text()), ("name", text()), ("amount", named("Money"))]);
    let broken = object([
        ("kind", one_of(RESTRICTIONS)),
        ("date", date()),
        ("limit?", about(whole(1), "Nights, or days in advance.")),
    ]);
    object([
        ("rate_plan_id", text()),
        ("name", text()),
        ("bookable", flag()),
        ("room", about(named("Money"), "The nights before tax.")),
        ("taxes", list(tax)),
        ("total", about(named("Money"), "What is charged.")),
        ("restrictions?", about(list(broken), "Those of the plan that the stay would break.")),
    ])
}

fn room_nights() -> Value {
    object([
        ("property_id", text()),
        ("room_id", text()),
        ("room_type_id", text()),
        ("beds", whole(0)),
        ("nights", list(object([("date", date()), ("free_beds", whole(0))]))),
    ])
}

fn month() -> Value {
    let day = object([
        ("date", date()),
        ("units_left", about(whole(0), "Beds of a dorm, or whole private rooms.")),
        ("price?", about(named("Money"), "One night before tax: per guest in a dorm, per room else.")),
        ("restrictions?", named("Restriction")),
    ]);
    object([
        ("property_id", text()),
        ("room_type_id", text()),
        (
            "rate_plan_id",
            json!({ "type": ["string", "null"], "description": "Whose prices these are; null when no plan sells the \
                type." }),
        ),
        ("month", text_of(7, 7)),
        ("days", list(day)),
    ])
}

fn restriction() -> Value {
    let of_arrival = |words| about(whole(0), words);
    object([
        ("stop_sell", about(flag(), "The night is not sold.")),
        ("closed_to_arrival", flag()),
        ("closed_to_departure", flag()),
        ("min_stay_arrival?", of_arrival("Fewest nights of a stay that begins here.")),
        ("min_stay_through?", of_arrival("Fewest nights of a stay that contains the night.")),
        ("max_stay?", of_arrival("Most nights of a stay that begins here.")),
        ("min_advance_days?", of_arrival("Fewest days between booking and arrival.")),
        ("max_advance_days?", of_arrival("Most days between booking and arrival.")),
    ])
}

fn search_example() -> Value {
    let money = |amount: i64| json!({ "amount": amount, "currency": "CAD" });
    let offer = json!({
        "rate_plan_id": "standard", "name": "Pay on arrival", "bookable": true, "room": money(8_400),
        "taxes": [{ "code": "gst", "name": "GST", "amount": money(420) }], "total": money(8_820),
    });
    json!({
        "property_id": "pvt-montreal", "name": "PVT Montréal", "address": "1 rue de la Commune, Montréal",
        "arrival": "2027-01-10", "departure": "2027-01-12", "guests": 1,
        "room_types": [{
            "room_type_id": "dorm-6-mixed", "name": "Six-bed dorm", "kind": "dorm", "gender": "mixed", "units_left": 9,
            "bookable": true, "offers": [offer],
        }],
    })
}
