//! Payments: checkout, refunds, recorded payments, disputes, analytics, and Stripe's webhook.
//!
//! Nothing here calls Stripe or writes a ledger: commands go to a worker, and answers show what is stored afterwards.

mod analytics;
pub(crate) mod analytics_view;
pub(crate) mod checkout;
mod disputes;
mod disputes_view;
mod list;
mod record;
mod refund;
mod return_page;
pub(crate) mod return_urls;
mod show;
pub(crate) mod submit;
pub(crate) mod view;
mod webhook;
pub(crate) mod webhook_signature;

#[cfg(test)]
pub(crate) mod fixtures;

use crate::auth::guard::{Endpoint, Resource, at, get, post};
use crate::auth::rules::{
    DISPUTES_ADMIN, OPEN_UNLIMITED, PAYER, PAYMENT_LIST, PAYMENT_READ, PAYMENTS_REPORT, PAYMENTS_STAFF, PUBLIC,
};
use crate::http::problem;
use axum::http::StatusCode;

/// Answer to a command that takes longer than the caller waits.
const LATER: &str = "Accepted, but not done within the time that the caller waits. `Location` shows it.";
/// As [`LATER`], for what is done once the booking counts it.
const COUNTED_LATER: &str = "Accepted, but not done, or not counted by the booking, within the time that the caller \
    waits. `Location` shows it once it is done. Send the request again, with its key, to learn when the booking counts \
    it.";
/// As [`LATER`], for a secret that no address shows.
const SECRET_LATER: &str = "Accepted, but not done within the time that the caller waits. Repeat the request with \
    the same key: only its answer has the secret.";

pub(crate) fn resource() -> Resource {
    Resource {
        name: "Payments",
        about: "Checkout, refunds, recorded payments, disputes, analytics, and Stripe's webhook.",
        routes: vec![
            at(
                "/api/payments",
                [get(PAYMENT_LIST, "list_payments", list::list)
                    .summary("List payments, last changed bookings first")
                    .about(
                        "Staff see the payments of their properties, other callers those of their own bookings. A \
                        page may be short, or empty, and still have a next one.",
                    )
                    .answers(StatusCode::OK, "A page of payments.")
                    .problems([problem::NOT_FOUND])
                    .stored()],
            ),
            at(
                "/api/payments/checkout",
                [opening(post(PAYER, "open_checkout", checkout::checkout))
                    .summary("Open a checkout session on Stripe's page")
                    .answers(StatusCode::CREATED, "The checkout session, with its address.")
                    .answers(StatusCode::ACCEPTED, LATER)],
            ),
            at(
                "/api/payments/create-intent",
                [opening(post(PAYER, "create_intent", checkout::create_intent))
                    .summary("Create a payment intent for Stripe's card fields in an app")
                    .answers(StatusCode::CREATED, "The payment intent, with its client secret.")
                    .example(StatusCode::CREATED, checkout::example("client_secret", "pi_1_secret_1"))
                    .answers(StatusCode::ACCEPTED, SECRET_LATER)],
            ),
            at(
                "/api/payments/record",
                [post(PAYMENTS_STAFF, "record_payment", record::record)
                    .summary("Record a payment that staff took or refunded")
                    .answers(StatusCode::CREATED, "The payment, which the booking counts.")
                    .example(StatusCode::CREATED, record::example())
                    .answers(StatusCode::ACCEPTED, COUNTED_LATER)
                    .problems([problem::TOO_MUCH])
                    .stored()
                    .queued()],
            ),
            at(
                "/api/payments/analytics",
                [get(PAYMENTS_REPORT, "payment_analytics", analytics::analytics)
                    .summary("Show payment totals of a property by day")
                    .about(
                        "Days are the property's. Stripe's fees are known once its balance transactions have been \
                        read, within the hour.",
                    )
                    .problems([problem::NOT_READY])
                    .stored()],
            ),
            at(
                "/api/payments/webhook",
                [post(OPEN_UNLIMITED, "stripe_webhook", webhook::webhook)
                    .summary("Receive an event from Stripe")
                    .about(
                        "The signature is verified over the raw body, within 300 s. Each event is processed once. \
                        Anything but a complete event of this account is 400.",
                    )
                    .goes_on_in_maintenance()
                    .queued()],
            ),
            at(
                "/api/payments/{id}",
                [get(PAYMENT_READ, "show_payment", show::show)
                    .summary("Show a payment")
                    .about("Only callers who act for the property see fees and notes of staff.")
                    .answers(StatusCode::OK, "The payment.")
                    .stored()],
            ),
            at(
                "/api/payments/{id}/return",
                [get(PUBLIC, "payment_return", return_page::returned)
                    .summary("Show how a payment stands, as a page")
                    .about(
                        "Stripe redirects guests here, with or without having paid. The page shows the payment's \
                        state and the booking's reference, so its address may be known to Stripe.",
                    )
                    .stored()],
            ),
            at(
                "/api/payments/{id}/refund",
                [calling_stripe(post(PAYMENTS_STAFF, "refund_payment", refund::refund))
                    .summary("Refund a payment through Stripe")
                    .about("Cash and terminal payments are refunded by hand: record them with a negative amount.")
                    .answers(StatusCode::OK, "The payment, with the refund, which the booking counts.")
                    .answers(StatusCode::ACCEPTED, COUNTED_LATER)
                    .problems([problem::TOO_MUCH, problem::DISPUTED, problem::NOT_REFUNDABLE])],
            ),
            at(
                "/api/disputes",
                [get(DISPUTES_ADMIN, "list_disputes", disputes::list)
                    .summary("List disputes, open first")
                    .about("With evidence from the booking. Covers the 500 bookings whose payments changed last.")
                    .stored()],
            ),
        ],
    }
}

/// Opens a payment of the amount due.
fn opening(endpoint: Endpoint) -> Endpoint {
    calling_stripe(endpoint)
        .about(
            "The amount due is what confirms a held booking, otherwise its balance. The answer is awaited for 10 s, or \
            as `Prefer: wait=N` says.",
        )
        .problems([problem::NOT_FOUND, problem::STILL_PROCESSING, problem::NOTHING_DUE, problem::NOT_PAYABLE])
}

/// Waits for a worker that calls Stripe.
fn calling_stripe(endpoint: Endpoint) -> Endpoint {
    endpoint.stored().queued().problems([problem::PROVIDER_REFUSED, problem::PROVIDER_UNAVAILABLE])
}
