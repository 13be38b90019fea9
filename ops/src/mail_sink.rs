//! A mail server for development and tests: it accepts everything, delivers nothing, and shows what it got on a web
//! page.
//!
//! A mail is answered `250` only after it was handed to the operating system, so that killing the process loses nothing
//! that was acknowledged. It listens on loopback only, and everything that it keeps is bounded.

mod dialogue;
mod fault_injection;
mod pages;
mod parsed;
mod segments;
mod session;
mod store;

pub use fault_injection::{FaultInjection, FaultMode};
pub use store::{KeptMail, MailStore};

use anyhow::{Context, Result, bail};
use fault_injection::FaultInjector;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Connections still open so long after the signal to stop are cut.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// How a sink is run.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// Where SMTP listens; loopback only. Port 0 takes a free one.
    pub smtp_addr: SocketAddr,
    /// Where the page listens; loopback only. Port 0 takes a free one.
    pub http_addr: SocketAddr,
    /// Where mails are kept across restarts; `None` keeps them in memory only.
    pub store_dir: Option<PathBuf>,
    /// Count mails and keep none: for benchmarks.
    pub discard: bool,
}

/// A sink whose ports are bound.
pub struct MailSink {
    smtp: TcpListener,
    http: TcpListener,
    state: SinkState,
}

/// What sessions and pages share.
#[derive(Clone)]
pub(crate) struct SinkState {
    pub(crate) store: Arc<MailStore>,
    pub(crate) faults: Arc<FaultInjector>,
}

impl MailSink {
    /// Loads what was kept and binds both ports.
    ///
    /// # Errors
    /// When an address is not loopback or taken, or the folder cannot be used.
    pub async fn bind(options: SinkOptions) -> Result<Self> {
        for address in [options.smtp_addr, options.http_addr] {
            if !address.ip().is_loopback() {
                bail!("the mail sink listens on loopback only, not on {address}");
            }
        }
        let store = MailStore::open(options.store_dir.as_deref(), options.discard).context("opening the kept mails")?;
        let smtp = TcpListener::bind(options.smtp_addr)
            .await
            .with_context(|| format!("listening on {} for SMTP", options.smtp_addr))?;
        let http = TcpListener::bind(options.http_addr)
            .await
            .with_context(|| format!("listening on {} for the page", options.http_addr))?;
        Ok(Self { smtp, http, state: SinkState { store: Arc::new(store), faults: Arc::default() } })
    }

    /// Where SMTP listens.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn smtp_addr(&self) -> Result<SocketAddr> {
        Ok(self.smtp.local_addr()?)
    }

    /// Where the page listens.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn http_addr(&self) -> Result<SocketAddr> {
        Ok(self.http.local_addr()?)
    }

    /// What was accepted.
    pub fn store(&self) -> Arc<MailStore> {
        self.state.store.clone()
    }

    /// Serves until `shutdown`.
    ///
    /// # Errors
    /// When the page can no longer be served.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<()> {
        let stop = shutdown.clone();
        let pages = axum::serve(self.http, pages::router(self.state.clone()))
            .with_graceful_shutdown(async move { stop.cancelled().await });
        let pages = async {
            tokio::select! {
                served = pages => served.context("serving the mail page"),
                // A browser may keep its connection open for ever.
                () = async { shutdown.cancelled().await; tokio::time::sleep(DRAIN_LIMIT).await } => Ok(()),
            }
        };
        let ((), served) = tokio::join!(session::listen(self.smtp, self.state, shutdown.clone()), pages);
        served
    }
}

/// Binds and serves until `shutdown`.
///
/// # Errors
/// As [`MailSink::bind`] and [`MailSink::serve`].
pub async fn run(options: SinkOptions, shutdown: CancellationToken) -> Result<()> {
    let sink = MailSink::bind(options).await?;
    tracing::info!(smtp = %sink.smtp_addr()?, page = %format_args!("http://{}/dev/mail", sink.http_addr()?),
        "the mail sink listens");
    sink.serve(shutdown).await
}
