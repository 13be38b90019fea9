//! All routes of the API, and nothing of what they do.

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
        properties::properties(),
        properties::inventory(),
        properties::rates(),
        availability::resource(),
        front_desk::resource(),
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
        at(
            "/api/notifications",
            [post(Rule::new(Access::Staff).scoped(Scope::NotificationsWrite), notifications::create)],
        ),
        at("/api/auth/register", [post(guarded(Bucket::Auth), accounts::register::register)]),
        at("/api/auth/login", [post(guarded(Bucket::Auth), accounts::sessions::login)]),
        at("/api/auth/refresh", [post(open, accounts::sessions::refresh)]),
        at("/api/auth/logout", [post(open, accounts::sessions::logout)]),
        at("/api/auth/change-password", [post(account.limited_by(Bucket::Auth), accounts::passwords::change)]),
        at("/api/auth/forgot-password", [post(guarded(Bucket::Auth), accounts::passwords::forgot)]),
        at("/api/auth/reset-password", [post(guarded(Bucket::Auth), accounts::passwords::reset)]),
        at("/api/auth/profile", [get(account, accounts::profile::show), put(account, accounts::profile::change)]),
        at("/api/auth/users", [get(admin, accounts::users::list)]),
        at("/api/auth/users/{id}/role", [patch(admin, accounts::users::set_role)]),
        at("/api/auth/api-keys", [get(admin, accounts::api_keys::list), post(admin, accounts::api_keys::create)]),
        at("/api/auth/api-keys/{id}", [delete(admin, accounts::api_keys::revoke)]),
        at("/api/properties", [post(house, properties::edit::create)]),
        at("/api/properties/{id}", [patch(house, properties::edit::change)]),
        at("/api/room-types", [post(house, properties::room_types::create)]),
        at("/api/room-types/{id}", [patch(house, properties::room_types::change)]),
        at("/api/rooms", [post(house, properties::rooms::create)]),
        at("/api/rooms/{id}", [put(house, properties::rooms::replace)]),
        at("/api/beds/{id}", [patch(floor, properties::rooms::change_bed)]),
        at("/api/blocks", [post(floor, properties::blocks::create)]),
        at("/api/rate-plans", [post(prices, properties::rate_plans::create)]),
        at("/api/rate-plans/{id}", [patch(prices, properties::rate_plans::change)]),
        at("/api/rate-plans/{id}/calendar", [put(prices, properties::rate_plans::calendar::set_prices)]),
        at("/api/rate-plans/{id}/restrictions", [put(prices, properties::rate_plans::calendar::set_restrictions)]),
        at("/api/cancellation-policies", [post(prices, properties::cancellation_policies::create)]),
        at("/api/quotes", [post(Rule::new(Access::Public), quotes::create)]),
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
