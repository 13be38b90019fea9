//! Harness: a running simulator, a client like Stripe's, and an endpoint that records its deliveries.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use pvt_stripe_simulator::{Control, Endpoint, Simulator, SimulatorOptions};
use serde_json::Value;
use std::future::Future;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Time limit of every wait.
const LIMIT: Duration = Duration::from_secs(20);
pub(crate) const SECRET: &str = "whsec_first";

/// A delivery that an endpoint received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) signature: String,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// An endpoint for webhooks.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    received: Mutex<Vec<Received>>,
    /// The status that it answers; 0 means 200.
    pub(crate) status: AtomicU16,
}

impl Inbox {
    async fn start() -> (Arc<Self>, url::Url) {
        let inbox = Arc::new(Self::default());
        let router = Router::new().route("/hook", post(take)).with_state(inbox.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (inbox, url)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The types of the received events, in the order of arrival.
    pub(crate) fn types(&self) -> Vec<String> {
        self.received().iter().map(|one| one.event()["type"].as_str().unwrap().to_owned()).collect()
    }
}

async fn take(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers["stripe-signature"].to_str().unwrap().to_owned();
    inbox.received.lock().unwrap().push(Received { signature, body: String::from_utf8(body.into()).unwrap() });
    StatusCode::from_u16(inbox.status.load(Ordering::SeqCst)).unwrap_or(StatusCode::OK)
}

/// A response with its body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The JSON of a successful response.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// The error of a response with this status.
    pub(crate) fn error(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()["error"].clone()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A running simulator.
pub(crate) struct Harness {
    pub(crate) base: String,
    pub(crate) control: Control,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) http: reqwest::Client,
    stop: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::start_with(SimulatorOptions::default()).await
    }

    pub(crate) async fn start_with(options: SimulatorOptions) -> Self {
        let (inbox, url) = Inbox::start().await;
        let endpoints = vec![Endpoint { url, secrets: vec![SECRET.to_owned()] }];
        let simulator = Simulator::bind(SimulatorOptions { endpoints, ..options }).await.unwrap();
        let (base, control, stop) =
            (format!("http://{}", simulator.addr()), simulator.handle(), CancellationToken::new());
        let running = tokio::spawn(simulator.run(stop.clone()));
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(LIMIT)
            .build()
            .unwrap();
        Self { base, control, inbox, http, stop, running }
    }

    /// Stops it and waits for its end.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }

    /// Sends a request; an error means that the connection was closed.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        form: &[(&str, &str)],
        key: Option<&str>,
    ) -> reqwest::Result<Answer> {
        let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let url = if method == "GET" { format!("{}{path}?{text}", self.base) } else { format!("{}{path}", self.base) };
        let mut request = self
            .http
            .request(method.parse().unwrap(), url)
            .header("authorization", "Bearer sk_test_any")
            .header("stripe-version", "2025-03-31.basil");
        if method == "POST" {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(text);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let response = request.send().await?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await?,
        })
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send("POST", path, form, None).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        self.send("GET", path, query, None).await.unwrap()
    }

    /// Creates a session of 120.00 CAD for this booking and returns its id.
    pub(crate) async fn session(&self, booking: &str) -> String {
        self.post("/v1/checkout/sessions", &session_form(booking)).await.ok()["id"].as_str().unwrap().to_owned()
    }

    /// Waits until no delivery is outstanding.
    pub(crate) async fn idle(&self) {
        within(self.control.until_idle()).await;
    }

    /// Types of all events, oldest first.
    pub(crate) async fn event_types(&self) -> Vec<String> {
        let list = self.get("/v1/events", &[("limit", "100")]).await.ok();
        let mut types: Vec<String> =
            list["data"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
        types.reverse();
        types
    }
}

/// The parameters that the product would send.
pub(crate) fn session_form(booking: &str) -> Vec<(&str, &str)> {
    vec![
        ("mode", "payment"),
        ("line_items[0][price_data][currency]", "cad"),
        ("line_items[0][price_data][unit_amount]", "6000"),
        ("line_items[0][price_data][product_data][name]", "Two nights"),
        ("line_items[0][quantity]", "2"),
        ("metadata[booking_id]", booking),
        ("payment_intent_data[metadata][booking_id]", booking),
        ("success_url", "http://127.0.0.1:1/done?session={CHECKOUT_SESSION_ID}"),
        ("cancel_url", "http://127.0.0.1:1/cancelled"),
        ("customer_email", "ada@example.com"),
    ]
}

/// Runs a future within the time limit.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("it took too long")
}

/// The strings of one field of a JSON list.
pub(crate) fn texts(list: &Value, field: &str) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|one| one[field].as_str().unwrap().to_owned()).collect()
}
