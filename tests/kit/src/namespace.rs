//! Namespace of one test on the shared engines: a database, a schema and a queue prefix.

use crate::{SlowLink, engines};
use anyhow::{Context, Result};
use pvt_local_engines::Urls;
use pvt_messaging::Topology;
use pvt_messaging::management::Management;
use pvt_stores::mongo::Mongo;
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use uuid::Uuid;

/// Partitions in tests: enough to have several, few enough to declare quickly.
const PARTITIONS: u16 = 2;
/// Retry delays of tests are this many times shorter than in production (5 s become 50 ms).
pub(crate) const RETRY_DELAY_DIVISOR: u32 = 100;

/// Names on the shared engines. Everything under them is removed on drop.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    urls: Urls,
}

impl Namespace {
    /// A new namespace on the shared engines.
    ///
    /// # Errors
    /// When the engines cannot be reached.
    pub async fn new() -> Result<Self> {
        Self::on(engines().await?.clone()).await
    }

    /// A new namespace on these engines.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached.
    pub async fn on(urls: Urls) -> Result<Self> {
        let name = format!("t{}", &Uuid::new_v4().simple().to_string()[..12]);
        let mut postgres = PgConnection::connect(&urls.postgres).await.context("PostgreSQL")?;
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {name}"))).execute(&mut postgres).await?;
        Ok(Self { name, urls })
    }

    /// The name of its database, schema and queues.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The broker.
    pub fn amqp_url(&self) -> &str {
        &self.urls.amqp
    }

    /// The broker's management API.
    pub fn management_url(&self) -> &str {
        &self.urls.management
    }

    /// Prefix of every exchange and queue.
    pub fn queue_prefix(&self) -> String {
        format!("{}.", self.name)
    }

    /// The topology under that prefix, with short retry delays.
    pub fn topology(&self) -> Topology {
        Topology::new(&self.queue_prefix(), PARTITIONS).with_retry_divisor(RETRY_DELAY_DIVISOR)
    }

    /// MongoDB, with the namespace's database.
    pub fn mongodb_uri(&self) -> String {
        let (server, options) = self.urls.mongodb.split_once('?').unwrap_or((&self.urls.mongodb, ""));
        format!("{}/{}?{options}", server.trim_end_matches('/'), self.name)
    }

    /// The same database through a link that holds everything back for `delay` in each direction.
    ///
    /// # Errors
    /// When MongoDB cannot be reached.
    pub async fn slow_mongo(&self, delay: Duration) -> Result<(Mongo, SlowLink)> {
        let uri = self.mongodb_uri();
        let host = uri.trim_start_matches("mongodb://").split('/').next().unwrap_or_default().to_owned();
        let link = SlowLink::start(&host, delay).await?;
        // Discovery of the replica set would lead around the link.
        let (base, _) = uri.split_once('?').unwrap_or((&uri, ""));
        let slow = format!("{}?directConnection=true", base.replace(&host, link.address()));
        Ok((Mongo::connect(&slow, "tests").await?, link))
    }

    /// PostgreSQL, with the namespace's schema first on the search path.
    pub fn database_url(&self) -> String {
        let separator = if self.urls.postgres.contains('?') { '&' } else { '?' };
        format!("{}{separator}options=-csearch_path%3D{}", self.urls.postgres, self.name)
    }

    /// Environment variables that place any of our processes in this namespace.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AMQP_URL", self.amqp_url().to_owned()),
            ("RABBITMQ_MANAGEMENT_URL", self.management_url().to_owned()),
            ("MONGODB_URI", self.mongodb_uri()),
            ("DATABASE_URL", self.database_url()),
            ("PVT_QUEUE_PREFIX", self.queue_prefix()),
            ("PVT_PARTITIONS", PARTITIONS.to_string()),
            ("PVT_RETRY_DIVISOR", RETRY_DELAY_DIVISOR.to_string()),
        ]
    }

    /// The MongoDB database, migrated.
    ///
    /// # Errors
    /// When MongoDB cannot be reached.
    pub async fn mongo(&self) -> Result<Mongo> {
        let mongo = Mongo::connect(&self.mongodb_uri(), "tests").await?;
        mongo.migrate().await?;
        Ok(mongo)
    }

    async fn remove(name: String, urls: Urls, topology: Topology, mongodb_uri: String) -> Result<()> {
        let mut postgres = PgConnection::connect(&urls.postgres).await?;
        sqlx::query(sqlx::AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {name} CASCADE")))
            .execute(&mut postgres)
            .await?;
        Mongo::connect(&mongodb_uri, "tests").await?.drop_database().await?;
        let management = Management::new(&urls.management, "/")?;
        management.delete_policies(&topology).await?;
        let connection = lapin::Connection::connect(&urls.amqp, lapin::ConnectionProperties::default()).await?;
        topology.delete(&connection.create_channel().await?).await?;
        connection.close(200, "done".into()).await?;
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let (name, urls, topology, uri) = (self.name.clone(), self.urls.clone(), self.topology(), self.mongodb_uri());
        // A destructor cannot await, and the test's runtime may have ended: another thread cleans up.
        // Engines that a test has stopped cannot be cleaned and need not be: their data is deleted with them.
        let cleanup = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                tokio::time::timeout(std::time::Duration::from_secs(20), Self::remove(name, urls, topology, uri)).await
            })?
        });
        drop(cleanup.join());
    }
}
