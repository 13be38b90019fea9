//! Service metadata and health.

pub(crate) mod docs;

use crate::auth::guard::{Resource, at, get};
use crate::auth::rules::{OPEN, OPEN_UNLIMITED};
use crate::http::response::{Either, JsonResponse, Shown};
use crate::state::{ABOUT, App, SharedApp};
use axum::extract::State as Shared;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use pvt_domain::timestamp::Timestamp;
use pvt_service::health::State;
use pvt_service::http::status_of;
use pvt_stores::mongo::maintenance::Maintenance;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

pub(crate) fn resource() -> Resource {
    Resource {
        name: "System",
        about: "Service metadata and health.",
        routes: vec![
            at("/api", [get(OPEN, "index", index).summary("Show name, version and links")]),
            at(
                "/api/health",
                [get(OPEN_UNLIMITED, "health", health)
                    .summary("Show health")
                    .answers(StatusCode::OK, "Booking requests can be accepted.")
                    .answers(StatusCode::SERVICE_UNAVAILABLE, "No booking request can be accepted.")],
            ),
            at("/api/status", [get(OPEN, "status", status).summary("Show the status of this instance")]),
        ],
    }
}

/// Name, version and links.
#[derive(Serialize, JsonSchema)]
#[schemars(inline, example = json!({
    "name": "pvt-api", "version": "0.1.0", "links": { "properties": "/api/properties" }
}))]
struct IndexView {
    name: &'static str,
    version: &'static str,
    links: BTreeMap<&'static str, &'static str>,
}

/// Health of the instance. Its components are for operators: `/readyz?verbose` at their listener.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health", example = json!({ "status": "up", "components": [] }))]
struct HealthView {
    #[schemars(schema_with = "state_schema")]
    status: State,
    /// Only while changes are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    maintenance: Option<MaintenanceView>,
    /// Always empty, and dropped by the next release: clients of the one before require it.
    #[schemars(schema_with = "no_components")]
    components: [(); 0],
}

/// Maintenance: changes are refused, reads go on.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Maintenance")]
struct MaintenanceView {
    #[schemars(with = "DateTime<Utc>")]
    since: Timestamp,
    /// When it is expected to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DateTime<Utc>>")]
    until: Option<Timestamp>,
}

impl MaintenanceView {
    /// Without its reason and actor, which are for operators.
    fn of(app: &App) -> Option<Self> {
        app.maintenance.current().map(|Maintenance { since, until, .. }| Self { since, until })
    }
}

/// Status of this instance.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct StatusView {
    #[schemars(schema_with = "state_schema")]
    status: State,
    name: &'static str,
    version: &'static str,
    #[schemars(with = "DateTime<Utc>")]
    started_at: Timestamp,
    #[schemars(range(min = 0))]
    uptime_seconds: i64,
    /// How many can be booked.
    properties: usize,
    /// Only while changes are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    maintenance: Option<MaintenanceView>,
}

fn state_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": ["up", "degraded", "down"] })
}

fn no_components(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "object" }, "maxItems": 0, "deprecated": true })
}

/// `GET /api`.
async fn index() -> Shown<IndexView> {
    let links = [
        ("properties", "/api/properties"),
        ("bookings", "/api/bookings"),
        ("health", "/api/health"),
        ("status", "/api/status"),
        ("docs", "/api/docs"),
        ("openapi", "/api/openapi.json"),
        ("asyncapi", "/api/asyncapi.json"),
    ];
    Shown::new(&IndexView { name: ABOUT.name, version: ABOUT.version, links: links.into() })
}

/// `GET /api/health`: 503 when no booking request could be accepted.
async fn health(Shared(app): Shared<SharedApp>) -> Either<Shown<HealthView>, JsonResponse<503, HealthView>> {
    let report = app.health.report().await;
    let view = HealthView { status: report.status, maintenance: MaintenanceView::of(&app), components: [] };
    if status_of(&report) == StatusCode::OK {
        Either::This(JsonResponse::new(&view))
    } else {
        Either::That(JsonResponse::new(&view))
    }
}

/// `GET /api/status`: always 200.
async fn status(Shared(app): Shared<SharedApp>) -> Shown<StatusView> {
    let report = app.health.report().await;
    let uptime = Utc::now().signed_duration_since(app.started_at.as_datetime());
    Shown::new(&StatusView {
        status: report.status,
        name: ABOUT.name,
        version: ABOUT.version,
        started_at: app.started_at,
        uptime_seconds: uptime.num_seconds().max(0),
        properties: app.inventory_cache.all().len(),
        maintenance: MaintenanceView::of(&app),
    })
}
