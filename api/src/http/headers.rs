//! Headers and query parameters of requests, read strictly: idempotency keys, waits, content types, bearer credentials.

use crate::http::problem::{self, Problem};
use axum::extract::Query;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use pvt_domain::ids::MAX_IDEMPOTENCY_KEY_CHARS;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Header: names a request for ever.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Header: this answer repeats an earlier one.
pub(crate) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Header: which preference was honoured (RFC 7240).
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Longest name of a charset (RFC 2978).
const MAX_CHARSET_CHARS: usize = 40;
/// Longest a request is held.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(30);
/// How long a command about a stored booking is waited for when nothing is preferred: most are decided in milliseconds.
const COMMAND_WAIT: Duration = Duration::from_secs(5);

/// The key that names this request.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers.get(IDEMPOTENCY_KEY).ok_or_else(|| Problem::from(problem::IDEMPOTENCY_KEY_MISSING))?;
    let invalid = || Problem::from(problem::IDEMPOTENCY_KEY_INVALID);
    let key = value.to_str().map_err(|_| invalid())?;
    match key.len() {
        0 => Err(Problem::from(problem::IDEMPOTENCY_KEY_MISSING)),
        length if length > MAX_IDEMPOTENCY_KEY_CHARS || key.chars().any(char::is_control) => Err(invalid()),
        _ => Ok(key),
    }
}

/// As [`idempotency_key`], where a key may be missing.
pub(crate) fn optional_idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    if headers.contains_key(IDEMPOTENCY_KEY) { idempotency_key(headers).map(Some) } else { Ok(None) }
}

/// How long a command about a stored booking is waited for: as preferred, not at all with `respond-async`, else
/// [`COMMAND_WAIT`].
pub(crate) fn command_wait(headers: &HeaderMap) -> Duration {
    let mut preferences =
        headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    match preferred_wait(headers) {
        Some(wait) => wait,
        None if preferences
            .any(|one| ["respond-async", "wait=0"].iter().any(|name| one.trim().eq_ignore_ascii_case(name))) =>
        {
            Duration::ZERO
        }
        None => COMMAND_WAIT,
    }
}

/// `Prefer: wait=N` in whole seconds, at most [`MAX_WAIT`]. Preferences that cannot be read are ignored, as RFC 7240
/// has it.
pub(crate) fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences =
        headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut pairs = preferences.filter_map(|preference| preference.split(';').next()?.split_once('='));
    let (_, seconds) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))?;
    let seconds: u64 = seconds.trim().trim_matches('"').parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds).min(MAX_WAIT))
}

/// The value of `Preference-Applied` for this time.
pub(crate) fn preference_applied(wait: Duration) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("wait={}", wait.as_secs())).ok()
}

/// `?wait=20s`, `?wait=20` or `?wait=500ms`, at most [`MAX_WAIT`].
pub(crate) fn query_wait(text: &str) -> Result<Duration, Problem> {
    let (number, unit): (&str, fn(u64) -> Duration) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, Duration::from_millis),
        (None, Some(number)) => (number, Duration::from_secs),
        (None, None) => (text, Duration::from_secs),
    };
    let wait = number
        .parse()
        .map(unit)
        .map_err(|_| Problem::new(problem::INVALID_QUERY, "`wait` takes a time such as 20s or 500ms, at most 30s."))?;
    Ok(wait.min(MAX_WAIT))
}

/// The query's parameters.
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    Query::try_from_uri(uri).map(|Query(parameters)| parameters).map_err(|_| Problem::from(problem::INVALID_QUERY))
}

/// The credential after `Bearer`; `None` when there is none.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let (scheme, credential) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(|| Problem::from(problem::UNAUTHENTICATED))?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(Some(credential.trim()))
    } else {
        Err(Problem::from(problem::UNAUTHENTICATED))
    }
}

/// Whether the body is declared as JSON: `application/json`, or a type built on it such as `application/x+json`.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.get(..12).is_some_and(|start| start.eq_ignore_ascii_case("application/"))
            && essence.get(essence.len() - 5..).is_some_and(|end| end.eq_ignore_ascii_case("+json"))
}

/// The media type of comma-separated values (RFC 4180).
const CSV: &str = "text/csv";

/// Whether the body is declared as CSV.
pub(crate) fn is_csv(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(CSV)
}

/// Whether an answer is rather wanted as CSV than as JSON: `Accept` names it, and nothing that is JSON before it or
/// with a higher quality.
pub(crate) fn prefers_csv(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut best: Option<(f32, bool)> = None;
    for range in values.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse).unwrap_or(0.0);
        let is_csv = name.eq_ignore_ascii_case(CSV);
        let is_json = ["application/json", "application/*", "*/*"].iter().any(|json| name.eq_ignore_ascii_case(json));
        if quality > 0.0 && (is_csv || is_json) && best.is_none_or(|(known, _)| quality > known) {
            best = Some((quality, is_csv));
        }
    }
    best.is_some_and(|(_, is_csv)| is_csv)
}

/// The charset that the body is declared to be in; a name that is none is not repeated.
pub(crate) fn declared_charset(headers: &HeaderMap) -> Option<&str> {
    let parameters = headers.get(header::CONTENT_TYPE)?.to_str().ok()?.split(';').skip(1);
    let mut pairs = parameters.filter_map(|parameter| parameter.split_once('='));
    let (_, charset) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    let charset = charset.trim().trim_matches('"');
    let is_name = charset.len() <= MAX_CHARSET_CHARS
        && charset.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'));
    Some(if is_name { charset } else { "another charset" }).filter(|charset| !charset.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{bearer, command_wait, idempotency_key, is_json, preferred_wait, prefers_csv, query_wait};
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use std::time::Duration;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        headers
    }

    #[test]
    fn keys_are_required_bounded_and_printable() {
        let code = |headers: &HeaderMap| idempotency_key(headers).map_err(|problem| problem.code()).map(str::to_owned);
        assert_eq!(code(&HeaderMap::new()), Err("idempotency_key_missing"));
        assert_eq!(code(&with("idempotency-key", "")), Err("idempotency_key_missing"));
        assert_eq!(code(&with("idempotency-key", "a\tb")), Err("idempotency_key_invalid"));
        assert_eq!(code(&with("idempotency-key", "clé")), Err("idempotency_key_invalid"));
        assert_eq!(code(&with("idempotency-key", &"x".repeat(256))), Err("idempotency_key_invalid"));
        assert!(code(&with("idempotency-key", &"x".repeat(255))).is_ok());
    }

    #[test]
    fn wait_preferences_are_bounded() {
        let seconds = |text: &str| preferred_wait(&with("prefer", text)).map(|wait| wait.as_secs());
        assert_eq!(seconds("wait=10"), Some(10));
        assert_eq!(seconds("respond-async, Wait=\"5\""), Some(5));
        assert_eq!(seconds("wait=99999"), Some(30));
        assert_eq!(
            (seconds("wait=0"), seconds("wait=soon"), seconds("respond-async"), preferred_wait(&HeaderMap::new())),
            (None, None, None, None)
        );
        let command = |text: &str| command_wait(&with("prefer", text)).as_secs();
        assert_eq!(
            (command_wait(&HeaderMap::new()).as_secs(), command("wait=9"), command("respond-async"), command("wait=0")),
            (5, 9, 0, 0)
        );
        let query = |text| query_wait(text).ok();
        assert_eq!(query("20s"), Some(Duration::from_secs(20)));
        assert_eq!(query("20"), Some(Duration::from_secs(20)));
        assert_eq!(query("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(query("90s"), Some(Duration::from_secs(30)));
        assert!(["", "s", "-1s", "1m", "1.5s"].iter().all(|bad| query(bad).is_none()));
    }

    #[test]
    fn csv_is_answered_where_it_is_preferred() {
        let prefers = |accept: &str| prefers_csv(&with("accept", accept));
        let preferred = ["text/csv", "TEXT/CSV; q=0.5", "text/csv, */*", "application/json;q=0.1, text/csv;q=0.9"];
        assert!(preferred.into_iter().all(prefers));
        let not = ["*/*", "application/json, text/csv", "text/csv;q=0", "text/csv;q=0.2, */*;q=0.3", "text/html", ""];
        assert!(!not.into_iter().any(prefers) && !prefers_csv(&HeaderMap::new()));
    }

    #[test]
    fn only_json_media_types_are_accepted() {
        assert!(
            ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
                .iter()
                .all(|good| is_json(&with("content-type", good)))
        );
        assert!(
            ["text/plain", "application/jsonp", "text/x+json", "é"]
                .iter()
                .all(|bad| !is_json(&with("content-type", bad)))
        );
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn only_bearer_credentials_are_accepted() {
        assert_eq!(bearer(&HeaderMap::new()).unwrap(), None);
        assert_eq!(bearer(&with("authorization", "bearer abc")).unwrap(), Some("abc"));
        assert!(bearer(&with("authorization", "Basic YTpi")).is_err());
        assert!(bearer(&with("authorization", "abc")).is_err());
    }
}
