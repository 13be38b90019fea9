//! A broker topology for one test, deleted with everything in it when dropped.

use crate::INSTANCE;
use anyhow::Result;
use lapin::{Connection, ConnectionProperties};
use pvt_local_engines::{EngineKind, Instance, PortPlan, Urls};
use pvt_messaging::Topology;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::OnceCell;

/// Addresses of the shared broker. Of the local engines, only RabbitMQ is started.
#[derive(Debug)]
pub struct BrokerUrls {
    /// AMQP.
    pub amqp: String,
    /// Management API.
    pub management: String,
}

/// The broker of the environment, else that of the instance shared by all tests.
///
/// # Errors
/// When it cannot be started.
pub async fn broker_urls() -> Result<&'static BrokerUrls> {
    static URLS: OnceCell<BrokerUrls> = OnceCell::const_new();
    URLS.get_or_try_init(|| async {
        let env = Urls::from_env();
        let missing: Vec<_> = env.missing().into_iter().filter(|kind| *kind == EngineKind::RabbitMq).collect();
        let urls = Instance::open(INSTANCE, PortPlan::Free)?.ensure(&missing, &|_| {}).await?.overridden_by(env);
        Ok(BrokerUrls { amqp: urls.amqp, management: urls.management })
    })
    .await
}

/// A topology with a prefix of its own and one partition.
#[derive(Debug)]
pub struct TestTopology {
    urls: &'static BrokerUrls,
    topology: Topology,
}

impl TestTopology {
    /// A topology whose prefix starts with `tag` and whose retry delays are divided by `retry_divisor`.
    ///
    /// # Errors
    /// When the broker cannot be started.
    pub async fn new(tag: &str, retry_divisor: u32) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("{tag}{}-{}.", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Ok(Self { urls: broker_urls().await?, topology: Topology::new(&prefix, 1).with_retry_divisor(retry_divisor) })
    }

    /// The addresses of its broker.
    pub fn urls(&self) -> &'static BrokerUrls {
        self.urls
    }
}

impl Deref for TestTopology {
    type Target = Topology;

    fn deref(&self) -> &Topology {
        &self.topology
    }
}

impl Drop for TestTopology {
    fn drop(&mut self) {
        let (urls, topology) = (self.urls, self.topology.clone());
        // A destructor cannot await, and the runtime of the test is about to end: a thread of its own deletes.
        let deleting = std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let connection = Connection::connect(&urls.amqp, ConnectionProperties::default()).await?;
                // Bound, because closing a connection fails while a dropped channel is still closing.
                let channel = connection.create_channel().await?;
                topology.delete(&channel).await?;
                Ok(connection.close(200, "done".into()).await?)
            })
        });
        let deleted = deleting.join();
        if !std::thread::panicking() {
            assert!(matches!(deleted, Ok(Ok(()))), "the topology was not deleted: {deleted:?}");
        }
    }
}
