//! The corner of the engines that a run owns: a database, a schema and a queue prefix, all under one name.

use super::stripe;
use crate::{broker, migrate, output, topology};
use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use lapin::options::QueueDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use mongodb::bson::doc;
use pvt_local_engines::Urls;
use pvt_messaging::Topology;
use pvt_messaging::management::Management;
use pvt_service::config::Config;
use pvt_stores::mongo::Mongo;
use secrecy::ExposeSecret;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};
use std::time::Duration;
use uuid::Uuid;

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Where stored bookings are counted; the collection's name is part of the design.
pub(super) const BOOKINGS: &str = "bookings";

/// Names, settings and clients of one run.
pub(super) struct Namespace {
    name: String,
    urls: Urls,
    /// The settings of every process of the run.
    environment: Vec<(&'static str, String)>,
    config: Config,
    pub(super) mongo: Mongo,
    /// The same database through the driver itself, for counting.
    database: mongodb::Database,
    postgres: PgPool,
    pub(super) management: Management,
    broker: lapin::Connection,
}

impl Namespace {
    /// Makes everything that `pvt up` makes, under a fresh name.
    pub(super) async fn create(urls: &Urls) -> Result<Self> {
        let name = format!("bench_{}", &Uuid::new_v4().simple().to_string()[..10]);
        output::note(format_args!("  creating database, schema and queues `{name}`"));
        let postgres = PgPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect(&urls.postgres)
            .await
            .context("PostgreSQL")?;
        sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA {name}"))).execute(&postgres).await?;
        let environment = environment(urls, &name);
        let config = Config::from_pairs(environment.iter().map(|(name, value)| (*name, value.clone())))?;
        migrate::run(&config).await?;
        topology::apply(&config).await?;
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt bench").await?;
        let database = mongodb::Client::with_uri_str(config.mongodb_uri.expose_secret()).await?.database(&name);
        let management = broker::management(&config)?;
        let broker =
            lapin::Connection::connect(&urls.amqp, lapin::ConnectionProperties::default()).await.context("RabbitMQ")?;
        Ok(Self { name, urls: urls.clone(), environment, config, mongo, database, postgres, management, broker })
    }

    /// The name that all its parts carry.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where the engines are.
    pub(super) fn urls(&self) -> &Urls {
        &self.urls
    }

    /// The settings that make any of our processes work here.
    pub(super) fn environment(&self) -> &[(&'static str, String)] {
        &self.environment
    }

    /// The same, as our programs read them.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Its queues.
    pub(super) fn topology(&self) -> Topology {
        broker::topology(&self.config)
    }

    /// One more database beside the run's own, empty and with the same indexes. Whoever asks for it drops it.
    pub(super) async fn second_database(&self) -> Result<Mongo> {
        let own = format!("/{}?", self.name);
        let uri = self.config.mongodb_uri.expose_secret().replace(&own, &format!("/{}_bare?", self.name));
        let mongo = Mongo::connect(&uri, "pvt bench").await?;
        mongo.migrate().await?;
        Ok(mongo)
    }

    /// The database, for what the repositories have no use for.
    pub(super) fn database(&self) -> &mongodb::Database {
        &self.database
    }

    /// PostgreSQL, this run's schema not on the search path.
    pub(super) fn postgres(&self) -> &PgPool {
        &self.postgres
    }

    /// Bookings stored, from the collection's own count: cheap enough to be asked while measuring.
    pub(super) async fn stored_bookings(&self) -> Result<u64> {
        Ok(self.bookings().estimated_document_count().await?)
    }

    /// Bookings stored in this status, counted one by one.
    pub(super) async fn bookings_in(&self, status: &str) -> Result<u64> {
        Ok(self.bookings().count_documents(doc! { "status": status }).await?)
    }

    /// Revisions of all bookings together; each was told with one event.
    pub(super) async fn revisions(&self) -> Result<u64> {
        let sum = doc! { "$group": { "_id": null, "revisions": { "$sum": { "$toLong": "$rev" } } } };
        let found = self.bookings().aggregate([sum]).await?.try_next().await?;
        Ok(found.map(|sum| sum.get_i64("revisions")).transpose()?.map_or(Ok(0), u64::try_from)?)
    }

    fn bookings(&self) -> mongodb::Collection<mongodb::bson::RawDocumentBuf> {
        self.database.collection(BOOKINGS)
    }

    /// Booking events in the mart.
    pub(super) async fn mart_events(&self) -> Result<u64> {
        let query = format!("SELECT count(*) FROM {}.fact_booking_event", self.name);
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&self.postgres).await?;
        Ok(u64::try_from(count)?)
    }

    /// Cuts the `emails` queue off the events. Whatever of ours connects to the broker afterwards binds it again.
    pub(super) async fn unbind_mails(&self) -> Result<()> {
        let topology = self.topology();
        let (emails, events) = (topology.name("emails"), topology.events_exchange());
        let channel = self.broker.create_channel().await?;
        for binding in topology.queues().iter().filter(|queue| queue.name == emails).flat_map(|queue| &queue.bindings) {
            if binding.exchange == events {
                channel
                    .queue_unbind(short(&emails)?, short(&events)?, short(&binding.key)?, FieldTable::default())
                    .await?;
            }
        }
        channel.close(200, "done".into()).await?;
        Ok(())
    }

    /// Messages waiting in a queue right now (base name); those a consumer holds are not among them.
    pub(super) async fn ready(&self, queue: &str) -> Result<u32> {
        let channel = self.broker.create_channel().await?;
        let options = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
        let found = channel
            .queue_declare(short(&self.topology().name(queue))?, options, FieldTable::default())
            .await?
            .message_count();
        channel.close(200, "done".into()).await?;
        Ok(found)
    }

    /// Throws away what waits in a queue (base name).
    pub(super) async fn purge(&self, queue: &str) -> Result<()> {
        Ok(self.management.purge(&self.topology().name(queue)).await?)
    }

    /// Removes all of it; what one engine refuses does not keep the others from being cleaned.
    pub(super) async fn remove(self) -> Result<()> {
        output::note(format_args!("  removing database, schema and queues `{}`", self.name));
        let queues = self.remove_queues().await;
        let database = self.mongo.drop_database().await;
        self.mongo.shutdown().await;
        let schema =
            sqlx::query(AssertSqlSafe(format!("DROP SCHEMA {} CASCADE", self.name))).execute(&self.postgres).await;
        self.postgres.close().await;
        queues?;
        database?;
        schema?;
        Ok(())
    }

    async fn remove_queues(&self) -> Result<()> {
        let topology = self.topology();
        self.management.delete_policies(&topology).await?;
        let channel = self.broker.create_channel().await?;
        topology.delete(&channel).await?;
        // A channel that is merely dropped would still be closing when the connection closes, which counts as an error.
        channel.close(200, "done".into()).await?;
        self.broker.close(200, "done".into()).await?;
        Ok(())
    }
}

fn environment(urls: &Urls, name: &str) -> Vec<(&'static str, String)> {
    let (server, options) = urls.mongodb.split_once('?').unwrap_or((&urls.mongodb, ""));
    // A URI in the environment may name a database of its own: `scheme://hosts/database`.
    let hosts = server.match_indices('/').nth(2).map_or(server, |(slash, _)| &server[..slash]);
    let separator = if urls.postgres.contains('?') { '&' } else { '?' };
    let postgres = format!("{}{separator}options=-csearch_path%3D{name}", urls.postgres);
    vec![
        ("PVT_ENV", "development".to_owned()),
        ("AMQP_URL", urls.amqp.clone()),
        ("RABBITMQ_MANAGEMENT_URL", urls.management.clone()),
        ("MONGODB_URI", format!("{hosts}/{name}?{options}")),
        ("DATABASE_URL", postgres.clone()),
        ("DATABASE_DIRECT_URL", postgres),
        ("PVT_QUEUE_PREFIX", format!("{name}.")),
        ("STRIPE_WEBHOOK_SECRETS", stripe::SECRET.to_owned()),
        ("PVT_LOG", "warn".to_owned()),
    ]
}

fn short(name: &str) -> Result<ShortString> {
    ShortString::try_new(name).map_err(|error| anyhow::anyhow!("{name}: {error}"))
}
