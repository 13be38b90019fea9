//! Outermost middleware: request id and trace, the time limit, panics, problems in their final form, headers for
//! browsers, metrics.

use crate::http::cors::Cors;
use crate::http::metrics::HttpMetrics;
use crate::http::problem::{self, Problem};
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use pvt_messaging::TraceParent;
use pvt_traces::Span;
use rand::RngExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, Level, error};

/// For a whole request: the longest wait a client may ask for, a publish, a read, and some air.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(45);
/// Longest id that is taken from a caller.
const MAX_REQUEST_ID_CHARS: usize = 128;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Routes that monitors ask again and again.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/api/health"];

/// One year; set only when guests reach us over HTTPS.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What goes with a request.
#[derive(Clone)]
pub(crate) struct RequestContext {
    /// Names the request in logs and problems.
    pub(crate) request_id: HeaderValue,
    /// The hop that this request is in its trace.
    pub(crate) trace: TraceParent,
}

impl RequestContext {
    fn of(headers: &HeaderMap, span: &Span) -> Self {
        let given = headers.get(X_REQUEST_ID).filter(|id| is_request_id(id.as_bytes()));
        let request_id = given.cloned().unwrap_or_else(new_request_id);
        let trace = span.context().unwrap_or_else(|| TraceParent::continue_or_generate(traceparent(headers)));
        Self { request_id, trace }
    }

    /// The context of a request.
    pub(crate) fn of_request(parts: &Parts) -> Self {
        parts.extensions.get().cloned().unwrap_or_else(|| Self::of(&parts.headers, &Span::none()))
    }

    /// The `traceparent` of what this request causes.
    pub(crate) fn traceparent(&self) -> Option<String> {
        Some(self.trace.to_string())
    }

    /// The span of the request's log lines. Where spans are exported, every line names the trace; elsewhere that would
    /// cost more than a request without any line is worth.
    fn log_span(&self, method: &Method, route: Option<&str>) -> tracing::Span {
        macro_rules! request_span {
            ($level:expr) => {
                tracing::span!($level, "request", %method, path = route, request_id = ?self.request_id,
                    trace_id = %self.trace.trace_id())
            };
        }
        if pvt_traces::is_recording() { request_span!(Level::INFO) } else { request_span!(Level::DEBUG) }
    }
}

fn traceparent(headers: &HeaderMap) -> Option<&str> {
    headers.get(TRACEPARENT).and_then(|value| value.to_str().ok())
}

fn is_request_id(id: &[u8]) -> bool {
    (1..=MAX_REQUEST_ID_CHARS).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn new_request_id() -> HeaderValue {
    let id = format!("{:032x}", rand::rng().random::<u128>());
    HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// What the edge needs.
#[derive(Clone)]
pub(crate) struct Edge {
    metrics: Arc<HttpMetrics>,
    cors: Cors,
    encrypted: bool,
    is_stopping: Arc<AtomicBool>,
}

impl Edge {
    /// `encrypted`: whether guests reach us over HTTPS. Once `is_stopping`, connections end with their next answer.
    pub(crate) fn new(metrics: HttpMetrics, cors: Cors, encrypted: bool, is_stopping: Arc<AtomicBool>) -> Self {
        Self { metrics: Arc::new(metrics), cors, encrypted, is_stopping }
    }
}

/// The outermost layer.
pub(crate) async fn edge(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let page = edge.cors.page(&method, request.headers());
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map(MatchedPath::as_str);
    let span = request_span(&method, route, request.headers());
    let context = RequestContext::of(request.headers(), &span);
    request.extensions_mut().insert(context.clone());
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind();
    let handled = timeout(REQUEST_TIMEOUT, handled).instrument(context.log_span(&method, route));
    let mut response = match span.scope(handled).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::internal("a handler panicked").into_response(),
        Err(_) => Problem::from(problem::REQUEST_TOOK_TOO_LONG).into_response(),
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response = method_not_allowed(&method, response);
    }
    edge.cors.complete(page, response.headers_mut());
    edge.finish(&mut response, &context, &method);
    edge.metrics.record(route, &method, response.status(), begun.elapsed());
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
        let (request_id, trace_id) = (context.request_id.to_str().ok(), context.trace.trace_id());
        error!(request_id, trace_id, %method, path = route, "a request was answered with 500");
    }
    span.end_answered(response.status().as_u16());
    response
}

/// The span of a request. Probes, which come every few seconds, have none.
fn request_span(method: &Method, route: Option<&str>, headers: &HeaderMap) -> Span {
    if route.is_some_and(|route| PROBES.contains(&route)) {
        return Span::none();
    }
    Span::request(method.as_str(), route, traceparent(headers))
}

/// axum answers a method it has no handler for; OPTIONS asks what methods there are and gets them.
fn method_not_allowed(method: &Method, response: Response) -> Response {
    let allowed = response.headers().get(header::ALLOW).cloned();
    let mut answer = match *method {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => Problem::from(problem::METHOD_NOT_ALLOWED).into_response(),
    };
    if let Some(allowed) = allowed {
        answer.headers_mut().insert(header::ALLOW, allowed);
    }
    answer
}

impl Edge {
    fn finish(&self, response: &mut Response, context: &RequestContext, method: &Method) {
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            let document = problem.document(context.request_id.to_str().unwrap_or_default());
            if *method != Method::HEAD {
                *response.body_mut() = Body::from(document);
            }
        }
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, context.request_id.clone());
        if let Ok(trace) = HeaderValue::try_from(context.trace.to_string()) {
            headers.insert(TRACEPARENT, trace);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // Pages to read have a policy of their own.
        if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
            headers.insert(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
            );
        }
        // Addresses may hold a booking's token.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        // A connection that were kept would be closed later, perhaps under a request that is on its way.
        if self.is_stopping.load(Ordering::Relaxed) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self.encrypted {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cors, Edge, Problem, RequestContext, Span, edge, is_request_id};
    use crate::http::metrics::HttpMetrics;
    use axum::body::Body;
    use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
    use std::sync::atomic::AtomicBool;
    use std::sync::{Arc, Mutex};
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn panic_becomes_problem_without_details() {
        let boom = axum::routing::get(async || -> &'static str { panic!("secret detail") });
        let state = Edge::new(HttpMetrics::new(["/boom"]), Cors::new(&[]), true, Arc::new(AtomicBool::new(true)));
        let layer = axum::middleware::from_fn_with_state(state, edge);
        let router = axum::Router::new().route("/boom", boom).layer(layer);
        let response = router.oneshot(Request::get("/boom").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(response.headers().contains_key("strict-transport-security"));
        assert_eq!(response.headers()["connection"], "close", "it is being stopped");
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.contains("\"internal_error\"") && !text.contains("secret detail"), "{text}");
    }

    /// Collects what is logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn request_answered_with_500_is_logged_with_its_ids() {
        let log = Log::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        let _guard = tracing::subscriber::set_default(lines);
        let broken = axum::routing::get(async || Problem::internal("a cause"));
        let state = Edge::new(HttpMetrics::new(["/x"]), Cors::new(&[]), true, Arc::default());
        let layer = axum::middleware::from_fn_with_state(state, edge);
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let request = Request::get("/x").header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
        let request = request.header("x-request-id", "of-a-caller").body(Body::empty()).unwrap();
        axum::Router::new().route("/x", broken).layer(layer).oneshot(request).await.unwrap();
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line = text.lines().find(|line| line.contains("answered with 500")).unwrap_or_else(|| panic!("{text}"));
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((line["trace_id"].as_str(), line["path"].as_str()), (Some(trace), Some("/x")), "{line}");
        assert_eq!(line["request_id"], "of-a-caller");
    }

    #[test]
    fn valid_request_id_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_static("abc-1.2_3"));
        assert_eq!(RequestContext::of(&headers, &Span::none()).request_id, "abc-1.2_3");
        headers.insert("x-request-id", HeaderValue::from_static("<script>"));
        assert_eq!(RequestContext::of(&headers, &Span::none()).request_id.len(), 32);
        assert!(!is_request_id(&[b'x'; 129]) && !is_request_id(b""));
    }
}
