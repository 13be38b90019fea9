//! Typed parts of requests: what a handler reads stands in its signature, and so in the description of its operation.

use crate::auth::booking_access::BookingAccess;
use crate::auth::credentials::Credentials;
use crate::auth::policy::Caller;
use crate::form::declare::RequestForm;
use crate::form::fingerprint::Fingerprint;
use crate::form::read_form;
use crate::http::body::read_json;
use crate::http::entity_tags::{self, Revisions};
use crate::http::headers;
use crate::http::middleware::RequestContext;
use crate::http::pagination::PageQuery;
use crate::http::problem::{self, Problem};
use crate::openapi::schemas::Schemas;
use crate::openapi::{DescribeInput, Operation};
use crate::state::SharedApp;
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use pvt_domain::accounts::UserId;
use pvt_domain::ids::{BedId, BlockId, BookingId, PropertyId, RatePlanId, RoomId, RoomTypeId};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::marker::PhantomData;
use std::time::Duration;
use tokio::time::Instant;

/// Arguments that are no part of what a client sends, or that the rule of the route describes.
macro_rules! no_description {
    ($($argument:ty),*) => {
        $(
            impl DescribeInput for $argument {
                fn describe(operation: Operation, _: &mut Schemas) -> Operation {
                    operation
                }
            }
        )*
    };
}

no_description!(State<SharedApp>, Uri, Parts, RequestContext, Caller, VerifiedCaller, PrefersCsv);

/// An id that can stand in a path.
pub(crate) trait PathParameter: Sized {
    /// Reads it; `None` for what cannot be the id of anything.
    fn read(text: String) -> Option<Self>;

    /// Describes it; a text unless said.
    fn describe(operation: Operation) -> Operation {
        operation
    }
}

macro_rules! text_ids {
    ($($id:ident),*) => {
        $(
            impl PathParameter for $id {
                fn read(text: String) -> Option<Self> {
                    Some(Self::new(text))
                }
            }
        )*
    };
}

text_ids!(PropertyId, RoomTypeId, RoomId, BedId, RatePlanId);

impl PathParameter for String {
    fn read(text: String) -> Option<Self> {
        Some(text)
    }
}

impl PathParameter for UserId {
    fn read(text: String) -> Option<Self> {
        text.parse().ok()
    }
}

impl PathParameter for BlockId {
    fn read(text: String) -> Option<Self> {
        text.parse().ok()
    }
}

impl PathParameter for BookingId {
    fn read(text: String) -> Option<Self> {
        text.parse().ok()
    }

    fn describe(operation: Operation) -> Operation {
        operation.part("id", crate::openapi::schema::uuid(), "The booking.")
    }
}

/// The id in the path; 404 for what cannot be one.
pub(crate) struct PathId<T>(pub(crate) T);

impl<S: Send + Sync, T: PathParameter> FromRequestParts<S> for PathId<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|it| it.into_response())?;
        T::read(text).map(Self).ok_or_else(|| Problem::from(problem::NOT_FOUND).into_response())
    }
}

impl<T: PathParameter> DescribeInput for PathId<T> {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        T::describe(operation).problems([problem::NOT_FOUND])
    }
}

/// The parameters of the query; 400 for values that cannot be read.
pub(crate) struct QueryParams<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        headers::query(&parts.uri).map(Self)
    }
}

impl<T: JsonSchema> DescribeInput for QueryParams<T> {
    fn describe(operation: Operation, schemas: &mut Schemas) -> Operation {
        operation.query_of::<T>(schemas)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PageQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(&parts.uri)
    }
}

impl DescribeInput for PageQuery {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.page_parameters()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Credentials::of(parts).caller)
    }
}

/// The caller of a route that is open to everyone and shows some of them more. A credential that is not valid, or
/// cannot be verified now, counts as none: clients send theirs with every request, also when it has expired.
pub(crate) struct VerifiedCaller(pub(crate) Caller);

impl FromRequestParts<SharedApp> for VerifiedCaller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &SharedApp) -> Result<Self, Self::Rejection> {
        let credentials = Credentials::read(app, &parts.headers).await;
        Ok(Self(credentials.map_or(Caller::Anonymous, |credentials| credentials.caller)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestContext {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of_request(parts))
    }
}

#[derive(Deserialize, JsonSchema)]
struct PropertyParameter {
    /// The property.
    #[schemars(with = "String")]
    property_id: Option<String>,
}

/// Reads `property_id`.
pub(crate) fn property_of(uri: &Uri) -> Result<PropertyId, Problem> {
    let query: PropertyParameter = headers::query(uri)?;
    let missing = || Problem::new(problem::INVALID_QUERY, "`property_id` is missing; GET /api/properties lists them.");
    query.property_id.map(PropertyId::new).ok_or_else(missing)
}

/// The property that the query names. Ids of rooms, beds, types, plans and policies are unique within their property
/// only.
pub(crate) struct OfProperty(pub(crate) PropertyId);

impl<S: Send + Sync> FromRequestParts<S> for OfProperty {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        property_of(&parts.uri).map(Self)
    }
}

impl DescribeInput for OfProperty {
    fn describe(operation: Operation, schemas: &mut Schemas) -> Operation {
        operation.query_of::<PropertyParameter>(schemas).problems([problem::NOT_FOUND])
    }
}

/// The property that the query names, with a caller who works for it; 404 for any other caller, who must not learn
/// that it exists.
pub(crate) struct StaffOfProperty {
    pub(crate) property: PropertyId,
    pub(crate) caller: Caller,
}

impl<S: Send + Sync> FromRequestParts<S> for StaffOfProperty {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let OfProperty(property) = OfProperty::from_request_parts(parts, state).await?;
        let caller = Credentials::of(parts).caller.staff_of(&property)?;
        Ok(Self { property, caller })
    }
}

impl DescribeInput for StaffOfProperty {
    fn describe(operation: Operation, schemas: &mut Schemas) -> Operation {
        OfProperty::describe(operation, schemas)
    }
}

/// `Idempotency-Key`, which must be sent.
pub(crate) struct IdempotencyKey(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        headers::idempotency_key(&parts.headers).map(|key| Self(key.to_owned()))
    }
}

impl DescribeInput for IdempotencyKey {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.idempotent()
    }
}

/// Whether the answer is wanted as CSV.
pub(crate) struct PrefersCsv(pub(crate) bool);

impl<S: Send + Sync> FromRequestParts<S> for PrefersCsv {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(headers::prefers_csv(&parts.headers)))
    }
}

/// The revisions in `If-Match`, which must be sent.
pub(crate) struct IfMatch(pub(crate) Revisions);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        entity_tags::if_match(&parts.headers)?.map(Self).ok_or_else(|| problem::PRECONDITION_REQUIRED.into())
    }
}

impl DescribeInput for IfMatch {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.if_match()
    }
}

/// The revisions in `If-Match`, which may be sent; any without it.
pub(crate) struct OptionalIfMatch(pub(crate) Revisions);

impl<S: Send + Sync> FromRequestParts<S> for OptionalIfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        entity_tags::if_match(&parts.headers).map(|revisions| Self(revisions.unwrap_or(Revisions::Any)))
    }
}

impl DescribeInput for OptionalIfMatch {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.may_match()
    }
}

/// `Idempotency-Key`, which may be sent.
pub(crate) struct OptionalIdempotencyKey(pub(crate) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for OptionalIdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        headers::optional_idempotency_key(&parts.headers).map(|key| Self(key.map(str::to_owned)))
    }
}

impl DescribeInput for OptionalIdempotencyKey {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.repeatable()
    }
}

/// What `Prefer` says about waiting for a decision.
pub(crate) struct PreferredWait {
    /// The time that `wait=N` gives.
    pub(crate) named: Option<Duration>,
    /// The time for a command about something stored: as named, none with `respond-async`, else the default.
    pub(crate) command: Duration,
    /// The start of both.
    pub(crate) since: Instant,
}

impl PreferredWait {
    /// The value of `Preference-Applied`, if a time was named.
    pub(crate) fn applied(&self) -> Option<HeaderValue> {
        self.named.and_then(headers::preference_applied)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PreferredWait {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let (named, command) = (headers::preferred_wait(&parts.headers), headers::command_wait(&parts.headers));
        Ok(Self { named, command, since: Instant::now() })
    }
}

impl DescribeInput for PreferredWait {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.waits()
    }
}

/// `If-None-Match`, all its values.
pub(crate) struct IfNoneMatch(HeaderMap);

impl IfNoneMatch {
    /// Whether the caller has what this tag stands for.
    pub(crate) fn holds(&self, etag: &HeaderValue) -> bool {
        entity_tags::if_none_match_names(&self.0, etag)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let values = parts.headers.get_all(header::IF_NONE_MATCH).iter();
        Ok(Self(values.map(|value| (header::IF_NONE_MATCH, value.clone())).collect()))
    }
}

impl DescribeInput for IfNoneMatch {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.takes_header("If-None-Match", crate::openapi::schema::text(), "The ETag of the known revision.")
    }
}

/// A time to wait in a query: `20s`, `20` or `500ms`, at most [`headers::MAX_WAIT`].
pub(crate) struct QueryWait(pub(crate) Duration);

impl<'de> Deserialize<'de> for QueryWait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        headers::query_wait(&text).map(Self).map_err(|problem| D::Error::custom(problem.code()))
    }
}

impl JsonSchema for QueryWait {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "QueryWait".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{1,6}(ms|s)?$" })
    }
}

impl FromRequestParts<SharedApp> for BookingAccess {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &SharedApp) -> Result<Self, Response> {
        let Path(id) = Path::<String>::from_request_parts(parts, app).await.map_err(|it| it.into_response())?;
        Self::of(app, &id, parts).map_err(|problem| problem.into_response())
    }
}

impl DescribeInput for BookingAccess {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        <BookingId as PathParameter>::describe(operation).with_token().problems([problem::NOT_FOUND])
    }
}

/// A body read as this form, with every violation reported at once.
pub(crate) struct Form<T> {
    pub(crate) value: T,
    pub(crate) fingerprint: Fingerprint,
}

impl<S: Send + Sync, T: RequestForm> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let (value, fingerprint) = read_form(&parts.headers, body).await?;
        Ok(Self { value, fingerprint })
    }
}

impl<T: RequestForm> DescribeInput for Form<T> {
    fn describe(operation: Operation, schemas: &mut Schemas) -> Operation {
        let form = schemas.form::<T>();
        let example = form.example.unwrap_or_default();
        if T::DESCRIBED_AS_OPTIONAL {
            operation.optional_body(form.schema, example)
        } else {
            operation.body(form.schema, example)
        }
    }
}

/// The bytes of a JSON body that is described as `T`, for handlers that read it piece by piece.
pub(crate) struct JsonBody<T> {
    pub(crate) bytes: Bytes,
    shape: PhantomData<fn(T)>,
}

impl<S: Send + Sync, T> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        Ok(Self { bytes: read_json(&parts.headers, body).await?, shape: PhantomData })
    }
}

impl<T: JsonSchema> DescribeInput for JsonBody<T> {
    fn describe(operation: Operation, schemas: &mut Schemas) -> Operation {
        let form = schemas.form::<T>();
        operation.body(form.schema, form.example.unwrap_or_default())
    }
}
