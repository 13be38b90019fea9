//! Stripe's API over HTTP: who asks, which faults strike, what the idempotency key says, then the answer. What is done
//! is decided in [`crate::api`].

use crate::api::{self, Call};
use crate::error::ApiError;
use crate::faults::{RequestFault, RequestFaultKind};
use crate::hub::{Hub, now_ms};
use crate::objects::event::API_VERSION;
use crate::params::Params;
use crate::state::Cause;
use crate::state::keys::Answer;
use crate::{form, ids};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Largest body of a request.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// Marks an answer that must not be given: the connection is closed instead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut;

/// How a request ends.
enum Reply {
    Answer(Given),
    /// No answer: the connection hangs so long, then closes.
    Silence(Duration),
}

/// An answer and what is said about it in headers.
struct Given {
    answer: Answer,
    /// The request that this is the answer of, when it is given again.
    original: Option<String>,
    retry_after_s: Option<u64>,
}

impl From<Answer> for Given {
    fn from(answer: Answer) -> Self {
        Self { answer, original: None, retry_after_s: None }
    }
}

/// What a request brings.
struct Asked {
    method: String,
    /// With `/v1`.
    path: String,
    query: String,
    body: String,
    key: Option<String>,
    request_id: String,
}

/// Everything under `/v1`.
pub(crate) async fn v1(State(hub): State<Arc<Hub>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let request_id = ids::request();
    let version = parts.headers.get("stripe-version").cloned();
    let key = text(&parts.headers, "idempotency-key").filter(|_| parts.method == "POST");
    let body = to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| ApiError::invalid("The request's body is too large"));
    let body = body.and_then(|bytes| {
        String::from_utf8(bytes.into()).map_err(|_| ApiError::invalid("Invalid UTF-8 in the request's body"))
    });
    let reply = match authenticate(&parts.headers).and(body) {
        Err(error) => Reply::Answer(failed(&hub, &error, &request_id).into()),
        Ok(body) => {
            let asked = Asked {
                method: parts.method.to_string(),
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                body,
                key: key.clone(),
                request_id: request_id.clone(),
            };
            let (hub_of_task, id) = (hub.clone(), request_id.clone());
            // In a task of its own: like Stripe, it is finished when the client does not wait for it.
            let task = tokio::spawn(async move { reply(&hub_of_task, asked).await });
            task.await.unwrap_or_else(|_| Reply::Answer(failed(&hub, &ApiError::internal(), &id).into()))
        }
    };
    match reply {
        Reply::Answer(given) => respond(given, &request_id, version, key),
        Reply::Silence(time) => {
            tokio::time::sleep(time).await;
            cut()
        }
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned).filter(|text| !text.is_empty())
}

/// Any secret key of a test account is good.
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

fn failed(hub: &Hub, error: &ApiError, request_id: &str) -> Answer {
    Answer {
        status: error.status,
        body: error.json(request_id, &hub.account).to_string(),
        request_id: request_id.to_owned(),
    }
}

/// Faults that strike before anything begins, then the request itself, then faults that strike afterwards.
async fn reply(hub: &Hub, asked: Asked) -> Reply {
    use RequestFaultKind::{RateLimited, ServerError, ServerErrorAfterEffect, TimeoutAfterEffect, TimeoutBeforeEffect};
    let fault = hub.faults.strike(&asked.method, &asked.path);
    match &fault {
        Some(fault) if fault.kind == RateLimited => {
            let answer = failed(hub, &ApiError::rate_limited(), &asked.request_id);
            Reply::Answer(Given { answer, original: None, retry_after_s: Some(fault.retry_after_s()) })
        }
        Some(fault) if fault.kind == ServerError => {
            Reply::Answer(failed(hub, &ApiError::internal(), &asked.request_id).into())
        }
        Some(fault) if fault.kind == TimeoutBeforeEffect => Reply::Silence(fault.hangs_for()),
        _ => {
            let given = once(hub, &asked, fault.as_ref()).await;
            match fault {
                Some(fault) if fault.kind == TimeoutAfterEffect => Reply::Silence(fault.hangs_for()),
                Some(fault) if fault.kind == ServerErrorAfterEffect && asked.key.is_none() => {
                    Reply::Answer(failed(hub, &ApiError::internal(), &asked.request_id).into())
                }
                _ => Reply::Answer(given),
            }
        }
    }
}

/// Does what is asked, once for each idempotency key.
async fn once(hub: &Hub, asked: &Asked, fault: Option<&RequestFault>) -> Given {
    let params = match form::parse(if asked.method == "POST" { &asked.body } else { &asked.query }) {
        Ok(params) => params,
        Err(error) => return failed(hub, &error, &asked.request_id).into(),
    };
    if let Some(key) = &asked.key {
        let request = format!("{} {} {}", asked.method, asked.path, Value::Object(params.clone()));
        match hub.read().keys.begin(key, &request, now_ms() / 1_000) {
            Ok(None) => {}
            Ok(Some(answer)) => {
                let original = Some(answer.request_id.clone());
                return Given { original, ..answer.into() };
            }
            Err(error) => return failed(hub, &error, &asked.request_id).into(),
        }
    }
    if let Some(fault) = fault.filter(|fault| fault.kind == RequestFaultKind::Slow) {
        tokio::time::sleep(fault.hangs_for()).await;
    }
    execute(hub, asked, &Params::new(params), fault.map(|fault| fault.kind)).into()
}

/// The effect and what the key remembers of it are one change.
fn execute(hub: &Hub, asked: &Asked, params: &Params, fault: Option<RequestFaultKind>) -> Answer {
    let call = Call { method: &asked.method, path: asked.path.strip_prefix("/v1").unwrap_or(&asked.path), params };
    let cause = Cause { now_ms: now_ms(), request_id: Some(asked.request_id.clone()), key: asked.key.clone() };
    let work = |state: &mut crate::state::State| {
        let result = match fault {
            Some(RequestFaultKind::ServerErrorKept) => Err(ApiError::internal()),
            Some(RequestFaultKind::ServerErrorAfterEffect) if asked.key.is_some() => {
                let done = api::answer(state, &cause, &call);
                done.and_then(|_| Err(ApiError::internal()))
            }
            _ => api::answer(state, &cause, &call),
        };
        let (answer, kept) = match result {
            Ok(body) => (Answer { status: 200, body: body.to_string(), request_id: asked.request_id.clone() }, true),
            Err(error) => (failed(hub, &error, &asked.request_id), error.kept),
        };
        match &asked.key {
            Some(key) if kept => state.keys.keep(key, answer.clone()),
            Some(key) => state.keys.forget(key),
            None => {}
        }
        answer
    };
    // Only requests that may change something count as a change.
    if asked.method == "POST" { hub.change(work) } else { work(&mut hub.read()) }
}

fn respond(given: Given, request_id: &str, version: Option<HeaderValue>, key: Option<String>) -> Response<Body> {
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

fn cut() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Cut);
    response
}
