//! State of the scheduler: its lease, and the progress of each schedule.
//!
//! Leases use the clock of the server only, so that the clocks of the processes do not matter. The fencing token is
//! raised with every new leadership; late writes of a former leader are refused by it.

use super::Mongo;
use crate::StoreError;
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::ReturnDocument;
use pvt_domain::timestamp::Timestamp;
use serde::Deserialize;
use std::time::Duration;

const COLLECTION: &str = "schedules";
/// Key of the lease. Keys of schedules are `schedule|name`, so none can equal it.
const LEADER: &str = "leader";

/// A lease that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leadership {
    /// Fencing token, raised with every new leadership.
    pub token: i64,
    /// Time of the server's clock.
    pub server_time: Timestamp,
}

#[derive(Debug, Deserialize)]
struct Lease {
    holder: String,
    token: i64,
    now: DateTime,
}

/// Progress of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleState {
    /// The schedule.
    pub name: String,
    /// Everything up to this time has fired or been skipped.
    pub settled_until: Timestamp,
    /// When it last fired.
    pub last_fire: Option<Timestamp>,
    /// Fencing token of the leader that wrote this.
    pub token: i64,
}

#[derive(Debug, Deserialize)]
struct Row {
    #[serde(rename = "_id")]
    key: String,
    settled_until: Timestamp,
    last_fire: Option<Timestamp>,
    token: i64,
}

impl From<Row> for ScheduleState {
    fn from(row: Row) -> Self {
        let name = row.key.split_once('|').map_or(row.key.as_str(), |(_, name)| name).to_owned();
        Self { name, settled_until: row.settled_until, last_fire: row.last_fire, token: row.token }
    }
}

/// State of the scheduler: its lease and the progress of each schedule.
#[derive(Debug, Clone, Copy)]
pub struct Schedules<'a>(pub(super) &'a Mongo);

impl Schedules<'_> {
    /// Takes or renews the lease for `holder`; `None` while another process holds it. An expired lease gets a new
    /// token.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; then the lease may have been taken or renewed.
    pub async fn lead(self, holder: &str, lease: Duration) -> Result<Option<Leadership>, StoreError> {
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let ours: Bson = doc! { "$literal": holder }.into();
        let mine = doc! { "$eq": ["$holder", ours.clone()] };
        let running = doc! { "$gt": ["$expires_at", "$$NOW"] };
        let others = doc! { "$and": [{ "$ne": ["$holder", ours.clone()] }, running.clone()] };
        let renewed = doc! { "$and": [mine, running] };
        let next_token = doc! { "$add": [{ "$ifNull": ["$token", 0_i64] }, 1_i64] };
        let unless_others = |theirs: &str, value: Bson| doc! { "$cond": [others.clone(), theirs, value] };
        // All expressions of a stage see the document as it was before it.
        let update = doc! { "$set": {
            "holder": unless_others("$holder", ours),
            "token": unless_others("$token", doc! { "$cond": [renewed, "$token", next_token] }.into()),
            "expires_at": unless_others("$expires_at", doc! { "$add": ["$$NOW", lease_ms] }.into()),
            "now": "$$NOW",
        } };
        let held = self
            .0
            .collection::<Lease>(COLLECTION)
            .find_one_and_update(doc! { "_id": LEADER }, vec![update])
            .upsert(true)
            .return_document(ReturnDocument::After)
            .await?;
        let mine = held.filter(|held| held.holder == holder);
        Ok(mine.and_then(|held| {
            let server_time = chrono::DateTime::from_timestamp_millis(held.now.timestamp_millis())?.into();
            Some(Leadership { token: held.token, server_time })
        }))
    }

    /// Ends a leadership early, so that another process need not wait for the lease to expire.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn step_down(self, holder: &str, token: i64) -> Result<(), StoreError> {
        let mine = doc! { "_id": LEADER, "holder": holder, "token": token };
        self.0
            .collection::<Document>(COLLECTION)
            .update_one(mine, vec![doc! { "$set": { "expires_at": "$$NOW" } }])
            .await?;
        Ok(())
    }

    /// Progress of a schedule; `None` before its first record.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find(self, name: &str) -> Result<Option<ScheduleState>, StoreError> {
        let found = self.0.collection::<Row>(COLLECTION).find_one(doc! { "_id": key(name) }).await?;
        Ok(found.map(ScheduleState::from))
    }

    /// Progress of all schedules.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn list(self) -> Result<Vec<ScheduleState>, StoreError> {
        let found = self
            .0
            .collection::<Row>(COLLECTION)
            .find(doc! { "_id": { "$ne": LEADER } })
            .sort(doc! { "_id": 1 })
            .await?;
        Ok(found.map_ok(ScheduleState::from).try_collect().await?)
    }

    /// Records that everything up to `until` has fired or been skipped, and the fire itself if there was one. Progress
    /// never moves back.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when a newer leader has written since; other [`StoreError`]s when MongoDB fails.
    pub async fn record_fire(self, name: &str, until: Timestamp, fired: bool, token: i64) -> Result<(), StoreError> {
        let mut reached = doc! { "settled_until": until.to_string() };
        if fired {
            reached.insert("last_fire", until.to_string());
        }
        let not_newer = doc! { "_id": key(name), "token": { "$lte": token } };
        let update = doc! { "$max": reached, "$set": { "token": token } };
        match self
            .0
            .collection::<Document>(COLLECTION)
            .update_one(not_newer, update)
            .upsert(true)
            .await
            .map_err(StoreError::from)
        {
            Ok(_) => Ok(()),
            // It exists with a newer token: the update matched nothing, so the upsert tried to insert it.
            Err(StoreError::Duplicate(_)) => {
                Err(StoreError::Stale(format!("schedule `{name}` has a newer leader than {token}")))
            }
            Err(error) => Err(error),
        }
    }
}

fn key(name: &str) -> String {
    format!("schedule|{name}")
}
