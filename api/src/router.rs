//! The router: every resource with its routes, behind the middleware.

use crate::auth::guard::without_description::{delete, get, patch, post, put};
use crate::auth::guard::{Resource, Route, assemble, at};
use crate::auth::rules::{
    BOOKING_LIST, BOOKING_READ, BOOKING_REQUEST, BOOKING_WRITE, FRONT_DESK_READ, FRONT_DESK_WRITE, PAYER,
};
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
use pvt_domain::messages::RefusalDetail;
use pvt_service::http::Pages;
use pvt_service::{Config, http, telemetry};

/// Routes that the service crate brings.
const OPERATING: [&str; 4] = ["/livez", "/readyz", "/metrics", "/version"];

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
        front_desk::resource(),
        notifications::resource(),
        audit::resource(),
        payments::resource(),
        system::docs::resource(),
    ]
}

/// Every route with its rule.
pub(crate) fn table() -> Vec<Route> {
    resources().into_iter().flat_map(|resource| resource.routes).chain(without_description()).collect()
}

/// Routes whose handlers are described in `openapi::groups`.
fn without_description() -> Vec<Route> {
    vec![
        at("/api/bookings", [post(BOOKING_REQUEST, bookings::create::create), get(BOOKING_LIST, bookings::list::list)]),
        at(
            "/api/bookings/{id}",
            [
                get(BOOKING_READ, bookings::show::show),
                patch(BOOKING_WRITE, bookings::modify::patch),
                put(BOOKING_WRITE, bookings::modify::put),
                delete(BOOKING_WRITE, bookings::cancel::cancel),
            ],
        ),
        at("/api/bookings/{id}/cancel", [post(BOOKING_WRITE, bookings::cancel::cancel)]),
        at("/api/bookings/{id}/checkin", [post(FRONT_DESK_WRITE, bookings::staff_actions::check_in)]),
        at("/api/bookings/{id}/checkout", [post(FRONT_DESK_WRITE, bookings::staff_actions::check_out)]),
        at("/api/bookings/{id}/no-show", [post(FRONT_DESK_WRITE, bookings::staff_actions::no_show)]),
        at("/api/bookings/{id}/reinstate", [post(FRONT_DESK_WRITE, bookings::staff_actions::reinstate)]),
        at("/api/bookings/{id}/assign", [post(FRONT_DESK_WRITE, bookings::staff_actions::assign)]),
        at("/api/bookings/{id}/confirm", [post(FRONT_DESK_WRITE, bookings::staff_actions::confirm)]),
        at("/api/bookings/{id}/history", [get(FRONT_DESK_READ, bookings::history::history)]),
        at("/api/bookings/{id}/events", [get(BOOKING_READ, bookings::events::events)]),
        at("/api/bookings/{id}/calendar.ics", [get(BOOKING_READ, bookings::calendar::calendar)]),
        at("/api/bookings/{id}/pay", [get(PAYER, bookings::pay::pay)]),
        at("/api/bookings/{id}/receipt", [get(BOOKING_READ, bookings::receipt::receipt)]),
    ]
}

/// Why beds could not be blocked, for staff: with the bookings in the way.
pub(crate) fn refused_beds(app: &App, property: &PropertyId, why: &RefusalDetail) -> Problem {
    bookings::refusal::refusal_problem(app, property, why, true)
}

/// The whole API.
///
/// # Errors
/// When metrics cannot be recorded in this process.
pub(crate) fn router(app: SharedApp, config: &Config) -> anyhow::Result<Router> {
    let pages = Pages { about: ABOUT, health: app.health.clone(), metrics: telemetry::metrics_handle()? };
    let table = table();
    let metrics = HttpMetrics::new(table.iter().map(|route| route.path).chain(OPERATING));
    let edge_state = Edge::new(metrics, Cors::new(&config.cors_origins), config.public_url.scheme() == "https");
    Ok(assemble(&app, table)
        .merge(http::router(pages))
        .fallback(async || Problem::from(problem::NOT_FOUND).into_response())
        .layer(from_fn_with_state(edge_state, edge)))
}

#[cfg(test)]
mod tests;
