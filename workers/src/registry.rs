//! The only list of workers, and how a process runs some of them.

use crate::clock;
use crate::jobs::analytics::Analytics;
use crate::jobs::confirmations::Confirmations;
use crate::jobs::emails::Emails;
use crate::jobs::payments::Payments;
use crate::jobs::reconciliation::Reconciliation;
use crate::jobs::stripe::StripeCalls;
use crate::scheduler::{self, Scheduler};
use anyhow::{Context, Result, anyhow, bail};
use pvt_messaging::{Publisher, Topology};
use pvt_service::config::Config;
use pvt_service::health::{Health, Need};
use pvt_service::http::{self, About, Pages};
use pvt_service::telemetry;
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_stripe::{StripeClient, StripeConfig};
use pvt_worker_runtime::{Engine, WorkerHealth, WorkerState};
use secrecy::ExposeSecret;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Every worker by its name on the command line. `scheduler` consumes nothing but sends what is due.
pub const NAMES: [&str; 6] = ["confirmations", "payments", "emails", "analytics", "reconciliation", SCHEDULER];

const SCHEDULER: &str = "scheduler";
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// What workers are made of.
struct Parts {
    mongo: Mongo,
    mart: Mart,
    publisher: Publisher,
    topology: Topology,
}

/// Runs these workers in this process until the token is cancelled and everything in hand is finished.
///
/// # Errors
/// When a name is not a worker's, a setting cannot be used, or the drain took too long.
pub async fn run(config: Config, names: &[String], shutdown: CancellationToken) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        bail!("there is no worker `{unknown}`; there are {}", NAMES.join(", "));
    }
    let plans = scheduler::parse_schedules(&config.schedules).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow!("PVT_SCHEDULES: {}", lines.join("; "))
    })?;
    let process = names.join("+");
    let metrics = telemetry::init(&config)?;
    let listener = TcpListener::bind(config.metrics_addr)
        .await
        .with_context(|| format!("PVT_METRICS_ADDR {}", config.metrics_addr))?;
    let topology = Topology::new(&config.queue_prefix, config.partitions).with_retry_divisor(config.retry_divisor);
    let parts = Parts {
        mongo: Mongo::connect(config.mongodb_uri.expose_secret(), &process).await.context("MONGODB_URI")?,
        mart: Mart::connect(config.database_url.expose_secret(), &process).context("DATABASE_URL")?,
        publisher: Publisher::start(config.amqp_url.expose_secret(), topology.clone(), &process),
        topology: topology.clone(),
    };
    let mut engine = Engine::new(config.amqp_url.expose_secret(), topology.clone(), parts.publisher.clone());
    for name in names.iter().filter(|name| *name != SCHEDULER) {
        engine = register(engine, name, &config, &parts)?;
    }
    let schedules = names.iter().any(|name| name == SCHEDULER);
    let consumes = names.iter().any(|name| name != SCHEDULER);
    let pages = Pages { about: About::new("pvt-workers"), health: Arc::new(health(engine.health(), &parts)), metrics };
    let stopped = CancellationToken::new();
    let pages = tokio::spawn(http::serve(listener, pages, stopped.clone()));
    let (drained, scheduled) =
        tokio::join!(async { if consumes { engine.run(shutdown.clone()).await } else { Ok(()) } }, async {
            if schedules {
                Scheduler::new(parts.mongo.clone(), parts.publisher.clone(), topology)
                    .with_schedules(plans)
                    .run(shutdown.clone())
                    .await
            } else {
                Ok(())
            }
        },);
    // Health answers until the last message is settled.
    stopped.cancel();
    pages.await??;
    parts.publisher.close(CLOSE_LIMIT).await;
    parts.mart.close().await;
    parts.mongo.shutdown().await;
    scheduled?;
    Ok(drained?)
}

fn register(engine: Engine, name: &str, config: &Config, parts: &Parts) -> Result<Engine> {
    let Parts { mongo, mart, topology, publisher: _ } = parts;
    Ok(match name {
        "confirmations" => engine.register_batch(Confirmations::new(mongo.clone(), clock::system))?,
        "payments" => engine
            .register_batch(Payments::new(mongo.clone(), topology.clone(), clock::system))?
            .register(StripeCalls::new(mongo.clone(), topology.clone(), stripe(config)?, clock::system))?,
        "emails" => engine.register_batch(Emails::new(mongo.clone(), config)?)?,
        "analytics" => engine.register_batch(Analytics::new(mart.clone()))?,
        "reconciliation" => engine.register(Reconciliation::new(mongo.clone(), mart.clone(), clock::system))?,
        other => bail!("worker `{other}` is listed and not made"),
    })
}

/// Stripe, if a key for it is configured.
fn stripe(config: &Config) -> Result<Option<StripeClient>> {
    let Some(secret_key) = config.stripe_secret_key.clone() else { return Ok(None) };
    let (api_base, api_version) = (config.stripe_api_base.clone(), config.stripe_api_version.clone());
    let stripe = StripeConfig { secret_key, api_base, api_version, call_timeout: StripeConfig::CALL_TIMEOUT };
    Ok(Some(StripeClient::new(stripe).context("STRIPE_API_BASE")?))
}

/// Ready means consuming. A dependency that is down pauses a worker, which then waits by itself: that degrades, and
/// does not make the process unready, because starting it again would not help.
fn health(workers: pvt_worker_runtime::Health, parts: &Parts) -> Health {
    let (mongo, publisher) = (parts.mongo.clone(), parts.publisher.clone());
    Health::new()
        .with("workers", Need::Required, move || {
            let workers = workers.snapshot();
            async move { describe(&workers) }
        })
        .with("publisher", Need::Required, move || {
            let ready = publisher.is_ready();
            async move { if ready { Ok(None) } else { Err("the broker is not connected".to_owned()) } }
        })
        .with("mongodb", Need::Optional, move || {
            let mongo = mongo.clone();
            async move { mongo.ping().await.map(|()| None).map_err(|error| error.to_string()) }
        })
}

fn describe(workers: &[WorkerHealth]) -> Result<Option<String>, String> {
    let line = |worker: &WorkerHealth| match &worker.state {
        WorkerState::Running => format!("{} running", worker.name),
        WorkerState::Paused { class } => format!("{} paused: {class}", worker.name),
        WorkerState::Reconnecting => format!("{} reconnecting", worker.name),
        WorkerState::Draining => format!("{} draining", worker.name),
    };
    let lines = workers.iter().map(line).collect::<Vec<_>>().join(", ");
    let consuming = workers.iter().all(|worker| worker.state != WorkerState::Reconnecting);
    if consuming { Ok(Some(lines)) } else { Err(lines) }
}
