//! Scripted Stripe server that records its requests, and a client of it.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use pvt_stripe::{StripeClient, StripeConfig};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const KEY: &str = "sk_test_canary";
pub(crate) const VERSION: &str = "2025-09-30.clover";

/// What a request looked like.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) form: BTreeMap<String, String>,
    pub(crate) body: String,
    headers: HeaderMap,
}

impl ReceivedRequest {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What the server does with a request.
pub(crate) enum Answer {
    Says(u16, Vec<(&'static str, &'static str)>, String),
    /// Takes the request and never answers.
    Hangs,
    /// Begins to answer and cuts the connection.
    Cuts,
}

pub(crate) fn says(status: u16, body: Value) -> Answer {
    Answer::Says(status, Vec::new(), body.to_string())
}

pub(crate) fn says_with(status: u16, headers: &[(&'static str, &'static str)], body: Value) -> Answer {
    Answer::Says(status, headers.to_vec(), body.to_string())
}

pub(crate) fn error(kind: &str, code: Option<&str>, message: &str) -> Value {
    json!({ "error": { "type": kind, "code": code, "message": message,
        "doc_url": "https://stripe.com/docs/error-codes" } })
}

#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
}

pub(crate) struct Server {
    pub(crate) client: StripeClient,
    pub(crate) base: String,
    script: Script,
}

impl Server {
    /// Answers in this order, then with 500 for ever.
    pub(crate) async fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::patient(answers, Duration::from_secs(5)).await
    }

    pub(crate) async fn patient(answers: impl IntoIterator<Item = Answer>, call_timeout: Duration) -> Self {
        let script = Script::default();
        script.answers.lock().unwrap().extend(answers);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { client: client(&base, call_timeout), base, script }
    }

    pub(crate) fn received(&self) -> Vec<ReceivedRequest> {
        self.script.requests.lock().unwrap().clone()
    }

    /// The only request.
    pub(crate) fn only(&self) -> ReceivedRequest {
        let requests = self.received();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.into_iter().next().unwrap()
    }
}

pub(crate) fn client(base: &str, call_timeout: Duration) -> StripeClient {
    StripeClient::new(StripeConfig {
        secret_key: KEY.into(),
        api_base: base.parse().unwrap(),
        api_version: VERSION.into(),
        call_timeout,
    })
    .unwrap()
}

async fn answer(
    State(script): State<Script>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let pairs = |text: &[u8]| url::form_urlencoded::parse(text).into_owned().collect();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let request = ReceivedRequest {
        method,
        path: uri.path().to_owned(),
        query: pairs(uri.query().unwrap_or_default().as_bytes()),
        form: pairs(body.as_bytes()),
        body,
        headers,
    };
    script.requests.lock().unwrap().push(request);
    let next = script.answers.lock().unwrap().pop_front();
    match next.unwrap_or_else(|| says(500, error("api_error", None, "the script has ended"))) {
        Answer::Says(status, headers, text) => {
            let mut response = Response::builder()
                .status(status)
                .header("request-id", "req_42")
                .header("content-type", "application/json");
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(text)).unwrap()
        }
        Answer::Hangs => std::future::pending().await,
        Answer::Cuts => Response::builder().header("content-length", "1000").body(Body::from("{\"id\":")).unwrap(),
    }
}

pub(crate) fn session(status: &str) -> Value {
    json!({ "id": "cs_1", "object": "checkout.session", "status": status, "payment_status": "unpaid",
        "amount_total": 4_410, "currency": "cad",
            "payment_intent": null, "url": "https://checkout.stripe.com/c/pay/cs_1", "expires_at": 1_800_001_800,
            "metadata": {} })
}

pub(crate) fn intent(status: &str) -> Value {
    json!({ "id": "pi_1", "object": "payment_intent", "status": status, "amount": 4_410, "amount_received": 0,
        "currency": "cad", "client_secret": "pi_1_secret_x" })
}

pub(crate) fn refund(id: &str) -> Value {
    json!({ "id": id, "object": "refund", "amount": 500, "currency": "cad", "status": "succeeded",
        "payment_intent": "pi_1", "metadata": { "refund_key": "k" } })
}
