//! Replay operations: which dead letters are held by one, how far it has come, and its end.
//!
//! What an operation replays is fixed when it begins: it holds these dead letters, and no other operation can. One that
//! dies again is held no more, so that no operation replays it twice. Who carries an operation out is of no
//! importance here: each change compares what it was made for, so that repeating it, also by two processes, is safe.

use super::{DeadLetter, DeadLetterFilter, DeadLetterState, DeadLetters, OPERATIONS, Replay, expiry};
use crate::StoreError;
use crate::mongo::audit::AuditEntry;
use crate::mongo::inventory::end;
use futures_util::TryStreamExt as _;
use mongodb::bson::{Bson, Document, doc, serialize_to_bson};
use mongodb::{ClientSession, Collection};
use pvt_domain::actor::Actor;
use pvt_domain::ids::uuid_text;
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Attempts of a transaction that met another one.
const ATTEMPTS: usize = 5;

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
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
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
            ended_at: None,
        }
    }

    /// How many were replayed.
    pub fn replayed(&self) -> u64 {
        self.total.saturating_sub(self.remaining).saturating_sub(self.kept.values().sum())
    }
}

impl DeadLetters<'_> {
    /// Begins an operation on those that match and are dead, with its audit entry: the operation with what it holds, or
    /// `None` when none matches.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails, or other changes are always faster.
    pub async fn begin_replay(
        self,
        operation: &ReplayOperation,
        filter: &DeadLetterFilter,
    ) -> Result<Option<ReplayOperation>, StoreError> {
        for _ in 0..ATTEMPTS {
            let mut operation = operation.clone();
            let mut session = self.0.client().start_session().await?;
            session.start_transaction().await?;
            let written = self.begin_in(&mut session, &mut operation, filter).await;
            let is_empty = matches!(written, Ok(false));
            if end(&mut session, written).await? {
                return Ok(Some(operation));
            }
            if is_empty {
                return Ok(None);
            }
        }
        let message = "dead letters that were selected change all the time".to_owned();
        Err(StoreError::Transient { store: "mongodb", message })
    }

    async fn begin_in(
        self,
        session: &mut ClientSession,
        operation: &mut ReplayOperation,
        filter: &DeadLetterFilter,
    ) -> Result<bool, StoreError> {
        let held = doc! { "$set": { "state": "replaying", "operation": operation.id.to_string() } };
        let dead = filter.document(&[DeadLetterState::Dead]);
        operation.total = self.rows().update_many(dead, held).session(&mut *session).await?.modified_count;
        operation.remaining = operation.total;
        if operation.total == 0 {
            return Ok(false);
        }
        self.operations().insert_one(&*operation).session(&mut *session).await?;
        let ReplayOperation { id, actor, reason, selection, total, created_at, .. } = &*operation;
        let detail = format!("{total} of {selection}: {reason}");
        let action = "dead_letter.replay".to_owned();
        let entry = AuditEntry::new(*id, *created_at, actor, action, &id.to_string(), &detail);
        self.0.audit_log().append_in(session, &entry).await?;
        Ok(true)
    }

    /// Cancels an operation that runs, with its audit entry; `false` when it does not run.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn cancel_replay(self, id: Uuid, entry: &AuditEntry) -> Result<bool, StoreError> {
        let mut session = self.0.client().start_session().await?;
        session.start_transaction().await?;
        let written = async {
            let running = doc! { "_id": id.to_string(), "state": "running" };
            let change = doc! { "$set": { "state": "cancelling" } };
            if self.operations().update_one(running, change).session(&mut session).await?.matched_count == 0 {
                return Ok(false);
            }
            self.0.audit_log().append_in(&mut session, entry).await?;
            Ok(true)
        };
        let written = written.await;
        end(&mut session, written).await
    }

    /// An operation with what it holds now.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn operation(self, id: Uuid) -> Result<Option<ReplayOperation>, StoreError> {
        let Some(found) = self.operations().find_one(doc! { "_id": id.to_string() }).await? else { return Ok(None) };
        Ok(Some(self.counted(found).await?))
    }

    /// The state of an operation.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn operation_state(self, id: Uuid) -> Result<Option<OperationState>, StoreError> {
        Ok(self.operations().find_one(doc! { "_id": id.to_string() }).await?.map(|found| found.state))
    }

    /// The newest operations, each with what it holds now, the newest first.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn list_operations(self, limit: i64) -> Result<Vec<ReplayOperation>, StoreError> {
        let found = self.operations().find(doc! {}).sort(doc! { "created_at": -1 }).limit(limit).await?;
        let mut operations = Vec::new();
        for operation in found.try_collect::<Vec<_>>().await? {
            operations.push(self.counted(operation).await?);
        }
        Ok(operations)
    }

    /// The oldest operation that has not ended.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn open_operation(self) -> Result<Option<ReplayOperation>, StoreError> {
        let open = doc! { "state": { "$in": ["running", "cancelling"] } };
        Ok(self.operations().find_one(open).sort(doc! { "created_at": 1 }).await?)
    }

    async fn counted(self, mut operation: ReplayOperation) -> Result<ReplayOperation, StoreError> {
        if !operation.state.has_ended() {
            operation.remaining = self.rows().count_documents(held_by(operation.id)).await?;
        }
        Ok(operation)
    }

    /// The next that an operation holds, in the order of the deaths of its queue.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn next_held(self, operation: Uuid) -> Result<Option<DeadLetter>, StoreError> {
        let order = doc! { "queue": 1, "last.position": 1, "_id": 1 };
        Ok(self.rows().find_one(held_by(operation)).sort(order).await?)
    }

    /// Records that the broker has confirmed the replay of a dead letter. It is `replayed`, unless it has died again
    /// since it was read: then the newer death stands.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn record_replay(self, dead_letter: &DeadLetter, replay: &Replay) -> Result<(), StoreError> {
        let mut same = held_by(replay.operation);
        same.insert("_id", dead_letter.id.to_string());
        same.insert("last.id", dead_letter.last.id.to_string());
        let entry = serialize_to_bson(replay).map_err(mongodb::error::Error::from)?;
        let change = doc! {
            "$set": { "state": "replayed", "expires_at": expiry() },
            "$unset": { "operation": "" },
            "$push": { "replays": &entry },
        };
        if self.rows().update_one(same, change).await?.matched_count > 0 {
            return Ok(());
        }
        let operation = replay.operation.to_string();
        let unless_recorded = doc! { "_id": dead_letter.id.to_string(), "replays.operation": { "$ne": operation } };
        self.rows().update_one(unless_recorded, doc! { "$push": { "replays": entry } }).await?;
        Ok(())
    }

    /// Returns a dead letter that an operation holds and cannot replay, for this reason.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn keep(self, dead_letter: &DeadLetter, operation: Uuid, why: &str) -> Result<(), StoreError> {
        let mut session = self.0.client().start_session().await?;
        session.start_transaction().await?;
        let written = async {
            let mut same = held_by(operation);
            same.insert("_id", dead_letter.id.to_string());
            if self.rows().update_one(same, released()).session(&mut session).await?.matched_count == 0 {
                return Ok(false);
            }
            let count = doc! { "$inc": { format!("kept.{why}"): 1_i64 } };
            let operation = doc! { "_id": operation.to_string() };
            self.operations().update_one(operation, count).session(&mut session).await?;
            Ok(true)
        };
        let written = written.await;
        end(&mut session, written).await.map(drop)
    }

    /// Notes why an operation cannot go on, or that it does.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn note_wait(self, operation: Uuid, waits_for: Option<&str>) -> Result<(), StoreError> {
        let change = doc! { "$set": { "waits_for": waits_for } };
        self.operations().update_one(doc! { "_id": operation.to_string() }, change).await?;
        Ok(())
    }

    /// Ends an operation: one that runs and holds nothing any more, or one that was cancelled. What the latter still
    /// holds is dead.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn end_operation(self, id: Uuid, state: OperationState, now: Timestamp) -> Result<(), StoreError> {
        let mut session = self.0.client().start_session().await?;
        session.start_transaction().await?;
        let written = self.end_in(&mut session, (id, state), now).await;
        end(&mut session, written).await.map(drop)
    }

    async fn end_in(
        self,
        session: &mut ClientSession,
        (id, state): (Uuid, OperationState),
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let ended = match state {
            OperationState::Cancelling => OperationState::Cancelled,
            _ => OperationState::Done,
        };
        let returned = self.rows().update_many(held_by(id), released()).session(&mut *session).await?;
        if ended == OperationState::Done && returned.modified_count > 0 {
            return Ok(false);
        }
        let mut change = doc! {
            "state": ended.as_str(), "ended_at": now.to_string(), "remaining": 0_i64, "waits_for": Bson::Null,
            "expires_at": expiry(),
        };
        if returned.modified_count > 0 {
            change.insert("kept.cancelled", i64::try_from(returned.modified_count).unwrap_or(i64::MAX));
        }
        let same = doc! { "_id": id.to_string(), "state": state.as_str() };
        let changed = self.operations().update_one(same, doc! { "$set": change }).session(session).await?;
        Ok(changed.matched_count > 0)
    }

    fn operations(self) -> Collection<ReplayOperation> {
        self.0.collection(OPERATIONS)
    }
}

fn held_by(operation: Uuid) -> Document {
    doc! { "operation": operation.to_string(), "state": "replaying" }
}

fn released() -> Document {
    doc! { "$set": { "state": "dead" }, "$unset": { "operation": "" } }
}
