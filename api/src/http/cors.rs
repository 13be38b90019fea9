//! Cross-origin access: pages on the configured list of origins may read answers; each origin is named back exactly,
//! never `*`.
//!
//! Credentials travel in `Authorization` alone, so cookies are never allowed across origins.

use axum::http::{HeaderMap, HeaderValue, Method, header};
use std::sync::Arc;

/// Whether an address takes a method is for its answer to say; axum adds `Allow` only after us.
const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// What pages may send: the headers of this API, and those that clients for events and tracing add.
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, baggage, cache-control, content-type, idempotency-key, if-match, if-none-match, last-event-id, \
    prefer, sentry-trace, traceparent, tracestate, x-request-id, x-requested-with",
);
/// What pages may read beyond the simple headers.
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "etag, idempotency-replayed, link, location, preference-applied, ratelimit, ratelimit-policy, retry-after, \
    traceparent, x-request-id",
);
/// How long a browser may cache a preflight answer, in seconds: two hours, the most that browsers grant.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The list.
#[derive(Clone)]
pub(crate) struct Cors {
    origins: Arc<[HeaderValue]>,
}

/// A request from a page on the list.
pub(crate) struct AllowedOrigin {
    origin: HeaderValue,
    preflight: bool,
}

impl Cors {
    /// These origins.
    pub(crate) fn new(origins: &[String]) -> Self {
        Self { origins: origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok()).collect() }
    }

    /// What the request says about the page that sends it, if the page is on the list.
    pub(crate) fn page(&self, method: &Method, headers: &HeaderMap) -> Option<AllowedOrigin> {
        let origin = headers.get(header::ORIGIN).filter(|origin| self.origins.contains(origin))?;
        let preflight = method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        Some(AllowedOrigin { origin: origin.clone(), preflight })
    }

    /// Completes an answer. Without a list no header is needed, and caches need not distinguish origins.
    pub(crate) fn complete(&self, page: Option<AllowedOrigin>, headers: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        headers.append(header::VARY, HeaderValue::from_name(header::ORIGIN));
        let Some(page) = page else { return };
        if page.preflight {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, page.origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    }
}

#[cfg(test)]
mod tests {
    use super::Cors;
    use axum::http::{HeaderMap, HeaderValue, Method};

    fn answered(origins: &[&str], method: &Method, request: &[(&'static str, &'static str)]) -> HeaderMap {
        let cors = Cors::new(&origins.iter().map(|origin| (*origin).to_owned()).collect::<Vec<_>>());
        let headers: HeaderMap =
            request.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
        let mut answer = HeaderMap::new();
        cors.complete(cors.page(method, &headers), &mut answer);
        answer
    }

    #[test]
    fn only_listed_origins_are_allowed() {
        let list = &["https://app.example.com"];
        let good = answered(list, &Method::GET, &[("origin", "https://app.example.com")]);
        assert_eq!(good["access-control-allow-origin"], "https://app.example.com");
        assert_eq!(good["vary"], "origin");
        assert!(
            !good.contains_key("access-control-allow-credentials")
                && !good.contains_key("access-control-allow-methods")
        );
        for origin in ["https://app.example.com.evil.test", "http://app.example.com", "null", "https://APP.example.com"]
        {
            let bad = answered(list, &Method::GET, &[("origin", origin)]);
            assert!(!bad.contains_key("access-control-allow-origin") && bad["vary"] == "origin", "{origin}");
        }
        assert!(!answered(&[], &Method::GET, &[("origin", "https://app.example.com")]).contains_key("vary"));
    }

    #[test]
    fn preflight_lists_methods_and_headers() {
        let request = [("origin", "https://app.example.com"), ("access-control-request-method", "GET")];
        let answer = answered(&["https://app.example.com"], &Method::OPTIONS, &request);
        assert_eq!(answer["access-control-allow-methods"], "GET, HEAD, POST, PUT, PATCH, DELETE");
        let allowed: Vec<&str> = answer["access-control-allow-headers"].to_str().unwrap().split(", ").collect();
        for sent in [
            "authorization",
            "baggage",
            "cache-control",
            "content-type",
            "idempotency-key",
            "if-match",
            "if-none-match",
            "last-event-id",
            "prefer",
            "sentry-trace",
            "traceparent",
            "tracestate",
            "x-request-id",
            "x-requested-with",
        ] {
            assert!(allowed.contains(&sent), "{sent} is not among {allowed:?}");
        }
        assert_eq!(answer["access-control-max-age"], "7200");
    }
}
