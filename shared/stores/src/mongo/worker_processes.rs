//! Heartbeats of worker processes: what each runs and how it is, one document a process. Times of heartbeats are the
//! server's. A process that ends in order is not listed any more; MongoDB removes its document, and those of others,
//! after hours.

use super::Mongo;
use super::queue_samples::create_expiry_index;
use crate::StoreError;
use futures_util::TryStreamExt as _;
use mongodb::bson::{doc, serialize_to_bson};
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const COLLECTION: &str = "worker_processes";
/// How often a process writes its heartbeat.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);
/// A process whose last heartbeat is older is gone, hangs, or cannot write to MongoDB.
pub const STALE_AFTER: Duration = Duration::from_secs(15);
/// The state of a worker that finishes what it has in hand and then ends.
pub const DRAINING: &str = "draining";
/// How long the last heartbeat of a process is kept.
const KEPT_FOR: Duration = Duration::from_secs(6 * 3_600);
/// Most processes in a listing.
const MAX_PROCESSES: i64 = 1_000;

/// A worker process as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerProcess {
    /// Random, of this start of the process.
    #[serde(rename = "_id")]
    pub id: String,
    /// The machine or container.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// Version of the program.
    pub version: String,
    /// When it began.
    pub started_at: Timestamp,
    /// Whether its scheduler leads; absent where it runs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leads: Option<bool>,
    /// Its workers.
    pub workers: Vec<WorkerReport>,
}

/// One worker of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Its name.
    pub name: String,
    /// Its state in words.
    pub state: String,
    /// What it depends on and does not answer, while messages wait for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<ReportedOutage>,
    /// Messages that it is handling, or publishing for.
    pub in_flight: u64,
    /// Queues that it consumes, with the broker's prefix.
    pub queues: Vec<ConsumedQueue>,
    /// Queues that it leaves alone because an operator has paused them.
    #[serde(default)]
    pub paused: Vec<String>,
    /// The last error, and when it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<ReportedError>,
}

/// A queue that a worker consumes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumedQueue {
    /// Its full name.
    pub name: String,
    /// The tag of the consumer, by which the broker says whether it is the active one.
    pub consumer_tag: String,
    /// When the oldest message was sent that the worker has in hand of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_in_hand: Option<Timestamp>,
}

/// A dependency that does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedOutage {
    /// The failure class, which names the dependency.
    pub class: String,
    /// The only operation of it that does not answer: messages of others are handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// An error of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedError {
    /// When it happened.
    pub at: Timestamp,
    /// The error.
    pub text: String,
}

/// A process and its last heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SeenProcess {
    /// How long ago that was by the server's clock, in milliseconds.
    pub age_ms: i64,
    /// The process.
    #[serde(flatten)]
    pub process: WorkerProcess,
}

impl SeenProcess {
    /// Whether its heartbeats have stopped.
    pub fn is_stale(&self) -> bool {
        self.is_older_than(STALE_AFTER)
    }

    /// Whether its next heartbeat is not due yet.
    pub fn is_fresh(&self) -> bool {
        !self.is_older_than(HEARTBEAT_EVERY)
    }

    fn is_older_than(&self, age: Duration) -> bool {
        self.age_ms > i64::try_from(age.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Heartbeats of worker processes.
#[derive(Debug, Clone, Copy)]
pub struct WorkerProcesses<'a>(pub(super) &'a Mongo);

impl WorkerProcesses<'_> {
    /// Records that a process is alive, and how it is. One that has ended stays so: this may come late.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn renew(self, process: &WorkerProcess) -> Result<(), StoreError> {
        let described = serialize_to_bson(process).map_err(mongodb::error::Error::from)?;
        let seen = doc! { "$mergeObjects": [{ "$literal": described }, { "seen_at": "$$NOW" }] };
        let unless_ended = doc! { "$cond": [{ "$ifNull": ["$ended", false] }, "$$ROOT", seen] };
        let update = vec![doc! { "$replaceWith": unless_ended }];
        self.rows().update_one(doc! { "_id": &process.id }, update).upsert(true).await?;
        Ok(())
    }

    /// Removes a process that ends in order from the list; MongoDB removes its document after hours. The rest of it
    /// stays as it is for readers of older versions, which know no such mark: to them the process is stale.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn remove(self, id: &str) -> Result<(), StoreError> {
        self.rows().update_one(doc! { "_id": id }, doc! { "$set": { "ended": true } }).await?;
        Ok(())
    }

    /// All processes, those that were seen last first.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn list(self) -> Result<Vec<SeenProcess>, StoreError> {
        let pipeline = [
            doc! { "$match": { "ended": { "$exists": false } } },
            doc! { "$sort": { "seen_at": -1 } },
            doc! { "$limit": MAX_PROCESSES },
            doc! { "$set": { "age_ms": { "$toLong": { "$subtract": ["$$NOW", "$seen_at"] } } } },
            doc! { "$unset": "seen_at" },
        ];
        let found = self.rows().aggregate(pipeline).await?.with_type::<SeenProcess>();
        Ok(found.try_collect().await?)
    }

    pub(super) async fn create_expiry_index(self) -> Result<(), StoreError> {
        create_expiry_index(&self.rows(), "seen_at", KEPT_FOR).await
    }

    fn rows(self) -> mongodb::Collection<mongodb::bson::Document> {
        self.0.collection(COLLECTION)
    }
}
