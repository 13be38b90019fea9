//! Replay operations: their documents, and how far each has come.

use super::{DeadLetters, OPERATIONS};
use crate::StoreError;
use futures_util::TryStreamExt as _;
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use pvt_domain::actor::Actor;
use pvt_domain::ids::uuid_text;
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// State of a replay operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// It replays, or waits until it can.
    Running,
    /// An operator has cancelled it; it stops before the next message.
    Cancelling,
    /// It was cancelled.
    Cancelled,
    /// All were replayed, except those that were kept.
    Done,
}

impl OperationState {
    /// Whether nothing more happens.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Cancelled | Self::Done)
    }

    /// The stored text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }
}

/// A replay of dead letters in the background.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayOperation {
    /// Its id.
    #[serde(rename = "_id", with = "uuid_text")]
    pub id: Uuid,
    /// State.
    pub state: OperationState,
    /// Who requested it.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// Which dead letters were selected, in words.
    pub selection: String,
    /// Most messages a second.
    pub rate: u32,
    /// When it was requested.
    pub created_at: Timestamp,
    /// How many dead letters it held at first.
    pub total: u64,
    /// How many it still holds.
    pub remaining: u64,
    /// How many stay dead, by reason.
    #[serde(default)]
    pub kept: BTreeMap<String, u64>,
    /// Why it cannot go on for the moment.
    #[serde(default)]
    pub waits_for: Option<String>,
    /// How often that has changed.
    #[serde(default)]
    pub waits: u64,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// How many that it replayed have died again since, and wait for an operator.
    #[serde(skip)]
    pub died_again: u64,
}

impl ReplayOperation {
    /// A new operation, which holds nothing yet.
    pub fn new(actor: impl Into<Actor>, reason: String, selection: String, rate: u32, now: Timestamp) -> Self {
        Self {
            id: Uuid::now_v7(),
            state: OperationState::Running,
            actor: actor.into(),
            reason,
            selection,
            rate,
            created_at: now,
            total: 0,
            remaining: 0,
            kept: BTreeMap::new(),
            waits_for: None,
            waits: 0,
            ended_at: None,
            died_again: 0,
        }
    }

    /// How many were replayed.
    pub fn replayed(&self) -> u64 {
        self.total.saturating_sub(self.remaining).saturating_sub(self.kept.values().sum())
    }
}

impl DeadLetters<'_> {
    /// An operation with what it holds now.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn operation(self, id: Uuid) -> Result<Option<ReplayOperation>, StoreError> {
        let Some(found) = self.operations().find_one(doc! { "_id": id.to_string() }).await? else { return Ok(None) };
        Ok(self.all_counted(vec![found]).await?.pop())
    }

    /// The newest operations, each with what it holds now, the newest first.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn list_operations(self, limit: i64) -> Result<Vec<ReplayOperation>, StoreError> {
        let found = self.operations().find(doc! {}).sort(doc! { "created_at": -1 }).limit(limit).await?;
        self.all_counted(found.try_collect().await?).await
    }

    /// The operations that have not ended, and of those that ended no earlier than `since` the newest `limit`, each
    /// with what it holds now, the newest first.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn operations_since(self, since: Timestamp, limit: i64) -> Result<Vec<ReplayOperation>, StoreError> {
        let mut found = self.open_operations().await?;
        let ended = doc! { "ended_at": { "$gte": since.to_string() } };
        let ended = self.operations().find(ended).sort(doc! { "created_at": -1 }).limit(limit).await?;
        let ended: Vec<ReplayOperation> = ended.try_collect().await?;
        // One may have ended between the two readings.
        found.retain(|open| ended.iter().all(|operation| operation.id != open.id));
        found.extend(ended);
        found.sort_by_key(|operation| Reverse((operation.created_at, operation.id)));
        self.all_counted(found).await
    }

    /// The operations that have not ended, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn open_operations(self) -> Result<Vec<ReplayOperation>, StoreError> {
        Ok(self.operations().find(open()).sort(doc! { "created_at": 1, "_id": 1 }).await?.try_collect().await?)
    }

    async fn all_counted(self, mut operations: Vec<ReplayOperation>) -> Result<Vec<ReplayOperation>, StoreError> {
        let held = self.counts_of(&operations, "operation", "replaying").await?;
        let died_again = self.counts_of(&operations, "last.follows", "dead").await?;
        for operation in &mut operations {
            let id = operation.id.to_string();
            if !operation.state.has_ended() {
                operation.remaining = held.get(&id).copied().unwrap_or_default();
            }
            operation.died_again = died_again.get(&id).copied().unwrap_or_default();
        }
        Ok(operations)
    }

    /// How many in this state name each of the operations in this field.
    async fn counts_of(
        self,
        operations: &[ReplayOperation],
        field: &str,
        state: &str,
    ) -> Result<HashMap<String, u64>, StoreError> {
        let ids: Vec<String> = operations.iter().map(|operation| operation.id.to_string()).collect();
        let pipeline = [
            doc! { "$match": { field: { "$in": ids }, "state": state } },
            doc! { "$group": { "_id": format!("${field}"), "count": { "$sum": 1_i64 } } },
        ];
        let counts: Vec<Document> = self.rows().aggregate(pipeline).await?.try_collect().await?;
        let count = |row: &Document| Some((row.get_str("_id").ok()?.to_owned(), row.get_i64("count").ok()?));
        let counts = counts.iter().filter_map(count);
        Ok(counts.map(|(id, count)| (id, u64::try_from(count).unwrap_or_default())).collect())
    }

    pub(super) fn operations(self) -> Collection<ReplayOperation> {
        self.0.collection(OPERATIONS)
    }
}

fn open() -> Document {
    doc! { "state": { "$in": ["running", "cancelling"] } }
}

/// Matches what an operation holds.
pub(super) fn held_by(operation: Uuid) -> Document {
    doc! { "operation": operation.to_string(), "state": "replaying" }
}
