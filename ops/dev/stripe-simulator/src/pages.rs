//! What people see: the Checkout page that can be paid, and the desk from which banks and staff are played. No script;
//! everything that a request brought is escaped; nobody else's page may use these.

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
/// Our style sheet and nothing else. Pages that lead elsewhere say so themselves.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Every page.
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

/// Guards every route: a page elsewhere could point a name of its own at this machine, or send a form here.
pub(crate) fn guard(router: Router, simulation: Arc<Simulation>) -> Router {
    router.layer(from_fn_with_state(simulation, local_only))
}

async fn local_only(State(simulation): State<Arc<Simulation>>, request: Request, next: Next) -> Response {
    if !simulation.hosts.iter().any(|host| host == host_of(request.headers())) {
        return (StatusCode::FORBIDDEN, "the Stripe simulator answers to the name it was given only\n").into_response();
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
            tracing::error!(%error, "a page could not be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be rendered\n").into_response()
        }
    }
}

/// A page that only says something.
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
    (status, note("That cannot be", &refused.message)).into_response()
}
