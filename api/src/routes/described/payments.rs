//! What is said of Stripe's webhook.

use crate::openapi::schema::{flag, object, text, text_of};
use crate::openapi::{Group, post};
use crate::problem;
use axum::http::StatusCode;
use serde_json::json;

pub(super) fn group() -> Group {
    Group {
        name: "Payments",
        about: "What Stripe tells us.",
        operations: vec![
            post("/api/payments/webhook", "stripe_webhook", "Takes an event that Stripe signed")
                .about("The signature is checked over the raw body, within 300 s. Each event is kept once.")
                .raw_body(object([("id", text_of(1, 255)), ("type", text_of(1, 255))]), json!({ "id": "evt_1", "type": "checkout.session.completed" }))
                .takes_header("Stripe-Signature", text(), "`t=…,v1=…`, as Stripe makes it; without a valid one the answer is 400.")
                .answers(StatusCode::OK, "The broker has the event.", object([("received", flag())]))
                .example(json!({ "received": true }))
                .problems([problem::INVALID_SIGNATURE])
                .queued(),
        ],
        schemas: Vec::new(),
    }
}
