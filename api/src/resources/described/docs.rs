//! What is said of the documents and pages about the API.

use crate::openapi::schema::map;
use crate::openapi::{Group, Operation, get};
use axum::http::StatusCode;
use serde_json::json;

const PAGE: &str = "text/html; charset=utf-8";

pub(super) fn group() -> Group {
    let document = |path, id, summary| get(path, id, summary).answers(StatusCode::OK, "The document.", map(json!({})));
    let page =
        |path, id, summary: &'static str| -> Operation { get(path, id, summary).answers_text("A page to read.", PAGE) };
    Group {
        name: "Documentation",
        about: "The API described, for programs and for people.",
        operations: vec![
            document("/api/openapi.json", "openapi", "This document (OpenAPI 3.1)"),
            document("/api/asyncapi.json", "asyncapi", "The messages on the queues (AsyncAPI 3)"),
            page("/api/docs", "docs", "Every operation, to read"),
            page("/api/docs/quickstart", "docs_quickstart", "The first booking, step by step"),
            page("/api/docs/examples", "docs_examples", "Common tasks"),
            page("/api/docs/hostel", "docs_hostel", "A hostel from nothing: rooms, prices, a block, a group"),
            page("/api/docs/faq", "docs_faq", "Questions and answers"),
            page(
                "/api/docs/payments",
                "docs_payments",
                "How money works here, how to try it, and how to connect Stripe",
            ),
            page("/api/docs/support", "docs_support", "What to do when something goes wrong"),
        ],
        schemas: Vec::new(),
    }
}
