//! What is said of rooms, beds and blocks.

use super::properties::{changed, made, of_property};
use crate::form::types::MAX_FREE_TEXT_CHARS;
use crate::http::problem;
use crate::openapi::schema::{
    about, choice, date, form, instant, list, list_of, named, object, one_of, page, text, text_of, uuid, whole_of,
};
use crate::openapi::{Group, Operation, delete, get, patch, post, put};
use axum::http::StatusCode;
use pvt_domain::block::{BlockKind, MAX_BLOCK_BEDS};
use pvt_domain::intake::{MAX_GROUP_GUESTS, MAX_NAME_CHARS};
use pvt_domain::inventory::check::{MAX_BEDS, MAX_ID_BYTES};
use pvt_domain::inventory::{DormGender, RoomKind};
use serde_json::{Value, json};

pub(super) fn group() -> Group {
    let mut operations = types();
    operations.extend(rooms());
    operations.extend(blocks());
    Group {
        name: "Rooms",
        about: "What a property consists of. Ids are unique within a property, so each request names it.",
        operations,
        schemas: vec![
            ("RoomType", room_type()),
            ("Room", room()),
            ("Bed", bed()),
            ("Block", block()),
            ("PendingBlock", pending()),
        ],
    }
}

pub(super) fn id() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES, "pattern": "^[A-Za-z0-9._-]+$" })
}

fn name() -> Value {
    text_of(1, MAX_NAME_CHARS)
}

fn types() -> Vec<Operation> {
    let limits = || [("minimum_age?", whole_of(0, 120)), ("max_group?", whole_of(1, MAX_GROUP_GUESTS.into()))];
    let [age, group] = limits();
    let new = form([
        ("property_id", text()),
        ("id", id()),
        ("name", name()),
        ("kind", about(choice(&RoomKind::ALL), "A dorm is sold by the bed, a private room whole.")),
        ("gender?", choice(&DormGender::ALL)),
        age,
        group,
    ]);
    let [age, group] = limits();
    let change = form([("name?", name()), ("gender?", choice(&DormGender::ALL)), age, group]);
    vec![
        of_property(get("/api/room-types", "list_room_types", "What a property sells"))
            .answers(StatusCode::OK, "All of them.", object([("items", list(named("RoomType")))]))
            .header("ETag")
            .problems([problem::NOT_FOUND]),
        made(
            post("/api/room-types", "create_room_type", "Adds a room type").body(
                new,
                json!({ "property_id": "pvt-quebec", "id": "dorm-6", "name": "Bed in 6-bed dorm", "kind": "dorm",
                    "gender": "mixed", "minimum_age": 18 }),
            ),
            named("RoomType"),
        ),
        leaves(changed(
            of_property(patch("/api/room-types/{id}", "change_room_type", "Changes name and limits of a room type"))
                .about("A dorm that is to be for women or men only must be free from today on.")
                .body(change, json!({ "max_group": 12, "minimum_age": null }))
                .answers(StatusCode::OK, "The room type.", named("RoomType"))
                .header("ETag")
                .if_match(),
        )),
    ]
}

fn beds_form() -> Value {
    list_of(id(), 1, MAX_BEDS)
}

fn rooms() -> Vec<Operation> {
    let new = form([("property_id", text()), ("id", id()), ("room_type_id", text()), ("beds", beds_form())]);
    let whole =
        form([("room_type_id", text()), ("beds", about(beds_form(), "Beds that are not listed leave the house."))]);
    let state =
        form([("service?", one_of(["active", "out_of_service"])), ("cleanliness?", one_of(["clean", "dirty"]))]);
    vec![
        of_property(get("/api/rooms", "list_rooms", "Rooms of a property, with their beds"))
            .answers(StatusCode::OK, "All of them.", object([("items", list(named("Room")))]))
            .header("ETag")
            .problems([problem::NOT_FOUND]),
        made(
            post("/api/rooms", "create_room", "Adds a room with its beds").body(
                new,
                json!({ "property_id": "pvt-quebec", "id": "q1", "room_type_id": "dorm-6", "beds": ["q1-1", "q1-2"] }),
            ),
            named("Room"),
        ),
        of_property(get("/api/rooms/{id}", "show_room", "A room and its beds"))
            .answers(StatusCode::OK, "The room.", named("Room"))
            .header("ETag"),
        leaves(changed(
            of_property(put("/api/rooms/{id}", "replace_room", "Changes type and beds of a room"))
                .about("Beds that leave must be free from today on. What is in the way is named.")
                .body(whole, json!({ "room_type_id": "dorm-6", "beds": ["q1-1", "q1-2", "q1-3"] }))
                .answers(StatusCode::OK, "The room.", named("Room"))
                .header("ETag")
                .if_match(),
        )),
        leaves(changed(
            of_property(delete("/api/rooms/{id}", "delete_room", "Takes a room out of the house"))
                .about("Its beds must be free from today on. What is in the way is named.")
                .answers_nothing(StatusCode::NO_CONTENT, "It is gone.")
                .may_match(),
        )),
        leaves(changed(
            of_property(patch(
                "/api/beds/{id}",
                "change_bed",
                "Says of a bed whether it can be sold, and whether it is clean",
            ))
            .about("A bed that is taken out of service must be free from today on.")
            .body(state, json!({ "cleanliness": "dirty" }))
            .answers(StatusCode::OK, "The bed.", named("Bed"))
            .header("ETag")
            .may_match(),
        )),
    ]
}

/// Beds may leave by it, which the property's queue must agree to.
fn leaves(operation: Operation) -> Operation {
    operation
        .problems([
            problem::BED_TAKEN,
            problem::BED_UNFIT,
            problem::INVALID_DATES,
            problem::CLOSED,
            problem::STILL_PROCESSING,
        ])
        .queued()
}

fn blocks() -> Vec<Operation> {
    let wish = form([
        ("property_id", text()),
        ("kind", choice(&BlockKind::ALL)),
        ("bed_ids", list_of(text(), 1, MAX_BLOCK_BEDS)),
        ("from", about(date(), "First night.")),
        ("until", about(date(), "The first night that is free again.")),
        ("reason?", text_of(0, MAX_FREE_TEXT_CHARS)),
    ]);
    let queued = |operation: Operation| {
        operation
            .answers(StatusCode::ACCEPTED, "The broker has the command; it is not decided yet.", named("PendingBlock"))
            .header("Retry-After")
            .waits()
            .stored()
            .queued()
    };
    vec![
        of_property(get("/api/blocks", "list_blocks", "Blocks of a property by id"))
            .query("all", one_of(["true", "false"]), "Lifted ones too.")
            .answers(StatusCode::OK, "A page of them.", page(named("Block")))
            .paged()
            .problems([problem::NOT_FOUND])
            .stored(),
        queued(
            post("/api/blocks", "create_block", "Keeps free beds from being sold")
                .about(
                    "It goes through the property's queue, as bookings do, and never takes a bed that somebody has: \
                those bookings are named.",
                )
                .body(
                    wish,
                    json!({ "property_id": "pvt-quebec", "kind": "maintenance", "bed_ids": ["q1-1", "q1-2"],
                "from": "2027-02-01", "until": "2027-02-05", "reason": "new mattresses" }),
                )
                .answers(StatusCode::CREATED, "The block.", named("Block")),
        )
        .idempotent()
        .problems([
            problem::NOT_FOUND,
            problem::BED_TAKEN,
            problem::BED_UNFIT,
            problem::INVALID_DATES,
            problem::CLOSED,
        ]),
        queued(
            delete(
                "/api/blocks/{id}",
                "lift_block",
                "The beds are for sale \
            again",
            )
            .answers(StatusCode::OK, "The block, lifted.", named("Block")),
        )
        .problems([problem::CLOSED]),
    ]
}

fn room_type() -> Value {
    object([
        ("id", text()),
        ("name", text()),
        ("kind", choice(&RoomKind::ALL)),
        ("gender", choice(&DormGender::ALL)),
        ("minimum_age?", about(whole_of(0, 255), "In years; every guest must have it.")),
        ("max_group?", about(whole_of(1, u32::MAX.into()), "Most guests of one booking.")),
    ])
}

fn room() -> Value {
    object([("property_id", text()), ("id", text()), ("room_type_id", text()), ("beds", list(named("Bed")))])
}

fn bed() -> Value {
    object([
        ("id", text()),
        ("service", one_of(["active", "out_of_service"])),
        ("cleanliness", one_of(["clean", "dirty"])),
    ])
}

fn block() -> Value {
    object([
        ("id", uuid()),
        ("property_id", text()),
        ("status", one_of(["active", "lifted"])),
        ("kind", choice(&BlockKind::ALL)),
        ("bed_ids", list(text())),
        ("from", date()),
        ("until", date()),
        ("reason?", text()),
        ("created_by", about(text(), "For example `staff:a1b2c3d4e5f6`.")),
        ("lifted_by?", text()),
        ("created_at", instant()),
        ("updated_at", instant()),
    ])
}

fn pending() -> Value {
    object([("id", uuid()), ("pending", json!({ "const": true }))])
}
