//! The API as clients meet it, without broker or store: everything that is decided before either is used.

mod access;
mod accounts;
mod bookings;
mod example_route;
mod limits;
mod maintenance;
mod openapi;
mod payments;
mod webhook;

use super::router;
use crate::read_models::inventory::InventoryCache;
use crate::read_models::maintenance::MaintenanceWatch;
use crate::state::{App, SharedApp};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::Response;
use chrono::{Days, Utc};
use pvt_domain::demo;
use pvt_domain::ids::BookingId;
use pvt_domain::inventory::Inventory;
use pvt_service::Config;
use pvt_service::client_address::Peer;
use pvt_service::health::State;
use pvt_service::tokens::Purpose;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::maintenance::Maintenance;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt as _;

/// Port 1 of loopback: refuses every connection at once.
const UNREACHABLE: [(&str, &str); 2] = [
    ("AMQP_URL", "amqp://guest:guest@127.0.0.1:1/%2f"),
    ("MONGODB_URI", "mongodb://127.0.0.1:1/pvt?serverSelectionTimeoutMS=100"),
];

struct Api {
    app: SharedApp,
    router: Router,
    _guard: DropGuard,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Api {
    async fn knowing(inventories: impl IntoIterator<Item = Inventory>) -> Self {
        Self::with(Config::from_pairs(UNREACHABLE).unwrap(), inventories).await
    }

    async fn with(config: Config, inventories: impl IntoIterator<Item = Inventory>) -> Self {
        Self::in_maintenance(None, config, inventories).await
    }

    async fn in_maintenance(
        maintenance: Option<Maintenance>,
        config: Config,
        inventories: impl IntoIterator<Item = Inventory>,
    ) -> Self {
        pvt_service::tls::install_provider();
        let stop = CancellationToken::new();
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "tests").await.unwrap();
        let read_models = (InventoryCache::of(inventories), MaintenanceWatch::of(maintenance));
        let app = App::with_read_models(&config, &stop, mongo, read_models).unwrap();
        pvt_service::telemetry::metrics_handle().unwrap();
        let router = router(app.clone(), &config);
        Self { app, router, _guard: stop.drop_guard() }
    }

    async fn new() -> Self {
        Self::knowing([demo::inventory()]).await
    }

    async fn send(&self, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(Peer(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let response: Response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, body: impl Into<Body>) -> Answer {
        self.send(booking_request().body(body.into()).unwrap()).await
    }
}

impl Answer {
    fn code(&self) -> &str {
        if self.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json") {
            assert_eq!(self.body["status"], self.status.as_u16());
            assert!(self.body["request_id"].as_str().is_some_and(|id| !id.is_empty()));
            assert!(self.body["detail"].as_str().is_some_and(|detail| detail.ends_with('.')), "{}", self.body);
        }
        self.body["code"].as_str().unwrap_or_default()
    }

    fn pointers(&self) -> Vec<&str> {
        self.body["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect()
    }
}

fn booking_request() -> axum::http::request::Builder {
    Request::post("/api/bookings").header(header::CONTENT_TYPE, "application/json").header("idempotency-key", "k-1")
}

fn good_body() -> Value {
    let arrival = Utc::now().date_naive() + Days::new(30);
    json!({
        "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "direct",
        "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": arrival, "departure": arrival + Days::new(2),
        "guests": 2 }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "phone": "+15145550100",
        "locale": "en" },
    })
}

#[tokio::test]
async fn valid_request_without_broker_is_503_and_retryable() {
    let api = Api::new().await;
    let begun = tokio::time::Instant::now();
    let answer = api.post(good_body().to_string()).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "broker_unavailable"));
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    assert!(begun.elapsed().as_secs() < 6);
}

#[tokio::test]
async fn all_field_errors_are_reported() {
    let api = Api::new().await;
    let mut body = good_body();
    body["stays"][0] = json!({ "room_type_id": "castle", "arrival": "2020-01-01", "departure": "2019-12-31",
        "guests": 0, "smoking": true });
    body["guest"]["email"] = json!("ada");
    body["price"] = json!(1);
    let answer = api.post(body.to_string()).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::UNPROCESSABLE_ENTITY, "validation_failed"));
    let expected = [
        "/price",
        "/stays/0/smoking",
        "/guest/email",
        "/stays/0/arrival",
        "/stays/0/departure",
        "/stays/0/guests",
        "/stays/0/room_type_id",
    ];
    assert_eq!(answer.pointers(), expected);
}

#[tokio::test]
async fn malformed_requests_are_refused_by_kind() {
    let api = Api::new().await;
    let broken = api.post("{\"property_id\": }").await;
    assert_eq!((broken.status.as_u16(), broken.code()), (400, "invalid_json"));
    assert!(broken.body["detail"].as_str().unwrap().contains("line 1 column 17"), "{}", broken.body);
    let oversize = api.post(" ".repeat(64 * 1024 + 1)).await;
    assert_eq!((oversize.status.as_u16(), oversize.code()), (413, "payload_too_large"));
    let plain =
        api.send(Request::post("/api/bookings").header("idempotency-key", "k").body(Body::from("{}")).unwrap()).await;
    assert_eq!((plain.status.as_u16(), plain.code()), (415, "unsupported_media_type"));
    let keyless = api
        .send(
            Request::post("/api/bookings")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from("{}"))
                .unwrap(),
        )
        .await;
    assert_eq!((keyless.status.as_u16(), keyless.code()), (400, "idempotency_key_missing"));
    let mut card = good_body();
    card["guest"]["last_name"] = json!("4242 4242 4242 4242");
    let card = api.post(card.to_string()).await;
    assert_eq!((card.status.as_u16(), card.code()), (422, "card_number_refused"));
    assert!(!card.body.to_string().contains("4242"), "the number is not repeated");
}

#[tokio::test]
async fn intake_without_properties_is_not_ready() {
    let api = Api::knowing([]).await;
    for body in [good_body().to_string(), "{}".to_owned()] {
        let answer = api.post(body).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "not_ready"));
        assert!(answer.headers.contains_key(header::RETRY_AFTER));
    }
    let report = api.app.health.report().await;
    let down: Vec<_> =
        report.components.iter().filter(|part| part.status == State::Down).map(|part| part.name).collect();
    assert_eq!(down, ["broker", "properties", "mongodb", "reply_queue"]);
    assert_eq!(api.get("/livez").await.status.as_u16(), 200);
}

#[tokio::test]
async fn guests_are_shown_probes_and_nothing_of_operations() {
    let api = Api::knowing([]).await;
    for path in ["/metrics", "/version"] {
        assert_eq!(api.get(path).await.code(), "not_found", "{path}");
    }
    for path in ["/readyz", "/readyz?verbose"] {
        let ready = api.get(path).await;
        assert_eq!((ready.status.as_u16(), ready.body), (503, json!({ "status": "down" })), "{path}");
    }
    let health = api.get("/api/health").await;
    // Clients of the release before require `components`.
    assert_eq!((health.status.as_u16(), health.body), (503, json!({ "status": "down", "components": [] })));
    let status = api.get("/api/status").await;
    assert!(status.body.get("environment").is_none(), "{}", status.body);
}

#[tokio::test]
async fn booking_requires_token_or_key() {
    let api = Api::new().await;
    let id = BookingId::derive(None, "k", "f");
    let other = api.app.booking_tokens.token(BookingId::derive(None, "other", "f"), Purpose::Manage, 0);
    for path in [
        format!("/api/bookings/{id}"),
        format!("/api/bookings/{id}?token={other}"),
        format!("/api/bookings/{id}?token="),
        "/api/bookings/1".to_owned(),
    ] {
        let answer = api.get(&path).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (404, "not_found"), "{path}");
    }
    let right = format!("/api/bookings/{id}?token={}", api.app.booking_tokens.token(id, Purpose::Manage, 0));
    let unread = api.get(&right).await;
    assert_eq!(
        (unread.status.as_u16(), unread.code()),
        (503, "store_unavailable"),
        "the right token gets as far as the store"
    );
    let wait = api.get(&format!("{right}&wait=long")).await;
    assert_eq!((wait.status.as_u16(), wait.code()), (400, "invalid_query"));
    let bearer = Request::get(format!("/api/bookings/{id}"))
        .header(header::AUTHORIZATION, format!("Bearer {}", api.app.booking_tokens.token(id, Purpose::Manage, 0)));
    assert_eq!(api.send(bearer.body(Body::empty()).unwrap()).await.status.as_u16(), 503);
}

#[tokio::test]
async fn invalid_credentials_are_401() {
    let api = Api::new().await;
    for credential in ["Basic YTpi", "Bearer nonsense"] {
        let answer = api
            .send(
                booking_request()
                    .header(header::AUTHORIZATION, credential)
                    .body(Body::from(good_body().to_string()))
                    .unwrap(),
            )
            .await;
        assert_eq!((answer.status.as_u16(), answer.code()), (401, "unauthenticated"), "{credential}");
    }
    let anonymous = Request::post("/api/notifications")
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", "k");
    let answer = api.send(anonymous.body(Body::from("{}")).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (401, "unauthenticated"));
}

#[tokio::test]
async fn webhook_requires_valid_signature() {
    let api = Api::new().await;
    let send = async |signature: Option<&str>| {
        let request = signature
            .into_iter()
            .fold(Request::post("/api/payments/webhook"), |request, value| request.header("stripe-signature", value));
        api.send(request.body(Body::from("{}")).unwrap()).await
    };
    for signature in [None, Some("t=1,v1=00"), Some(&*format!("t={},v1={}", Utc::now().timestamp(), "0".repeat(64)))] {
        let answer = send(signature).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, "invalid_signature"));
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let api = Api::new().await;
    let missing = api.get("/api/nowhere").await;
    assert_eq!((missing.status.as_u16(), missing.code()), (404, "not_found"));
    let method = api.send(Request::put("/api/bookings").body(Body::empty()).unwrap()).await;
    assert_eq!((method.status.as_u16(), method.code()), (405, "method_not_allowed"));
    assert_eq!(method.headers[header::ALLOW], "POST,GET,HEAD");
    let options =
        api.send(Request::builder().method(Method::OPTIONS).uri("/api/status").body(Body::empty()).unwrap()).await;
    assert_eq!(options.status.as_u16(), 204);
    assert_eq!(options.headers[header::ALLOW], "GET,HEAD");
    let head = api.send(Request::head("/api/properties").body(Body::empty()).unwrap()).await;
    assert_eq!((head.status.as_u16(), head.body), (200, Value::Null));
}

#[tokio::test]
async fn every_response_carries_id_trace_and_security_headers() {
    let api = Api::new().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = Request::get("/api/nowhere")
        .header("x-request-id", "mine-1")
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let answer = api.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (answer.headers["x-request-id"].to_str().unwrap(), answer.body["request_id"].as_str().unwrap()),
        ("mine-1", "mine-1")
    );
    assert_eq!(answer.headers["traceparent"].to_str().unwrap().split('-').nth(1), Some(trace));
    for name in ["x-content-type-options", "content-security-policy", "referrer-policy", "cache-control"] {
        assert!(answer.headers.contains_key(name), "{name}");
    }
    assert!(!answer.headers.contains_key("strict-transport-security"), "only where guests come over HTTPS");
}

#[tokio::test]
async fn properties_are_listed_and_shown() {
    let mut second = demo::inventory();
    second.property.id = "pvt-quebec".into();
    let api = Api::knowing([demo::inventory(), second]).await;
    let page = api.get("/api/properties?limit=1").await;
    assert_eq!(
        (page.body["items"].as_array().unwrap().len(), page.body["items"][0]["id"].as_str().unwrap()),
        (1, "pvt-montreal")
    );
    let link = page.headers[header::LINK].to_str().unwrap().to_owned();
    let next = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
    let page = api.get(&next).await;
    assert_eq!(page.body["items"][0]["id"], "pvt-quebec");
    assert!(page.body.get("next_cursor").is_none() && !page.headers.contains_key(header::LINK));
    let one = api.get("/api/properties/pvt-montreal").await;
    assert_eq!(one.body["rate_plans"][0]["nightly"]["dorm-6-mixed"], json!({ "amount": 4200, "currency": "CAD" }));
    assert_eq!(one.body["room_types"][0]["max_guests"], 12);
    assert_eq!(one.body["check_in_from"], "15:00");
    assert_eq!(api.get("/api/properties/castle").await.code(), "not_found");
    assert_eq!(api.get("/api/properties?limit=0").await.code(), "invalid_query");
}

#[tokio::test]
async fn metrics_are_labelled_by_route() {
    let api = Api::new().await;
    api.get("/api/bookings/some-id").await;
    let text = pvt_service::telemetry::metrics_handle().unwrap().render();
    assert!(
        text.contains(r#"pvt_http_requests_total{route="/api/bookings/{id}",method="GET",status="404"}"#),
        "{text}"
    );
    assert!(!text.contains("some-id"));
}
