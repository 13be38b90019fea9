//! OpenAPI of a booking's payment: the payment link, the receipt, and its part of the booking.

use super::bookings::booking_operation;
use crate::http::problem;
use crate::openapi::schema::{about, choice, instant, named, object};
use crate::openapi::{Operation, get};
use axum::http::StatusCode;
use pvt_domain::booking::PaymentStatus;
use serde_json::{Value, json};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        booking_operation(get("/api/bookings/{id}/pay", "pay_booking", "Redirect a guest to the payment page"))
            .about(
                "For browsers: the address that mails link to. It redirects to Stripe's page for the amount due, the \
                    same \
                    page while that is open, and to the receipt once nothing is due. An expired hold, a payment in \
                    process, and an outage (503) are answered with a page that says so.",
            )
            .answers_nothing(StatusCode::SEE_OTHER, "To Stripe's page, or to the receipt.")
            .header("Location")
            .answers_page(StatusCode::OK, "A page that explains why there is nothing to pay.")
            .answers_page(StatusCode::SERVICE_UNAVAILABLE, "A page that asks to open the link again in a minute.")
            .header("Retry-After")
            .problems([problem::STILL_PROCESSING]),
        booking_operation(get("/api/bookings/{id}/receipt", "booking_receipt", "Show the receipt, for printing"))
            .about(
                "In French or English, as the booking's mails are. Stripe redirects guests here after payment, often \
                before \
                its webhook arrives: then the page waits, and says so if the payment is still unconfirmed.",
            )
            .query(
                "wait",
                json!({ "type": "string", "pattern": "^[0-9]{1,6}(ms|s)?$" }),
                "Waits for the payment of a held booking to be confirmed, at most 10 s: `10s`, `10` or `500ms`.",
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
        ("paid?", of("Paid, less what was refunded or charged back.")),
        ("due?", of("The balance due.")),
        ("payable?", of("What has to be paid now to confirm a held booking.")),
        ("expires_at?", about(instant(), "Until when beds are held for a payment.")),
        ("refunded?", of("Refunded, or being refunded.")),
    ])
}
