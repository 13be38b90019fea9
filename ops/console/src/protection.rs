//! Protection of every answer: the host that is asked for, and headers that keep browsers from doing anything else
//! with a page than showing it.

use crate::app::SharedApp;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Url;

/// Scripts, styles and connections of this console alone; nothing inline, no frames.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'",
);
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // Without a referrer at all, browsers would leave out the origin of forms, too.
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];
const STRICT_TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=31536000");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Refuses requests for other hosts: by DNS rebinding, another site could point a name of its own at this address.
/// Adds the headers to every answer.
pub(crate) async fn protect(State(app): State<SharedApp>, request: Request, next: Next) -> Response {
    let url = &app.config.console_url;
    let mut response = if is_ours(url, host(request.headers())) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "the console does not answer for this host\n").into_response()
    };
    response.headers_mut().extend(HEADERS);
    if url.scheme() == "https" {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    }
    response
}

fn host(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

/// Whether a `Host` is that of the console's URL, on whatever port; on loopback by any of its names.
fn is_ours(url: &Url, host: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    };
    let ours = url.host_str().unwrap_or_default();
    let both_loopback = LOOPBACK.contains(&ours) && LOOPBACK.contains(&name);
    !name.is_empty() && (name.eq_ignore_ascii_case(ours) || both_loopback)
}

/// Whether a form was sent from a page of this console, as far as the browser says.
pub(crate) fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let same_site = text(&SEC_FETCH_SITE).is_none_or(|site| matches!(site, "same-origin" | "none"));
    let same_host = text(&header::ORIGIN).is_none_or(|origin| {
        origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host(headers)))
    });
    same_site && same_host
}

#[cfg(test)]
mod tests {
    use super::{is_ours, is_same_origin};
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use url::Url;

    #[test]
    fn other_hosts_are_not_answered_for() {
        let local = Url::parse("http://127.0.0.1:8094").unwrap();
        assert!(["127.0.0.1:8094", "localhost:1", "[::1]:8094", "127.0.0.1"].iter().all(|host| is_ours(&local, host)));
        assert!(["", "evil.example.com", "127.0.0.1.example.com:8094"].iter().all(|host| !is_ours(&local, host)));
        let public = Url::parse("https://console.example.com").unwrap();
        assert!(is_ours(&public, "Console.example.com") && !is_ours(&public, "127.0.0.1:8094"));
    }

    #[test]
    fn forms_of_other_sites_are_recognised() {
        let from = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static("127.0.0.1:8094"));
            for (name, value) in pairs {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            is_same_origin(&headers)
        };
        assert!(from(&[]) && from(&[("origin", "http://127.0.0.1:8094"), ("sec-fetch-site", "same-origin")]));
        assert!(!from(&[("origin", "null")]) && !from(&[("origin", "http://127.0.0.1:8095")]));
        assert!(!from(&[("sec-fetch-site", "same-site")]) && !from(&[("sec-fetch-site", "cross-site")]));
    }
}
