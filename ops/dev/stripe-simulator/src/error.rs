//! Stripe's errors in the shape that its clients read. Nothing here decides when a request fails.

use serde_json::{Map, Value, json};

/// An error response.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    /// The HTTP status.
    pub(crate) status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    message: String,
    param: Option<String>,
    more: Map<String, Value>,
    /// Whether execution had begun: only then is the response kept under the idempotency key.
    pub(crate) kept: bool,
}

impl ApiError {
    fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, code: None, message: message.into(), param: None, more: Map::new(), kept: false }
    }

    /// 400: invalid parameters. Not kept under an idempotency key.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// 400: not possible in the state of the object. Kept under the idempotency key, because execution had begun.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self { kept: true, ..Self::invalid(message) }
    }

    /// 402: the bank declines.
    pub(crate) fn card(code: &'static str, decline_code: &str, message: &str) -> Self {
        Self {
            kept: true,
            ..Self::new(402, "card_error", message).code(code).with("decline_code", json!(decline_code))
        }
    }

    /// 404: there is no such object.
    pub(crate) fn missing(object: &str, id: &str, param: &str) -> Self {
        Self::new(404, "invalid_request_error", format!("No such {object}: '{id}'"))
            .code("resource_missing")
            .param(param)
    }

    /// 400: a required parameter is missing.
    pub(crate) fn required(param: &str) -> Self {
        Self::invalid(format!("Missing required param: {param}.")).code("parameter_missing").param(param)
    }

    /// 400: unknown parameter.
    pub(crate) fn unknown(param: &str) -> Self {
        Self::invalid(format!("Received unknown parameter: {param}")).code("parameter_unknown").param(param)
    }

    /// 404: no such resource.
    pub(crate) fn no_route(method: &str, path: &str) -> Self {
        Self::new(
            404,
            "invalid_request_error",
            format!(
                "Unrecognized request URL ({method}: {path}). If you are trying to list objects, remove the trailing \
                slash. If you are trying to retrieve an object, make sure you passed a valid (non-empty) identifier in \
                your code."
            ),
        )
    }

    /// 401: no valid API key.
    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(401, "invalid_request_error", message)
    }

    /// 403: the restricted API key lacks a right.
    pub(crate) fn forbidden(account: &str) -> Self {
        Self::new(
            403,
            "invalid_request_error",
            format!(
                "The provided key does not have the required permissions for this endpoint on account '{account}'. \
                Having more permissions would allow this request to continue."
            ),
        )
    }

    /// 400: no version of the API.
    pub(crate) fn version(given: &str) -> Self {
        Self::invalid(format!("Invalid Stripe API version: {given}"))
    }

    /// 400: the key was used for another request.
    pub(crate) fn key_reused(key: &str) -> Self {
        Self::new(
            400,
            "idempotency_error",
            format!(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. Try \
                using a key other than '{key}' if you meant to execute a different request."
            ),
        )
    }

    /// 409: the first request with this key is still being executed.
    pub(crate) fn key_in_use(key: &str) -> Self {
        Self::new(
            409,
            "idempotency_error",
            format!(
                "There is currently another in-progress request using this Idempotent Key (that probably means you \
                submitted twice, and the other request is still going through): {key}. Please try again later."
            ),
        )
        .code("idempotency_key_in_use")
    }

    /// 429: too many requests.
    pub(crate) fn rate_limited() -> Self {
        Self::new(
            429,
            "invalid_request_error",
            "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
        )
        .code("rate_limit")
    }

    /// 500: an internal error. Kept under the key when execution had begun.
    pub(crate) fn internal() -> Self {
        Self { kept: true, ..Self::new(500, "api_error", "An unknown error occurred") }
    }

    pub(crate) fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    pub(crate) fn param(self, param: &str) -> Self {
        Self { param: Some(param.to_owned()), ..self }
    }

    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// Stripe's message for people.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// `{"error": {…}}`.
    pub(crate) fn json(&self, request_id: &str, account: &str) -> Value {
        let mut error = self.more.clone();
        error.insert("type".to_owned(), json!(self.kind));
        error.insert("message".to_owned(), json!(self.message));
        if let Some(code) = self.code {
            error.insert("code".to_owned(), json!(code));
            error.insert(
                "doc_url".to_owned(),
                json!(format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"))),
            );
        }
        if let Some(param) = &self.param {
            error.insert("param".to_owned(), json!(param));
        }
        error.insert(
            "request_log_url".to_owned(),
            json!(format!("https://dashboard.stripe.com/{account}/test/logs/{request_id}?t=0")),
        );
        json!({ "error": error })
    }
}
