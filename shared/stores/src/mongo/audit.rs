//! Audit log: who did what. Insert-only: rows are never changed or deleted.

use super::transactions::end_transaction;
use super::{Index, Mongo, SCAN_LIMIT};
use crate::StoreError;
use backon::{ExponentialBuilder, Retryable as _};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::{ClientSession, Collection};
use pvt_domain::actor::Actor;
use pvt_domain::ids::{PropertyId, uuid_text};
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

const COLLECTION: &str = "audit";

/// Further attempts of a change that conflicts with another one: 10 to 20 ms apart at first, doubling each time.
const RETRIES: ExponentialBuilder =
    ExponentialBuilder::new().with_min_delay(Duration::from_millis(10)).with_max_times(5).with_jitter();

/// Entries of one run or command; entries of one subject, of one actor and all entries, newest first.
pub(crate) const INDEXES: &[Index] = &[
    (COLLECTION, &[("cause", 1)], false),
    (COLLECTION, &[("subject", 1), ("at", -1), ("_id", -1)], false),
    (COLLECTION, &[("actor", 1), ("at", -1), ("_id", -1)], false),
    (COLLECTION, &[("at", -1), ("_id", -1)], false),
];

/// One recorded action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Derived from cause, action and subject, so that a repetition is the same entry.
    #[serde(rename = "_id", with = "uuid_text")]
    pub id: Uuid,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it: `staff:<id>`, `schedule:<name>`, …
    pub actor: Actor,
    /// What was done, for example `repair.orphan_claim`.
    pub action: String,
    /// What it was done to: a booking's id, a claim's key.
    pub subject: String,
    /// Description for people.
    pub detail: String,
    /// The run or command that it was part of.
    #[serde(with = "uuid_text")]
    pub cause: Uuid,
}

impl AuditEntry {
    /// An entry whose id is derived from its cause, action and subject.
    pub fn new(
        cause: Uuid,
        at: Timestamp,
        actor: impl Into<Actor>,
        action: String,
        subject: &str,
        detail: &str,
    ) -> Self {
        let id = Uuid::new_v5(&cause, format!("{action}\n{subject}").as_bytes());
        Self { id, at, actor: actor.into(), action, subject: subject.to_owned(), detail: detail.to_owned(), cause }
    }

    /// The same about one part of its subject, where one action of one cause may concern several of them.
    #[must_use]
    pub fn about_part(self, part: Uuid) -> Self {
        Self { id: Uuid::new_v5(&self.id, part.as_bytes()), ..self }
    }
}

/// What entries are about; without any member, all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// This subject.
    pub subject: Option<String>,
    /// This property or a part of it.
    pub property: Option<PropertyId>,
    /// By this actor.
    pub actor: Option<Actor>,
    /// From this instant on.
    pub from: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    fn query(&self, before: Option<(&str, &str)>) -> Document {
        let mut query = Document::new();
        query.extend(self.subject.as_ref().map(|subject| ("subject".to_owned(), subject.into())));
        query.extend(self.actor.as_ref().map(|actor| ("actor".to_owned(), actor.as_str().into())));
        if let (Some(property), None) = (&self.property, &self.subject) {
            // The letter after the separator ends the range of the parts.
            let parts = doc! { "$gte": format!("{property}|"), "$lt": format!("{property}}}") };
            query.insert("$and", [doc! { "$or": [{ "subject": property.as_str() }, { "subject": parts }] }].to_vec());
        }
        let mut at = Document::new();
        at.extend(self.from.map(|from| ("$gte".to_owned(), from.to_string().into())));
        at.extend(self.until.map(|until| ("$lt".to_owned(), until.to_string().into())));
        if let Some((last, id)) = before {
            query.insert("$or", [doc! { "at": { "$lt": last } }, doc! { "at": last, "_id": { "$lt": id } }].to_vec());
            // A bound that the index can use.
            at.insert("$lte", last);
        }
        if !at.is_empty() {
            query.insert("at", at);
        }
        query
    }
}

/// Repeats a change in a transaction that lost a race, so that it finds what the faster one has stored, and says so.
pub(super) async fn retried<T, F>(change: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    change.retry(RETRIES).when(|error| matches!(error, StoreError::Transient { .. })).await
}

/// Audit log: insert-only.
#[derive(Debug, Clone, Copy)]
pub struct AuditLog<'a>(pub(super) &'a Mongo);

impl AuditLog<'_> {
    /// Adds an entry; adding it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn append(self, entry: &AuditEntry) -> Result<(), StoreError> {
        match self.rows().insert_one(entry).await.map_err(StoreError::from) {
            Ok(_) | Err(StoreError::Duplicate(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Adds an entry within a transaction, where a repetition fails it.
    pub(super) async fn append_in(self, session: &mut ClientSession, entry: &AuditEntry) -> Result<(), StoreError> {
        self.rows().insert_one(entry).session(session).await?;
        Ok(())
    }

    /// Adds entries within a transaction, where a repetition fails it; at least one.
    pub(super) async fn append_all_in(
        self,
        session: &mut ClientSession,
        entries: impl IntoIterator<Item = &AuditEntry> + Send,
    ) -> Result<(), StoreError> {
        let entries: Vec<&AuditEntry> = entries.into_iter().collect();
        self.rows().insert_many(entries).session(session).await?;
        Ok(())
    }

    /// A transaction for a change that is recorded here, to be ended by [`Self::end`].
    pub(super) async fn begin(self) -> Result<ClientSession, StoreError> {
        let mut session = self.0.client().start_session().await?;
        session.start_transaction().await?;
        Ok(session)
    }

    /// Ends it: what was changed is committed together with its entry; where nothing was, nothing is recorded.
    pub(super) async fn end<T>(
        self,
        mut session: ClientSession,
        changed: Result<Option<T>, StoreError>,
        entry: &AuditEntry,
    ) -> Result<Option<T>, StoreError> {
        let recorded = match changed {
            Ok(Some(value)) => self.append_in(&mut session, entry).await.map(|()| Some(value)),
            unchanged => unchanged,
        };
        end_transaction(&mut session, recorded).await
    }

    /// Entries of a run or a command, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn of_cause(self, cause: Uuid) -> Result<Vec<AuditEntry>, StoreError> {
        let found = self.rows().find(doc! { "cause": cause.to_string() }).sort(doc! { "at": 1, "_id": 1 }).await?;
        Ok(found.try_collect().await?)
    }

    /// Entries of one subject or of all, newest first: those before the given entry, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn list(
        self,
        subject: Option<&str>,
        before: Option<(&str, &str)>,
        limit: i64,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let filter = AuditFilter { subject: subject.map(str::to_owned), ..AuditFilter::default() };
        self.search(&filter, before, limit).await
    }

    /// Entries that a filter selects, newest first: those before the given entry, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails, or when entries of a property alone are too far apart.
    pub async fn search(
        self,
        filter: &AuditFilter,
        before: Option<(&str, &str)>,
        limit: i64,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let rows = self.rows();
        let found = rows.find(filter.query(before)).sort(doc! { "at": -1, "_id": -1 }).limit(limit);
        Ok(found.max_time(SCAN_LIMIT).await?.try_collect().await?)
    }

    fn rows(self) -> Collection<AuditEntry> {
        self.0.collection(COLLECTION)
    }
}
