//! What is said of bookings.

use crate::openapi::schema::{about, choice, date, email, flag, form, instant, list, list_of, named, object, one_of, text, text_of, uuid, whole, whole_of};
use crate::openapi::{Group, Operation, delete, get, post};
use crate::problem;
use axum::http::StatusCode;
use pvt_domain::booking::{Rejection, Source};
use pvt_domain::intake::{MAX_EMAIL_BYTES, MAX_GUESTS, MAX_NAME_CHARS, MAX_STAYS};
use serde_json::{Value, json};

const SOME_ID: &str = "11111111-2222-5333-8444-555555555555";

/// Every status of a booking.
const STATUSES: [&str; 7] = ["requested", "confirmed", "checked_in", "checked_out", "no_show", "rejected", "cancelled"];

pub(super) fn group() -> Group {
    Group {
        name: "Bookings",
        about: "Asking for beds, and what becomes of it.",
        operations: vec![
            create(),
            show(),
            cancel(delete("/api/bookings/{id}", "delete_booking", "Cancels a booking")),
            cancel(post("/api/bookings/{id}/cancel", "cancel_booking", "Cancels a booking, as DELETE does")),
        ],
        schemas: vec![
            ("NewBooking", new_booking()),
            ("Booking", booking()),
            ("RequestedBooking", requested()),
            ("PendingBooking", pending()),
            ("BookingLinks", object([("self", text()), ("cancel", text())])),
            ("Stay", stay()),
            ("Guest", guest()),
        ],
    }
}

fn create() -> Operation {
    post("/api/bookings", "create_booking", "Asks for beds")
        .about("202 means that the request is safe and will be decided. Repeating it with the same key and body is the same booking, for ever.")
        .body(named("NewBooking"), new_booking_example())
        .answers(StatusCode::ACCEPTED, "The broker has the request; it is not decided yet.", named("RequestedBooking"))
        .header("Location")
        .header("Retry-After")
        .example(json!({ "id": SOME_ID, "reference": "PVT-0000000000", "status": "requested", "token": "…", "links": links() }))
        .answers(StatusCode::CREATED, "It is confirmed; only with `Prefer: wait=N`.", named("Booking"))
        .header("Location")
        .header("ETag")
        .example(booking_example())
        .idempotent()
        .waits()
        .problems([
            problem::NO_AVAILABILITY,
            problem::INVALID_DATES,
            problem::OVER_CAPACITY,
            problem::CLOSED,
            problem::RESTRICTION,
            problem::PRICE_CHANGED,
            problem::GENDER,
            problem::AGE,
            problem::NOT_READY,
        ])
        .queued()
}

fn show() -> Operation {
    get("/api/bookings/{id}", "show_booking", "The state of a booking")
        .part("id", uuid(), "The booking.")
        .query(
            "wait",
            json!({ "type": "string", "pattern": "^[0-9]{1,6}(ms|s)?$" }),
            "Holds the answer until the booking is decided, at most 30 s: `20s`, `20` or `500ms`.",
        )
        .with_token()
        .takes_header("If-None-Match", text(), "The ETag of what is known already.")
        .answers(StatusCode::OK, "The booking, or that it is not decided yet.", json!({ "anyOf": [named("Booking"), named("RequestedBooking")] }))
        .header("ETag")
        .header("Retry-After")
        .example(booking_example())
        .answers_nothing(StatusCode::NOT_MODIFIED, "It is as the caller knows it.")
        .header("ETag")
        .stored()
}

fn cancel(operation: Operation) -> Operation {
    operation
        .about("Frees the beds. Cancelling twice is cancelling once.")
        .part("id", uuid(), "The booking.")
        .with_token()
        .optional_body(form([("reason?", text_of(1, 500))]), json!({ "reason": "plans changed" }))
        .answers(StatusCode::OK, "It is cancelled.", named("Booking"))
        .header("ETag")
        .answers(StatusCode::ACCEPTED, "The broker has the wish.", named("PendingBooking"))
        .header("Location")
        .header("Retry-After")
        .example(json!({ "id": SOME_ID, "reference": "PVT-0000000000", "status": "confirmed", "pending": "cancel", "links": links() }))
        .waits()
        .problems([problem::STILL_PROCESSING, problem::NOT_CANCELLABLE])
        .stored()
        .queued()
}

fn new_booking() -> Value {
    let stay = form([("room_type_id", text()), ("arrival", date()), ("departure", date()), ("guests", whole_of(1, MAX_GUESTS.into()))]);
    let guest = form([
        ("first_name", text_of(1, MAX_NAME_CHARS)),
        ("last_name", text_of(1, MAX_NAME_CHARS)),
        ("email", json!({ "type": "string", "format": "email", "maxLength": MAX_EMAIL_BYTES })),
        ("phone?", about(text(), "E.164, for example +15145550100.")),
        ("locale?", about(text(), "A language tag: `fr`, `en` or `en-CA`.")),
    ]);
    form([("property_id", text()), ("rate_plan_id", text()), ("source?", choice(&Source::ALL)), ("stays", list_of(stay, 1, MAX_STAYS)), ("guest", guest)])
}

fn booking() -> Value {
    let night = object([("stay", about(whole(0), "Index of the stay.")), ("night", date()), ("price", named("Money"))]);
    let tax = object([("code", text()), ("name", text()), ("rate_ppm", about(whole(0), "Parts per million.")), ("price", named("Money"))]);
    let price = object([("nights", list(night)), ("taxes", list(tax)), ("total", named("Money"))]);
    let payment = object([("status", one_of(["pay_on_arrival", "not_due"])), ("paid?", named("Money")), ("due?", named("Money"))]);
    object([
        ("id", uuid()),
        ("reference", about(text(), "For people.")),
        ("status", one_of(STATUSES)),
        ("rejection?", choice(&Rejection::ALL)),
        ("rev", whole(1)),
        ("property_id", text()),
        ("rate_plan_id", text()),
        ("source", choice(&Source::ALL)),
        ("stays", list(named("Stay"))),
        ("guest", named("Guest")),
        ("price?", price),
        ("payment", payment),
        ("created_at", instant()),
        ("updated_at", instant()),
        ("links", named("BookingLinks")),
        ("token?", about(text(), "Only in the answer to the request itself.")),
    ])
}

fn stay() -> Value {
    let earlier = object([("until", about(date(), "First night that was not spent in them.")), ("beds", list(text()))]);
    object([
        ("room_type_id", text()),
        ("arrival", date()),
        ("departure", date()),
        ("guests", whole(1)),
        ("assigned_beds", list(text())),
        ("earlier_beds?", about(list(earlier), "Beds before guests in the house were moved.")),
        ("locked?", about(flag(), "Staff promised these beds.")),
        ("gender?", one_of(["female", "male", "mixed"])),
        ("youngest_age?", whole_of(0, 255)),
    ])
}

fn guest() -> Value {
    object([("first_name", text()), ("last_name", text()), ("email", email()), ("phone?", text()), ("locale?", text())])
}

fn requested() -> Value {
    object([
        ("id", uuid()),
        ("reference", text()),
        ("status", one_of(["requested"])),
        ("token?", about(text(), "Only in the answer to the request itself.")),
        ("links", named("BookingLinks")),
    ])
}

fn pending() -> Value {
    object([
        ("id", uuid()),
        ("reference", text()),
        ("status", about(one_of(STATUSES), "As it was when the change was accepted.")),
        ("pending", about(text(), "What was asked for.")),
        ("links", named("BookingLinks")),
    ])
}

fn links() -> Value {
    json!({ "self": format!("/api/bookings/{SOME_ID}?token=…"), "cancel": format!("/api/bookings/{SOME_ID}/cancel?token=…") })
}

fn new_booking_example() -> Value {
    json!({
        "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "direct",
        "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13", "guests": 2 }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "phone": "+15145550100", "locale": "en" },
    })
}

fn booking_example() -> Value {
    let money = |amount: i64| json!({ "amount": amount, "currency": "CAD" });
    json!({
        "id": SOME_ID, "reference": "PVT-0000000000", "status": "confirmed", "rev": 1, "property_id": "pvt-montreal", "rate_plan_id": "standard",
        "source": "direct",
        "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-11", "guests": 1, "assigned_beds": ["d6a-1"] }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
        "price": {
            "nights": [{ "stay": 0, "night": "2027-01-10", "price": money(4200) }],
            "taxes": [{ "code": "gst", "name": "GST", "rate_ppm": 50_000, "price": money(210) }],
            "total": money(4410),
        },
        "payment": { "status": "pay_on_arrival", "paid": money(0), "due": money(4410) },
        "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z", "links": links(),
    })
}
