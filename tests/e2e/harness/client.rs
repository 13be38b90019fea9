//! HTTP client of the API.

use anyhow::{Context, Result, ensure};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use uuid::Uuid;

/// Longer than the longest wait that the API grants.
const TIMEOUT: Duration = Duration::from_secs(40);

/// A response of the API, with its body parsed.
#[derive(Debug, Clone)]
pub(crate) struct ApiResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl ApiResponse {
    /// The text of a header; empty if absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A string in the body, by JSON pointer; empty if absent.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The code of a problem document, after checking its members.
    pub(crate) fn problem(&self) -> Result<&str> {
        ensure!(self.header("content-type") == "application/problem+json", "not a problem: {self:?}");
        ensure!(self.body["status"] == self.status.as_u16(), "{self:?}");
        for member in ["code", "title", "detail", "request_id"] {
            ensure!(!self.text(&format!("/{member}")).is_empty(), "no {member}: {self:?}");
        }
        Ok(self.text("/code"))
    }
}

/// An accepted booking request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AcceptedBooking {
    pub(crate) id: Uuid,
    pub(crate) token: String,
}

/// Sends requests to one API instance.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).pool_max_idle_per_host(64).build()?;
        Ok(Self { http, base: format!("http://{address}") })
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The base URL of the API.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// An arbitrary request.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<ApiResponse> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        Ok(ApiResponse { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }

    /// `POST` with a JSON body and these headers.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<ApiResponse> {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        self.send(Method::POST, path, &all, Some(body.to_string().into_bytes())).await
    }

    /// `POST /api/bookings` with this key.
    pub(crate) async fn request_booking(&self, key: &str, body: &Value) -> Result<ApiResponse> {
        self.post("/api/bookings", &[("idempotency-key", key)], body).await
    }

    /// As [`Client::request_booking`], waiting for the decision.
    pub(crate) async fn request_booking_and_wait(&self, key: &str, body: &Value) -> Result<ApiResponse> {
        self.post("/api/bookings", &[("idempotency-key", key), ("prefer", "wait=30")], body).await
    }

    /// Requests a booking, which must be accepted.
    pub(crate) async fn book(&self, key: &str, body: &Value) -> Result<AcceptedBooking> {
        let answer = self.request_booking(key, body).await?;
        ensure!(answer.status == StatusCode::ACCEPTED, "{answer:?}");
        booked(&answer)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<ApiResponse> {
        self.send(Method::GET, path, &[], None).await
    }

    /// The booking as its guest sees it, once it is decided.
    pub(crate) async fn wait_for_decision(&self, booked: &AcceptedBooking) -> Result<Value> {
        let AcceptedBooking { id, token } = booked;
        for _ in 0..4 {
            let answer = self.get(&format!("/api/bookings/{id}?token={token}&wait=20s")).await?;
            // Tests that stop the store make it unreachable for a moment.
            if answer.status == StatusCode::OK && answer.text("/status") != "requested" {
                return Ok(answer.body);
            }
        }
        anyhow::bail!("booking {id} was not decided")
    }

    /// Cancels, waiting for the decision.
    pub(crate) async fn cancel(&self, booked: &AcceptedBooking) -> Result<ApiResponse> {
        let AcceptedBooking { id, token } = booked;
        self.send(Method::DELETE, &format!("/api/bookings/{id}?token={token}"), &[("prefer", "wait=30")], None).await
    }
}

/// Id and token in a response.
pub(crate) fn booked(answer: &ApiResponse) -> Result<AcceptedBooking> {
    let id = answer.text("/id").parse().with_context(|| format!("{answer:?}"))?;
    Ok(AcceptedBooking { id, token: answer.text("/token").to_owned() })
}
