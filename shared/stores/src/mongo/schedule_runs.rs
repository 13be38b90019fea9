//! Runs of schedules: what each fire did and how it ended, and the runs that operators request.
//!
//! A requested run is open until a leader has carried it out; there is one open run of a schedule at most. Its id is
//! derived by the caller, so that a request that is sent twice is one. Runs are removed by MongoDB after a week.

use super::audit::AuditEntry;
use super::queue_samples::create_expiry_index;
use super::transactions::end;
use super::{Index, Mongo};
use crate::StoreError;
use futures_util::TryStreamExt as _;
use mongodb::bson::{Bson, DateTime, Document, doc, serialize_to_document};
use mongodb::options::IndexOptions;
use mongodb::{ClientSession, Collection, IndexModel};
use pvt_domain::actor::Actor;
use pvt_domain::ids::{PropertyId, uuid_text};
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use uuid::Uuid;

pub(crate) const COLLECTION: &str = "schedule_runs";
/// How long a run is kept.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Runs of a schedule, newest first.
pub(crate) const INDEXES: &[Index] = &[(COLLECTION, &[("schedule", 1), ("fire", -1)], false)];

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// An operator has requested it, and no leader has begun.
    Requested,
    /// A leader carries it out.
    Running,
    /// It is over, and everything was sent, except at the properties that are behind.
    Succeeded,
    /// It ended with an error. The scheduler repeats a fire until it succeeds, and a requested run not at all.
    Failed,
}

impl RunState {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// A request of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRequest {
    /// Who requested the run.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// Only this property.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property_id: Option<PropertyId>,
    /// Whether it only reports.
    #[serde(default)]
    pub dry_run: bool,
}

/// A run of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRun {
    /// Derived from schedule and fire, or from schedule and request.
    #[serde(rename = "_id", with = "uuid_text")]
    pub id: Uuid,
    /// The schedule.
    pub schedule: String,
    /// When it was due, or requested.
    pub fire: Timestamp,
    /// How far it is.
    pub state: RunState,
    /// When it first began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it last ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Messages that it sent, or would have sent.
    #[serde(default)]
    pub messages: u64,
    /// Whether it only reported, because of its request or of the configuration of the schedule.
    #[serde(default)]
    pub dry_run: bool,
    /// Properties whose commands were still to be sent when it ended; the schedule makes up for them.
    #[serde(default)]
    pub behind: u64,
    /// How often it was begun.
    #[serde(default)]
    pub attempts: u32,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The request, of one that an operator requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RunRequest>,
}

impl ScheduleRun {
    /// A run that is requested at this time, and that no leader has begun.
    pub fn requested(id: Uuid, schedule: &str, at: Timestamp, request: RunRequest) -> Self {
        Self {
            id,
            schedule: schedule.to_owned(),
            fire: at,
            state: RunState::Requested,
            started_at: None,
            ended_at: None,
            messages: 0,
            dry_run: request.dry_run,
            behind: 0,
            attempts: 0,
            error: None,
            request: Some(request),
        }
    }

    /// Whether its request asks for a report only.
    pub fn is_dry_requested(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.dry_run)
    }
}

/// What a request of a run found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestOutcome {
    /// The run is stored and will be carried out.
    Requested,
    /// The same request was made before; this is its run.
    RequestedBefore(Box<ScheduleRun>),
    /// Another requested run of this schedule is not over.
    Another(Box<ScheduleRun>),
    /// It was changed at the same time.
    Raced,
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunEnd<'a> {
    /// When.
    pub at: Timestamp,
    /// Messages sent, or the error.
    pub outcome: Result<u64, &'a str>,
    /// Whether it only reported.
    pub dry_run: bool,
    /// Properties that are behind.
    pub behind: u64,
}

impl RunEnd<'_> {
    fn fields(self) -> Document {
        let state = if self.outcome.is_ok() { RunState::Succeeded } else { RunState::Failed };
        let behind = i64::try_from(self.behind).unwrap_or(i64::MAX);
        let mut fields = doc! { "state": state.as_str(), "ended_at": self.at.to_string(), "dry_run": self.dry_run,
        "behind": behind };
        match self.outcome {
            Ok(messages) => fields.insert("messages", i64::try_from(messages).unwrap_or(i64::MAX)),
            Err(error) => fields.insert("error", error),
        };
        fields
    }
}

/// Runs of schedules.
#[derive(Debug, Clone, Copy)]
pub struct ScheduleRuns<'a>(pub(super) &'a Mongo);

impl ScheduleRuns<'_> {
    /// Records an attempt at a fire that is over. The first attempt says when it began.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn record(
        self,
        id: Uuid,
        schedule: &str,
        fire: Timestamp,
        started_at: Timestamp,
        end: RunEnd<'_>,
    ) -> Result<(), StoreError> {
        let first = doc! { "schedule": schedule, "fire": fire.to_string(), "started_at": started_at.to_string(),
        "expires_at": expiry() };
        let mut update = doc! { "$set": end.fields(), "$setOnInsert": first, "$inc": { "attempts": 1 } };
        if end.outcome.is_ok() {
            update.insert("$unset", doc! { "error": "" });
        }
        self.documents().update_one(doc! { "_id": id.to_string() }, update).upsert(true).await?;
        Ok(())
    }

    /// Stores a request with its audit entry, unless it was made before or another one is open.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn request(self, run: &ScheduleRun, entry: &AuditEntry) -> Result<RequestOutcome, StoreError> {
        let mut session = self.0.client().start_session().await?;
        session.start_transaction().await?;
        let inserted = self.insert_in(&mut session, run, entry).await;
        if end(&mut session, inserted).await? {
            return Ok(RequestOutcome::Requested);
        }
        if let Some(before) = self.find(run.id).await? {
            return Ok(RequestOutcome::RequestedBefore(Box::new(before)));
        }
        let another = self.open().await?.into_iter().find(|open| open.schedule == run.schedule);
        Ok(another.map_or(RequestOutcome::Raced, |another| RequestOutcome::Another(Box::new(another))))
    }

    async fn insert_in(
        self,
        session: &mut ClientSession,
        run: &ScheduleRun,
        entry: &AuditEntry,
    ) -> Result<bool, StoreError> {
        let mut document = serialize_to_document(run).map_err(mongodb::error::Error::from)?;
        document.insert("open", true);
        document.insert("expires_at", expiry());
        self.documents().insert_one(document).session(&mut *session).await?;
        self.0.audit_log().append_in(session, entry).await?;
        Ok(true)
    }

    /// Requested runs that are not over, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn open(self) -> Result<Vec<ScheduleRun>, StoreError> {
        Ok(self.rows().find(doc! { "open": true }).sort(doc! { "fire": 1 }).await?.try_collect().await?)
    }

    /// Begins a requested run; `false` when it is over, or a newer leader has begun it.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn begin(self, id: Uuid, now: Timestamp, token: i64) -> Result<bool, StoreError> {
        let not_newer = doc! { "$or": [{ "token": { "$exists": false } }, { "token": { "$lte": token } }] };
        let open = doc! { "_id": id.to_string(), "open": true, "$and": [not_newer] };
        let attempts = doc! { "$add": [{ "$ifNull": ["$attempts", 0] }, 1] };
        let started_at = doc! { "$ifNull": ["$started_at", now.to_string()] };
        let state = RunState::Running.as_str();
        let begun = doc! { "state": state, "token": token, "attempts": attempts, "started_at": started_at };
        Ok(self.documents().update_one(open, vec![doc! { "$set": begun }]).await?.matched_count > 0)
    }

    /// Notes how many messages a requested run has sent so far.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn note_progress(self, id: Uuid, token: i64, messages: u64) -> Result<(), StoreError> {
        let own = doc! { "_id": id.to_string(), "open": true, "token": token };
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.documents().update_one(own, doc! { "$set": { "messages": messages } }).await?;
        Ok(())
    }

    /// Ends a requested run; `false` when a newer leader has begun it.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn finish(self, id: Uuid, token: i64, end: RunEnd<'_>) -> Result<bool, StoreError> {
        let own = doc! { "_id": id.to_string(), "open": true, "token": token };
        let update = doc! { "$set": end.fields(), "$unset": { "open": "" } };
        Ok(self.documents().update_one(own, update).await?.matched_count > 0)
    }

    /// A run.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find(self, id: Uuid) -> Result<Option<ScheduleRun>, StoreError> {
        Ok(self.rows().find_one(doc! { "_id": id.to_string() }).await?)
    }

    /// The newest runs of a schedule, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn newest(self, schedule: &str, limit: i64) -> Result<Vec<ScheduleRun>, StoreError> {
        let found = self.rows().find(doc! { "schedule": schedule }).sort(doc! { "fire": -1 }).limit(limit).await?;
        Ok(found.try_collect().await?)
    }

    /// The newest runs that operators have requested of any schedule, newest first: fires are many more. With
    /// properties, those at one of these, and those at no property in particular.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn newest_requested(
        self,
        properties: Option<&[PropertyId]>,
        limit: i64,
    ) -> Result<Vec<ScheduleRun>, StoreError> {
        let mut requested = doc! { "request": { "$exists": true } };
        if let Some(properties) = properties {
            let named = properties.iter().map(|id| Bson::from(id.as_str())).chain([Bson::Null]);
            requested.insert("request.property_id", doc! { "$in": named.collect::<Vec<_>>() });
        }
        Ok(self.rows().find(requested).sort(doc! { "fire": -1 }).limit(limit).await?.try_collect().await?)
    }

    pub(super) async fn create_special_indexes(self) -> Result<(), StoreError> {
        let options = IndexOptions::builder().unique(true).partial_filter_expression(doc! { "open": true }).build();
        let one_open = IndexModel::builder().keys(doc! { "open": 1, "schedule": 1 }).options(options).build();
        self.documents().create_index(one_open).await?;
        let requested = doc! { "request": { "$exists": true } };
        let options = IndexOptions::builder().partial_filter_expression(requested).build();
        let newest_requested = IndexModel::builder().keys(doc! { "fire": -1 }).options(options).build();
        self.documents().create_index(newest_requested).await?;
        create_expiry_index(&self.documents(), "expires_at", Duration::ZERO).await
    }

    fn rows(self) -> Collection<ScheduleRun> {
        self.0.collection(COLLECTION)
    }

    fn documents(self) -> Collection<Document> {
        self.0.collection(COLLECTION)
    }
}

/// When what happens now is removed.
fn expiry() -> DateTime {
    DateTime::from_system_time(SystemTime::now() + KEPT_FOR)
}
