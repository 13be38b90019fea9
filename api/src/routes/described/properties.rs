//! What is said of properties.

use crate::openapi::schema::{about, joined, list, map, named, object, one_of, page, text, time_of_day, whole};
use crate::openapi::{Group, get};
use axum::http::StatusCode;
use serde_json::{Value, json};

pub(super) fn group() -> Group {
    let example = summary_example();
    Group {
        name: "Properties",
        about: "What can be booked.",
        operations: vec![
            get("/api/properties", "list_properties", "Lists properties by id")
                .answers(StatusCode::OK, "A page of them.", page(named("PropertySummary")))
                .example(json!({ "items": [example] }))
                .paged(),
            get("/api/properties/{id}", "show_property", "What a property sells, and for how much").answers(StatusCode::OK, "The property.", named("Property")),
        ],
        schemas: vec![("PropertySummary", summary()), ("Property", joined([summary(), details()]))],
    }
}

fn summary() -> Value {
    object([
        ("id", text()),
        ("name", text()),
        ("address", text()),
        ("time_zone", about(text(), "IANA name, for example America/Toronto.")),
        ("currency", text()),
        ("check_in_from", time_of_day()),
        ("check_out_until", time_of_day()),
        ("links", object([("self", text())])),
    ])
}

fn details() -> Value {
    let room_type = object([
        ("id", text()),
        ("name", text()),
        ("kind", about(one_of(["dorm", "private"]), "A dorm is sold by the bed, a private room whole.")),
        ("gender", one_of(["mixed", "female", "male"])),
        ("rooms", whole(0)),
        ("beds", whole(0)),
        ("max_guests", about(whole(0), "Of one stay.")),
    ]);
    let nightly = about(map(named("Money")), "By room type, one night before tax: per guest in a dorm, per room else.");
    let plan = object([("id", text()), ("name", text()), ("nightly", nightly)]);
    let tax = object([("code", text()), ("name", text()), ("rate_ppm", about(whole(0), "Parts per million."))]);
    object([("room_types", list(room_type)), ("rate_plans", list(plan)), ("taxes", list(tax))])
}

fn summary_example() -> Value {
    json!({
        "id": "pvt-montreal", "name": "PVT Montréal", "address": "1 rue de la Commune, Montréal", "time_zone": "America/Toronto", "currency": "CAD",
        "check_in_from": "15:00", "check_out_until": "11:00", "links": { "self": "/api/properties/pvt-montreal" },
    })
}
