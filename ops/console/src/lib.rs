//! The operator's console: pages about what is wrong, what waits, what happened to a booking, and a property's day.
//!
//! It reads stores and broker, and changes things only through the functions that the command line uses, with the
//! user's name and a reason. Pages work without scripts; figures follow by one event stream. What cannot be read is
//! shown as such, never as an old figure.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod access;
mod actors;
mod api;
mod app;
mod assets;
mod confirmation;
mod failure;
mod forms;
mod frame;
mod live;
mod login;
mod pages;
mod protection;
mod router;
mod store;

use anyhow::Context as _;
use app::{App, SharedApp};
use pvt_service::Config;
use pvt_service::http::Pages;
use pvt_service::server;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

/// For requests in progress at shutdown. Event streams end at once.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// A console that listens and does not serve yet.
pub struct Console {
    app: SharedApp,
    listener: TcpListener,
    operators: TcpListener,
    pages: Pages,
    parts: CancellationToken,
    /// Ends the tasks of a console that is dropped, run or not.
    guard: DropGuard,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Console {
    /// Binds `PVT_CONSOLE_ADDR` and `PVT_CONSOLE_METRICS_ADDR`, and begins to read; no store needs to be there yet.
    ///
    /// # Errors
    /// When an address is taken or a setting cannot be used.
    pub async fn bind(config: &Config) -> anyhow::Result<Self> {
        let parts = CancellationToken::new();
        let guard = parts.clone().drop_guard();
        let listener = TcpListener::bind(config.console_addr)
            .await
            .with_context(|| format!("PVT_CONSOLE_ADDR {} cannot be listened on", config.console_addr))?;
        let address = config.console_metrics_addr;
        let operators = TcpListener::bind(address)
            .await
            .with_context(|| format!("PVT_CONSOLE_METRICS_ADDR {address} cannot be listened on"))?;
        // First: metrics that are created before there is a recorder are lost.
        let metrics = pvt_service::telemetry::metrics_handle().context("metrics cannot be recorded")?;
        let app = App::start(config, &parts).await?;
        let pages = Pages { about: app::ABOUT, health: app.health.clone(), metrics };
        Ok(Self { app, listener, operators, pages, parts, guard })
    }

    /// Where it listens; tells the port when the configured one was 0.
    ///
    /// # Errors
    /// When the system does not know.
    pub fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Answers until `stop` is cancelled, then finishes requests that have begun.
    ///
    /// # Errors
    /// When the system does not know where it listens.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        info!(address = %self.local_addr()?, "the console listens");
        let Self { app, listener, operators, pages, parts, guard } = self;
        let router = router::router(&app);
        // Event streams wait for nothing, so they end as soon as no request is accepted any more.
        let stopped = async {
            stop.cancelled().await;
            parts.cancel();
        };
        let operating = pvt_service::http::serve(operators, pages, stop.clone());
        let users = server::serve(listener, router, stop.clone(), DRAIN_LIMIT);
        let ((), operated, ()) = tokio::join!(stopped, operating, users);
        if let Err(error) = operated {
            warn!(%error, "the pages for operators failed");
        }
        drop(guard);
        info!("the console has stopped");
        Ok(())
    }
}

/// Binds and runs one console until `stop` is cancelled.
///
/// # Errors
/// As [`Console::bind`].
pub async fn run(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    Console::bind(&config).await?.run(stop).await
}
