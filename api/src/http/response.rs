//! Typed answers: status, view and headers stand in a handler's signature, and so in the description of its operation.

use crate::http::headers::{IDEMPOTENCY_REPLAYED, PREFERENCE_APPLIED};
use crate::http::problem::Problem;
use crate::openapi::schemas::Schemas;
use crate::openapi::{DescribeOutput, Operation, schema};
use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use std::marker::PhantomData;

/// JSON of this view, with this status and perhaps these headers beside those that every answer has.
///
/// The view is written when the answer is made, so it may borrow; the signature names it for `'static`, which the
/// marker's variance allows.
pub(crate) struct JsonResponse<const STATUS: u16, View, Headers = ()> {
    response: Response,
    shape: PhantomData<fn(View, Headers)>,
}

/// 200.
pub(crate) type Shown<View> = JsonResponse<200, View>;
/// 200 with the revision of what is shown.
pub(crate) type Tagged<View> = JsonResponse<200, View, ETag>;
/// 201 with where it is, and its revision.
pub(crate) type Created<View> = JsonResponse<201, View, (ETag, Location)>;

/// Headers of the document that an answer may carry.
pub(crate) trait ResponseHeaders {
    /// Their names.
    fn names() -> Vec<&'static str>;
}

macro_rules! response_headers {
    ($($header:ident $name:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`.")]
            pub(crate) enum $header {}

            impl ResponseHeaders for $header {
                fn names() -> Vec<&'static str> {
                    vec![$name]
                }
            }
        )*
    };
}

response_headers! {
    ETag "ETag";
    Location "Location";
    RetryAfter "Retry-After";
    Link "Link";
}

impl ResponseHeaders for () {
    fn names() -> Vec<&'static str> {
        Vec::new()
    }
}

impl<A: ResponseHeaders, B: ResponseHeaders> ResponseHeaders for (A, B) {
    fn names() -> Vec<&'static str> {
        [A::names(), B::names()].concat()
    }
}

impl<const STATUS: u16, View: Serialize, Headers> JsonResponse<STATUS, View, Headers> {
    /// The answer with this view.
    pub(crate) fn new(view: &View) -> Self {
        let status = StatusCode::from_u16(STATUS).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { response: (status, Json(view)).into_response(), shape: PhantomData }
    }

    /// The same with this header.
    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.response.headers_mut().insert(name, value);
        self
    }
}

impl<const STATUS: u16, View, Headers> JsonResponse<STATUS, View, Headers> {
    /// The same, marked as the answer to a repeated request if it is one.
    #[must_use]
    pub(crate) fn replayed(mut self, replayed: bool) -> Self {
        if replayed {
            self.response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        self
    }

    /// The same, with the preference that was honoured.
    #[must_use]
    pub(crate) fn applied(mut self, preference: Option<HeaderValue>) -> Self {
        if let Some(preference) = preference {
            self.response.headers_mut().insert(PREFERENCE_APPLIED, preference);
        }
        self
    }
}

impl<View: Serialize> Tagged<View> {
    /// A view of this revision.
    pub(crate) fn at(rev: impl Into<u64>, view: &View) -> Self {
        Self::new(view).with(header::ETAG, etag(rev))
    }
}

impl<View: Serialize> Created<View> {
    /// What was created at this address. Not `new`: an equal request created it before.
    ///
    /// # Errors
    /// 500 for an address that cannot be a header.
    pub(crate) fn at(rev: impl Into<u64>, is_new: bool, location: &str, view: &View) -> Result<Self, Problem> {
        let location = HeaderValue::try_from(location).map_err(Problem::internal)?;
        let created = Self::new(view).with(header::ETAG, etag(rev)).with(header::LOCATION, location);
        Ok(created.replayed(!is_new))
    }
}

/// A revision as an entity tag.
pub(crate) fn etag(rev: impl Into<u64>) -> HeaderValue {
    HeaderValue::try_from(format!("\"{}\"", rev.into())).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

impl<const STATUS: u16, View, Headers> IntoResponse for JsonResponse<STATUS, View, Headers> {
    fn into_response(self) -> Response {
        self.response
    }
}

impl<const STATUS: u16, View: JsonSchema, Headers: ResponseHeaders> DescribeOutput
    for JsonResponse<STATUS, View, Headers>
{
    fn describe(operation: Operation, schemas: &mut Schemas) -> Operation {
        let status = StatusCode::from_u16(STATUS).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        operation.answers_view(status, schemas.view::<View>(), &Headers::names())
    }
}

/// 204.
pub(crate) struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl DescribeOutput for NoContent {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.answers_nothing(StatusCode::NO_CONTENT, "Done.")
    }
}

/// 304 with the revision that the caller has.
pub(crate) struct NotModified(pub(crate) HeaderValue);

impl IntoResponse for NotModified {
    fn into_response(self) -> Response {
        (StatusCode::NOT_MODIFIED, [(header::ETAG, self.0)]).into_response()
    }
}

impl DescribeOutput for NotModified {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.answers_nothing(StatusCode::NOT_MODIFIED, "Not modified.").header("ETag")
    }
}

/// One answer or the other.
pub(crate) enum Either<A, B> {
    This(A),
    That(B),
}

impl<A: IntoResponse, B: IntoResponse> IntoResponse for Either<A, B> {
    fn into_response(self) -> Response {
        match self {
            Self::This(answer) => answer.into_response(),
            Self::That(answer) => answer.into_response(),
        }
    }
}

impl<A: DescribeOutput, B: DescribeOutput> DescribeOutput for Either<A, B> {
    fn describe(operation: Operation, schemas: &mut Schemas) -> Operation {
        B::describe(A::describe(operation, schemas), schemas)
    }
}

/// A JSON document whose form is described elsewhere.
pub(crate) struct JsonDocument(pub(crate) Response);

impl IntoResponse for JsonDocument {
    fn into_response(self) -> Response {
        self.0
    }
}

impl DescribeOutput for JsonDocument {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.answers(StatusCode::OK, "The document.", schema::map(serde_json::json!({})))
    }
}
