//! The front desk of a property, over HTTP.

use super::{AcceptedBooking, ApiResponse, Client, Stack};
use anyhow::{Context, Result, ensure};
use chrono::{Days, NaiveDate};
use pvt_domain::demo;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// The front desk, with an API key.
#[derive(Clone)]
pub(crate) struct FrontDesk {
    client: Client,
    bearer: String,
}

impl FrontDesk {
    /// A front desk with a key of its own.
    pub(crate) async fn of(stack: &Stack) -> Result<Self> {
        Self::with_role(stack, "staff").await
    }

    /// As [`Self::of`], with the rights of another role.
    pub(crate) async fn with_role(stack: &Stack, role: &str) -> Result<Self> {
        let key = stack.pvt_json(&["keys", "create", "--role", role, "--json"]).await?;
        Ok(Self { client: stack.client.clone(), bearer: format!("Bearer {}", key["key"].as_str().context("a key")?) })
    }

    /// Sends a request, with the revision that it is about.
    pub(crate) async fn send(&self, method: Method, path: &str, rev: Option<u64>, body: &Value) -> Result<ApiResponse> {
        let tag = rev.map(|rev| format!("\"{rev}\""));
        let mut headers =
            vec![("authorization", self.bearer.as_str()), ("content-type", "application/json"), ("prefer", "wait=30")];
        headers.extend(tag.as_deref().map(|tag| ("if-match", tag)));
        self.client.send(method, path, &headers, Some(body.to_string().into_bytes())).await
    }

    /// As [`Self::send`], with a body of another type, and the type that the answer should have.
    pub(crate) async fn send_as(
        &self,
        method: Method,
        path: &str,
        rev: Option<u64>,
        (kind, accept): (&str, &str),
        body: String,
    ) -> Result<ApiResponse> {
        let tag = rev.map(|rev| format!("\"{rev}\""));
        let mut headers = vec![
            ("authorization", self.bearer.as_str()),
            ("content-type", kind),
            ("accept", accept),
            ("prefer", "wait=30"),
        ];
        headers.extend(tag.as_deref().map(|tag| ("if-match", tag)));
        self.client.send(method, path, &headers, Some(body.into_bytes())).await
    }

    /// Requests a booking with this key and waits for the decision.
    pub(crate) async fn request_booking(&self, key: &str, body: &Value) -> Result<ApiResponse> {
        self.post_once(key, "/api/bookings", body).await
    }

    /// Records a payment with this key, or, with a negative amount, a refund.
    pub(crate) async fn record_payment(&self, key: &str, body: &Value) -> Result<ApiResponse> {
        self.post_once(key, "/api/payments/record", body).await
    }

    async fn post_once(&self, key: &str, path: &str, body: &Value) -> Result<ApiResponse> {
        let headers = [("authorization", self.bearer.as_str()), ("idempotency-key", key), ("prefer", "wait=30")];
        self.client.post(path, &headers, body).await
    }

    /// A command about a booking.
    pub(crate) async fn command(&self, booking: &AcceptedBooking, command: &str, body: &Value) -> Result<ApiResponse> {
        self.send(Method::POST, &format!("/api/bookings/{}/{command}", booking.id), None, body).await
    }

    /// As [`Self::command`], which must succeed.
    pub(crate) async fn succeed(&self, booking: &AcceptedBooking, command: &str, body: &Value) -> Result<ApiResponse> {
        let answer = self.command(booking, command, body).await?;
        ensure!(answer.status == StatusCode::OK, "{command}: {answer:?}");
        Ok(answer)
    }

    /// Lets the guests stay until this day.
    pub(crate) async fn extend(&self, booking: &AcceptedBooking, departure: NaiveDate) -> Result<ApiResponse> {
        let path = format!("/api/bookings/{}", booking.id);
        let now = self.send(Method::GET, &path, None, &json!({})).await?;
        self.send(Method::PATCH, &path, now.body["rev"].as_u64(), &json!({ "stays": [{ "departure": departure }] }))
            .await
    }

    /// Ends the business day of a property at midnight.
    pub(crate) async fn close_day(&self, property: &str) -> Result<()> {
        let path = format!("/api/properties/{property}");
        let now = self.send(Method::GET, &path, None, &json!({})).await?;
        let rev = now.header("etag").trim_matches('"').parse().ok();
        let closed = self.send(Method::PATCH, &path, rev, &json!({ "business_day_cutoff": "00:00" })).await?;
        ensure!(closed.status == StatusCode::OK, "{closed:?}");
        Ok(())
    }

    /// Assigns beds.
    pub(crate) async fn assign(&self, booking: &AcceptedBooking, assignment: Value) -> Result<ApiResponse> {
        self.command(booking, "assign", &json!({ "assignments": [assignment] })).await
    }

    /// The beds of the first stay.
    pub(crate) async fn beds(&self, booking: &AcceptedBooking) -> Result<Value> {
        let path = format!("/api/bookings/{}", booking.id);
        Ok(self.send(Method::GET, &path, None, &json!({})).await?.body["stays"][0]["assigned_beds"].clone())
    }

    /// Who lies in a bed on a night, and whether it is clean, as the bed calendar shows it.
    pub(crate) async fn bed(&self, bed: &str, night: NaiveDate) -> Result<(Option<String>, String)> {
        let path =
            format!("/api/properties/{}/calendar?from={night}&until={}", demo::PROPERTY_ID, night + Days::new(1));
        let shown = self.send(Method::GET, &path, None, &json!({})).await?;
        let rooms = shown.body["rooms"].as_array().with_context(|| format!("{shown:?}"))?;
        let mut beds = rooms.iter().flat_map(|room| room["beds"].as_array().into_iter().flatten());
        let found = beds.find(|one| one["id"] == bed).with_context(|| format!("{bed} in {shown:?}"))?;
        let occupant = found["entries"][0]["booking_id"].as_str().map(str::to_owned);
        Ok((occupant, found["cleanliness"].as_str().unwrap_or_default().to_owned()))
    }
}
