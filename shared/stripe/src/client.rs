//! Transport: one request to Stripe, its attempts and its response.
//!
//! Never follows a redirect: the key is sent to the configured address only.

use crate::answer::{self, Head};
use crate::circuits::Circuits;
use crate::error::StripeError;
use crate::metrics as names;
use crate::retry::Attempts;
use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use pvt_traces::Span;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, redirect};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use stripe_client_core::{RequestBuilder as StripeCall, StripeMethod, StripeRequest};
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;
use url::{Url, form_urlencoded};

/// Largest response that is read, in bytes: a full page of events has some hundred kilobytes.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest idempotency key that Stripe accepts, in characters.
const MAX_KEY_CHARS: usize = 255;
const USER_AGENT: &str = concat!("pvt-booking/", env!("CARGO_PKG_VERSION"));

/// Settings of the client. Printing them shows no key.
#[derive(Debug, Clone)]
pub struct StripeConfig {
    /// `sk_live_…`, `sk_test_…` or a restricted `rk_…`.
    pub secret_key: SecretString,
    /// `https://api.stripe.com`, or the URL of a simulator.
    pub api_base: Url,
    /// The API version of requests and responses, for example `2025-09-30.clover`.
    pub api_version: String,
    /// How long one attempt may take.
    pub call_timeout: Duration,
}

impl StripeConfig {
    /// The usual [`call_timeout`](Self::call_timeout).
    pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
}

/// Client of Stripe's API. Clones share their connections.
#[derive(Debug, Clone)]
pub struct StripeClient {
    http: reqwest::Client,
    config: Arc<StripeConfig>,
    /// Seconds by which Stripe's clock was ahead of ours at its last answer.
    clock_ahead: Arc<AtomicI64>,
    circuits: Arc<Circuits>,
}

/// A request, sent once per attempt.
struct Call {
    operation: &'static str,
    method: Method,
    url: Url,
    body: Option<String>,
    key: Option<HeaderValue>,
}

impl StripeClient {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// [`StripeError::Unauthorized`] when the key or the version cannot be a header, [`StripeError::Unavailable`] when
    /// TLS cannot be set up.
    pub fn new(config: StripeConfig) -> Result<Self, StripeError> {
        let sendable = |text: &str| !text.is_empty() && HeaderValue::from_str(text).is_ok();
        if !sendable(config.secret_key.expose_secret()) || !sendable(&config.api_version) {
            return Err(StripeError::Unauthorized(
                "the key or the version is empty or has characters not allowed in a header".to_owned(),
            ));
        }
        let setup = |error: &dyn std::fmt::Display| StripeError::Unavailable {
            operation: "setup",
            message: format!("the client cannot be set up: {error}"),
        };
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls().map_err(|error| setup(&error))?)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| setup(&error))?;
        Ok(Self { http, config: Arc::new(config), clock_ahead: Arc::default(), circuits: Arc::default() })
    }

    /// The present time by Stripe's clock, in Unix seconds: what is read from Stripe is compared with events, which
    /// have the times of that clock.
    pub fn time(&self) -> i64 {
        Utc::now().timestamp() + self.clock_ahead.load(Ordering::Relaxed)
    }

    /// Whether Stripe has answered this operation, also with a refusal, after this time.
    pub fn answered_since(&self, operation: &str, since: DateTime<Utc>) -> bool {
        self.circuits.answered_since(operation, since)
    }

    /// Sends a request of one of async-stripe's builders. Without a key it must be one that may be repeated.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: &impl StripeRequest,
        key: Option<&str>,
    ) -> Result<T, StripeError> {
        let key = key.map(idempotency_key).transpose()?;
        let StripeCall { query, body, path, method } = request.build();
        let mut url = self.config.api_base.clone();
        url.set_path(&format!("{}/v1{path}", self.config.api_base.path().trim_end_matches('/')));
        url.set_query(query.as_deref().filter(|query| !query.is_empty()));
        let method = match method {
            StripeMethod::Get => Method::GET,
            StripeMethod::Post => Method::POST,
            StripeMethod::Delete => Method::DELETE,
        };
        let body = (method == Method::POST).then(|| canonical(body.as_deref().unwrap_or_default()));
        self.execute(Call { operation, method, url, body, key }).await
    }

    async fn execute<T: DeserializeOwned>(&self, call: Call) -> Result<T, StripeError> {
        let circuit = self.circuits.of(call.operation);
        let pass = circuit.enter().await?;
        let outcome = self.execute_now(&call).await;
        pass.report(outcome.as_ref().err());
        outcome
    }

    async fn execute_now<T: DeserializeOwned>(&self, call: &Call) -> Result<T, StripeError> {
        let mut attempts = Attempts::new(self.config.call_timeout);
        loop {
            let limit = attempts.timeout();
            let begun = Instant::now();
            let span = Span::stripe(call.operation, call.method.as_str());
            let answered = timeout(limit, self.attempt(call)).await.unwrap_or_else(|_| {
                let message = format!("no answer within {} ms", limit.as_millis());
                Err(StripeError::Unavailable { operation: call.operation, message })
            });
            let is_final = answered.as_ref().is_ok_and(|(head, _)| head.is_final);
            let outcome = answered.and_then(|(head, body)| answer::read(&head, &body));
            span.end_with(outcome.as_ref().err().map(StripeError::outcome));
            note(call.operation, begun, &outcome);
            let error = match outcome {
                Ok(object) => return Ok(object),
                Err(error) => error,
            };
            match attempts.wait(&error).filter(|_| !is_final) {
                Some(wait) => sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    async fn attempt(&self, call: &Call) -> Result<(Head, Vec<u8>), StripeError> {
        let mut response = self.request(call).send().await.map_err(|error| unavailable(call.operation, error))?;
        let head = Head::new(call.operation, response.status(), response.headers());
        if let Some(date) = head.date {
            self.clock_ahead.store(date - Utc::now().timestamp(), Ordering::Relaxed);
        }
        let body = body(call.operation, &mut response).await?;
        debug!(
            operation = call.operation,
            status = head.status.as_u16(),
            request = head.request_id,
            "response from Stripe"
        );
        Ok((head, body))
    }

    fn request(&self, call: &Call) -> RequestBuilder {
        let mut request = self
            .http
            .request(call.method.clone(), call.url.clone())
            .bearer_auth(self.config.secret_key.expose_secret())
            .header("stripe-version", &self.config.api_version);
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body.clone());
        }
        request
    }
}

/// The same fields in the order of their names: the builders keep metadata in hash maps, and a repeated request under
/// the same idempotency key must be the same request.
fn canonical(form: &str) -> String {
    let mut fields: Vec<_> = form_urlencoded::parse(form.as_bytes()).collect();
    fields.sort();
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// An id as one segment of a path, whatever it holds.
pub(crate) fn segment(id: &str) -> String {
    const RESERVED: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'#')
        .add(b'%')
        .add(b'/')
        .add(b'<')
        .add(b'>')
        .add(b'?')
        .add(b'`')
        .add(b'{')
        .add(b'}')
        .add(b'\\');
    utf8_percent_encode(id, RESERVED).to_string()
}

/// Trusts the public certificate authorities only, whatever the machine trusts.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn idempotency_key(key: &str) -> Result<HeaderValue, StripeError> {
    let fits = !key.is_empty() && key.chars().count() <= MAX_KEY_CHARS;
    let value = HeaderValue::from_str(key).ok().filter(|_| fits);
    value.ok_or_else(|| {
        StripeError::Idempotency(format!("the key must have 1 to {MAX_KEY_CHARS} characters allowed in a header"))
    })
}

/// The response's body, up to a bound.
async fn body(operation: &'static str, response: &mut Response) -> Result<Vec<u8>, StripeError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unavailable(operation, error))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(StripeError::Unreadable(format!("the response is longer than {MAX_ANSWER_BYTES} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A transport failure: whether the request arrived is unknown.
fn unavailable(operation: &'static str, error: reqwest::Error) -> StripeError {
    let error = error.without_url();
    let mut message = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    StripeError::Unavailable { operation, message: crate::redact::redacted(&message) }
}

fn note<T>(operation: &'static str, begun: Instant, outcome: &Result<T, StripeError>) {
    let outcome = outcome.as_ref().map_or_else(StripeError::outcome, |_| "ok");
    metrics::counter!(names::CALLS, "operation" => operation, "outcome" => outcome).increment(1);
    metrics::histogram!(names::CALL_SECONDS, "operation" => operation).record(begun.elapsed().as_secs_f64());
}
