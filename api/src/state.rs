//! Application state: the connections, caches and keys of one API instance.

use crate::auth::api_key_cache::ApiKeyCache;
use crate::auth::quote_key::QuoteKey;
use crate::auth::rate_limits::RateLimits;
use crate::commands::booking_watch::BookingWatch;
use crate::commands::idempotency_cache::IdempotencyCache;
use crate::commands::pending_replies::PendingReplies;
use crate::commands::reply_queue::{ReplyListeners, ReplyQueue};
use crate::http::metrics::{IntakeMetrics, begin_counters};
use crate::http::problem::{self, Problem};
use crate::read_models::inventory::InventoryCache;
use crate::read_models::maintenance::MaintenanceWatch;
use crate::read_models::occupancy::OccupancyCache;
use crate::resources::payments::return_urls::ReturnUrls;
use crate::resources::payments::webhook_signature::WebhookSecrets;
use anyhow::Context as _;
use pvt_calendar_files::Organizer;
use pvt_domain::messages::{PaymentReply, Reply};
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::{EncodeError, Outgoing, PublishError, Publisher, Topology};
use pvt_service::Config;
use pvt_service::access_tokens::AccessTokens;
use pvt_service::config::Network;
use pvt_service::health::{Finding, Health, Need};
use pvt_service::http::About;
use pvt_service::passwords::Hasher;
use pvt_service::tokens::TokenKeys;
use pvt_stores::mongo::Mongo;
use secrecy::ExposeSecret as _;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

/// `Retry-After` while the broker is unreachable, in seconds.
const RETRY_AFTER_SECS: u32 = 2;
/// Who may follow a booking's events at once; each is a connection and a question to the store now and then.
const MAX_EVENT_STREAMS: usize = 1_000;
/// To close the connection to the broker.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// This program.
pub(crate) const ABOUT: About = About::new("pvt-api");

/// One API instance. Handlers share it.
pub(crate) struct App {
    pub(crate) topology: Topology,
    pub(crate) mongo: Mongo,
    pub(crate) inventory_cache: InventoryCache,
    pub(crate) maintenance: MaintenanceWatch,
    pub(crate) occupancy: OccupancyCache,
    pub(crate) booking_watch: BookingWatch,
    pub(crate) reply_queue: ReplyQueue,
    pub(crate) booking_replies: PendingReplies<Reply>,
    /// Who waits for what becomes of money.
    pub(crate) payment_replies: PendingReplies<PaymentReply>,
    pub(crate) return_urls: ReturnUrls,
    /// Places of those who follow a booking's events.
    pub(crate) event_streams: Arc<Semaphore>,
    pub(crate) idempotency: IdempotencyCache,
    pub(crate) api_keys: ApiKeyCache,
    pub(crate) booking_tokens: TokenKeys,
    pub(crate) quote_key: QuoteKey,
    pub(crate) access_tokens: AccessTokens,
    pub(crate) password_hasher: Hasher,
    pub(crate) rate_limits: Arc<RateLimits>,
    pub(crate) proxies: Vec<Network>,
    /// Whether Stripe's events are about real money; `None`: either.
    pub(crate) stripe_livemode: Option<bool>,
    pub(crate) webhook_secrets: WebhookSecrets,
    /// Of the events in calendar files.
    pub(crate) organizer: Organizer,
    pub(crate) health: Arc<Health>,
    /// Set when this instance is asked to stop, while it still serves.
    pub(crate) is_stopping: Arc<AtomicBool>,
    pub(crate) intake: IntakeMetrics,
    pub(crate) started_at: Timestamp,
    publisher: Publisher,
    /// Publishes that outlive the requests that began them.
    pub(crate) tasks: TaskTracker,
}

/// How handlers hold it.
pub(crate) type SharedApp = Arc<App>;

impl App {
    /// Starts connecting to everything; nothing needs to be there yet.
    ///
    /// # Errors
    /// When a setting cannot be used at all.
    pub(crate) async fn start(config: &Config, stop: &CancellationToken) -> anyhow::Result<SharedApp> {
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), ABOUT.name)
            .await
            .context("MONGODB_URI cannot be used")?;
        let inventory_cache = InventoryCache::start(mongo.clone(), stop.clone());
        let maintenance = MaintenanceWatch::start(mongo.clone(), stop.clone());
        Self::with_read_models(config, stop, mongo, (inventory_cache, maintenance))
    }

    /// As [`App::start`], knowing these properties, and whether maintenance is on.
    pub(crate) fn with_read_models(
        config: &Config,
        stop: &CancellationToken,
        mongo: Mongo,
        (inventory_cache, maintenance): (InventoryCache, MaintenanceWatch),
    ) -> anyhow::Result<SharedApp> {
        let topology = Topology::new(&config.queue_prefix, config.partitions).with_retry_divisor(config.retry_divisor);
        let amqp_url = config.amqp_url.expose_secret();
        let publisher = Publisher::start(amqp_url, topology.clone(), ABOUT.name);
        let booking_watch = BookingWatch::start(mongo.clone(), stop.clone());
        let (booking_replies, payment_replies) = (PendingReplies::default(), PendingReplies::default());
        let listeners = ReplyListeners {
            booking_watch: booking_watch.clone(),
            booking_replies: booking_replies.clone(),
            payment_replies: payment_replies.clone(),
        };
        let reply_queue = ReplyQueue::start(amqp_url, topology.clone(), listeners, stop.clone());
        let occupancy = OccupancyCache::start(mongo.clone(), inventory_cache.clone(), amqp_url, topology.clone(), stop);
        begin_counters();
        let rate_limits = RateLimits::new(config);
        let previous = config.jwt_previous_secret.as_ref();
        let is_stopping = Arc::new(AtomicBool::new(false));
        let health = health(&publisher, &mongo, &inventory_cache, &reply_queue)
            .with("maintenance", Need::Required, maintenance_check(maintenance.clone()))
            .with("serving", Need::Required, serving_check(is_stopping.clone()));
        tokio::spawn(rate_limits.clone().evict_idle(stop.clone()));
        Ok(Arc::new(Self {
            rate_limits,
            health: Arc::new(health),
            is_stopping,
            api_keys: ApiKeyCache::new(mongo.clone()),
            booking_tokens: TokenKeys::derive(&config.jwt_secret, previous).context("JWT_SECRET cannot be used")?,
            quote_key: QuoteKey::derive(&config.jwt_secret, previous).context("JWT_SECRET cannot be used")?,
            access_tokens: AccessTokens::new(&config.jwt_secret, previous, config.public_url.as_str())
                .context("JWT_SECRET cannot be used")?,
            password_hasher: Hasher::new(),
            proxies: config.trusted_proxies.clone(),
            stripe_livemode: config.stripe_livemode(),
            webhook_secrets: WebhookSecrets::new(&config.stripe_webhook_secrets)
                .context("STRIPE_WEBHOOK_SECRETS cannot be used")?,
            organizer: Organizer::of_mailbox(&config.mail_from),
            idempotency: IdempotencyCache::new(),
            intake: IntakeMetrics::new(),
            started_at: chrono::Utc::now().into(),
            topology,
            mongo,
            inventory_cache,
            maintenance,
            occupancy,
            booking_watch,
            reply_queue,
            booking_replies,
            payment_replies,
            return_urls: ReturnUrls::new(config),
            event_streams: Arc::new(Semaphore::new(MAX_EVENT_STREAMS)),
            publisher,
            tasks: TaskTracker::new(),
        }))
    }

    /// Publishes and waits for the broker's confirm; `ended` learns whether it came, also when the caller has gone
    /// away.
    ///
    /// # Errors
    /// 503 when the broker did not take it: sending the same again is safe.
    pub(crate) async fn publish(
        &self,
        message: Result<Outgoing, EncodeError>,
        ended: impl FnOnce(bool) + Send + 'static,
    ) -> Result<(), Problem> {
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                ended(false);
                return Err(match error {
                    EncodeError::Oversize { .. } => Problem::from(problem::PAYLOAD_TOO_LARGE),
                    EncodeError::Json { .. } => Problem::internal(error),
                });
            }
        };
        let publisher = self.publisher.clone();
        let sent = self.tasks.spawn(async move {
            let result = publisher.publish(message).await;
            ended(result.is_ok());
            result
        });
        match sent.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error @ PublishError::Invalid(_))) => Err(Problem::internal(error)),
            Ok(Err(failure)) => {
                // Counted by the publisher; a line for each request of an outage would only hide its cause.
                debug!(%failure, class = failure.class(), "the broker did not take a message");
                Err(Problem::from(problem::BROKER_UNAVAILABLE).retry_after(RETRY_AFTER_SECS))
            }
            Err(panic) => Err(Problem::internal(panic)),
        }
    }

    /// Finishes publishing, within `limit`, and closes the connections to broker and store.
    pub(crate) async fn close(&self, limit: Duration) {
        self.tasks.close();
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            error!("publishes were still unconfirmed at the end; their callers were not answered 202");
        }
        // At the same time, so that a store that hangs does not delay the end.
        let closing = tokio::time::timeout(CLOSE_LIMIT, self.mongo.shutdown());
        if tokio::join!(self.publisher.close(CLOSE_LIMIT), closing).1.is_err() {
            warn!("the store's connections did not close in time");
        }
    }
}

/// Ready means: a booking request would be idempotency. MongoDB is not needed for that once the properties are known.
fn health(publisher: &Publisher, mongo: &Mongo, inventory_cache: &InventoryCache, reply_queue: &ReplyQueue) -> Health {
    let (publisher, mongo, inventory_cache, reply_queue) =
        (publisher.clone(), mongo.clone(), inventory_cache.clone(), reply_queue.clone());
    let broker = move || {
        let trouble = publisher.trouble();
        async move { trouble.map_or(Ok(None), |trouble| Err(trouble.to_owned())) }
    };
    let properties = move || {
        let count = inventory_cache.all().len();
        async move {
            if count > 0 {
                Ok(Some(format!("{count} properties can be booked")))
            } else {
                Err("no property is known; is the database seeded?".to_owned())
            }
        }
    };
    let store = move || {
        let mongo = mongo.clone();
        async move { mongo.ping().await.map(|()| None).map_err(|_| "the primary does not answer".to_owned()) }
    };
    let reply_queue = move || {
        let there = reply_queue.queue().is_some();
        async move { if there { Ok(None) } else { Err("waiting for booking_watch is slower without it".to_owned()) } }
    };
    Health::new()
        .with("broker", Need::Required, broker)
        .with("properties", Need::Required, properties)
        .with("mongodb", Need::Optional, store)
        .with("reply_queue", Need::Optional, reply_queue)
}

/// Ready means also: it is known whether changes are accepted.
fn maintenance_check(maintenance: MaintenanceWatch) -> impl Fn() -> Ready<Finding> + Send + Sync + 'static {
    move || ready(maintenance.finding())
}

/// An instance that stops is not ready, so that load balancers send it nothing more while it still serves.
fn serving_check(is_stopping: Arc<AtomicBool>) -> impl Fn() -> Ready<Finding> + Send + Sync + 'static {
    move || {
        let is_stopping = is_stopping.load(Ordering::Relaxed);
        ready(if is_stopping { Finding::Down("it is being stopped".to_owned()) } else { Finding::Up(None) })
    }
}
