//! Samples of all queues, one document a minute, for as long as operators look back. They are removed by MongoDB.

use super::Mongo;
use crate::StoreError;
use futures_util::TryStreamExt as _;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};
use pvt_domain::queue_flow::{Oldest, QueueReading};
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const COLLECTION: &str = "queue_samples";
/// How often a sample is stored.
pub const SAMPLED_EVERY: Duration = Duration::from_secs(60);
/// How long samples are kept.
pub const SAMPLES_KEPT_FOR: Duration = Duration::from_secs(6 * 3_600);
/// More than are kept: two leaders at once store the same minute.
const MAX_SAMPLES: i64 = 500;

/// All queues at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSample {
    /// When they were read.
    pub at: Timestamp,
    /// The queues, without the broker's prefix.
    pub queues: Vec<QueueCounts>,
}

impl QueueSample {
    /// The readings of its queues, and what was known of their first messages.
    pub fn readings(&self) -> impl Iterator<Item = (&str, QueueReading, Option<Oldest>)> {
        self.queues.iter().map(|counts| {
            let reading = QueueReading {
                at: self.at.as_datetime(),
                ready: counts.ready,
                unacknowledged: counts.unacknowledged,
                acknowledged: counts.acknowledged,
                head_sent_at: None,
            };
            let oldest = |seconds| Oldest { seconds, is_at_least: counts.oldest_is_at_least };
            (counts.queue.as_str(), reading, counts.oldest_seconds.map(oldest))
        })
    }
}

/// One queue in a sample. Members are stored under short names, because there are many of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QueueCounts {
    /// Its name without the broker's prefix.
    #[serde(rename = "q")]
    pub queue: String,
    /// Messages ready for delivery.
    #[serde(rename = "r")]
    pub ready: u64,
    /// Messages delivered and not acknowledged.
    #[serde(rename = "u", default, skip_serializing_if = "is_zero")]
    pub unacknowledged: u64,
    /// Messages acknowledged since the broker began to count.
    #[serde(rename = "a", default, skip_serializing_if = "is_zero")]
    pub acknowledged: u64,
    /// Consumers.
    #[serde(rename = "c", default, skip_serializing_if = "is_zero")]
    pub consumers: u64,
    /// How long the first message has waited, in seconds; absent where none waits.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub oldest_seconds: Option<u64>,
    /// Whether it may have waited for longer.
    #[serde(rename = "l", default, skip_serializing_if = "std::ops::Not::not")]
    pub oldest_is_at_least: bool,
    /// Stored dead letters of a work queue; absent for others, and where they could not be counted.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<u64>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    /// The minute.
    #[serde(rename = "_id")]
    minute: i64,
    at: DateTime,
    queues: Vec<QueueCounts>,
}

impl From<Row> for QueueSample {
    fn from(row: Row) -> Self {
        Self { at: timestamp(row.at), queues: row.queues }
    }
}

/// Samples of all queues.
#[derive(Debug, Clone, Copy)]
pub struct QueueSamples<'a>(pub(super) &'a Mongo);

impl QueueSamples<'_> {
    /// Stores a sample; of two in the same minute the last one stays.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn record(self, sample: QueueSample) -> Result<(), StoreError> {
        let milliseconds = sample.at.as_datetime().timestamp_millis();
        let minute = milliseconds.div_euclid(60_000);
        let row = Row { minute, at: DateTime::from_millis(milliseconds), queues: sample.queues };
        self.rows().replace_one(doc! { "_id": minute }, row).upsert(true).await?;
        Ok(())
    }

    /// The samples that were read after this time, oldest first; none that should have been removed.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn after(self, time: Timestamp) -> Result<Vec<QueueSample>, StoreError> {
        let after = DateTime::from_millis(time.as_datetime().timestamp_millis());
        let rows = self.rows();
        let found = rows.find(doc! { "at": { "$gt": after } }).sort(doc! { "at": 1 }).limit(MAX_SAMPLES).await?;
        Ok(found.map_ok(QueueSample::from).try_collect().await?)
    }

    pub(super) async fn create_expiry_index(self) -> Result<(), StoreError> {
        create_expiry_index(&self.0.collection(COLLECTION), "at", SAMPLES_KEPT_FOR).await
    }

    fn rows(self) -> Collection<Row> {
        self.0.collection(COLLECTION)
    }
}

/// A time of MongoDB as all others are written.
pub(super) fn timestamp(at: DateTime) -> Timestamp {
    chrono::DateTime::<chrono::Utc>::from(at.to_system_time()).into()
}

/// The index by which MongoDB removes documents that long after the time in `field`.
pub(super) async fn create_expiry_index(
    rows: &Collection<Document>,
    field: &str,
    after: Duration,
) -> Result<(), StoreError> {
    let options = IndexOptions::builder().expire_after(after).build();
    let index = IndexModel::builder().keys(doc! { field: 1 }).options(options).build();
    rows.create_index(index).await?;
    Ok(())
}
