//! HTTP layer of Stripe's API: authentication, fault injection, idempotency, then the response. Effects are decided in
//! [`crate::api`].

use crate::api::{self, Call};
use crate::error::ApiError;
use crate::fault_injection::{RequestFault, RequestFaultKind};
use crate::objects::event::API_VERSION;
use crate::params::Params;
use crate::simulation::{Simulation, now_ms};
use crate::state::Cause;
use crate::state::idempotency_keys::StoredResponse;
use crate::{form, ids};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Largest request body.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// Marks a response that must not be sent: the connection is closed instead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AbortConnection;

/// The end of a request.
enum Reply {
    Response(PreparedResponse),
    /// No response: the connection hangs for this long, then closes.
    Silence(Duration),
}

/// A response with the data of its headers.
struct PreparedResponse {
    answer: StoredResponse,
    /// The id of the original request, when the response is replayed.
    original: Option<String>,
    retry_after_s: Option<u64>,
}

impl From<StoredResponse> for PreparedResponse {
    fn from(answer: StoredResponse) -> Self {
        Self { answer, original: None, retry_after_s: None }
    }
}

/// A received request.
struct ApiRequest {
    method: String,
    /// Including `/v1`.
    path: String,
    query: String,
    body: String,
    key: Option<String>,
    request_id: String,
}

/// Everything under `/v1`.
pub(crate) async fn v1(State(simulation): State<Arc<Simulation>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let request_id = ids::request();
    let version = parts.headers.get("stripe-version").cloned();
    let key = text(&parts.headers, "idempotency-key").filter(|_| parts.method == "POST");
    let body = to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| ApiError::invalid("The request's body is too large"));
    let body = body.and_then(|bytes| {
        String::from_utf8(bytes.into()).map_err(|_| ApiError::invalid("Invalid UTF-8 in the request's body"))
    });
    let checked = authenticate(&parts.headers).and_then(|()| check_version(version.as_ref()));
    let reply = match checked.and(body) {
        Err(error) => Reply::Response(failed(&simulation, &error, &request_id).into()),
        Ok(body) => {
            let api_request = ApiRequest {
                method: parts.method.to_string(),
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                body,
                key: key.clone(),
                request_id: request_id.clone(),
            };
            let (task_simulation, id) = (simulation.clone(), request_id.clone());
            // In a task of its own: as at Stripe, a request is completed even when its client disconnects.
            let task = tokio::spawn(async move { reply(&task_simulation, api_request).await });
            task.await.unwrap_or_else(|_| Reply::Response(failed(&simulation, &ApiError::internal(), &id).into()))
        }
    };
    match reply {
        Reply::Response(given) => respond(given, &request_id, version, key),
        Reply::Silence(time) => {
            tokio::time::sleep(time).await;
            abort_connection()
        }
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned).filter(|text| !text.is_empty())
}

/// Accepts any secret key of a test account.
fn authenticate(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = text(headers, "authorization").unwrap_or_default();
    match given.split_once(' ') {
        Some((scheme, key))
            if scheme.eq_ignore_ascii_case("bearer")
                && ["sk_test_", "rk_test_"].iter().any(|prefix| key.starts_with(prefix)) =>
        {
            Ok(())
        }
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => {
            let shown: String = key.chars().take(8).collect();
            Err(ApiError::unauthorized(format!("Invalid API Key provided: {shown}***")))
        }
        _ => Err(ApiError::unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using \
            Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        )),
    }
}

/// Accepts dates with or without the name of a release: `2020-08-27`, `2025-09-30.clover`.
fn check_version(version: Option<&HeaderValue>) -> Result<(), ApiError> {
    let Some(version) = version else { return Ok(()) };
    let text = String::from_utf8_lossy(version.as_bytes());
    let (date, release) = text.split_once('.').map_or((&*text, None), |(date, release)| (date, Some(release)));
    let named = |release: &str| !release.is_empty() && release.bytes().all(|letter| letter.is_ascii_lowercase());
    match chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d") {
        Ok(_) if release.is_none_or(named) => Ok(()),
        _ => Err(ApiError::version(&text)),
    }
}

fn failed(simulation: &Simulation, error: &ApiError, request_id: &str) -> StoredResponse {
    StoredResponse {
        status: error.status,
        body: error.json(request_id, &simulation.account).to_string(),
        request_id: request_id.to_owned(),
    }
}

/// Faults before execution, the request itself, then faults after it.
async fn reply(simulation: &Simulation, api_request: ApiRequest) -> Reply {
    use RequestFaultKind::{
        Forbidden, RateLimited, ServerError, ServerErrorAfterEffect, TimeoutAfterEffect, TimeoutBeforeEffect,
    };
    let fault = simulation.faults.inject(&api_request.method, &api_request.path);
    match &fault {
        Some(fault) if fault.kind == RateLimited => {
            let answer = failed(simulation, &ApiError::rate_limited(), &api_request.request_id);
            Reply::Response(PreparedResponse { answer, original: None, retry_after_s: Some(fault.retry_after_s()) })
        }
        Some(fault) if fault.kind == Forbidden => {
            let error = ApiError::forbidden(&simulation.account);
            Reply::Response(failed(simulation, &error, &api_request.request_id).into())
        }
        Some(fault) if fault.kind == ServerError => {
            Reply::Response(failed(simulation, &ApiError::internal(), &api_request.request_id).into())
        }
        Some(fault) if fault.kind == TimeoutBeforeEffect => Reply::Silence(fault.delay_time()),
        _ => {
            let given = execute_idempotently(simulation, &api_request, fault.as_ref()).await;
            match fault {
                Some(fault) if fault.kind == TimeoutAfterEffect => Reply::Silence(fault.delay_time()),
                Some(fault) if fault.kind == ServerErrorAfterEffect && api_request.key.is_none() => {
                    Reply::Response(failed(simulation, &ApiError::internal(), &api_request.request_id).into())
                }
                _ => Reply::Response(given),
            }
        }
    }
}

/// Executes a request once for each idempotency key.
async fn execute_idempotently(
    simulation: &Simulation,
    api_request: &ApiRequest,
    fault: Option<&RequestFault>,
) -> PreparedResponse {
    let params = match form::parse(if api_request.method == "POST" { &api_request.body } else { &api_request.query }) {
        Ok(params) => params,
        Err(error) => return failed(simulation, &error, &api_request.request_id).into(),
    };
    if let Some(key) = &api_request.key {
        let request = format!("{} {} {}", api_request.method, api_request.path, Value::Object(params.clone()));
        match simulation.read().keys.begin(key, &request, now_ms() / 1_000) {
            Ok(None) => {}
            Ok(Some(answer)) => {
                let original = Some(answer.request_id.clone());
                return PreparedResponse { original, ..answer.into() };
            }
            Err(error) => return failed(simulation, &error, &api_request.request_id).into(),
        }
    }
    if let Some(fault) = fault.filter(|fault| fault.kind == RequestFaultKind::Slow) {
        tokio::time::sleep(fault.delay_time()).await;
    }
    execute(simulation, api_request, &Params::new(params), fault.map(|fault| fault.kind)).into()
}

/// The effect and the record of the key are one change.
fn execute(
    simulation: &Simulation,
    api_request: &ApiRequest,
    params: &Params,
    fault: Option<RequestFaultKind>,
) -> StoredResponse {
    let call = Call {
        method: &api_request.method,
        path: api_request.path.strip_prefix("/v1").unwrap_or(&api_request.path),
        params,
    };
    let cause =
        Cause { now_ms: now_ms(), request_id: Some(api_request.request_id.clone()), key: api_request.key.clone() };
    let work = |state: &mut crate::state::State| {
        let result = match fault {
            Some(RequestFaultKind::ServerErrorKept) => Err(ApiError::internal()),
            Some(RequestFaultKind::ServerErrorAfterEffect) if api_request.key.is_some() => {
                let done = api::answer(state, &cause, &call);
                done.and_then(|_| Err(ApiError::internal()))
            }
            _ => api::answer(state, &cause, &call),
        };
        let (answer, kept) = match result {
            Ok(body) => (
                StoredResponse { status: 200, body: body.to_string(), request_id: api_request.request_id.clone() },
                true,
            ),
            Err(error) => (failed(simulation, &error, &api_request.request_id), error.kept),
        };
        match &api_request.key {
            Some(key) if kept => state.keys.keep(key, answer.clone()),
            Some(key) => state.keys.forget(key),
            None => {}
        }
        answer
    };
    // Only requests that may change something count as a change.
    if api_request.method == "POST" { simulation.change(work) } else { work(&mut simulation.read()) }
}

fn respond(
    given: PreparedResponse,
    request_id: &str,
    version: Option<HeaderValue>,
    key: Option<String>,
) -> Response<Body> {
    let replayed = given.original.is_some();
    let should_retry = matches!(given.answer.status, 409 | 429).then_some("true");
    let retry_after = given.retry_after_s.map(|seconds| seconds.to_string());
    let mut response = Response::new(Body::from(given.answer.body));
    *response.status_mut() = given.answer.status.try_into().unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("stripe-version", version.unwrap_or(HeaderValue::from_static(API_VERSION)));
    let more = [
        ("request-id", Some(request_id)),
        ("idempotency-key", key.as_deref()),
        ("original-request", given.original.as_deref()),
        ("idempotent-replayed", replayed.then_some("true")),
        ("retry-after", retry_after.as_deref()),
        ("stripe-should-retry", should_retry),
    ];
    for (name, value) in more {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    response
}

fn abort_connection() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(AbortConnection);
    response
}
