//! Web page and JSON of the kept mails. Mails are untrusted content: everything is escaped, and their HTML is shown
//! only in a frame that can run no script, load nothing and send nothing.

use super::SinkState;
use super::fault_injection::FaultInjection;
use super::parsed::{ParsedMail, clock_time};
use askama::Template;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

/// Mails on the page, and in the JSON by default.
const DEFAULT_LIMIT: usize = 50;
/// Most mails in one JSON answer.
const MAX_LIMIT: usize = 20_000;

const STYLE: &str = include_str!("../templates/style.css");
/// Policy of the sink's own pages: its style sheet and its frames, nothing else.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; frame-src 'self'; form-action 'self'; base-uri \
    'none'; frame-ancestors 'none'";
/// Policy of a mail's HTML: an opaque origin, no script, nothing from the network.
const MAIL_POLICY: &str =
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// Every route of the sink.
pub(super) fn router(state: SinkState) -> Router {
    Router::new()
        .route("/", get(async || Redirect::temporary("/dev/mail")))
        .route("/dev/mail", get(list))
        .route("/dev/mail/style.css", get(style))
        .route("/dev/mail/count", get(count))
        .route("/dev/mail/faults", get(show_fault).post(set_fault))
        .route("/dev/mail.json", get(list_json).delete(clear))
        .route("/dev/mail/{n}", get(show))
        .route("/dev/mail/{n}/html", get(show_html))
        .route("/dev/mail/{n}/raw", get(show_raw))
        .route("/dev/mail/{n}/attachments/{index}", get(show_attachment))
        .layer(from_fn(local_only))
        .with_state(state)
}

/// Answers only requests that name a local host: by DNS rebinding, another site could point a name of its own at this
/// machine and read the mails.
async fn local_only(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|digit| digit.is_ascii_digit()) { name } else { host });
    if !matches!(name, "localhost" | "127.0.0.1" | "[::1]") {
        return (StatusCode::FORBIDDEN, "the mail sink answers to localhost only\n").into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(PAGE_POLICY));
    response
}

#[derive(Debug, Deserialize)]
struct Filter {
    to: Option<String>,
    limit: Option<usize>,
}

struct Row {
    n: u64,
    subject: String,
    to: String,
    when: String,
}

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage {
    to: String,
    rows: Vec<Row>,
    accepted: u64,
    kept: usize,
    fault: Option<String>,
}

#[derive(Template)]
#[template(path = "show.html")]
struct ShowPage {
    mail: ParsedMail,
    when: String,
    size: usize,
    newer: Option<u64>,
    older: Option<u64>,
}

async fn list(State(state): State<SinkState>, Query(filter): Query<Filter>) -> Response {
    let counts = state.store.counts();
    let mails = state.store.newest(filter.to.as_deref(), filter.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT));
    let rows = mails.iter().map(|mail| {
        let parsed = ParsedMail::of(mail);
        let subject = if parsed.subject.is_empty() { "(no subject)".to_owned() } else { parsed.subject };
        Row { n: mail.n, subject, to: mail.to.join(", "), when: clock_time(mail.received_at) }
    });
    let fault = serde_json::to_string(&state.faults.get()).ok().filter(|_| state.faults.get().mode.is_some());
    page(&ListPage {
        rows: rows.collect(),
        to: filter.to.unwrap_or_default(),
        accepted: counts.accepted,
        kept: counts.kept,
        fault,
    })
}

async fn show(State(state): State<SinkState>, Path(n): Path<u64>) -> Response {
    let Some(mail) = state.store.get(n) else { return not_kept(n) };
    let exists = |n: u64| state.store.get(n).map(|mail| mail.n);
    let (newer, older) = (n.checked_add(1).and_then(exists), n.checked_sub(1).and_then(exists));
    page(&ShowPage {
        mail: ParsedMail::of(&mail),
        when: clock_time(mail.received_at),
        size: mail.raw.len(),
        newer,
        older,
    })
}

async fn show_html(State(state): State<SinkState>, Path(n): Path<u64>) -> Response {
    let Some(mail) = state.store.get(n) else { return not_kept(n) };
    ([(header::CONTENT_SECURITY_POLICY, MAIL_POLICY)], Html(ParsedMail::of(&mail).html)).into_response()
}

async fn show_raw(State(state): State<SinkState>, Path(n): Path<u64>) -> Response {
    let Some(mail) = state.store.get(n) else { return not_kept(n) };
    (
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, MAIL_POLICY)],
        mail.raw.clone(),
    )
        .into_response()
}

async fn show_attachment(State(state): State<SinkState>, Path((n, index)): Path<(u64, usize)>) -> Response {
    let Some(mail) = state.store.get(n) else { return not_kept(n) };
    let Some(file) = ParsedMail::of(&mail).attachments.into_iter().nth(index) else { return not_kept(n) };
    let mut headers = HeaderMap::new();
    // Whatever type it claims, a browser saves it and does not render it.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(MAIL_POLICY));
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{}\"", file_name(&file.filename, index)));
    headers.insert(header::CONTENT_DISPOSITION, disposition.unwrap_or(HeaderValue::from_static("attachment")));
    (headers, file.bytes).into_response()
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

/// `count` comes first: it is the number of mails ever accepted.
async fn count(State(state): State<SinkState>) -> Response {
    let counts = state.store.counts();
    (
        [(header::CONTENT_TYPE, "application/json")],
        format!("{{\"count\":{},\"kept\":{},\"kept_bytes\":{}}}\n", counts.accepted, counts.kept, counts.bytes),
    )
        .into_response()
}

async fn list_json(State(state): State<SinkState>, Query(filter): Query<Filter>) -> Json<Vec<ParsedMail>> {
    let mails = state.store.newest(filter.to.as_deref(), filter.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT));
    Json(mails.iter().map(|mail| ParsedMail::of(mail)).collect())
}

async fn clear(State(state): State<SinkState>) -> Response {
    match state.store.clear() {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => failed(&format!("the mails cannot be removed: {error}")),
    }
}

async fn show_fault(State(state): State<SinkState>) -> Json<FaultInjection> {
    Json(state.faults.get())
}

/// Takes JSON only, which another site cannot send without a preflight request.
async fn set_fault(State(state): State<SinkState>, Json(fault): Json<FaultInjection>) -> Json<FaultInjection> {
    state.faults.set(fault);
    Json(state.faults.get())
}

fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => failed(&format!("the page cannot be rendered: {error}")),
    }
}

fn failed(what: &str) -> Response {
    tracing::error!(error = what, "mail page failed");
    (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "error": what }))).into_response()
}

fn not_kept(n: u64) -> Response {
    (StatusCode::NOT_FOUND, format!("mail {n} is not kept here\n")).into_response()
}

/// A file name that is safe in a header and in a folder.
fn file_name(name: &str, index: usize) -> String {
    let safe: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).collect();
    let safe = safe.trim_start_matches('.');
    if safe.is_empty() { format!("attachment-{index}") } else { safe.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn attachment_name_is_safe_for_header_and_folder() {
        assert_eq!(file_name("pvt-abc.ics", 0), "pvt-abc.ics");
        assert_eq!(file_name("../../etc/pass\"\r\nwd", 0), "etcpasswd");
        assert_eq!(file_name("..", 3), "attachment-3");
    }
}
