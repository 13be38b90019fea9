//! Sources of dead letters: the store, and the queues until the scheduler has stored what is in them. One of both is
//! enough to go on.

use super::Selection;
use super::queued;
use super::reader::{self, DeadLetterQueue};
use super::stored::Replayed;
use crate::reachability::Dependency::{MongoDb, RabbitMq};
use crate::{reachability, settings};
use anyhow::Result;
use pvt_messaging::{Topology, queue_depths};
use pvt_operations::{OperationError, broker, terminal};
use pvt_service::config::Config;
use pvt_stores::mongo::Mongo;
use secrecy::ExposeSecret;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// For the scheduler to store what has just arrived.
const COLLECTION_LIMIT: Duration = Duration::from_secs(3);
const COLLECTION_POLL: Duration = Duration::from_millis(250);

/// The store and the queues, as far as they are reachable.
pub(super) struct Sources {
    pub(super) config: Config,
    pub(super) topology: Topology,
    /// `None` while MongoDB is unreachable.
    pub(super) mongo: Option<Mongo>,
    /// Whether the broker is reachable.
    pub(super) has_broker: bool,
    /// Dead-letter queues that are not empty.
    pub(super) queues: Vec<DeadLetterQueue>,
}

impl Sources {
    /// Fails when neither is reachable.
    pub(super) async fn open() -> Result<Self> {
        let config = settings::load()?;
        let topology = broker::topology(&config);
        let broker = reachability::check(&config, &[RabbitMq]).await;
        let store = reachability::check(&config, &[MongoDb]).await;
        let has_broker = broker.is_ok();
        let mongo = match store {
            Ok(()) => {
                if let Err(error) = broker {
                    terminal::note(format_args!("only what is stored, the queues cannot be read: {error}"));
                }
                Some(Mongo::connect(config.mongodb_uri.expose_secret(), "pvt dead").await?)
            }
            Err(error) => {
                broker?;
                terminal::note(format_args!("only what is in the queues, the store cannot be read: {error}"));
                None
            }
        };
        let mut sources = Self { config, topology, mongo, has_broker, queues: Vec::new() };
        if has_broker {
            sources.queues = sources.left_in_queues().await?;
        }
        Ok(sources)
    }

    /// Fails when MongoDB is unreachable.
    pub(super) fn store(&self) -> Result<&Mongo> {
        match &self.mongo {
            Some(mongo) => Ok(mongo),
            None => Err(OperationError::TryLater("the reason cannot be recorded without MongoDB".to_owned()).into()),
        }
    }

    /// The dead-letter queues that are not empty, once a running scheduler has had the time to store what is in them.
    async fn left_in_queues(&self) -> Result<Vec<DeadLetterQueue>> {
        let all = reader::queues(&self.topology, None, false)?;
        let names: Vec<String> = all.iter().map(|queue| queue.name.clone()).collect();
        let ends = Instant::now() + COLLECTION_LIMIT;
        loop {
            let counts = queue_depths(self.config.amqp_url.expose_secret(), "pvt dead", &names).await?;
            let ready: Vec<u32> = counts.into_iter().map(|count| count.map_or(0, |count| count.ready)).collect();
            let is_empty = ready.iter().all(|ready| *ready == 0);
            if is_empty || Instant::now() >= ends || !self.is_collected().await? {
                let left = all.into_iter().zip(ready).filter(|(_, ready)| *ready > 0);
                return Ok(left.map(|(queue, _)| queue).collect());
            }
            sleep(COLLECTION_POLL).await;
        }
    }

    /// Whether a scheduler stores dead letters.
    async fn is_collected(&self) -> Result<bool> {
        match &self.mongo {
            Some(mongo) => Ok(mongo.schedules().has_leader().await?),
            None => Ok(false),
        }
    }

    /// Replays what is still in the queues. `stored`: how many of the selection were found in the store. While a
    /// scheduler stores what is in the queues, they have only what has just died, perhaps of that very replay, and what
    /// cannot be stored, which is replayed by its id.
    pub(super) async fn replay_queued(&self, selection: &Selection, stored: &Replayed) -> Result<()> {
        let has_nothing = self.queues.is_empty() || (selection.all && self.is_collected().await?);
        match has_nothing {
            true if selection.dry_run => super::report(stored.count, "would be replayed"),
            true => super::report(stored.count, &stored.words()),
            false => queued::replay(&self.config, selection, stored).await,
        }
    }

    /// Discards what is still in the queues. `stored`: how many of the selection were found in the store.
    pub(super) async fn discard_queued(&self, selection: &Selection, reason: &str, stored: usize) -> Result<()> {
        match self.queues.is_empty() {
            true if selection.dry_run => super::report(stored, "would be discarded"),
            true => super::report(stored, "discarded; the audit has the ids and the reason"),
            false => queued::discard(&self.config, selection, reason, stored).await,
        }
    }

    pub(super) async fn close(&self) {
        if let Some(mongo) = &self.mongo {
            mongo.shutdown().await;
        }
    }
}
