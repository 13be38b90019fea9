//! The pages by which a process is operated: `/livez`, `/readyz`, `/metrics`, `/version`, on a listener of their own.
//!
//! The API answers the probes on the listener of its guests, too, and must never show anything else of itself there.

use crate::health::{Health, Report, State as HealthState};
use crate::telemetry::MetricsHandle;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Prometheus' text format.
const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct About {
    /// For example `pvt-api`.
    pub name: &'static str,
    /// Of the package.
    pub version: &'static str,
    /// The commit it was built from, when the build knew it.
    pub commit: Option<&'static str>,
}

impl About {
    /// The process `name` of this build.
    pub const fn new(name: &'static str) -> Self {
        Self { name, version: env!("CARGO_PKG_VERSION"), commit: option_env!("PVT_BUILD_COMMIT") }
    }
}

/// What the pages show.
#[derive(Clone)]
pub struct Pages {
    /// The process.
    pub about: About,
    /// Its dependencies.
    pub health: Arc<Health>,
    /// Its metrics.
    pub metrics: MetricsHandle,
}

/// The probes alone: whether the process lives and is ready, and not why.
pub fn probes(health: Arc<Health>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(async |State(health): State<Arc<Health>>| readiness(&*health.report().await, false)))
        .with_state(health)
}

async fn livez() -> Response {
    Json(json!({ "status": "up" })).into_response()
}

/// The pages' routes.
pub fn router(pages: Pages) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/version", get(async |State(pages): State<Pages>| Json(pages.about)))
        .with_state(pages)
}

/// 200 when the process can do its work, else 503; `?verbose` lists the parts.
async fn readyz(State(pages): State<Pages>, RawQuery(query): RawQuery) -> Response {
    let report = pages.health.report().await;
    let verbose =
        query.is_some_and(|query| query.split('&').any(|pair| pair == "verbose" || pair.starts_with("verbose=")));
    readiness(&report, verbose)
}

fn readiness(report: &Report, verbose: bool) -> Response {
    let body =
        if verbose { Json(report).into_response() } else { Json(json!({ "status": report.status })).into_response() };
    (status_of(report), body).into_response()
}

/// The HTTP status that a report amounts to.
pub fn status_of(report: &Report) -> StatusCode {
    if report.status == HealthState::Down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

async fn metrics(State(pages): State<Pages>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)], pages.metrics.render()).into_response()
}

/// Serves the pages of a process until `stop`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, pages: Pages, stop: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, router(pages)).with_graceful_shutdown(stop.cancelled_owned()).await
}

#[cfg(test)]
mod tests {
    use super::{About, Pages, probes, serve};
    use crate::health::{Health, Need};
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::sync::CancellationToken;

    async fn get(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn probes_show_nothing_else() {
        let health = Health::new().with("broker", Need::Required, || async { Err("away".to_owned()) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, probes(Arc::new(health))).await });
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
        let ready = get(address, "/readyz?verbose").await;
        assert!(ready.starts_with("HTTP/1.1 503") && !ready.contains("broker"), "{ready}");
        for path in ["/metrics", "/version"] {
            assert!(get(address, path).await.starts_with("HTTP/1.1 404"), "{path}");
        }
        server.abort();
    }

    #[tokio::test]
    async fn pages_answer_until_shutdown() {
        let health = Health::new().with("broker", Need::Required, || async { Err("away".to_owned()) });
        let pages = Pages {
            about: About::new("pvt-test"),
            health: Arc::new(health),
            metrics: crate::telemetry::metrics_handle().unwrap(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let server = tokio::spawn(serve(listener, pages, stop.clone()));
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
        let ready = get(address, "/readyz?verbose").await;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains(r#""name":"broker","status":"down""#), "{ready}");
        assert!(!get(address, "/readyz").await.contains("broker"));
        assert!(get(address, "/metrics").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/version").await.contains(r#""name":"pvt-test""#));
        stop.cancel();
        server.await.unwrap().unwrap();
    }
}
