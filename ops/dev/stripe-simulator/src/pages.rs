//! Pages for people: the payable Checkout page, and a dashboard with the actions of banks and staff. They contain no
//! script, escape everything that a request brought, and refuse requests from other sites.

mod checkout;
mod dashboard;

use crate::control::ControlError;
use crate::simulation::Simulation;
use askama::Template;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use std::sync::Arc;

const STYLE: &str = include_str!("../templates/style.css");
/// The simulator's style sheet and nothing else. Pages that lead to other sites extend it.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The routes of the pages.
pub(crate) fn router(simulation: Arc<Simulation>) -> Router {
    Router::new()
        .route("/", get(dashboard::show).post(dashboard::act))
        .route("/style.css", get(style))
        .route("/pay/{session}", get(checkout::show).post(checkout::pay))
        .route("/pay/intent/{intent}", get(checkout::show_intent))
        .route("/pay/intent/{intent}/confirm", post(checkout::pay_intent))
        .route("/receipts/{charge}", get(checkout::receipt))
        .with_state(simulation)
}

/// Protects every route against other sites, which could point a name of their own at this machine (DNS rebinding) or
/// submit a form to it.
pub(crate) fn guard(router: Router, simulation: Arc<Simulation>) -> Router {
    router.layer(from_fn_with_state(simulation, local_only))
}

async fn local_only(State(simulation): State<Arc<Simulation>>, request: Request, next: Next) -> Response {
    if !simulation.hosts.iter().any(|host| host == host_of(request.headers())) {
        return (StatusCode::FORBIDDEN, "the Stripe simulator answers under its configured host name only\n")
            .into_response();
    }
    if request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site") && request.method() != "GET" {
        return (StatusCode::FORBIDDEN, "this form came from another site\n").into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    response
}

/// The name without the port.
fn host_of(headers: &HeaderMap) -> &str {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    host.rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|digit| digit.is_ascii_digit()) { name } else { host })
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "page not rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be rendered\n").into_response()
        }
    }
}

/// A page with a message.
#[derive(Template)]
#[template(path = "note.html")]
struct Note {
    title: String,
    text: String,
    link: Option<(String, String)>,
}

fn note(title: &str, text: &str) -> Response {
    page(&Note { title: title.to_owned(), text: text.to_owned(), link: None })
}

fn refused(refused: &ControlError) -> Response {
    let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, note("Not possible", &refused.message)).into_response()
}
