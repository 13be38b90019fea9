//! State of the scheduler: its lease, and the progress of each schedule.
//!
//! Leases use the clock of the server only, so that the clocks of the processes do not matter. The fencing token is
//! raised with every new leadership; late writes of a former leader are refused by it.

use super::Mongo;
use crate::StoreError;
use chrono::TimeDelta;
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, DateTime, Document, doc, serialize_to_bson};
use mongodb::options::ReturnDocument;
use pvt_domain::ids::PropertyId;
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const COLLECTION: &str = "schedules";
/// Key of the lease. Keys of schedules are `schedule|name`, so none can equal it.
const LEADER: &str = "leader";
/// Progress that is further ahead of the server's clock than this was written by a wrong clock, or the clock has been
/// set back since.
pub const MAX_AHEAD: TimeDelta = TimeDelta::minutes(1);
/// For how long progress that was set back is reported.
const REPORTED_FOR: TimeDelta = TimeDelta::days(1);
/// An expiry that is further ahead of the server's clock than this many leases is no lease: the clock was set back.
const LONGEST_LEASES: i64 = 10;

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
    /// Everything up to this time has fired or been skipped, except at the properties that are `behind`.
    pub settled_until: Timestamp,
    /// When it last fired.
    pub last_fire: Option<Timestamp>,
    /// The fire that is under way or was interrupted.
    pub under_way: Option<FireProgress>,
    /// Properties that failed in a fire which is settled.
    pub behind: Vec<PropertyBehind>,
    /// When it was last found ahead of the server's clock.
    pub set_back: Option<SetBack>,
    /// How the leader runs it; absent while it is disabled, and before a leader has said so.
    pub plan: Option<SchedulePlan>,
    /// Fencing token of the leader that wrote this.
    pub token: i64,
}

/// How the leader runs a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulePlan {
    /// The expression: second, minute, hour, day of month, month, day of week.
    pub cron: String,
    /// The time zone of the expression.
    pub time_zone: String,
    /// Whether its fires only report.
    pub dry_run: bool,
    /// Whether it can run for one property.
    pub by_property: bool,
    /// Whether it waits while maintenance puts off what it would decide.
    #[serde(default)]
    pub waits_for_maintenance: bool,
    /// When it fires next; absent when it never does again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_fire: Option<Timestamp>,
}

/// Progress that was ahead of the server's clock and counted as now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetBack {
    /// When it was found, by the server's clock.
    pub at: Timestamp,
    /// What was stored.
    pub from: Timestamp,
}

/// Progress of one fire: its properties are served in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FireProgress {
    /// The fire.
    pub fire: Timestamp,
    /// The last property whose commands were sent.
    pub property_id: PropertyId,
}

/// A property whose commands could not be made, while those of others were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropertyBehind {
    /// The property.
    pub property_id: PropertyId,
    /// Everything up to this time has fired for it.
    pub settled_until: Timestamp,
}

#[derive(Debug, Deserialize)]
struct Row {
    #[serde(rename = "_id")]
    key: String,
    settled_until: Timestamp,
    last_fire: Option<Timestamp>,
    under_way: Option<FireProgress>,
    #[serde(default)]
    behind: Vec<PropertyBehind>,
    set_back: Option<SetBack>,
    plan: Option<SchedulePlan>,
    token: i64,
}

/// A row that is reported, and whether it is ahead of the server's clock now.
#[derive(Debug, Deserialize)]
struct ReportedRow {
    is_ahead: bool,
    #[serde(flatten)]
    row: Row,
}

impl From<Row> for ScheduleState {
    fn from(row: Row) -> Self {
        let Row { key, settled_until, last_fire, under_way, behind, set_back, plan, token } = row;
        let name = key.split_once('|').map_or(key.as_str(), |(_, name)| name).to_owned();
        Self { name, settled_until, last_fire, under_way, behind, set_back, plan, token }
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
        let bound = doc! { "$add": ["$$NOW", lease_ms.saturating_mul(LONGEST_LEASES)] };
        let running = doc! { "$and": [{ "$gt": ["$expires_at", "$$NOW"] }, { "$lte": ["$expires_at", bound] }] };
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

    /// Whether some process leads now.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn has_leader(self) -> Result<bool, StoreError> {
        let leads = doc! { "_id": LEADER, "$expr": { "$gt": ["$expires_at", "$$NOW"] } };
        Ok(self.0.collection::<Document>(COLLECTION).count_documents(leads).await? > 0)
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

    /// Schedules whose progress is ahead of the server's clock, or was set back within a day, in words for operators;
    /// `None` when there are none.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn ahead_of_clock(self) -> Result<Option<String>, StoreError> {
        let time = |field: &str| doc! { "$toDate": field };
        let ahead = doc! { "$add": ["$$NOW", MAX_AHEAD.num_milliseconds()] };
        let lately = doc! { "$subtract": ["$$NOW", REPORTED_FOR.num_milliseconds()] };
        let pipeline = [
            doc! { "$match": { "_id": { "$ne": LEADER } } },
            doc! { "$set": { "is_ahead": { "$gt": [time("$settled_until"), ahead] } } },
            doc! { "$match": { "$expr": { "$or": ["$is_ahead", { "$gt": [time("$set_back.at"), lately] }] } } },
            doc! { "$sort": { "_id": 1 } },
        ];
        let rows = self.0.collection::<Row>(COLLECTION).aggregate(pipeline).await?.with_type::<ReportedRow>();
        let rows: Vec<ReportedRow> = rows.try_collect().await?;
        let words = rows.into_iter().map(|ReportedRow { is_ahead, row }| {
            let ScheduleState { name, settled_until, set_back, .. } = row.into();
            match set_back {
                // It may have been set back before, and be ahead again.
                Some(SetBack { at, from }) if !is_ahead => {
                    format!("{name} had fired until {from} and continued from {at}")
                }
                _ => format!("{name} has fired until {settled_until}, which is in the future"),
            }
        });
        let words: Vec<String> = words.collect();
        Ok((!words.is_empty()).then(|| words.join("; ")))
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
        self.record(name, token, doc! { "$max": reached, "$unset": { "under_way": "" } }, true).await
    }

    /// Records that a fire is settled, and how the leader runs the schedule from now on.
    ///
    /// # Errors
    /// As [`Schedules::record_fire`].
    pub async fn record_fire_with_plan(
        self,
        name: &str,
        fire: Timestamp,
        plan: &SchedulePlan,
        token: i64,
    ) -> Result<(), StoreError> {
        let plan = serialize_to_bson(plan).map_err(mongodb::error::Error::from)?;
        let reached = doc! { "settled_until": fire.to_string(), "last_fire": fire.to_string() };
        let update = doc! { "$max": reached, "$unset": { "under_way": "" }, "$set": { "plan": plan } };
        self.record(name, token, update, true).await
    }

    /// Records how far a fire has come.
    ///
    /// # Errors
    /// As [`Schedules::record_fire`].
    pub async fn record_progress(self, name: &str, progress: &FireProgress, token: i64) -> Result<(), StoreError> {
        let progress = serialize_to_bson(progress).map_err(mongodb::error::Error::from)?;
        self.record(name, token, doc! { "$set": { "under_way": progress } }, false).await
    }

    /// Records which properties are behind.
    ///
    /// # Errors
    /// As [`Schedules::record_fire`].
    pub async fn record_behind(self, name: &str, behind: &[PropertyBehind], token: i64) -> Result<(), StoreError> {
        let behind = serialize_to_bson(behind).map_err(mongodb::error::Error::from)?;
        self.record(name, token, doc! { "$set": { "behind": behind } }, false).await
    }

    /// Moves progress that lies in the future back to the server's time, and records that: a backup was restored, or a
    /// clock was wrong.
    ///
    /// # Errors
    /// As [`Schedules::record_fire`].
    pub async fn reset(self, name: &str, from: Timestamp, now: Timestamp, token: i64) -> Result<(), StoreError> {
        let set_back = serialize_to_bson(&SetBack { at: now, from }).map_err(mongodb::error::Error::from)?;
        let reached = doc! { "settled_until": now.to_string(), "set_back": set_back };
        let update = doc! { "$set": reached, "$unset": { "under_way": "" } };
        self.record(name, token, update, true).await
    }

    /// Records how the leader runs a schedule from now on.
    ///
    /// # Errors
    /// As [`Schedules::record_fire`].
    pub async fn record_plan(self, name: &str, plan: &SchedulePlan, token: i64) -> Result<(), StoreError> {
        let plan = serialize_to_bson(plan).map_err(mongodb::error::Error::from)?;
        self.record(name, token, doc! { "$set": { "plan": plan } }, false).await
    }

    /// Records that the leader runs these schedules and no others.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn disable_others(self, names: &[&str], token: i64) -> Result<(), StoreError> {
        let mut known: Vec<String> = names.iter().map(|name| key(name)).collect();
        known.push(LEADER.to_owned());
        let others = doc! { "_id": { "$nin": known }, "token": { "$lte": token } };
        let rows = self.0.collection::<Document>(COLLECTION);
        rows.update_many(others, doc! { "$unset": { "plan": "" }, "$set": { "token": token } }).await?;
        Ok(())
    }

    /// A new row must have `settled_until`: only updates that set it may `create` one.
    async fn record(self, name: &str, token: i64, mut update: Document, create: bool) -> Result<(), StoreError> {
        let not_newer = doc! { "_id": key(name), "token": { "$lte": token } };
        match update.get_document_mut("$set") {
            Ok(set) => drop(set.insert("token", token)),
            Err(_) => drop(update.insert("$set", doc! { "token": token })),
        }
        let updated = self.0.collection::<Document>(COLLECTION).update_one(not_newer, update).upsert(create).await;
        match updated.map_err(StoreError::from) {
            Ok(updated) if !create && updated.matched_count == 0 => {
                Err(StoreError::Stale(format!("schedule `{name}` has a newer leader than {token}, or was deleted")))
            }
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
