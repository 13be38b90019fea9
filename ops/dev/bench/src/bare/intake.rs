//! Bare intake: an HTTP handler that only publishes a body and waits for the confirm, in a process of its own like the
//! API.

use crate::stripe;
use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use pvt_messaging::{Outgoing, Publisher, Target};
use pvt_operations::broker;
use pvt_service::config::Config;
use pvt_service::telemetry;
use secrecy::ExposeSecret;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Path that answers 200 once messages can be published.
pub(crate) const READY_PATH: &str = "/readyz";
/// A response of about the length of the API's.
const ANSWER: &str = "{\"id\":\"00000000-0000-4000-8000-000000000000\",\"reference\":\"PVT-0000000000\",\
    \"status\":\"requested\",\"token\":\"0000000000000000000000000000000000000000000\",\
    \"links\":{\"self\":\"/api/bookings/00000000-0000-4000-8000-000000000000\",\
    \"events\":\"/api/bookings/00000000-0000-4000-8000-000000000000/events\"}}";

struct Bare {
    publisher: Publisher,
    keys: Vec<String>,
    body: Bytes,
    published: AtomicU64,
}

/// Serves until `stop`, publishing `body_bytes` for each request into the booking queues in turn.
pub(crate) async fn serve(body_bytes: usize, stop: CancellationToken) -> Result<()> {
    let config = Config::from_env()?;
    let telemetry = telemetry::init(&config, "pvt-bench")?;
    let topology = broker::topology(&config);
    let bare = Bare {
        publisher: Publisher::start(config.amqp_url.expose_secret(), topology.clone(), "bare intake"),
        keys: (0..topology.partitions()).map(|partition| format!("bookings.{partition}")).collect(),
        body: Bytes::from(vec![b' '; body_bytes]),
        published: AtomicU64::new(0),
    };
    let router = Router::new()
        .route("/api/bookings", post(publish))
        .route(stripe::PATH, post(publish))
        .route(READY_PATH, get(ready))
        .with_state(Arc::new(bare));
    let listener = TcpListener::bind(config.http_addr).await?;
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await?;
    telemetry.close().await;
    Ok(())
}

async fn publish(State(bare): State<Arc<Bare>>, _request: Bytes) -> Response {
    let number = bare.published.fetch_add(1, Ordering::Relaxed);
    let id = Uuid::from_u64_pair(number, 0);
    let turn = usize::try_from(number).unwrap_or_default() % bare.keys.len();
    let key = bare.keys.get(turn).cloned().unwrap_or_default();
    match bare
        .publisher
        .publish(Outgoing::raw(Target::Commands, key, id, "bench.bare.v1", bare.body.clone()).with_correlation_id(id))
        .await
    {
        Ok(()) => (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], ANSWER).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

async fn ready(State(bare): State<Arc<Bare>>) -> StatusCode {
    if bare.publisher.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
