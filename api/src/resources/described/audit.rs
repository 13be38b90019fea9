//! What is said of the audit.

use crate::openapi::schema::{about, instant, named, object, page, text, uuid};
use crate::openapi::{Group, get};
use axum::http::StatusCode;

pub(super) fn group() -> Group {
    let entry = object([
        ("id", uuid()),
        ("at", instant()),
        ("actor", about(text(), "For example `staff:a1b2c3d4e5f6`.")),
        ("action", about(text(), "For example `room.create`.")),
        ("subject", about(text(), "What it was done to, for example `pvt-quebec|room:q1`.")),
        ("detail", text()),
        ("cause", about(uuid(), "The message or request it came from.")),
    ]);
    Group {
        name: "Audit",
        about: "Who did what.",
        operations: vec![
            get("/api/audit", "list_audit", "Everything that was done, the newest first")
                .query("subject", text(), "Only what was done to this.")
                .answers(StatusCode::OK, "A page of it.", page(named("AuditEntry")))
                .paged()
                .stored(),
        ],
        schemas: vec![("AuditEntry", entry)],
    }
}
