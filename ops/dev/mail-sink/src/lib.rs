//! Mail server for development and tests: it accepts every mail, delivers none, and shows them on a web page.
//!
//! A mail is answered `250` only after it was written to the operating system, so that killing the process loses
//! nothing that was acknowledged. It listens on loopback only, and everything that it keeps is bounded.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod dialogue;
mod fault_injection;
mod kept_mail;
mod pages;
mod parsed;
mod recipients;
mod segments;
mod session;
mod store;

pub use fault_injection::{FaultInjection, FaultMode};
pub use kept_mail::KeptMail;
pub use store::MailStore;

use anyhow::{Context, Result, bail};
use fault_injection::FaultInjector;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Connections that are still open this long after the signal to stop are cut.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// Options of a mail sink.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// Address of the SMTP server; loopback only. Port 0 takes a free one.
    pub smtp_addr: SocketAddr,
    /// Address of the web page; loopback only. Port 0 takes a free one.
    pub http_addr: SocketAddr,
    /// Folder that keeps mails across restarts; `None` keeps them in memory only.
    pub store_dir: Option<PathBuf>,
    /// Count mails and keep none, for benchmarks.
    pub discard: bool,
}

/// A mail sink whose ports are bound.
pub struct MailSink {
    smtp: TcpListener,
    http: TcpListener,
    state: SinkState,
}

/// State that sessions and pages share.
#[derive(Clone)]
pub(crate) struct SinkState {
    pub(crate) store: Arc<MailStore>,
    pub(crate) faults: Arc<FaultInjector>,
}

impl MailSink {
    /// Loads the kept mails and binds both ports.
    ///
    /// # Errors
    /// When an address is not loopback or is taken, or the folder cannot be used.
    pub async fn bind(options: SinkOptions) -> Result<Self> {
        for address in [options.smtp_addr, options.http_addr] {
            if !address.ip().is_loopback() {
                bail!("the mail sink listens on loopback only, not on {address}");
            }
        }
        let store = MailStore::open(options.store_dir.as_deref(), options.discard)
            .context("the kept mails cannot be loaded")?;
        let smtp = TcpListener::bind(options.smtp_addr)
            .await
            .with_context(|| format!("cannot listen on {} for SMTP", options.smtp_addr))?;
        let http = TcpListener::bind(options.http_addr)
            .await
            .with_context(|| format!("cannot listen on {} for the web page", options.http_addr))?;
        Ok(Self { smtp, http, state: SinkState { store: Arc::new(store), faults: Arc::default() } })
    }

    /// Address of the SMTP server.
    ///
    /// # Errors
    /// When the operating system does not report it.
    pub fn smtp_addr(&self) -> Result<SocketAddr> {
        Ok(self.smtp.local_addr()?)
    }

    /// Address of the web page.
    ///
    /// # Errors
    /// When the operating system does not report it.
    pub fn http_addr(&self) -> Result<SocketAddr> {
        Ok(self.http.local_addr()?)
    }

    /// The accepted mails.
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
                served = pages => served.context("the mail page cannot be served"),
                // A browser may keep its connection open indefinitely.
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
        "mail sink listening");
    sink.serve(shutdown).await
}
