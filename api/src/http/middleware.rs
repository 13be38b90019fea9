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
use rand::RngExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

/// For a whole request: the longest wait a client may ask for, a publish, a read, and some air.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(45);
/// Longest id that is taken from a caller.
const MAX_REQUEST_ID_CHARS: usize = 128;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

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
    fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(X_REQUEST_ID).filter(|id| is_request_id(id.as_bytes()));
        let request_id = given.cloned().unwrap_or_else(new_request_id);
        let trace = TraceParent::continue_or_generate(headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()));
        Self { request_id, trace }
    }

    /// The context of a request.
    pub(crate) fn of_request(parts: &Parts) -> Self {
        parts.extensions.get().cloned().unwrap_or_else(|| Self::of(&parts.headers))
    }

    /// The `traceparent` of a message that this request sends, in the name of its own hop.
    pub(crate) fn child_traceparent(&self) -> Option<String> {
        Some(self.trace.child().to_string())
    }
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
    let context = RequestContext::of(request.headers());
    let method = request.method().clone();
    let page = edge.cors.page(&method, request.headers());
    let path = request.extensions().get::<MatchedPath>().cloned();
    request.extensions_mut().insert(context.clone());
    let span = tracing::debug_span!("request", %method, path = path.as_ref().map(MatchedPath::as_str),
        request_id = ?context.request_id, trace_id = %context.trace.trace_id());
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind();
    let mut response = match timeout(REQUEST_TIMEOUT, handled).instrument(span).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::internal("a handler panicked").into_response(),
        Err(_) => Problem::from(problem::REQUEST_TOOK_TOO_LONG).into_response(),
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response = method_not_allowed(&method, response);
    }
    edge.cors.complete(page, response.headers_mut());
    edge.finish(&mut response, &context, &method);
    edge.metrics.record(path.as_ref().map(MatchedPath::as_str), &method, response.status(), begun.elapsed());
    response
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
        // A connection that is kept would be closed later, perhaps while a request is on its way.
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
    use super::{Cors, Edge, RequestContext, edge, is_request_id};
    use crate::http::metrics::HttpMetrics;
    use axum::body::Body;
    use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
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

    #[test]
    fn valid_request_id_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_static("abc-1.2_3"));
        assert_eq!(RequestContext::of(&headers).request_id, "abc-1.2_3");
        headers.insert("x-request-id", HeaderValue::from_static("<script>"));
        assert_eq!(RequestContext::of(&headers).request_id.len(), 32);
        assert!(!is_request_id(&[b'x'; 129]) && !is_request_id(b""));
    }
}
