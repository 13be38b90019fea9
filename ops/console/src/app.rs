//! Application state: the connections and caches of one console.

use crate::access::KnownSessions;
use crate::api::Api;
use crate::live::board::Board;
use crate::live::places::Places;
use crate::live::watch;
use anyhow::Context as _;
use pvt_messaging::Topology;
use pvt_operations::broker;
use pvt_service::config::Config;
use pvt_service::health::{Health, Need};
use pvt_service::http::About;
use pvt_service::logins;
use pvt_service::passwords::Hasher;
use pvt_service::periodic::Turns;
use pvt_service::rate_limits::{self, EVICTION_INTERVAL, RateLimit};
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use secrecy::ExposeSecret as _;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// This program.
pub(crate) const ABOUT: About = About::new("pvt-console");

/// Charts that are read at once; each may be of a thousand bookings.
const MAX_CHARTS: usize = 2;

/// Reads of the front desk and of the beds of a form that run at once. They wait for no chart.
const MAX_DESKS: usize = 2;

/// Searches without an index that run at once: each reads a whole collection.
const MAX_SCANS: usize = 1;

/// One console. Handlers share it.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) topology: Topology,
    pub(crate) mongo: Mongo,
    pub(crate) mart: Mart,
    /// By which bookings are changed.
    pub(crate) api: Api,
    pub(crate) hasher: Hasher,
    /// Of attempts to log in, by address.
    pub(crate) login_limit: Option<RateLimit>,
    pub(crate) exempt_loopback: bool,
    pub(crate) sessions: KnownSessions,
    pub(crate) board: Arc<Board>,
    /// Places of event streams.
    pub(crate) streams: Places,
    /// Places of reads of the tape chart.
    pub(crate) charts: Arc<Semaphore>,
    /// Places of reads of the front desk.
    pub(crate) desks: Arc<Semaphore>,
    /// Places of searches without an index.
    pub(crate) scans: Arc<Semaphore>,
    pub(crate) health: Arc<Health>,
    /// Ends event streams.
    pub(crate) stop: CancellationToken,
}

/// How handlers hold it.
pub(crate) type SharedApp = Arc<App>;

impl App {
    /// Starts reading; nothing needs to be there yet.
    ///
    /// # Errors
    /// When a setting cannot be used at all.
    pub(crate) async fn start(config: &Config, stop: &CancellationToken) -> anyhow::Result<SharedApp> {
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), ABOUT.name)
            .await
            .context("MONGODB_URI cannot be used")?;
        let mart =
            Mart::connect(config.database_url.expose_secret(), ABOUT.name).context("DATABASE_URL cannot be used")?;
        let management = broker::management(config).context("RABBITMQ_MANAGEMENT_URL cannot be used")?;
        let topology = broker::topology(config);
        let board = Arc::new(Board::new(topology.clone()));
        logins::begin_counters();
        let app = Arc::new(Self {
            hasher: Hasher::new(),
            login_limit: RateLimit::new("auth", config.rate_auth),
            exempt_loopback: rate_limits::exempts_loopback(config),
            sessions: KnownSessions::default(),
            streams: Places::default(),
            charts: Arc::new(Semaphore::new(MAX_CHARTS)),
            desks: Arc::new(Semaphore::new(MAX_DESKS)),
            scans: Arc::new(Semaphore::new(MAX_SCANS)),
            health: Arc::new(health(&mongo)),
            stop: stop.clone(),
            config: config.clone(),
            api: Api::new(config)?,
            topology,
            mongo,
            mart,
            board,
        });
        let (board, mongo, prefix) = (app.board.clone(), app.mongo.clone(), app.topology.prefix().to_owned());
        tokio::spawn(watch::processes(board.clone(), prefix, management.clone(), mongo.clone(), stop.clone()));
        tokio::spawn(watch::history(board.clone(), mongo.clone(), stop.clone()));
        tokio::spawn(watch::queues(board, app.topology.clone(), management, mongo, stop.clone()));
        tokio::spawn(watch::checks(app.board.clone(), config.clone(), app.mongo.clone(), stop.clone()));
        tokio::spawn(watch::expiry(app.board.clone(), stop.clone()));
        tokio::spawn(app.clone().evict_idle());
        Ok(app)
    }

    /// Forgets, until the end, addresses that have tried no password for long.
    async fn evict_idle(self: Arc<Self>) {
        let mut turns = Turns::new(EVICTION_INTERVAL, &self.stop);
        while turns.next().await {
            self.login_limit.iter().for_each(RateLimit::evict_idle);
        }
    }
}

/// The console is of use without any store: it says what is down.
fn health(mongo: &Mongo) -> Health {
    let mongo = mongo.clone();
    Health::new().with("mongodb", Need::Optional, move || {
        let mongo = mongo.clone();
        async move { mongo.ping().await.map(|()| None::<String>).map_err(|_| "does not answer".to_owned()) }
    })
}
