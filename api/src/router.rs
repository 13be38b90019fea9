//! The router: every resource with its routes, behind the middleware.

use crate::auth::guard::{Resource, Route, assemble};
use crate::http::cors::Cors;
use crate::http::metrics::HttpMetrics;
use crate::http::middleware::{Edge, edge};
use crate::http::problem::{self, Problem};
use crate::resources::{
    accounts, audit, availability, bookings, front_desk, notifications, payments, properties, quotes, system,
};
use crate::state::{ABOUT, App, SharedApp};
use axum::middleware::from_fn_with_state;
use axum::{Router, response::IntoResponse as _};
use pvt_domain::ids::PropertyId;
use pvt_domain::messages::{INVENTORY_BLOCK, RefusalDetail};
use pvt_service::http::Pages;
use pvt_service::{Config, http, telemetry};

/// Routes that the service crate brings to the listener of guests.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// Every resource, in the order of the document.
pub(crate) fn resources() -> Vec<Resource> {
    vec![
        system::resource(),
        accounts::resource(),
        properties::properties(),
        properties::inventory(),
        properties::rates(),
        quotes::resource(),
        availability::resource(),
        bookings::resource(),
        front_desk::resource(),
        notifications::resource(),
        audit::resource(),
        payments::resource(),
        system::docs::resource(),
    ]
}

/// Every route with its rule.
pub(crate) fn table() -> Vec<Route> {
    resources().into_iter().flat_map(|resource| resource.routes).collect()
}

/// Why beds could not be blocked, for staff: with the bookings in the way.
pub(crate) fn refused_beds(app: &App, property: &PropertyId, why: &RefusalDetail) -> Problem {
    bookings::refusal::refusal_problem(app, property, (INVENTORY_BLOCK, why), true)
}

/// The pages for operators.
///
/// # Errors
/// When metrics cannot be recorded in this process.
pub(crate) fn operating_pages(app: &App) -> anyhow::Result<Pages> {
    Ok(Pages { about: ABOUT, health: app.health.clone(), metrics: telemetry::metrics_handle()? })
}

/// The whole API.
pub(crate) fn router(app: SharedApp, config: &Config) -> Router {
    let table = table();
    let metrics = HttpMetrics::new(table.iter().map(|route| route.path).chain(PROBES));
    let is_encrypted = config.public_url.scheme() == "https";
    let edge_state = Edge::new(metrics, Cors::new(&config.cors_origins), is_encrypted, app.is_stopping.clone());
    assemble(&app, table)
        .merge(http::probes(app.health.clone()))
        .fallback(async || Problem::from(problem::NOT_FOUND).into_response())
        .layer(from_fn_with_state(edge_state, edge))
}

#[cfg(test)]
mod tests;
