//! What is said of changing a booking and of what staff do with it.

use super::bookings::{CHANGE_REFUSALS, STATUSES, booking_operation};
use crate::form::types::MAX_FREE_TEXT_CHARS;
use crate::http::problem;
use crate::openapi::schema::{
    about, choice, date, flag, form, instant, list, list_of, named, object, one_of, text, text_of, uuid, whole,
    whole_of,
};
use crate::openapi::{Operation, get, patch, post, put};
use axum::http::StatusCode;
use pvt_domain::booking::{Action, PartyGender};
use pvt_domain::intake::{MAX_EMAIL_BYTES, MAX_GROUP_GUESTS, MAX_GROUP_STAYS, MAX_NAME_CHARS};
use serde_json::{Value, json};

pub(super) fn operations() -> Vec<Operation> {
    let noted = |path, id, summary| {
        command(post(path, id, summary))
            .optional_body(form([("reason?", reason())]), json!({ "reason": "arrived early" }))
    };
    vec![
        modify(
            patch("/api/bookings/{id}", "modify_booking", "Changes what is sent, and nothing else"),
            named("BookingChange"),
        ),
        modify(
            put("/api/bookings/{id}", "replace_booking", "Changes stays and guest as a whole"),
            named("WholeBookingChange"),
        ),
        noted("/api/bookings/{id}/checkin", "check_in", "The guests are here"),
        check_out(),
        noted("/api/bookings/{id}/no-show", "mark_no_show", "Nobody came; the beds are free again"),
        command(post("/api/bookings/{id}/reinstate", "reinstate", "A check-in or a no-show was a mistake"))
            .optional_body(form([("reason", reason())]), json!({ "reason": "checked in the wrong guests" })),
        assign(),
        noted("/api/bookings/{id}/confirm", "confirm_booking", "Confirms a booking that waits for something"),
        history(),
    ]
}

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    vec![("BookingChange", change(false)), ("WholeBookingChange", change(true)), ("BookingHistory", history_view())]
}

pub(super) fn reason() -> Value {
    text_of(1, MAX_FREE_TEXT_CHARS)
}

/// What every command about a stored booking can end with.
pub(super) fn decided(operation: Operation) -> Operation {
    booking_operation(operation)
        .answers(StatusCode::OK, "The booking as it is now.", named("Booking"))
        .header("ETag")
        .answers(StatusCode::ACCEPTED, "The broker has the command; it is not decided yet.", named("PendingBooking"))
        .header("Location")
        .header("Retry-After")
        .waits()
        .repeatable()
        .problems(CHANGE_REFUSALS)
        .problems([problem::STILL_PROCESSING])
        .stored()
        .queued()
}

fn command(operation: Operation) -> Operation {
    decided(operation).may_match().problems([problem::STATE_CONFLICT])
}

fn modify(operation: Operation, change: Value) -> Operation {
    let example = json!({
        "stays": [{ "continues": 0, "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-12",
        "guests": 2 }],
        "guest": { "first_name": "Ada", "last_name": "King", "email": "ada@example.com" },
    });
    decided(operation)
        .about(
            "Stays that are left out of `stays` are cancelled. Beds, old prices and exceptions from restrictions \
            are for staff.",
        )
        .body(change, example)
        .if_match()
        .problems([problem::STATE_CONFLICT, problem::NOT_READY])
}

fn check_out() -> Operation {
    let departure = form([("reason?", reason()), ("allow_open_balance?", flag()), ("reprice?", flag())]);
    command(post(
        "/api/bookings/{id}/checkout",
        "check_out",
        "The guests leave; nights that they do not sleep are freed",
    ))
    .about("`allow_open_balance` needs a `reason`; `reprice` takes the nights that are freed off the price.")
    .optional_body(departure, json!({ "reprice": true }))
}

fn assign() -> Operation {
    let one = form([
        ("stay", about(whole(0), "Index of the stay.")),
        ("beds?", beds()),
        ("locked?", about(flag(), "Promised: not moved for others.")),
    ]);
    command(post("/api/bookings/{id}/assign", "assign_beds", "Chooses beds, or promises them")).optional_body(
        form([("assignments", list_of(one, 1, MAX_GROUP_STAYS)), ("reason?", reason())]),
        json!({ "assignments": [{ "stay": 0, "beds": ["d6a-1"], "locked": true }] }),
    )
}

fn history() -> Operation {
    booking_operation(get(
        "/api/bookings/{id}/history",
        "booking_history",
        "Every revision: who, why, before and after",
    ))
    .answers(StatusCode::OK, "Oldest first.", named("BookingHistory"))
    .header("ETag")
    .problems([problem::STILL_PROCESSING])
    .stored()
}

fn beds() -> Value {
    list_of(text_of(0, 64), 1, MAX_GROUP_GUESTS as usize)
}

fn change(whole_booking: bool) -> Value {
    let asked = || {
        [
            ("room_type_id", text()),
            ("arrival", date()),
            ("departure", date()),
            ("guests", whole_of(1, MAX_GROUP_GUESTS.into())),
        ]
    };
    let said = [
        ("continues?", about(whole(0), "The stay so far, by its place.")),
        ("gender?", choice(&PartyGender::ALL)),
        ("youngest_age?", whole_of(0, 120)),
        ("beds?", about(beds(), "For staff.")),
    ];
    let person = || {
        [
            ("first_name", text_of(1, MAX_NAME_CHARS)),
            ("last_name", text_of(1, MAX_NAME_CHARS)),
            ("email", json!({ "type": "string", "format": "email", "maxLength": MAX_EMAIL_BYTES })),
        ]
    };
    let contact = [("phone?", text()), ("locale?", text())];
    let stay = form_of(asked().into_iter().chain(said), whole_booking);
    let guest = form_of(person().into_iter().chain(contact), whole_booking);
    let stays = list_of(stay, 1, MAX_GROUP_STAYS);
    let rest = [
        ("rate_plan_id?", text()),
        ("reprice?", flag()),
        ("override_restrictions?", about(flag(), "For staff.")),
        ("quote?", about(text(), "Of all stays as they are to be.")),
        ("reason?", reason()),
    ];
    form_of([("stays", stays), ("guest", guest)].into_iter().chain(rest), whole_booking)
}

/// Where not everything must be there, nothing must.
fn form_of<'a>(fields: impl Iterator<Item = (&'a str, Value)>, whole: bool) -> Value {
    crate::openapi::schema::form_with(fields.map(|(name, schema)| {
        let optional = name.strip_suffix('?');
        (optional.unwrap_or(name), schema, whole && optional.is_none())
    }))
}

fn history_view() -> Value {
    let stay = object([("index", whole(0)), ("before?", named("Stay")), ("after?", named("Stay"))]);
    let money_or_none = || crate::openapi::schema::nullable(named("Money"));
    let total = object([("before", money_or_none()), ("after", money_or_none())]);
    let plan = object([("before", text()), ("after", text())]);
    let changes = object([("stays?", list(stay)), ("total?", total), ("rate_plan?", plan), ("guest", flag())]);
    let entry = object([
        ("rev", whole(1)),
        ("at", instant()),
        ("action", choice(&Action::ALL)),
        ("from", one_of(STATUSES)),
        ("to", one_of(STATUSES)),
        ("actor", text()),
        ("reason?", text()),
        ("changes?", changes),
        ("moved?", about(list(uuid()), "Bookings that were given other beds to make room.")),
    ]);
    object([("id", uuid()), ("reference", text()), ("rev", whole(1)), ("items", list(entry))])
}
