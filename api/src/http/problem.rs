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
        $(pub(crate) const $id: &ProblemKind = &ProblemKind { code: $code, status: $status, title: $title, advice: $advice };)*
        /// All kinds of problems, by status.
        pub(crate) const PROBLEMS: &[&ProblemKind] = &[$($id),*];
    };
}

problems! {
    INVALID_JSON "invalid_json" 400 "The body is not JSON" "Send one JSON object.";
    INVALID_QUERY "invalid_query" 400 "A query parameter cannot be read" "Check the query string.";
    IDEMPOTENCY_KEY_MISSING "idempotency_key_missing" 400 "Idempotency-Key is missing"
        "Send the header Idempotency-Key with a value of your own, for example a random UUID, and repeat it when you retry.";
    IDEMPOTENCY_KEY_INVALID "idempotency_key_invalid" 400 "Idempotency-Key cannot be used" "Use 1 to 255 printable \
        ASCII characters.";
    INVALID_SIGNATURE "invalid_signature" 400 "The webhook's signature is not valid" "Check the signing secret and \
        the clocks.";
    EVENT_REFUSED "event_refused" 400 "The event is not taken" "Send whole events of this account alone, of at most \
        60 KiB.";
    UNAUTHENTICATED "unauthenticated" 401 "The credentials are not valid" "Send a valid API key or access token as \
        `Authorization: Bearer <value>`; POST /api/auth/login gives access tokens.";
    INVALID_LOGIN "invalid_login" 401 "Address or password is not right" "Check both; POST /api/auth/forgot-password \
        helps who has forgotten the password.";
    SESSION_ENDED "session_ended" 401 "The session has ended" "Log in again.";
    FORBIDDEN "forbidden" 403 "Not allowed" "Use an account or an API key whose role allows this.";
    NOT_FOUND "not_found" 404 "Not found" "Check the address, and that the token or key belongs to it.";
    METHOD_NOT_ALLOWED "method_not_allowed" 405 "This address does not take this method" "Use one of the methods in \
        the Allow header.";
    REQUEST_TIMEOUT "request_timeout" 408 "The request's body did not arrive in time" "Send it again.";
    STILL_PROCESSING "still_processing" 409 "The request is still being processed" "Try again after the time in \
        Retry-After.";
    NOT_CANCELLABLE "not_cancellable" 409 "This booking cannot be cancelled" "Only a held or confirmed booking can \
        be cancelled.";
    NO_AVAILABILITY "no_availability" 409 "No beds are left" "Choose other dates or another room type, and send a \
        new request with a new Idempotency-Key.";
    INVALID_DATES "invalid_dates" 409 "These dates cannot be booked" "Choose other dates, and send a new request \
        with a new Idempotency-Key.";
    OVER_CAPACITY "over_capacity" 409 "The room type does not take so many guests" "Ask for fewer guests a stay, and \
        send a new request with a new Idempotency-Key.";
    CLOSED "closed" 409 "The room type or rate plan is not sold" "Look up what the property sells, and send a new \
        request with a new Idempotency-Key.";
    RESTRICTION "restriction" 409 "The rate plan does not sell these dates" "Choose other dates, and send a new \
        request with a new Idempotency-Key.";
    PRICE_CHANGED "price_changed" 409 "The price is no longer what was quoted" "Ask for a new quote, and send a new \
        request with a new Idempotency-Key.";
    GENDER "gender" 409 "The dorm is for guests of the other gender" "Choose another room type, and send a new \
        request with a new Idempotency-Key.";
    AGE "age" 409 "A guest is too young for the room type" "Choose another room type, and send a new request with a \
        new Idempotency-Key.";
    STATE_CONFLICT "state_conflict" 409 "The booking's state does not allow it" "Look at current: somebody may have \
        been faster.";
    TOO_EARLY "too_early" 409 "It is too early" "Check guests in from the day of arrival; mark a no-show after the \
        business day of arrival.";
    TOO_LATE "too_late" 409 "It is too late" "Ask an administrator to undo what is older than a business day; nobody \
        arrives after departure.";
    BALANCE_OPEN "balance_open" 409 "The guests have not paid" "Take the payment, or send allow_open_balance with a \
        reason.";
    PAYMENT_UNDER_WAY "payment_under_way" 409 "Money has come or is on its way" "See what the payment comes to, then \
        confirm or cancel the booking.";
    NOTHING_DUE "nothing_due" 409 "There is nothing to pay" "Look at the booking's payment.";
    NOT_PAYABLE "not_payable" 409 "The booking cannot be paid" "It was cancelled or refused, or its hold is over: \
        make a new booking.";
    TOO_MUCH "too_much" 409 "More than is left of the payment" "Look at what is left: amount less what was given \
        back already or is on its way.";
    NOT_REFUNDABLE "not_refundable" 409 "The payment cannot be given back through Stripe" "Give cash back, then send \
        POST /api/payments/record with a negative amount.";
    DISPUTED "disputed" 409 "A bank argues about the payment" "Answer the dispute at Stripe; nothing can be given \
        back meanwhile.";
    BEDS_MISSING "beds_missing" 409 "A stay has no beds, or too few" "Assign beds to every stay first.";
    BED_NOT_CLEAN "bed_not_clean" 409 "A bed must be cleaned first" "Have it cleaned, or assign another one.";
    BED_TAKEN "bed_taken" 409 "A bed is taken" "Choose another bed, or move the bookings in the way.";
    BED_UNFIT "bed_unfit" 409 "These beds do not fit the stay" "Choose beds in service of the stay's room type: one \
        a guest in a dorm, all of one room in private.";
    UNKNOWN_STAY "unknown_stay" 409 "There is no such stay" "Read the booking again, and name each of its stays once.";
    REASON_MISSING "reason_missing" 409 "A reason must be given" "Send a reason.";
    TOO_MANY_CHANGES "too_many_changes" 409 "The booking has been changed too often" "Make a new booking and cancel \
        this one.";
    ALREADY_EXISTS "already_exists" 409 "There is one of this id already" "Choose another id, or change the one that \
        is there.";
    PROPERTY_BUSY "house_busy" 409 "Others are changing the property" "Send the change again.";
    PRECONDITION_FAILED "precondition_failed" 412 "It has changed meanwhile" "Read it again, and send the change \
        with the new ETag in If-Match.";
    PAYLOAD_TOO_LARGE "payload_too_large" 413 "The body is too large" "Send less.";
    UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" 415 "The body is not declared as \
        JSON" "Send Content-Type: application/json.";
    VALIDATION_FAILED "validation_failed" 422 "Some fields cannot be accepted" "Correct every field listed in errors \
        and send the request again.";
    IDEMPOTENCY_KEY_REUSED "idempotency_key_reused" 422 "Idempotency-Key was used for another \
        request" "Use a new key for a new request; repeat a key only with the same body.";
    CARD_NUMBER_REFUSED "card_number_refused" 422 "The request holds what looks like a card \
        number" "Never send card numbers here: payment pages are Stripe's.";
    PRECONDITION_REQUIRED "precondition_required" 428 "If-Match is missing" "Send the ETag of what you have read as \
        If-Match.";
    RATE_LIMITED "rate_limited" 429 "Too many requests" "Try again after the time in Retry-After.";
    INTERNAL "internal_error" 500 "Something went wrong on our side" "Try again; if it goes on, tell us the \
        request_id.";
    PROVIDER_REFUSED "provider_refused" 502 "Stripe refused it" "Try again with a new Idempotency-Key; if it goes \
        on, tell us the request_id.";
    BROKER_UNAVAILABLE "broker_unavailable" 503 "Requests cannot be taken right now" "Send the same request with the \
        same Idempotency-Key after the time in Retry-After.";
    STORE_UNAVAILABLE "store_unavailable" 503 "The state cannot be read right now" "Try again after the time in \
        Retry-After.";
    PROVIDER_UNAVAILABLE "provider_unavailable" 503 "Stripe does not answer" "Send the same request with the same \
        Idempotency-Key after the time in Retry-After.";
    NOT_READY "not_ready" 503 "The service is starting" "Try again after the time in Retry-After.";
    OVERLOADED "overloaded" 503 "Too many ask for this at once" "Try again after the time in Retry-After.";
    REQUEST_TOOK_TOO_LONG "took_too_long" 504 "The request took too long" "Try again; a repeated Idempotency-Key \
        makes no second booking.";
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

/// Handlers answer with either.
pub(crate) type HandlerResult = Result<Response, Problem>;

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

    /// Fields that cannot be accepted. There is at least one.
    pub(crate) fn fields(mut errors: Vec<FieldError>) -> Self {
        let count = errors.len();
        errors.truncate(MAX_ERRORS);
        let detail = match count {
            1 => "1 field cannot be accepted; see errors, correct it and send the request again.".to_owned(),
            _ => format!("{count} fields cannot be accepted; see errors, correct them and send the request again."),
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
    fn problem_document_follows_rfc_9457() {
        let problem =
            Problem::fields(vec![FieldError::new("/stays/0/guests", "no_guests", "a stay needs at least one guest")]);
        let document: Value = serde_json::from_slice(&problem.document("r-1")).unwrap();
        let expected = json!({
            "type": "urn:pvt:problem:validation_failed",
            "title": "Some fields cannot be accepted",
            "status": 422,
            "code": "validation_failed",
            "detail": "1 field cannot be accepted; see errors, correct it and send the request again.",
            "errors": [{ "pointer": "/stays/0/guests", "code": "no_guests", "message": "a stay needs at least one \
                guest" }],
            "request_id": "r-1",
        });
        assert_eq!(document, expected);
        let plain: Value = serde_json::from_slice(&Problem::from(INVALID_JSON).document("r-2")).unwrap();
        assert!(plain.get("errors").is_none());
    }
}
