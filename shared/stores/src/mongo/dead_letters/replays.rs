//! Replays: which dead letters an operation holds, what became of each, and its end.
//!
//! What an operation replays is fixed when it begins: it holds these dead letters, and no other operation can. One that
//! dies again is held no more, so that no operation replays it twice. Who carries an operation out is of no
//! importance here: each change compares what it was made for, so that repeating it, also by two processes, is safe.

use super::matching::{self, Matched};
use super::operations::{OperationState, ReplayOperation, held_by};
use super::{DeadLetter, DeadLetterFilter, DeadLetterState, DeadLetters, Replay, expiry, never_first};
use crate::StoreError;
use crate::mongo::audit::AuditEntry;
use crate::mongo::transactions::{Attempts, end};
use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, doc, serialize_to_bson};
use pvt_domain::timestamp::Timestamp;
use uuid::Uuid;

/// The outcome of beginning an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum BeginOutcome {
    /// It has begun, now or by an earlier request of the same id.
    Begun(ReplayOperation),
    /// Nothing that matches is dead.
    Nothing,
    /// What matches is not what was shown.
    Changed,
}

/// What a transaction has found, apart from being committed or not.
enum Found {
    Held,
    Nothing,
    Changed,
}

impl DeadLetters<'_> {
    /// Begins an operation on those that match and are dead, with its audit entry: the operation with what it holds, or
    /// `None` when none matches.
    ///
    /// # Errors
    /// As [`Self::begin_shown_replay`].
    pub async fn begin_replay(
        self,
        operation: &ReplayOperation,
        filter: &DeadLetterFilter,
    ) -> Result<Option<ReplayOperation>, StoreError> {
        Ok(match self.begin(operation, filter, None).await? {
            BeginOutcome::Begun(operation) => Some(operation),
            BeginOutcome::Nothing | BeginOutcome::Changed => None,
        })
    }

    /// The same for exactly those that were shown, `shown`; what is dead now and was not shown then begins nothing.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails, or other changes are always faster. Whether the operation has begun is then
    /// unknown; a further request under its id begins it once.
    pub async fn begin_shown_replay(
        self,
        operation: &ReplayOperation,
        filter: &DeadLetterFilter,
        shown: &Matched,
    ) -> Result<BeginOutcome, StoreError> {
        self.begin(operation, filter, Some(shown)).await
    }

    async fn begin(
        self,
        operation: &ReplayOperation,
        filter: &DeadLetterFilter,
        shown: Option<&Matched>,
    ) -> Result<BeginOutcome, StoreError> {
        let mut attempts = Attempts::new();
        loop {
            let mut new = operation.clone();
            let mut session = self.0.client().start_session().await?;
            session.start_transaction().await?;
            let found = self.begin_in(&mut session, &mut new, filter, shown).await;
            let outcome = match &found {
                Ok(Found::Nothing) => Some(BeginOutcome::Nothing),
                Ok(Found::Changed) => Some(BeginOutcome::Changed),
                Ok(Found::Held) | Err(_) => None,
            };
            let ended = end(&mut session, found.map(|found| matches!(found, Found::Held))).await;
            if matches!(ended, Ok(true)) {
                return Ok(BeginOutcome::Begun(new));
            }
            // A request under this id may have begun it before, also this very one: a commit that the server has
            // not confirmed.
            if let Some(begun) = self.operation(operation.id).await? {
                return Ok(BeginOutcome::Begun(begun));
            }
            ended?;
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
            if !attempts.pause().await {
                return Err(never_first());
            }
        }
    }

    async fn begin_in(
        self,
        session: &mut ClientSession,
        operation: &mut ReplayOperation,
        filter: &DeadLetterFilter,
        shown: Option<&Matched>,
    ) -> Result<Found, StoreError> {
        let held = doc! { "$set": { "state": "replaying", "operation": operation.id.to_string() } };
        let dead = filter.document(&[DeadLetterState::Dead]);
        operation.total = self.rows().update_many(dead, held).session(&mut *session).await?.modified_count;
        operation.remaining = operation.total;
        if let Some(shown) = shown
            && (operation.total != shown.count || self.held_in(session, operation.id).await? != *shown)
        {
            return Ok(Found::Changed);
        }
        if operation.total == 0 {
            return Ok(Found::Nothing);
        }
        self.operations().insert_one(&*operation).session(&mut *session).await?;
        let ReplayOperation { id, actor, reason, selection, total, created_at, .. } = &*operation;
        let detail = format!("{total} of {selection}: {reason}");
        let action = "dead_letter.replay".to_owned();
        let entry = AuditEntry::new(*id, *created_at, actor, action, &id.to_string(), &detail);
        self.0.audit_log().append_in(session, &entry).await?;
        Ok(Found::Held)
    }

    /// What an operation holds, as a selection that was shown is described.
    async fn held_in(self, session: &mut ClientSession, operation: Uuid) -> Result<Matched, StoreError> {
        let identities = self.identities();
        let held = identities.find(held_by(operation)).projection(matching::projection());
        let mut found = held.session(&mut *session).await?;
        let mut all = Vec::new();
        while let Some(identity) = found.next(session).await {
            all.push(identity?);
        }
        Ok(Matched::of(all))
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

    /// The next that an operation holds, in the order of the deaths of its queue; none of the queues in `except`.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn next_held(self, operation: Uuid, except: &[String]) -> Result<Option<DeadLetter>, StoreError> {
        let order = doc! { "queue": 1, "last.position": 1, "_id": 1 };
        let mut held = held_by(operation);
        if !except.is_empty() {
            held.insert("queue", doc! { "$nin": except });
        }
        Ok(self.rows().find_one(held).sort(order).await?)
    }

    /// The queues of what an operation holds.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn queues_held(self, operation: Uuid) -> Result<Vec<String>, StoreError> {
        let queues = self.rows().distinct("queue", held_by(operation)).await?;
        Ok(queues.iter().filter_map(|queue| queue.as_str().map(str::to_owned)).collect())
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
        let change = doc! { "$set": { "waits_for": waits_for }, "$inc": { "waits": 1_i64 } };
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
}

fn released() -> Document {
    doc! { "$set": { "state": "dead" }, "$unset": { "operation": "" } }
}
