//! The router: every resource with its routes, behind the middleware.

use crate::auth::guard::without_description::{delete, get, patch, post, put};
use crate::auth::guard::{Resource, Route, assemble, at};
use crate::auth::policy::{Access, Bucket, Rule};
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
use pvt_stores::mongo::api_keys::Scope;

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
        system::docs::resource(),
    ]
}

/// Every route with its rule.
pub(crate) fn table() -> Vec<Route> {
    resources().into_iter().flat_map(|resource| resource.routes).chain(without_description()).collect()
}

/// Routes whose handlers are described in `resources::described`.
fn without_description() -> Vec<Route> {
    let open = Rule::new(Access::Open);
    let guarded = |bucket| open.limited_by(bucket);
    let reading = Rule::new(Access::Guest).scoped(Scope::BookingsRead);
    let changing = Rule::new(Access::Guest).scoped(Scope::BookingsWrite);
    let listing = Rule::new(Access::Known).scoped(Scope::BookingsRead);
    let desk = Rule::new(Access::Staff).scoped(Scope::BookingsWrite);
    let looking = Rule::new(Access::Staff).scoped(Scope::BookingsRead);
    let booking = Rule::new(Access::Public).scoped(Scope::BookingsWrite).limited_by(Bucket::Booking);
    let account = Rule::new(Access::Account);
    let admin = Rule::new(Access::Admin).scoped(Scope::AccountsWrite);
    let house = Rule::new(Access::Admin).scoped(Scope::InventoryWrite);
    let floor = Rule::new(Access::Staff).scoped(Scope::InventoryWrite);
    let prices = Rule::new(Access::Admin).scoped(Scope::RatesWrite);
    let paying = Rule::new(Access::Guest).scoped(Scope::PaymentsWrite);
    let till = Rule::new(Access::Staff).scoped(Scope::PaymentsWrite);
    vec![
        at("/api/bookings", [post(booking, bookings::create::create), get(listing, bookings::list::list)]),
        at(
            "/api/bookings/{id}",
            [
                get(reading, bookings::show::show),
                patch(changing, bookings::modify::patch),
                put(changing, bookings::modify::put),
                delete(changing, bookings::cancel::cancel),
            ],
        ),
        at("/api/bookings/{id}/cancel", [post(changing, bookings::cancel::cancel)]),
        at("/api/bookings/{id}/checkin", [post(desk, bookings::staff_actions::check_in)]),
        at("/api/bookings/{id}/checkout", [post(desk, bookings::staff_actions::check_out)]),
        at("/api/bookings/{id}/no-show", [post(desk, bookings::staff_actions::no_show)]),
        at("/api/bookings/{id}/reinstate", [post(desk, bookings::staff_actions::reinstate)]),
        at("/api/bookings/{id}/assign", [post(desk, bookings::staff_actions::assign)]),
        at("/api/bookings/{id}/confirm", [post(desk, bookings::staff_actions::confirm)]),
        at("/api/bookings/{id}/history", [get(looking, bookings::history::history)]),
        at("/api/bookings/{id}/events", [get(reading, bookings::events::events)]),
        at("/api/bookings/{id}/calendar.ics", [get(reading, bookings::calendar::calendar)]),
        at("/api/bookings/{id}/pay", [get(paying, bookings::pay::pay)]),
        at("/api/bookings/{id}/receipt", [get(reading, bookings::receipt::receipt)]),
        at("/api/payments", [get(Rule::new(Access::Known).scoped(Scope::PaymentsRead), payments::list::list)]),
        at("/api/payments/checkout", [post(paying, payments::checkout::checkout)]),
        at("/api/payments/create-intent", [post(paying, payments::checkout::create_intent)]),
        at("/api/payments/record", [post(till, payments::record::record)]),
        at(
            "/api/payments/analytics",
            [get(Rule::new(Access::Staff).scoped(Scope::PaymentsRead), payments::analytics::analytics)],
        ),
        at("/api/payments/webhook", [post(guarded(Bucket::Unlimited), payments::webhook::webhook)]),
        at("/api/payments/{id}", [get(Rule::new(Access::Guest).scoped(Scope::PaymentsRead), payments::show::show)]),
        at("/api/payments/{id}/refund", [post(till, payments::refund::refund)]),
        at("/api/disputes", [get(Rule::new(Access::Admin).scoped(Scope::PaymentsRead), payments::disputes::list)]),
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
