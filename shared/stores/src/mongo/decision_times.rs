//! Times from the acceptance of a booking request to its confirmation, counted by minute and process. Each process
//! writes its own counts, so that none is lost with a leader; percentiles of any time are read from their sums.

use super::Mongo;
use super::queue_samples::{SAMPLES_KEPT_FOR, create_expiry_index, timestamp};
use crate::StoreError;
use futures_util::TryStreamExt as _;
use mongodb::Collection;
use mongodb::bson::{DateTime, doc};
use pvt_domain::duration_counts::DurationCounts;
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const COLLECTION: &str = "decision_times";

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    /// `minute|process`.
    #[serde(rename = "_id")]
    key: String,
    /// The begin of the minute.
    at: DateTime,
    /// Sizes with their counts.
    counts: Vec<(u16, u64)>,
}

/// Times to the confirmation of bookings.
#[derive(Debug, Clone, Copy)]
pub struct DecisionTimes<'a>(pub(super) &'a Mongo);

impl DecisionTimes<'_> {
    /// Stores what a process has counted in a minute so far.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn record(self, process: &str, minute: i64, counts: &DurationCounts) -> Result<(), StoreError> {
        let key = format!("{minute}|{process}");
        let row =
            Row { key: key.clone(), at: DateTime::from_millis(minute * 60_000), counts: counts.pairs().collect() };
        self.rows().replace_one(doc! { "_id": key }, row).upsert(true).await?;
        Ok(())
    }

    /// The counts of all processes since the minute of this time, by the begin of the minute.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn since(self, time: Timestamp) -> Result<BTreeMap<Timestamp, DurationCounts>, StoreError> {
        let begin = time.as_datetime().timestamp_millis().div_euclid(60_000) * 60_000;
        let mut found = self.rows().find(doc! { "at": { "$gte": DateTime::from_millis(begin) } }).await?;
        let mut by_minute: BTreeMap<Timestamp, DurationCounts> = BTreeMap::new();
        while let Some(row) = found.try_next().await? {
            by_minute.entry(timestamp(row.at)).or_default().merge(&row.counts.into_iter().collect());
        }
        Ok(by_minute)
    }

    pub(super) async fn create_expiry_index(self) -> Result<(), StoreError> {
        create_expiry_index(&self.0.collection(COLLECTION), "at", SAMPLES_KEPT_FOR).await
    }

    fn rows(self) -> Collection<Row> {
        self.0.collection(COLLECTION)
    }
}
