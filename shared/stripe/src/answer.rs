//! From an HTTP answer to what it means.
//!
//! Sources: Stripe's API reference ("Errors", "Idempotent requests") and its page on low-level error handling.

use crate::error::StripeError;
use crate::redact::redacted;
use chrono::DateTime;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Longest wait that is taken from an answer.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);
/// Another request or process holds the object.
const LOCK_TIMEOUT: &str = "lock_timeout";
/// The key was used before with other parameters.
const IDEMPOTENCY_ERROR: &str = "idempotency_error";

/// What an answer says before its body.
#[derive(Debug)]
pub(crate) struct Head {
    operation: &'static str,
    pub(crate) status: StatusCode,
    /// `req_…`, by which Stripe's support and dashboard find the call.
    pub(crate) request_id: Option<String>,
    retry_after: Option<Duration>,
    /// Whether it is the kept answer to an earlier request with the same key.
    replayed: bool,
    /// Stripe's time, in Unix seconds.
    pub(crate) date: Option<i64>,
    /// Stripe knows that asking again does not help.
    pub(crate) is_final: bool,
}

impl Head {
    pub(crate) fn new(operation: &'static str, status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let seconds = text(RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok());
        Self {
            operation,
            status,
            request_id: text("request-id").map(redacted),
            retry_after: seconds.map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER)),
            replayed: text("idempotent-replayed") == Some("true"),
            date: text(DATE.as_str())
                .and_then(|date| DateTime::parse_from_rfc2822(date).ok())
                .map(|date| date.timestamp()),
            is_final: text("stripe-should-retry") == Some("false"),
        }
    }

    /// The words with what the call is found by.
    fn describe(&self, message: &str) -> String {
        let request = self.request_id.as_deref().unwrap_or("unnamed");
        format!("{} (status {}, request {request})", redacted(message), self.status.as_u16())
    }
}

#[derive(Deserialize)]
struct Envelope {
    error: Reason,
}

#[derive(Deserialize, Default)]
struct Reason {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    param: Option<String>,
    #[serde(default)]
    decline_code: Option<String>,
}

/// The requested object.
pub(crate) fn read<T: DeserializeOwned>(head: &Head, body: &[u8]) -> Result<T, StripeError> {
    if head.status.is_success() {
        parse(body).map_err(|reason| StripeError::Unreadable(head.describe(&reason)))
    } else {
        Err(failure(head, body))
    }
}

/// A value of its documented shape; else why not, without any of its content.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| {
        let words = error.to_string();
        let before_content = words.split('"').next().unwrap_or_default();
        format!("{} at line {}, column {}", before_content.trim_end(), error.line(), error.column())
    })
}

fn failure(head: &Head, body: &[u8]) -> StripeError {
    let reason = parse::<Envelope>(body).ok().map(|envelope| envelope.error);
    let message =
        head.describe(reason.as_ref().and_then(|reason| reason.message.as_deref()).unwrap_or("no reason given"));
    let code = reason.as_ref().and_then(|reason| reason.code.as_deref());
    match head.status {
        StatusCode::UNAUTHORIZED => StripeError::Unauthorized(message),
        StatusCode::FORBIDDEN => StripeError::Forbidden(message),
        StatusCode::CONFLICT => StripeError::Transient(message),
        StatusCode::TOO_MANY_REQUESTS if code == Some(LOCK_TIMEOUT) => StripeError::Transient(message),
        StatusCode::TOO_MANY_REQUESTS => StripeError::RateLimited { retry_after: head.retry_after },
        status if status.is_server_error() && head.replayed => StripeError::Transient(message),
        StatusCode::REQUEST_TIMEOUT | StatusCode::FAILED_DEPENDENCY => {
            StripeError::Unavailable { operation: head.operation, message }
        }
        status if status.is_server_error() => StripeError::Unavailable { operation: head.operation, message },
        status if status.is_client_error() => refusal(reason, message),
        _ => StripeError::Unreadable(message),
    }
}

fn refusal(reason: Option<Reason>, message: String) -> StripeError {
    match reason {
        Some(reason) if reason.kind == IDEMPOTENCY_ERROR => StripeError::Idempotency(message),
        Some(Reason { kind, code, param, decline_code, .. }) => {
            StripeError::Refused { code, kind, message, param, decline_code }
        }
        None => StripeError::Unreadable(message),
    }
}
