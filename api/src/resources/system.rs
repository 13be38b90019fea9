//! What this is, and how it is.

pub(crate) mod docs;

use crate::state::{ABOUT, SharedApp};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use pvt_service::http::status_of;
use serde_json::{Value, json};

/// `GET /api`: the way in.
pub(crate) async fn index() -> Json<Value> {
    Json(json!({
        "name": ABOUT.name,
        "version": ABOUT.version,
        "links": {
            "properties": "/api/properties",
            "bookings": "/api/bookings",
            "health": "/api/health",
            "status": "/api/status",
            "docs": "/api/docs",
            "openapi": "/api/openapi.json",
            "asyncapi": "/api/asyncapi.json",
        },
    }))
}

/// `GET /api/health`: part by part; 503 when no booking request could be accepted.
pub(crate) async fn health(State(app): State<SharedApp>) -> Response {
    let report = app.health.report().await;
    (status_of(&report), Json(&*report)).into_response()
}

/// `GET /api/status`: this instance in a few words; always 200.
pub(crate) async fn status(State(app): State<SharedApp>) -> Json<Value> {
    let report = app.health.report().await;
    let uptime = Utc::now().signed_duration_since(app.started_at.as_datetime());
    Json(json!({
        "status": report.status,
        "name": ABOUT.name,
        "version": ABOUT.version,
        "environment": app.environment,
        "started_at": app.started_at,
        "uptime_seconds": uptime.num_seconds().max(0),
        "properties": app.inventory_cache.all().len(),
    }))
}
