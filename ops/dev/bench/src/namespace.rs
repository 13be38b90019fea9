//! Namespace of a run on the engines: a database, a schema and a queue prefix under one name.

use super::stripe;
use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use lapin::options::QueueDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use mongodb::bson::doc;
use pvt_local_engines::Urls;
use pvt_messaging::Topology;
use pvt_messaging::management::Management;
use pvt_operations::{broker, migrate, terminal, topology};
use pvt_service::config::Config;
use pvt_stores::mongo::Mongo;
use secrecy::ExposeSecret;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};
use std::time::Duration;
use uuid::Uuid;

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// The collection of bookings, in which stored ones are counted.
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
    /// Creates collections, tables and queues as `pvt up` does, under a unique name.
    pub(super) async fn create(urls: &Urls) -> Result<Self> {
        let name = format!("bench_{}", &Uuid::new_v4().simple().to_string()[..10]);
        terminal::note(format_args!("  creating database, schema and queues `{name}`"));
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

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The engines' URLs.
    pub(super) fn urls(&self) -> &Urls {
        &self.urls
    }

    /// The settings of processes in this namespace.
    pub(super) fn environment(&self) -> &[(&'static str, String)] {
        &self.environment
    }

    /// The same settings, parsed.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Its topology.
    pub(super) fn topology(&self) -> Topology {
        broker::topology(&self.config)
    }

    /// A second, empty database with the same indexes. The caller drops it.
    pub(super) async fn second_database(&self) -> Result<Mongo> {
        let own = format!("/{}?", self.name);
        let uri = self.config.mongodb_uri.expose_secret().replace(&own, &format!("/{}_bare?", self.name));
        let mongo = Mongo::connect(&uri, "pvt bench").await?;
        mongo.migrate().await?;
        Ok(mongo)
    }

    /// The database, for queries that no repository has.
    pub(super) fn database(&self) -> &mongodb::Database {
        &self.database
    }

    /// PostgreSQL without the schema of the run on the search path.
    pub(super) fn postgres(&self) -> &PgPool {
        &self.postgres
    }

    /// Stored bookings by the collection's metadata, cheap enough to be read during a measurement.
    pub(super) async fn stored_bookings(&self) -> Result<u64> {
        Ok(self.bookings().estimated_document_count().await?)
    }

    /// Stored bookings of this status, by counting.
    pub(super) async fn bookings_in(&self, status: &str) -> Result<u64> {
        Ok(self.bookings().count_documents(doc! { "status": status }).await?)
    }

    /// The sum of the revisions of all bookings; each one was published in one event.
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

    /// Ready messages of a queue (base name), without unacknowledged ones.
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

    /// Purges a queue (base name).
    pub(super) async fn purge(&self, queue: &str) -> Result<()> {
        Ok(self.management.purge(&self.topology().name(queue)).await?)
    }

    /// Removes everything. A failure on one engine does not keep the others from being cleaned.
    pub(super) async fn remove(self) -> Result<()> {
        terminal::note(format_args!("  removing database, schema and queues `{}`", self.name));
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
        // A dropped channel would still be closing when the connection closes, which is an error.
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
