//! OpenAPI of bookings.

use super::{booking_changes, booking_payments};
use crate::http::problem::{self, ProblemKind};
use crate::openapi::schema::{
    about, choice, date, email, example_of, flag, form_of, instant, list, named, object, one_of, page, text, text_of,
    uuid, whole, whole_of,
};
use crate::openapi::{Group, Operation, delete, get, post};
use crate::resources::bookings::command_forms::CancelForm;
use crate::resources::bookings::form::NewBookingForm;
use axum::http::StatusCode;
use pvt_domain::booking::{PartyGender, Rejection, Source};
use pvt_domain::intake::MAX_EMAIL_BYTES;
use serde_json::{Value, json};

const SOME_ID: &str = "11111111-2222-5333-8444-555555555555";

/// Every status of a booking.
pub(super) const STATUSES: [&str; 9] =
    ["requested", "held", "confirmed", "checked_in", "checked_out", "no_show", "rejected", "cancelled", "expired"];

/// Refusals of a command about a stored booking.
pub(super) const CHANGE_REFUSALS: [&ProblemKind; 19] = [
    problem::NO_AVAILABILITY,
    problem::INVALID_DATES,
    problem::OVER_CAPACITY,
    problem::CLOSED,
    problem::RESTRICTION,
    problem::PRICE_CHANGED,
    problem::GENDER,
    problem::AGE,
    problem::TOO_EARLY,
    problem::TOO_LATE,
    problem::BALANCE_OPEN,
    problem::PAYMENT_UNDER_WAY,
    problem::BEDS_MISSING,
    problem::BED_NOT_CLEAN,
    problem::BED_TAKEN,
    problem::BED_UNFIT,
    problem::UNKNOWN_STAY,
    problem::REASON_MISSING,
    problem::TOO_MANY_CHANGES,
];

pub(super) fn group() -> Group {
    let mut operations = vec![
        create(),
        list_bookings(),
        show(),
        cancel(delete("/api/bookings/{id}", "delete_booking", "Cancel a booking")),
        cancel(post("/api/bookings/{id}/cancel", "cancel_booking", "Cancel a booking, as DELETE does")),
        events(),
        calendar(),
    ];
    operations.extend(booking_payments::operations());
    operations.extend(booking_changes::operations());
    let mut schemas = vec![
        ("NewBooking", form_of::<NewBookingForm>()),
        ("Booking", booking()),
        ("RequestedBooking", requested()),
        ("PendingBooking", pending()),
        ("CancellationFee", fee()),
        ("BookingLinks", booking_links()),
        ("Stay", stay()),
        ("Guest", guest()),
        ("Alternative", alternative()),
    ];
    schemas.extend(booking_changes::schemas());
    Group {
        name: "Bookings",
        about: "Booking requests, modifications, cancellations and front-desk actions.",
        operations,
        schemas,
    }
}

/// An operation on one booking.
pub(super) fn booking_operation(operation: Operation) -> Operation {
    operation.part("id", uuid(), "The booking.").with_token()
}

fn create() -> Operation {
    post("/api/bookings", "create_booking", "Request a booking")
        .about(
            "202 means that the request is stored durably and will be decided. The same key and body always give the \
                same \
            booking.",
        )
        .body(named("NewBooking"), example_of::<NewBookingForm>())
        .answers(StatusCode::ACCEPTED, "The request is accepted and pending.", named("RequestedBooking"))
        .header("Location")
        .header("Retry-After")
        .example(json!({ "id": SOME_ID, "reference": "PVT-0000000000", "status": "requested", "token": "…",
            "links": links() }))
        .answers(
            StatusCode::CREATED,
            "The booking, confirmed or held for payment; only with `Prefer: wait=N`.",
            named("Booking"),
        )
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
    booking_operation(get("/api/bookings/{id}", "show_booking", "Show a booking"))
        .query(
            "wait",
            json!({ "type": "string", "pattern": "^[0-9]{1,6}(ms|s)?$" }),
            "Holds the answer until the booking is decided, at most 30 s: `20s`, `20` or `500ms`.",
        )
        .takes_header("If-None-Match", text(), "The ETag of the known revision.")
        .answers(
            StatusCode::OK,
            "The booking, or the pending request.",
            json!({ "anyOf": [named("Booking"), named("RequestedBooking")] }),
        )
        .header("ETag")
        .header("Retry-After")
        .example(booking_example())
        .answers_nothing(StatusCode::NOT_MODIFIED, "Not modified.")
        .header("ETag")
        .stored()
}

fn list_bookings() -> Operation {
    get("/api/bookings", "list_bookings", "List bookings, newest requests first")
        .about("Staff see the bookings of their properties, other callers their own.")
        .query("property_id", text(), "Only of this property.")
        .query("status", one_of(STATUSES), "Only in this state.")
        .query("arrival_from", date(), "Only arriving on this day or later.")
        .query("arrival_until", date(), "Only arriving on this day or earlier.")
        .query("email", text_of(0, MAX_EMAIL_BYTES), "Only of the guest with this address.")
        .query("reference", text(), "Only with this code, for example PVT-0123456789.")
        .answers(StatusCode::OK, "A page of bookings.", page(named("Booking")))
        .paged()
        .problems([problem::NOT_FOUND])
        .stored()
}

fn cancel(operation: Operation) -> Operation {
    booking_changes::decided(operation)
        .about(
            "Releases the beds. Repeated cancellations have no further effect. `dry_run` returns the fee and changes \
                nothing.",
        )
        .query("dry_run", flag(), "Only return the fee.")
        .optional_body(form_of::<CancelForm>(), example_of::<CancelForm>())
        .may_match()
        .problems([problem::NOT_CANCELLABLE, problem::NOT_READY])
        .or_answers(StatusCode::OK, named("CancellationFee"))
}

fn events() -> Operation {
    booking_operation(get(
        "/api/bookings/{id}/events",
        "booking_events",
        "Stream the events of a booking: one server-sent event per revision",
    ))
    .takes_header("Last-Event-ID", text(), "The last revision that the client has seen.")
    .answers_events("Events, until a final state or for 15 minutes.")
    .answers_nothing(StatusCode::NO_CONTENT, "No event can follow.")
    .problems([problem::OVERLOADED])
    .stored()
}

fn calendar() -> Operation {
    booking_operation(get("/api/bookings/{id}/calendar.ics", "booking_calendar", "Get the stays as a calendar file"))
        .answers_text("An iCalendar file.", "text/calendar; charset=utf-8")
        .problems([problem::STILL_PROCESSING, problem::NOT_READY])
        .stored()
}

/// A price with all that it consists of.
pub(super) fn price_view() -> Value {
    let night = object([("stay", about(whole(0), "Index of the stay.")), ("night", date()), ("price", named("Money"))]);
    let tax = object([
        ("code", text()),
        ("name", text()),
        ("rate_ppm", about(whole(0), "Parts per million.")),
        ("price", named("Money")),
    ]);
    object([("nights", list(night)), ("taxes", list(tax)), ("total", named("Money"))])
}

fn booking() -> Value {
    let payment = booking_payments::payment();
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
        ("price?", price_view()),
        ("payment", payment),
        ("created_at", instant()),
        ("updated_at", instant()),
        ("links", named("BookingLinks")),
        ("alternatives?", about(list(named("Alternative")), "Available alternatives.")),
        ("cancellation_fee?", named("Money")),
        ("token?", about(text(), "Only in the answer to the request itself.")),
    ])
}

fn alternative() -> Value {
    let stay = object([
        ("room_type_id", text()),
        ("arrival", date()),
        ("departure", date()),
        ("guests", whole(1)),
        ("gender?", choice(&PartyGender::ALL)),
        ("youngest_age?", whole_of(0, 255)),
    ]);
    object([("stays", list(stay)), ("total", named("Money"))])
}

fn fee() -> Value {
    object([
        ("id", uuid()),
        ("reference", text()),
        ("status", one_of(STATUSES)),
        ("rev", whole(1)),
        ("dry_run", flag()),
        ("at", about(instant(), "The fee grows towards arrival.")),
        ("policy?", about(text(), "As it was when the booking was made.")),
        ("fee?", named("Money")),
        ("refund?", about(named("Money"), "What would be refunded of what was paid.")),
    ])
}

fn stay() -> Value {
    let earlier =
        object([("until", about(date(), "First night that was not spent in these beds.")), ("beds", list(text()))]);
    object([
        ("room_type_id", text()),
        ("arrival", date()),
        ("departure", date()),
        ("guests", whole(1)),
        ("assigned_beds", list(text())),
        ("earlier_beds?", about(list(earlier), "Beds before the guests were moved.")),
        ("locked?", about(flag(), "Staff pinned these beds.")),
        ("gender?", choice(&PartyGender::ALL)),
        ("youngest_age?", whole_of(0, 255)),
    ])
}

fn guest() -> Value {
    object([("first_name", text()), ("last_name", text()), ("email", email()), ("phone?", text()), ("locale?", text())])
}

fn booking_links() -> Value {
    let pay = about(text(), "Where to pay, while something is payable.");
    let receipt = about(text(), "Once something was paid.");
    object([
        ("self", text()),
        ("cancel", text()),
        ("events", text()),
        ("calendar", text()),
        ("pay?", pay),
        ("receipt?", receipt),
    ])
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
        ("pending", about(text(), "The name of the command.")),
        ("links", named("BookingLinks")),
    ])
}

fn links() -> Value {
    let below = |part: &str| format!("/api/bookings/{SOME_ID}{part}?token=…");
    json!({ "self": below(""), "cancel": below("/cancel"), "events": below("/events"),
        "calendar": below("/calendar.ics") })
}

fn booking_example() -> Value {
    let money = |amount: i64| json!({ "amount": amount, "currency": "CAD" });
    json!({
        "id": SOME_ID, "reference": "PVT-0000000000", "status": "confirmed", "rev": 1, "property_id": "pvt-montreal",
        "rate_plan_id": "standard",
        "source": "direct",
        "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-11", "guests": 1,
        "assigned_beds": ["d6a-1"] }],
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
