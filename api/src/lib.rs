//! The HTTP API: bookings and payments are changed by commands to workers, inventory and accounts directly.
//!
//! It authenticates, validates, publishes and answers, and keeps caches that any instance can rebuild from the store
//! and the broker. It must never change a booking or a ledger itself, and never answer 2xx to a command that the broker
//! has not confirmed.

mod auth;
mod commands;
mod form;
mod http;
mod openapi;
mod read_models;
mod resources;
mod router;
mod state;
mod store_call;

use anyhow::Context as _;
use axum::Router;
use pvt_service::Config;
use pvt_service::http::Pages;
use pvt_service::server;
use state::{App, SharedApp};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

/// The name of an instance in its spans, and at the broker.
pub const NAME: &str = state::ABOUT.name;
/// For requests in progress at shutdown; within Kubernetes' and systemd's usual 30 s.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);
/// For what is still being published after the last answer.
const PUBLISH_LIMIT: Duration = Duration::from_secs(5);

/// An API instance that listens and does not serve yet.
pub struct Server {
    app: SharedApp,
    router: Router,
    listener: TcpListener,
    operators: TcpListener,
    pages: Pages,
    /// While it still serves after it was asked to stop.
    shutdown_delay: Duration,
    parts: CancellationToken,
    /// Ends the tasks of an instance that is dropped, run or not.
    guard: DropGuard,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Server {
    /// Binds `PVT_HTTP_ADDR` and `PVT_METRICS_ADDR`, and begins to connect to broker and store; neither needs to be
    /// there yet.
    ///
    /// # Errors
    /// When an address is taken or a setting cannot be used.
    pub async fn bind(config: &Config) -> anyhow::Result<Self> {
        let parts = CancellationToken::new();
        let guard = parts.clone().drop_guard();
        let listener = TcpListener::bind(config.http_addr)
            .await
            .with_context(|| format!("PVT_HTTP_ADDR {} cannot be listened on", config.http_addr))?;
        let operators = TcpListener::bind(config.api_metrics_addr)
            .await
            .with_context(|| format!("PVT_METRICS_ADDR {} cannot be listened on", config.api_metrics_addr))?;
        let app = App::start(config, &parts).await?;
        // First: metrics that are created before there is a recorder are lost.
        let pages = router::operating_pages(&app)?;
        let router = router::router(app.clone(), config);
        Ok(Self { app, router, listener, operators, pages, shutdown_delay: config.shutdown_delay, parts, guard })
    }

    /// Where it listens; tells the port when the configured one was 0.
    ///
    /// # Errors
    /// When the system does not know.
    pub fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Answers until `stop` is cancelled. Then it is not ready any more and goes on for `PVT_SHUTDOWN_DELAY`, and
    /// finishes what has begun: at most 25 s.
    ///
    /// # Errors
    /// When the system does not know where it listens.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        info!(address = %self.local_addr()?, "the API listens");
        let Self { app, router, listener, operators, pages, shutdown_delay, parts, guard } = self;
        let finish = CancellationToken::new();
        // Requests that only wait are answered once the parts are stopped, so both stop at once.
        let stopped = async {
            stop.cancelled().await;
            app.is_stopping.store(true, Ordering::Relaxed);
            // Requests go on arriving until every load balancer has seen that this instance is not ready.
            sleep(shutdown_delay).await;
            finish.cancel();
            parts.cancel();
        };
        let operating = pvt_service::http::serve(operators, pages, finish.clone());
        let guests = server::serve(listener, router, finish.clone(), DRAIN_LIMIT);
        let ((), operated, ()) = tokio::join!(stopped, operating, guests);
        if let Err(error) = operated {
            warn!(%error, "the pages for operators failed");
        }
        app.close(PUBLISH_LIMIT).await;
        drop(guard);
        info!("the API has stopped");
        Ok(())
    }
}

/// Binds and runs one API instance until `stop` is cancelled.
///
/// # Errors
/// As [`Server::bind`].
pub async fn run(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    Server::bind(&config).await?.run(stop).await
}
