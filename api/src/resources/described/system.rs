//! What is said of the way in and of health.

use crate::openapi::schema::{about, flag, instant, list, map, named, number, object, one_of, text, whole};
use crate::openapi::{Group, get};
use axum::http::StatusCode;
use serde_json::json;

pub(super) fn group() -> Group {
    let state = || one_of(["up", "degraded", "down"]);
    let component = object([
        ("name", text()),
        ("status", state()),
        ("required", flag()),
        ("latency_ms", number()),
        ("detail?", text()),
    ]);
    let health = object([("status", state()), ("components", list(component))]);
    let healthy = json!({ "status": "up", "components": [{ "name": "broker", "status": "up", "required": true,
        "latency_ms": 0.1 }] });
    let status = object([
        ("status", state()),
        ("name", text()),
        ("version", text()),
        ("environment", one_of(["development", "production"])),
        ("started_at", instant()),
        ("uptime_seconds", whole(0)),
        ("properties", about(whole(0), "How many can be booked.")),
    ]);
    Group {
        name: "System",
        about: "What this is, and how it is.",
        operations: vec![
            get("/api", "index", "The way in")
                .answers(
                    StatusCode::OK,
                    "Name, version and links.",
                    object([("name", text()), ("version", text()), ("links", map(text()))]),
                )
                .example(
                    json!({ "name": "pvt-api", "version": "0.1.0", "links": { "properties": "/api/properties" } }),
                ),
            get("/api/health", "health", "Health, part by part")
                .answers(StatusCode::OK, "Booking requests can be accepted.", named("Health"))
                .example(healthy)
                .answers(StatusCode::SERVICE_UNAVAILABLE, "No booking request could be accepted.", named("Health")),
            get("/api/status", "status", "This instance in a few words").answers(StatusCode::OK, "Always.", status),
        ],
        schemas: vec![("Health", health)],
    }
}
