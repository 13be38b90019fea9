//! Bookings: requests, changes, cancellations, and everything the front desk does with them.

mod advice;
mod calendar;
mod cancel;
mod cancellation_view;
mod command_forms;
mod create;
mod events;
pub(crate) mod form;
pub(crate) mod guest_page;
mod history;
mod list;
mod modify;
mod modify_form;
mod modify_view;
mod pay;
mod preview_head;
mod receipt;
pub(crate) mod receipt_view;
pub(crate) mod refusal;
mod rooming_list;
mod rooming_list_form;
mod show;
mod staff_actions;
mod submit;
pub(crate) mod tax_view;
pub(crate) mod view;

use crate::auth::guard::{Endpoint, Resource, at, delete, get, patch, post, put};
use crate::auth::rules::{
    BOOKING_LIST, BOOKING_READ, BOOKING_REQUEST, BOOKING_WRITE, FRONT_DESK_READ, FRONT_DESK_WRITE, PAYER,
    ROOMING_LIST_READ,
};
use crate::http::problem;
use axum::http::StatusCode;

pub(crate) fn resource() -> Resource {
    Resource {
        name: "Bookings",
        about: "Booking requests, modifications, cancellations and front-desk actions.",
        routes: vec![
            at("/api/bookings", [request(), list()]),
            at(
                "/api/bookings/{id}",
                [
                    show(),
                    modification(patch(BOOKING_WRITE, "modify_booking", modify::modify::<false>))
                        .summary("Modify a booking: only what is sent"),
                    modification(put(BOOKING_WRITE, "replace_booking", modify::modify::<true>))
                        .summary("Replace the stays and the guest of a booking"),
                    cancellation(delete(BOOKING_WRITE, "delete_booking", cancel::cancel)).summary("Cancel a booking"),
                ],
            ),
            at(
                "/api/bookings/{id}/cancel",
                [cancellation(post(BOOKING_WRITE, "cancel_booking", cancel::cancel))
                    .summary("Cancel a booking, as DELETE does")],
            ),
            at(
                "/api/bookings/{id}/checkin",
                [staff_action(post(FRONT_DESK_WRITE, "check_in", staff_actions::check_in)).summary("Check in")],
            ),
            at(
                "/api/bookings/{id}/checkout",
                [staff_action(post(FRONT_DESK_WRITE, "check_out", staff_actions::check_out))
                    .summary("Check out, releasing unused nights")
                    .about(
                        "`allow_open_balance` needs a `reason`; `reprice` deducts the released nights from the price.",
                    )],
            ),
            at(
                "/api/bookings/{id}/no-show",
                [staff_action(post(FRONT_DESK_WRITE, "mark_no_show", staff_actions::no_show))
                    .summary("Mark as no-show, releasing the beds")],
            ),
            at(
                "/api/bookings/{id}/reinstate",
                [staff_action(post(FRONT_DESK_WRITE, "reinstate", staff_actions::reinstate))
                    .summary("Undo a check-in or a no-show")],
            ),
            at(
                "/api/bookings/{id}/assign",
                [staff_action(post(FRONT_DESK_WRITE, "assign_beds", staff_actions::assign))
                    .summary("Assign beds, or pin them")],
            ),
            at(
                "/api/bookings/{id}/confirm",
                [staff_action(post(FRONT_DESK_WRITE, "confirm_booking", staff_actions::confirm))
                    .summary("Confirm a held booking")],
            ),
            at(
                "/api/bookings/{id}/revoke-links",
                [staff_action(post(FRONT_DESK_WRITE, "revoke_links", staff_actions::revoke_links))
                    .summary("Revoke the links that the guest was given")
                    .about(
                        "Every token issued for the booking so far stops working, also those in mails. The next mail \
                        brings new links.",
                    )],
            ),
            at("/api/bookings/{id}/guests", [rooming_list(), rooming_list_change()]),
            at(
                "/api/bookings/{id}/history",
                [get(FRONT_DESK_READ, "booking_history", history::history)
                    .summary("Show the history of a booking")
                    .answers(StatusCode::OK, "Oldest first.")
                    .problems([problem::STILL_PROCESSING])
                    .stored()],
            ),
            at(
                "/api/bookings/{id}/events",
                [get(BOOKING_READ, "booking_events", events::events)
                    .summary("Stream the events of a booking: one server-sent event per revision")
                    .answers(StatusCode::NO_CONTENT, "No event can follow.")
                    .problems([problem::OVERLOADED])
                    .stored()],
            ),
            at(
                "/api/bookings/{id}/calendar.ics",
                [get(BOOKING_READ, "booking_calendar", calendar::calendar)
                    .summary("Get the stays as a calendar file")
                    .problems([problem::STILL_PROCESSING, problem::NOT_READY])
                    .stored()],
            ),
            at("/api/bookings/{id}/pay", [payment_link()]),
            at("/api/bookings/{id}/receipt", [receipt_page()]),
        ],
    }
}

fn request() -> Endpoint {
    post(BOOKING_REQUEST, "create_booking", create::create)
        .summary("Request a booking")
        .about(
            "202 means that the request is stored durably and will be decided. The same key and body always give the \
            same booking.",
        )
        .answers(StatusCode::ACCEPTED, "The request is accepted and pending.")
        .answers(StatusCode::CREATED, "The booking, confirmed or held for payment; only with `Prefer: wait=N`.")
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

fn list() -> Endpoint {
    get(BOOKING_LIST, "list_bookings", list::list)
        .summary("List bookings, newest requests first")
        .about("Staff see the bookings of their properties, other callers their own.")
        .answers(StatusCode::OK, "A page of bookings.")
        .problems([problem::NOT_FOUND])
        .stored()
}

fn show() -> Endpoint {
    get(BOOKING_READ, "show_booking", show::show)
        .summary("Show a booking")
        .answers(StatusCode::OK, "The booking, or the pending request.")
        .stored()
}

/// A command about a stored booking.
fn command(endpoint: Endpoint) -> Endpoint {
    endpoint
        .answers(StatusCode::OK, "The current booking.")
        .answers(StatusCode::ACCEPTED, "The command is accepted and pending.")
        .problems(refusal::problems())
        .problems([problem::STILL_PROCESSING])
        .stored()
        .queued()
}

fn staff_action(endpoint: Endpoint) -> Endpoint {
    command(endpoint).problems([problem::WRONG_STATUS, problem::CONCURRENT_CHANGE])
}

fn modification(endpoint: Endpoint) -> Endpoint {
    command(endpoint)
        .about(
            "Stays that are left out of `stays` are cancelled. A guest who shortens or moves a booking pays the \
            cancellation fee for the part given up; `dry_run` returns price and fee and changes nothing. Beds, old \
            prices and overrides of restrictions are for staff.",
        )
        .problems([problem::WRONG_STATUS, problem::CONCURRENT_CHANGE, problem::NOT_READY])
}

fn cancellation(endpoint: Endpoint) -> Endpoint {
    command(endpoint)
        .about(
            "Releases the beds. Repeated cancellations have no further effect. `dry_run` returns the fee and changes \
            nothing.",
        )
        .problems([problem::NOT_CANCELLABLE, problem::CONCURRENT_CHANGE, problem::NOT_READY])
}

fn rooming_list() -> Endpoint {
    get(ROOMING_LIST_READ, "rooming_list", rooming_list::show)
        .summary("Show the rooming list of a booking: who sleeps in which place")
        .about("As JSON, or as CSV with `Accept: text/csv`.")
        .problems([problem::STILL_PROCESSING, problem::NOT_READY])
        .stored()
}

fn rooming_list_change() -> Endpoint {
    command(put(BOOKING_WRITE, "replace_rooming_list", rooming_list::replace))
        .summary("Replace the rooming list of a booking")
        .about(
            "The whole list, as JSON or CSV: places that it leaves out are nobody's. Places of guests who have arrived \
            are changed by staff only.",
        )
        .problems([problem::WRONG_STATUS, problem::CONCURRENT_CHANGE, problem::NOT_READY])
}

fn payment_link() -> Endpoint {
    get(PAYER, "pay_booking", pay::pay)
        .summary("Redirect a guest to the payment page")
        .about(
            "For browsers: the address that mails link to. It redirects to Stripe's page for the amount due, the same \
            page while that is open, and to the receipt once nothing is due. An expired hold, a payment in process, \
            and an outage (503) are answered with a page that says so.",
        )
        .problems([problem::STILL_PROCESSING])
}

fn receipt_page() -> Endpoint {
    get(BOOKING_READ, "booking_receipt", receipt::receipt)
        .summary("Show the receipt, for printing")
        .about(
            "In French or English, as the booking's mails are. `?wait=10s` waits for a payment that is not confirmed \
            yet, and the page says so if it still is not.",
        )
        .problems([problem::STILL_PROCESSING, problem::NOT_READY])
        .stored()
}
