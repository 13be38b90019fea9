//! Every error the API answers with: one table of codes, one form (RFC 9457).
//!
//! A problem says what the caller can do. It never carries a driver's message, a query, a stack or anything a caller
//! sent.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pvt_domain::intake::FieldError;
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The media type of problems.
pub(crate) const CONTENT_TYPE: &str = "application/problem+json";
/// Most faults that one problem lists.
pub(crate) const MAX_ERRORS: usize = 100;

/// A kind of problem. Its code is a contract with callers.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ProblemKind {
    /// Stable name.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// The same for every occurrence.
    pub title: &'static str,
    /// What to do when nothing more specific can be said.
    pub advice: &'static str,
}

macro_rules! problems {
    ($($id:ident $code:literal $status:literal $title:literal $advice:literal;)*) => {
        $(
            pub(crate) const $id: &ProblemKind =
                &ProblemKind { code: $code, status: $status, title: $title, advice: $advice };
        )*
        /// All kinds of problems, by status.
        pub(crate) const PROBLEMS: &[&ProblemKind] = &[$($id),*];
    };
}

problems! {
    INVALID_JSON "invalid_json" 400 "The body is not valid JSON"
        "Send one JSON object.";
    INVALID_QUERY "invalid_query" 400 "A query parameter is not valid"
        "Check the query string.";
    IDEMPOTENCY_KEY_MISSING "idempotency_key_missing" 400 "Idempotency-Key is missing"
        "Send the header Idempotency-Key with a value of your own, for example a random UUID, and repeat it when you \
        retry.";
    IDEMPOTENCY_KEY_INVALID "idempotency_key_invalid" 400 "Idempotency-Key is not valid"
        "Use 1 to 255 printable ASCII characters.";
    INVALID_SIGNATURE "invalid_signature" 400 "The webhook signature is not valid"
        "Check the signing secret and the clocks.";
    EVENT_REFUSED "event_refused" 400 "The event is not accepted"
        "Send complete events of this account only, of at most 60 KiB.";
    UNAUTHENTICATED "unauthenticated" 401 "The credentials are not valid"
        "Send a valid API key or access token as `Authorization: Bearer <value>`; POST /api/auth/login issues access \
        tokens.";
    INVALID_LOGIN "invalid_login" 401 "The email address or password is wrong"
        "Check both; POST /api/auth/forgot-password resets a forgotten password.";
    SESSION_ENDED "session_ended" 401 "The session has ended"
        "Log in again.";
    FORBIDDEN "forbidden" 403 "Not allowed"
        "Use an account or an API key whose role allows this.";
    NOT_FOUND "not_found" 404 "Not found"
        "Check the address, and that the token or key belongs to it.";
    METHOD_NOT_ALLOWED "method_not_allowed" 405 "The method is not allowed here"
        "Use one of the methods in the Allow header.";
    REQUEST_TIMEOUT "request_timeout" 408 "The body did not arrive in time"
        "Send the request again.";
    STILL_PROCESSING "still_processing" 409 "The request is still being processed"
        "Try again after the time in Retry-After.";
    NOT_CANCELLABLE "not_cancellable" 409 "The booking cannot be cancelled"
        "Only a held or confirmed booking can be cancelled.";
    NO_AVAILABILITY "no_availability" 409 "No beds are available"
        "Choose other dates or another room type, and send a new request with a new Idempotency-Key.";
    INVALID_DATES "invalid_dates" 409 "These dates cannot be booked"
        "Choose other dates, and send a new request with a new Idempotency-Key.";
    OVER_CAPACITY "over_capacity" 409 "The room type does not sleep that many guests"
        "Reduce the guests per stay, and send a new request with a new Idempotency-Key.";
    CLOSED "closed" 409 "The room type or rate plan is not on sale"
        "Look up what the property sells, and send a new request with a new Idempotency-Key.";
    RESTRICTION "restriction" 409 "The rate plan is restricted on these dates"
        "Choose other dates, and send a new request with a new Idempotency-Key.";
    PRICE_CHANGED "price_changed" 409 "The price has changed since the quote"
        "Request a new quote, and send a new request with a new Idempotency-Key.";
    GENDER "gender" 409 "The dorm is for guests of another gender"
        "Choose another room type, and send a new request with a new Idempotency-Key.";
    AGE "age" 409 "A guest is too young for the room type"
        "Choose another room type, and send a new request with a new Idempotency-Key.";
    WRONG_STATUS "wrong_status" 409 "The booking's status does not allow this"
        "Compare `booking_status` with `needed`, and change the booking first.";
    CONCURRENT_CHANGE "concurrent_change" 409 "The booking was changed by another request at the same time"
        "Look at `current`, and decide again.";
    TOO_EARLY "too_early" 409 "It is too early"
        "Check guests in from the business day of arrival; mark a no-show after it.";
    TOO_LATE "too_late" 409 "It is too late"
        "Ask an administrator to undo changes older than a business day; no guest can be checked in after departure.";
    BALANCE_OPEN "balance_open" 409 "The booking has an open balance"
        "Take the payment, or send allow_open_balance with a reason.";
    PAYMENT_UNDER_WAY "payment_under_way" 409 "A payment was made or is in progress"
        "Wait for the outcome of the payment, then confirm or cancel the booking.";
    NOTHING_DUE "nothing_due" 409 "Nothing is due"
        "Look at the booking's payment.";
    NOT_PAYABLE "not_payable" 409 "The booking cannot be paid"
        "It was cancelled or rejected, or its hold has expired: make a new booking.";
    TOO_MUCH "too_much" 409 "The amount exceeds what can be refunded"
        "Refund at most what is kept: the payment less earlier and pending refunds and what was returned in cash.";
    NOT_REFUNDABLE "not_refundable" 409 "The payment cannot be refunded through Stripe"
        "Refund it by hand, then send POST /api/payments/record with a negative amount.";
    DISPUTED "disputed" 409 "The payment is disputed"
        "Nothing can be refunded until the dispute is closed; answer it in Stripe's dashboard.";
    NOT_SENDABLE "not_sendable" 409 "The mail would contradict the booking"
        "Send one of those in `sendable`.";
    BEDS_MISSING "beds_missing" 409 "A stay has too few beds"
        "Assign beds to every stay first.";
    BED_NOT_CLEAN "bed_not_clean" 409 "A bed is not clean"
        "Have it cleaned, or assign another one.";
    BED_OCCUPIED "bed_occupied" 409 "A guest who has not checked out lies in the bed"
        "Check them out first, or assign another bed.";
    BEDS_UNNAMED "beds_unnamed" 409 "Checked-in guests would change beds tonight"
        "Name the beds that they move to, or change later nights only.";
    BED_TAKEN "bed_taken" 409 "A bed is taken"
        "Choose another bed, or move the bookings that hold it.";
    BED_UNFIT "bed_unfit" 409 "The beds do not fit the stay"
        "Choose beds in service of the stay's room type: one per guest in a dorm, all beds of one room in a private \
        room.";
    UNKNOWN_STAY "unknown_stay" 409 "There is no such stay"
        "Read the booking again, and name each of its stays once.";
    WRONG_PROGRESS "wrong_progress" 409 "The guests have arrived or left already, or have not arrived"
        "Read the booking again: `progress` says how far the guests of each stay are.";
    UNKNOWN_GUESTS "unknown_guests" 409 "There is no such part of the stay"
        "Read the booking again, and name beds or a number of guests that the stay has, or the whole private room.";
    TOO_MANY_CHANGES "too_many_changes" 409 "The booking has been changed too often"
        "Make a new booking and cancel this one.";
    ALREADY_EXISTS "already_exists" 409 "The id is already in use"
        "Choose another id, or change what has this id.";
    PROPERTY_BUSY "house_busy" 409 "The property is being changed by others"
        "Send the change again.";
    PRECONDITION_FAILED "precondition_failed" 412 "The resource has changed"
        "Read it again, and send the change with the new ETag in If-Match.";
    INVALID_IF_MATCH "invalid_if_match" 412 "If-Match names no revision"
        "Send the ETag as it was answered, with its quotes and without W/, for example \"7\"; several with commas, or \
        * for the newest revision.";
    PAYLOAD_TOO_LARGE "payload_too_large" 413 "The body is too large"
        "Send less.";
    UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" 415 "The body is not declared as JSON"
        "Send Content-Type: application/json.";
    UNSUPPORTED_CHARSET "unsupported_charset" 415 "The body is not in UTF-8"
        "Encode the body in UTF-8.";
    UNSUPPORTED_CONTENT_CODING "unsupported_content_coding" 415 "The body is compressed"
        "Send the body as it is, without Content-Encoding: only identity is accepted.";
    VALIDATION_FAILED "validation_failed" 422 "Some fields are not valid"
        "Correct every field listed in errors and send the request again.";
    IDEMPOTENCY_KEY_REUSED "idempotency_key_reused" 422 "Idempotency-Key was used for another request"
        "Use a new key for a new request; repeat a key only with the same body.";
    CARD_NUMBER_REFUSED "card_number_refused" 422 "The request contains what looks like a card number"
        "Never send card numbers here: guests enter them on Stripe's pages.";
    PRECONDITION_REQUIRED "precondition_required" 428 "If-Match is missing"
        "Send the ETag of what you have read as If-Match.";
    RATE_LIMITED "rate_limited" 429 "Too many requests"
        "Try again after the time in Retry-After.";
    INTERNAL "internal_error" 500 "Internal error"
        "Try again; if the error persists, report the request_id.";
    PROVIDER_REFUSED "provider_refused" 502 "Stripe refused the request"
        "Try again with a new Idempotency-Key; if the error persists, report the request_id.";
    BROKER_UNAVAILABLE "broker_unavailable" 503 "Requests cannot be accepted right now"
        "Send the same request with the same Idempotency-Key after the time in Retry-After.";
    STORE_UNAVAILABLE "store_unavailable" 503 "Data cannot be read right now"
        "Try again after the time in Retry-After.";
    MAINTENANCE "maintenance" 503 "Changes are not accepted during maintenance"
        "Send the same request with the same Idempotency-Key after the time in Retry-After; reading goes on.";
    PROVIDER_UNAVAILABLE "provider_unavailable" 503 "Stripe does not respond"
        "Send the same request with the same Idempotency-Key after the time in Retry-After.";
    NOT_READY "not_ready" 503 "The service is starting"
        "Try again after the time in Retry-After.";
    OVERLOADED "overloaded" 503 "The service is overloaded"
        "Try again after the time in Retry-After.";
    REQUEST_TOOK_TOO_LONG "took_too_long" 504 "The request timed out"
        "Try again; a repeated Idempotency-Key makes no second booking.";
}

/// One occurrence of a problem.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: &'static ProblemKind,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    members: Vec<(&'static str, Value)>,
}

impl From<&'static ProblemKind> for Problem {
    fn from(kind: &'static ProblemKind) -> Self {
        Self { kind, detail: Cow::Borrowed(kind.advice), errors: Vec::new(), headers: Vec::new(), members: Vec::new() }
    }
}

impl Problem {
    /// With words of its own. They must say what to do.
    pub(crate) fn new(kind: &'static ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), ..Self::from(kind) }
    }

    /// Fields that are not valid. There is at least one.
    pub(crate) fn fields(mut errors: Vec<FieldError>) -> Self {
        let count = errors.len();
        errors.truncate(MAX_ERRORS);
        let detail = match count {
            1 => "1 field is not valid; see errors, correct it and send the request again.".to_owned(),
            _ => format!("{count} fields are not valid; see errors, correct them and send the request again."),
        };
        Self { errors, ..Self::new(VALIDATION_FAILED, detail) }
    }

    /// Something that cannot happen did. The cause goes to the log, not to the caller.
    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self::from(INTERNAL)
    }

    /// When to try again, in seconds.
    #[must_use]
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// A header of the answer.
    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// A member of the document beside the usual ones. It must be something that the caller may see.
    #[must_use]
    pub(crate) fn with_member(mut self, name: &'static str, value: &impl Serialize) -> Self {
        // A view of texts and numbers always has a JSON form.
        self.members.extend(serde_json::to_value(value).ok().map(|value| (name, value)));
        self
    }

    /// Whether it is for the caller to mend.
    pub(crate) fn is_client_error(&self) -> bool {
        self.kind.status < 500
    }

    /// Its stable name.
    pub(crate) fn code(&self) -> &'static str {
        self.kind.code
    }

    #[cfg(test)]
    pub(crate) fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The document, as the edge writes it once it knows the request's id.
    pub(crate) fn document(&self, request_id: &str) -> Vec<u8> {
        let document = Document {
            kind: format!("urn:pvt:problem:{}", self.kind.code),
            title: self.kind.title,
            status: self.kind.status,
            code: self.kind.code,
            detail: &self.detail,
            errors: self
                .errors
                .iter()
                .map(|error| Field { pointer: &error.pointer, code: error.code, message: &error.message })
                .collect(),
            request_id,
            members: self.members.iter().map(|(name, value)| (*name, value)).collect(),
        };
        // A struct of texts and numbers always has a JSON form.
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Field<'a>>,
    request_id: &'a str,
    #[serde(flatten)]
    members: BTreeMap<&'static str, &'a Value>,
}

#[derive(Serialize)]
struct Field<'a> {
    pointer: &'a str,
    code: &'a str,
    message: &'a str,
}

/// Status and headers now; the body is written by the edge, which finds the problem among the answer's extensions.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let headers: &mut HeaderMap = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        headers.extend(self.headers.iter().cloned());
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::{FieldError, INVALID_JSON, PROBLEMS, Problem};
    use axum::http::StatusCode;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_statuses_are_errors() {
        let codes: BTreeSet<_> = PROBLEMS.iter().map(|kind| kind.code).collect();
        assert_eq!(codes.len(), PROBLEMS.len());
        assert!(PROBLEMS.iter().all(|kind| {
            StatusCode::from_u16(kind.status).is_ok_and(|status| status.is_client_error() || status.is_server_error())
        }));
        assert!(PROBLEMS.windows(2).all(|pair| pair[0].status <= pair[1].status), "sorted by status");
    }

    #[test]
    fn documentation_lists_every_code_with_its_advice() {
        let documentation = include_str!("../../../docs/http.md");
        for kind in PROBLEMS {
            let row = format!("| {} | `{}` | {}. {} |", kind.status, kind.code, kind.title, kind.advice);
            assert!(documentation.contains(&row), "docs/http.md lacks the row\n{row}");
        }
        let (_, table) = documentation.split_once("## Problems").unwrap();
        let rows = table.lines().filter(|line| line.starts_with('|') && line.contains("| `"));
        assert_eq!(rows.count(), PROBLEMS.len(), "docs/http.md lists codes that no answer has");
    }

    #[test]
    fn problem_document_follows_rfc_9457() {
        let problem =
            Problem::fields(vec![FieldError::new("/stays/0/guests", "no_guests", "a stay needs at least one guest")]);
        let document: Value = serde_json::from_slice(&problem.document("r-1")).unwrap();
        let expected = json!({
            "type": "urn:pvt:problem:validation_failed",
            "title": "Some fields are not valid",
            "status": 422,
            "code": "validation_failed",
            "detail": "1 field is not valid; see errors, correct it and send the request again.",
            "errors": [{ "pointer": "/stays/0/guests", "code": "no_guests", "message": "a stay needs at least one \
                guest" }],
            "request_id": "r-1",
        });
        assert_eq!(document, expected);
        let plain: Value = serde_json::from_slice(&Problem::from(INVALID_JSON).document("r-2")).unwrap();
        assert!(plain.get("errors").is_none());
    }
}
