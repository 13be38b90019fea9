//! All routes of the API, and nothing of what they do.

mod bookings;
mod notifications;
mod payments;
mod properties;
mod system;

use crate::app::{ABOUT, SharedApp};
use crate::edge::{Edge, edge};
use crate::problem::{self, Problem};
use crate::signals::HttpMetrics;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use axum::{Router, response::IntoResponse as _};
use pvt_service::http::Pages;
use pvt_service::{Config, http, telemetry};

/// Routes that the service crate brings.
const OPERATING: [&str; 4] = ["/livez", "/readyz", "/metrics", "/version"];

fn table() -> Vec<(&'static str, MethodRouter<SharedApp>)> {
    vec![
        ("/api", get(system::index)),
        ("/api/health", get(system::health)),
        ("/api/status", get(system::status)),
        ("/api/properties", get(properties::list)),
        ("/api/properties/{id}", get(properties::show)),
        ("/api/bookings", post(bookings::create::create)),
        ("/api/bookings/{id}", get(bookings::show::show).delete(bookings::cancel::cancel)),
        ("/api/bookings/{id}/cancel", post(bookings::cancel::cancel)),
        ("/api/payments/webhook", post(payments::webhook)),
        ("/api/notifications", post(notifications::create)),
    ]
}

/// The whole API.
///
/// # Errors
/// When metrics cannot be recorded in this process.
pub(crate) fn router(app: SharedApp, config: &Config) -> anyhow::Result<Router> {
    let pages = Pages { about: ABOUT, health: app.health.clone(), metrics: telemetry::metrics_handle()? };
    let table = table();
    let metrics = HttpMetrics::new(table.iter().map(|(path, _)| *path).chain(OPERATING));
    let routes = table.into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    Ok(routes
        .with_state(app)
        .merge(http::router(pages))
        .fallback(async || Problem::from(problem::NOT_FOUND).into_response())
        .layer(from_fn_with_state(Edge::new(metrics, config.public_url.scheme() == "https"), edge)))
}

#[cfg(test)]
mod tests;
