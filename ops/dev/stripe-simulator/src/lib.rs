//! Stripe simulator for development and tests: Checkout with a payable page, payments, refunds, disputes, events and
//! signed webhooks, with fault injection. It is the counterpart of the product's Stripe client and shares no code with
//! it, so that an error on one side is not repeated on the other.
//!
//! It must never be reachable from other machines (loopback only) and must never be given a real card number.
//! Everything it keeps is bounded.

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
pub use objects::refund::RefundOutcome;
pub use state::checkout::PayOutcome;
pub use state::effects::{Counts, EffectsReport};
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

/// Interval at which due expirations and bank results are applied.
const TICK: Duration = Duration::from_millis(100);

/// Options of a simulator.
#[derive(Debug, Clone)]
pub struct SimulatorOptions {
    /// Address to listen on; loopback only. Port 0 takes a free one.
    pub addr: SocketAddr,
    /// Base URL of its pages in a browser; `http://<addr>` when `None`.
    pub public_base: Option<Url>,
    /// Webhook endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Folder that keeps the state across restarts; `None` keeps it in memory only.
    pub store: Option<PathBuf>,
    /// The account that errors name, `acct_…`.
    pub account: String,
}

impl Default for SimulatorOptions {
    /// A free port, no endpoint, no folder.
    fn default() -> Self {
        let (addr, account) = (SocketAddr::from(([127, 0, 0, 1], 0)), "acct_1PvtSimulated00".to_owned());
        Self { addr, public_base: None, endpoints: Vec::new(), store: None, account }
    }
}

/// A simulator whose port is bound. It answers once [`Simulator::run`] is called.
#[derive(Debug)]
pub struct Simulator {
    listener: TcpListener,
    addr: SocketAddr,
    simulation: Arc<Simulation>,
    store: Option<PathBuf>,
}

impl Simulator {
    /// Loads the kept state and binds the port.
    ///
    /// # Errors
    /// When the address is not loopback or is taken, or the folder cannot be used.
    pub async fn bind(options: SimulatorOptions) -> Result<Self> {
        if !options.addr.ip().is_loopback() {
            bail!("the Stripe simulator listens on loopback only, not on {}", options.addr);
        }
        let mut state = options
            .store
            .as_deref()
            .map(store::load)
            .transpose()
            .context("the kept state cannot be loaded")?
            .unwrap_or_default();
        let listener =
            TcpListener::bind(options.addr).await.with_context(|| format!("cannot listen on {}", options.addr))?;
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

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Control of the simulation.
    pub fn handle(&self) -> Control {
        Control::new(self.simulation.clone())
    }

    /// Serves until `stop`, then writes the state.
    ///
    /// # Errors
    /// When the state cannot be written at the end.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let router = Router::new().route("/v1/{*path}", any(http::v1)).with_state(self.simulation.clone());
        let router = pages::guard(
            router.merge(pages::router(self.simulation.clone())).merge(control_api::router(self.handle())),
            self.simulation.clone(),
        );
        // The state is written after the last request.
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

/// Applies expirations and bank results when they are due.
async fn advance_time(simulation: &Simulation, stop: &CancellationToken) {
    while tokio::time::timeout(TICK, stop.cancelled()).await.is_err() {
        let now_ms = now_ms();
        if simulation.read().is_due(now_ms) {
            simulation.change(|state| state.advance_time(now_ms));
        }
    }
}
