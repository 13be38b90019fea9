//! Worker declarations: the name, purpose, queues, health port and constructor of a worker, stated once in its module.
//!
//! The command line, `pvt up`, health and the tests derive from them.

use crate::decision_times::DecisionTimes;
use crate::queue_samples::BrokerAlarms;
use crate::scheduler::{Leader, Schedule};
use crate::unroutable::UnroutableCount;
use anyhow::{Context, Result};
use futures_util::future::BoxFuture;
use pvt_messaging::{Publisher, Queue, Topology};
use pvt_service::config::Config;
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_stripe::{StripeClient, StripeConfig};
use pvt_worker_runtime::{Engine, QueuePauses};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A worker as operators know it: what `pvt-workers run <name>` runs.
#[derive(Debug, Clone, Copy)]
pub struct WorkerDeclaration {
    /// Its name on the command line and in `pvt up`.
    pub name: &'static str,
    /// Its purpose, as one line of a help text.
    pub about: &'static str,
    /// The port of its health and metrics pages on a development machine, where every worker is a process of its own.
    pub health_port: u16,
    /// The work queues it consumes, one consumer each. Empty for a worker that only publishes.
    pub queues: &'static [Queue],
    pub(crate) start: Start,
}

/// How a process starts a worker.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start {
    /// Registers its consumers with the engine of the process.
    Consumers(fn(Engine, &Dependencies) -> Result<Engine>),
    /// Runs beside the engine until the token is cancelled.
    Task(fn(&Dependencies, CancellationToken) -> BoxFuture<'static, Result<()>>),
}

/// The dependencies from which workers are constructed.
pub(crate) struct Dependencies {
    pub(crate) config: Config,
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) mongo: Mongo,
    pub(crate) mart: Mart,
    pub(crate) publisher: Publisher,
    pub(crate) topology: Topology,
    pub(crate) unroutable: UnroutableCount,
    pub(crate) alarms: BrokerAlarms,
    /// Paused queues, as last read; `None` until they are read.
    pub(crate) pauses: watch::Receiver<Option<QueuePauses>>,
    /// Whether this process leads, once its scheduler has begun.
    pub(crate) leader: Arc<OnceLock<Leader>>,
    /// Times to the confirmation of bookings, as this process counts them.
    pub(crate) decision_times: DecisionTimes,
}

impl Dependencies {
    /// A Stripe client, if a secret key is configured.
    ///
    /// # Errors
    /// When a setting of Stripe is invalid.
    pub(crate) fn stripe(&self) -> Result<Option<StripeClient>> {
        let Some(secret_key) = self.config.stripe_secret_key.clone() else { return Ok(None) };
        let (api_base, api_version) = (self.config.stripe_api_base.clone(), self.config.stripe_api_version.clone());
        let stripe = StripeConfig { secret_key, api_base, api_version, call_timeout: StripeConfig::CALL_TIMEOUT };
        Ok(Some(StripeClient::new(stripe).context("STRIPE_API_BASE")?))
    }
}
