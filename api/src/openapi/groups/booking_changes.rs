//! OpenAPI of modifications and staff actions.

use super::bookings::{CHANGE_REFUSALS, STATUSES, booking_operation};
use crate::form::RequestForm;
use crate::http::problem;
use crate::openapi::schema::{
    about, choice, example_of, flag, form_of, instant, list, named, object, one_of, text, uuid, whole,
};
use crate::openapi::{Operation, get, patch, post, put};
use crate::resources::bookings::command_forms::{AssignForm, CheckOutForm, ReasonForm, ReinstateForm};
use crate::resources::bookings::modify_form::ModificationForm;
use axum::http::StatusCode;
use pvt_domain::booking::Action;
use serde_json::Value;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        modify(
            patch("/api/bookings/{id}", "modify_booking", "Modify a booking: only what is sent"),
            named("BookingChange"),
        ),
        modify(
            put("/api/bookings/{id}", "replace_booking", "Replace the stays and the guest of a booking"),
            named("WholeBookingChange"),
        ),
        command::<ReasonForm>(post("/api/bookings/{id}/checkin", "check_in", "Check in")),
        command::<CheckOutForm>(post("/api/bookings/{id}/checkout", "check_out", "Check out, releasing unused nights"))
            .about("`allow_open_balance` needs a `reason`; `reprice` deducts the released nights from the price."),
        command::<ReasonForm>(post(
            "/api/bookings/{id}/no-show",
            "mark_no_show",
            "Mark as no-show, releasing the beds",
        )),
        command::<ReinstateForm>(post("/api/bookings/{id}/reinstate", "reinstate", "Undo a check-in or a no-show")),
        command::<AssignForm>(post("/api/bookings/{id}/assign", "assign_beds", "Assign beds, or pin them")),
        command::<ReasonForm>(post("/api/bookings/{id}/confirm", "confirm_booking", "Confirm a held booking")),
        history(),
    ]
}

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("BookingChange", form_of::<ModificationForm<false>>()),
        ("WholeBookingChange", form_of::<ModificationForm<true>>()),
        ("BookingHistory", history_view()),
    ]
}

/// The outcomes of a command about a stored booking.
pub(super) fn decided(operation: Operation) -> Operation {
    booking_operation(operation)
        .answers(StatusCode::OK, "The current booking.", named("Booking"))
        .header("ETag")
        .answers(StatusCode::ACCEPTED, "The command is accepted and pending.", named("PendingBooking"))
        .header("Location")
        .header("Retry-After")
        .waits()
        .repeatable()
        .problems(CHANGE_REFUSALS)
        .problems([problem::STILL_PROCESSING])
        .stored()
        .queued()
}

fn command<T: RequestForm>(operation: Operation) -> Operation {
    decided(operation).may_match().problems([problem::STATE_CONFLICT]).optional_body(form_of::<T>(), example_of::<T>())
}

fn modify(operation: Operation, change: Value) -> Operation {
    decided(operation)
        .about(
            "Stays that are left out of `stays` are cancelled. Beds, old prices and overrides of restrictions are for \
            staff.",
        )
        .body(change, example_of::<ModificationForm<true>>())
        .if_match()
        .problems([problem::STATE_CONFLICT, problem::NOT_READY])
}

fn history() -> Operation {
    booking_operation(get("/api/bookings/{id}/history", "booking_history", "Show the history of a booking"))
        .answers(StatusCode::OK, "Oldest first.", named("BookingHistory"))
        .header("ETag")
        .problems([problem::STILL_PROCESSING])
        .stored()
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
        ("moved?", about(list(uuid()), "Bookings that were reassigned to other beds.")),
    ]);
    object([("id", uuid()), ("reference", text()), ("rev", whole(1)), ("items", list(entry))])
}
