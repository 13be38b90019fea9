//! What is said of properties.

use super::rooms::id;
use crate::http::problem;
use crate::openapi::schema::{
    about, choice, date, form_with, joined, list, list_of, named, object, one_of, page, text, text_of, time_of_day,
    whole, whole_of,
};
use crate::openapi::{Group, Operation, get, patch, post};
use crate::resources::properties::edit::{MAX_ADDRESS_CHARS, MAX_TAXES};
use axum::http::StatusCode;
use pvt_domain::intake::MAX_NAME_CHARS;
use pvt_domain::inventory::check::PPM;
use pvt_domain::inventory::{DormGender, HOLD_MINUTES, RoomKind};
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
            made(
                post(
                    "/api/properties",
                    "create_property",
                    "Makes a property, which has no rooms and sells nothing yet",
                )
                .body(form(true), form_example()),
                named("Property"),
            ),
            get("/api/properties/{id}", "show_property", "What a property sells, and for how much")
                .answers(StatusCode::OK, "The property.", named("Property"))
                .header("ETag"),
            changed(
                patch(
                    "/api/properties/{id}",
                    "change_property",
                    "Changes what is sent; currency and time zone never change",
                )
                .body(form(false), json!({ "check_in_from": "14:00" }))
                .answers(StatusCode::OK, "The property.", named("Property"))
                .header("ETag")
                .if_match(),
            ),
        ],
        schemas: vec![("PropertySummary", summary()), ("Property", joined([summary(), details()]))],
    }
}

/// The query names the property.
pub(super) fn of_property(operation: Operation) -> Operation {
    operation.required_query("property_id", text(), "Which property.")
}

/// Makes a part of a house, once. Goes after the body.
pub(super) fn made(operation: Operation, view: Value) -> Operation {
    let operation = operation
        .answers(StatusCode::CREATED, "It, as it was made, or was there just so.", view)
        .header("ETag")
        .header("Location");
    changed(operation.idempotent().problems([problem::ALREADY_EXISTS]))
}

/// Changes a house as a whole.
pub(super) fn changed(operation: Operation) -> Operation {
    operation.problems([problem::NOT_FOUND, problem::PROPERTY_BUSY]).stored()
}

fn form(new: bool) -> Value {
    let tax = form_with([
        ("code", text(), true),
        ("name", text(), true),
        ("rate_ppm", about(whole_of(0, PPM.into()), "Parts per million: 5 % is 50000."), true),
        (
            "compounds_on",
            about(list_of(text(), 0, MAX_TAXES), "Codes of earlier taxes that belong to the base."),
            false,
        ),
        ("valid_from", about(date(), "First night."), false),
        ("valid_until", about(date(), "First night that is no longer taxed."), false),
    ]);
    let chosen_once = [
        ("id", id(), true),
        ("time_zone", about(text(), "IANA name, for example America/Toronto."), true),
        ("currency", about(text(), "ISO 4217, for example CAD."), true),
    ];
    let said = [
        ("name", text_of(1, MAX_NAME_CHARS), new),
        ("address", text_of(1, MAX_ADDRESS_CHARS), new),
        ("check_in_from", about(time_of_day(), "15:00 unless said."), false),
        ("check_out_until", about(time_of_day(), "11:00 unless said."), false),
        (
            "business_day_cutoff",
            about(time_of_day(), "Until when after midnight the day before goes on; 04:00 unless said."),
            false,
        ),
        (
            "locales",
            about(list_of(one_of(["fr", "en"]), 1, 2), "For guests who named none, the first before the others."),
            false,
        ),
        ("taxes", list_of(tax, 0, MAX_TAXES), false),
        (
            "hold_minutes",
            about(
                whole_of((*HOLD_MINUTES.start()).into(), (*HOLD_MINUTES.end()).into()),
                "How long beds wait for who has to pay; 30 unless said.",
            ),
            false,
        ),
    ];
    form_with(chosen_once.into_iter().filter(|_| new).chain(said))
}

fn form_example() -> Value {
    json!({
        "id": "pvt-quebec", "name": "PVT Québec", "address": "19 rue Sainte-Ursule, \
            Québec", "time_zone": "America/Toronto", "currency": "CAD",
        "locales": ["fr", "en"], "taxes": [{ "code": "gst", "name": "GST", "rate_ppm": 50000 }],
    })
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
        ("kind", about(choice(&RoomKind::ALL), "A dorm is sold by the bed, a private room whole.")),
        ("gender", choice(&DormGender::ALL)),
        ("rooms", whole(0)),
        ("beds", whole(0)),
        ("max_guests", about(whole(0), "Of one stay.")),
        ("minimum_age?", whole(0)),
        ("max_group?", whole(1)),
    ]);
    let tax = object([
        ("code", text()),
        ("name", text()),
        ("rate_ppm", about(whole(0), "Parts per million.")),
        ("compounds_on", list(text())),
        ("valid_from?", date()),
        ("valid_until?", date()),
    ]);
    object([
        ("business_day_cutoff", time_of_day()),
        ("locales", list(text())),
        ("room_types", list(room_type)),
        ("rate_plans", list(named("RatePlan"))),
        ("taxes", list(tax)),
        ("hold_minutes", about(whole(1), "For how long beds are held for who has to pay first.")),
    ])
}

fn summary_example() -> Value {
    json!({
        "id": "pvt-montreal", "name": "PVT Montréal", "address": "1 rue de la Commune, Montréal",
        "time_zone": "America/Toronto", "currency": "CAD",
        "check_in_from": "15:00", "check_out_until": "11:00", "links": { "self": "/api/properties/pvt-montreal" },
    })
}
