//! A Stripe for development and tests: Checkout with a payable page, payments, refunds, disputes, events and signed
//! webhooks, with faults on request. It is the other side of the product's payment client and shares no code with it,
//! so that both can be wrong only separately.
//!
//! It must never be reachable from elsewhere (loopback only), and no real card number has a place in it. Everything it
//! keeps is bounded.

#![recursion_limit = "256"]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod api;
mod control;
mod control_api;
mod error;
mod fault_injection;
mod form;
mod http;
mod ids;
mod objects;
mod pages;
mod params;
mod serve;
mod simulation;
mod state;
mod store;
mod table;
mod webhooks;

pub use control::{Control, ControlError};
pub use fault_injection::{FaultInjection, RequestFault, RequestFaultKind, WebhookFaults};
pub use objects::event::API_VERSION;
pub use state::checkout::PayOutcome;
pub use state::effects::{Counts, EffectsReport};
pub use state::refunds::RefundOutcome;
pub use webhooks::{DeliveryAttempt, Endpoint};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::routing::any;
use simulation::{Simulation, now_ms};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

/// How often it is looked whether a session expires or a bank answers.
const TICK: Duration = Duration::from_millis(100);

/// How a simulator is run.
#[derive(Debug, Clone)]
pub struct SimulatorOptions {
    /// Where it listens; loopback only. Port 0 takes a free one.
    pub addr: SocketAddr,
    /// Where browsers find its pages; `http://<addr>` when `None`.
    pub public_base: Option<Url>,
    /// Where events are sent.
    pub endpoints: Vec<Endpoint>,
    /// The folder that keeps everything across restarts; `None` keeps it in memory only.
    pub store: Option<PathBuf>,
    /// The account that errors name, `acct_…`.
    pub account: String,
}

impl Default for SimulatorOptions {
    /// A free port, no endpoint, nothing kept.
    fn default() -> Self {
        let (addr, account) = (SocketAddr::from(([127, 0, 0, 1], 0)), "acct_1PvtSimulated00".to_owned());
        Self { addr, public_base: None, endpoints: Vec::new(), store: None, account }
    }
}

/// A simulator whose port is bound. It answers once it runs.
#[derive(Debug)]
pub struct Simulator {
    listener: TcpListener,
    addr: SocketAddr,
    simulation: Arc<Simulation>,
    store: Option<PathBuf>,
}

impl Simulator {
    /// Loads what was kept and binds the port.
    ///
    /// # Errors
    /// When the address is not loopback or taken, or the folder cannot be used.
    pub async fn bind(options: SimulatorOptions) -> Result<Self> {
        if !options.addr.ip().is_loopback() {
            bail!("the Stripe simulator listens on loopback only, not on {}", options.addr);
        }
        let mut state =
            options.store.as_deref().map(store::load).transpose().context("opening what was kept")?.unwrap_or_default();
        let listener =
            TcpListener::bind(options.addr).await.with_context(|| format!("listening on {}", options.addr))?;
        let addr = listener.local_addr()?;
        let host = options.public_base.as_ref().and_then(Url::host_str).map(str::to_owned);
        state.base = options
            .public_base
            .map_or_else(|| format!("http://{addr}"), |base| base.as_str().trim_end_matches('/').to_owned());
        state.endpoints = options.endpoints.len();
        let hosts = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into_iter().chain(host).collect();
        let simulation = Simulation::new(state, webhooks::Webhooks::new(options.endpoints)?, options.account, hosts);
        simulation.send_unsent();
        Ok(Self { listener, addr, simulation: Arc::new(simulation), store: options.store })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Plays guests, banks and staff; sets faults; counts effects.
    pub fn handle(&self) -> Control {
        Control::new(self.simulation.clone())
    }

    /// Serves until `stop`, then writes what is to be kept.
    ///
    /// # Errors
    /// When the state cannot be written at the end.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let router = Router::new().route("/v1/{*path}", any(http::v1)).with_state(self.simulation.clone());
        let router = pages::guard(
            router.merge(pages::router(self.simulation.clone())).merge(control_api::router(self.handle())),
            self.simulation.clone(),
        );
        // What is kept is written last, after the last request.
        let served = CancellationToken::new();
        let working = async {
            tokio::join!(
                serve::serve(self.listener, router, stop.clone()),
                simulation::deliver(self.simulation.clone(), stop.clone()),
                advance_time(&self.simulation, &stop)
            );
            served.cancel();
        };
        let keeping = async {
            match self.store {
                Some(folder) => store::keep(self.simulation.clone(), folder, served.clone()).await,
                None => Ok(()),
            }
        };
        tokio::join!(working, keeping).1
    }
}

/// Lets sessions expire and banks answer.
async fn advance_time(simulation: &Simulation, stop: &CancellationToken) {
    while tokio::time::timeout(TICK, stop.cancelled()).await.is_err() {
        let now_ms = now_ms();
        if simulation.read().is_due(now_ms) {
            simulation.change(|state| state.advance_time(now_ms));
        }
    }
}
