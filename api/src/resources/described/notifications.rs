//! What is said of having mails sent.

use crate::openapi::schema::{choice, form, object, one_of, uuid};
use crate::openapi::{Group, post};
use axum::http::StatusCode;
use pvt_domain::messages::NotificationKind;
use serde_json::json;

pub(super) fn group() -> Group {
    let id = "11111111-2222-5333-8444-555555555555";
    let kind = || choice(&NotificationKind::ALL);
    let queued = object([("id", uuid()), ("booking_id", uuid()), ("kind", kind()), ("status", one_of(["queued"]))]);
    Group {
        name: "Notifications",
        about: "Mails to guests.",
        operations: vec![
            post(
                "/api/notifications",
                "send_notification",
                "Sends a mail about a booking, for the first time or again",
            )
            .body(
                form([("booking_id", uuid()), ("kind", kind())]),
                json!({ "booking_id": id, "kind": "booking_confirmed" }),
            )
            .answers(StatusCode::ACCEPTED, "The broker has the wish.", queued)
            .example(json!({ "id": "0b8d5f0e-3f2c-5c39-9f0e-6a7f2a9d1c11", "booking_id": id,
                    "kind": "booking_confirmed", "status": "queued" }))
            .idempotent()
            .stored()
            .queued(),
        ],
        schemas: Vec::new(),
    }
}
