//! What is said of a booking's money: where it is paid, its receipt, and how it looks in the booking.

use super::bookings::booking_operation;
use crate::http::problem;
use crate::openapi::schema::{about, choice, instant, named, object};
use crate::openapi::{Operation, get};
use axum::http::StatusCode;
use pvt_domain::booking::PaymentStatus;
use serde_json::{Value, json};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        booking_operation(get("/api/bookings/{id}/pay", "pay_booking", "Leads a guest to where the booking is paid"))
            .about(
                "For browsers: the address that mails link to. It leads to Stripe's page for what is owed now, the \
                    same one while that is open, and to the \
                 receipt once nothing is owed. A hold that is over, a payment that is on its way, and whatever keeps \
                 the page from being opened for now (503) are pages that \
                 say so.",
            )
            .answers_nothing(StatusCode::SEE_OTHER, "To Stripe's page, or to the receipt.")
            .header("Location")
            .answers_page(StatusCode::OK, "A page that says why there is nothing to pay.")
            .answers_page(StatusCode::SERVICE_UNAVAILABLE, "A page that asks to open the link again in a minute.")
            .header("Retry-After")
            .problems([problem::STILL_PROCESSING]),
        booking_operation(get(
            "/api/bookings/{id}/receipt",
            "booking_receipt",
            "What was sold and what was paid, to \
            print",
        ))
        .about(
            "In French or English, as the booking's mails are. Stripe leads guests here who have paid, often \
                before it tells us: then the page waits, and says so if it waited in vain.",
        )
        .query(
            "wait",
            json!({ "type": "string", "pattern": "^[0-9]{1,6}(ms|s)?$" }),
            "Holds the page of a held booking until it is known that it was paid, at most 10 s: `10s`, `10` or \
                    `500ms`.",
        )
        .answers_text("A page.", "text/html; charset=utf-8")
        .problems([problem::STILL_PROCESSING, problem::NOT_READY])
        .stored(),
    ]
}

/// A booking's money, within the booking.
pub(super) fn payment() -> Value {
    let of = |words| about(named("Money"), words);
    object([
        ("status", choice(&PaymentStatus::ALL)),
        ("paid?", of("What the hostel has of what was paid.")),
        ("due?", of("What is still owed.")),
        ("payable?", of("What has to be paid now to confirm a held booking.")),
        ("expires_at?", about(instant(), "Until when beds are held for it.")),
        ("refunded?", of("What was given back, or is on its way.")),
    ])
}
