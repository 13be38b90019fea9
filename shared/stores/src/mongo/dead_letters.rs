//! Dead letters: messages that were given up, one document for a message of a queue however often it dies.
//!
//! A document is never changed by the id of its message alone: what may meanwhile be a newer death is compared by the
//! id of the death. Each change by an operator is one transaction with its audit entry.

mod arrivals;
mod changes;
mod document;
mod groups;
mod matching;
mod operations;
mod replays;

pub use arrivals::{Arrival, Stored};
pub use document::{DeadLetter, DeadLetterState, Death, Discarded, Edit, Replay, StoredMessage};
pub use groups::DeadLetterGroup;
pub use matching::Matched;
pub use operations::{OperationState, ReplayOperation};
pub use replays::BeginOutcome;

use super::{Index, Mongo};
use crate::StoreError;
use futures_util::TryStreamExt as _;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};
use pvt_domain::ids::BookingId;
use pvt_domain::timestamp::Timestamp;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use uuid::Uuid;

pub(crate) const COLLECTION: &str = "dead_letters";
pub(crate) const OPERATIONS: &str = "replay_operations";

/// Replayed and discarded dead letters, and operations that have ended, are removed after this. Dead ones never are.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Selections; the newest position of a queue; by message; what an operation holds, in order; all that groups need, so
/// that no document is read, and the members of a group in order; deaths that followed an operation; by booking;
/// operations by state, and the newest ones.
pub(crate) const INDEXES: &[Index] = &[
    (COLLECTION, &[("state", 1), ("queue", 1), ("last.position", 1), ("_id", 1)], false),
    (COLLECTION, &[("queue", 1), ("last.position", -1)], false),
    (COLLECTION, &[("message_id", 1)], false),
    (COLLECTION, &[("operation", 1), ("state", 1), ("queue", 1), ("last.position", 1), ("_id", 1)], false),
    (
        COLLECTION,
        &[
            ("state", 1),
            ("last.group", 1),
            ("queue", 1),
            ("last.position", 1),
            ("_id", 1),
            ("last.class", 1),
            ("new_since_replay", 1),
            ("first_died_at", 1),
            ("last.died_at", 1),
        ],
        false,
    ),
    (COLLECTION, &[("last.follows", 1), ("state", 1)], false),
    (COLLECTION, &[("booking_id", 1)], false),
    (OPERATIONS, &[("state", 1), ("created_at", 1)], false),
    (OPERATIONS, &[("created_at", -1)], false),
];

/// Which dead letters are meant. A member that is absent excludes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// These, by their own id or by that of their message.
    pub ids: Option<Vec<Uuid>>,
    /// Of these queues, without the broker's prefix.
    pub queues: Option<Vec<String>>,
    /// Of this class of error.
    pub class: Option<String>,
    /// Of this group.
    pub group: Option<String>,
    /// Of this type of message.
    pub kind: Option<String>,
    /// About this booking.
    pub booking: Option<BookingId>,
    /// Whose last death was stored no later than this.
    pub until: Option<Timestamp>,
}

impl DeadLetterFilter {
    /// These dead letters, by their own ids or those of their messages.
    pub fn of_ids(ids: impl IntoIterator<Item = Uuid>) -> Self {
        Self { ids: Some(ids.into_iter().collect()), ..Self::default() }
    }

    fn document(&self, states: &[DeadLetterState]) -> Document {
        let states: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
        let mut filter = doc! { "state": { "$in": states } };
        if let Some(ids) = &self.ids {
            let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
            filter.insert("$or", vec![doc! { "_id": { "$in": &ids } }, doc! { "message_id": { "$in": &ids } }]);
        }
        if let Some(queues) = &self.queues {
            filter.insert("queue", doc! { "$in": queues });
        }
        let texts = [("last.class", &self.class), ("last.group", &self.group), ("kind", &self.kind)];
        for (field, text) in texts {
            if let Some(text) = text {
                filter.insert(field, text);
            }
        }
        if let Some(booking) = &self.booking {
            filter.insert("booking_id", booking.to_string());
        }
        if let Some(until) = &self.until {
            filter.insert("last.died_at", doc! { "$lte": until.to_string() });
        }
        filter
    }
}

/// Messages that were given up.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetters<'a>(pub(super) &'a Mongo);

impl DeadLetters<'_> {
    /// Those that match in these states, by queue in the order of their deaths and without their messages; at most
    /// `limit` after the first `skip`.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn list(
        self,
        filter: &DeadLetterFilter,
        states: &[DeadLetterState],
        skip: u64,
        limit: i64,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let found = self
            .rows()
            .find(filter.document(states))
            .projection(doc! { "message": 0, "original": 0, "seen": 0 })
            .sort(doc! { "queue": 1, "last.position": 1, "_id": 1 })
            .skip(skip)
            .limit(limit)
            .await?;
        Ok(found.try_collect().await?)
    }

    /// How many match in these states.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn count(self, filter: &DeadLetterFilter, states: &[DeadLetterState]) -> Result<u64, StoreError> {
        Ok(self.rows().count_documents(filter.document(states)).await?)
    }

    /// Those with this id, their own or that of their message, in any state: one for each queue that gave it up and
    /// each body that it had there.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find(self, id: Uuid) -> Result<Vec<DeadLetter>, StoreError> {
        let filter = DeadLetterFilter::of_ids([id]).document(&DeadLetterState::ALL);
        let found = self.rows().find(filter).sort(doc! { "queue": 1, "_id": 1 }).await?;
        Ok(found.try_collect().await?)
    }

    /// These, by their own ids, with their messages.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn with_messages(self, ids: impl IntoIterator<Item = Uuid>) -> Result<Vec<DeadLetter>, StoreError> {
        let found = self.0.find_by_ids(COLLECTION, ids, |found: &DeadLetter| found.id).await?;
        Ok(found.into_values().collect())
    }

    /// How many are dead now, those that are being replayed included, by queue without the broker's prefix. Queues
    /// without any are absent.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn count_by_queue(self) -> Result<BTreeMap<String, u64>, StoreError> {
        let open = [DeadLetterState::Dead, DeadLetterState::Replaying].map(DeadLetterState::as_str);
        let pipeline = [
            doc! { "$match": { "state": { "$in": open.as_slice() } } },
            doc! { "$group": { "_id": "$queue", "count": { "$sum": 1_i64 } } },
        ];
        let counts: Vec<Document> = self.rows().aggregate(pipeline).await?.try_collect().await?;
        let count = |row: &Document| Some((row.get_str("_id").ok()?.to_owned(), row.get_i64("count").ok()?));
        let counts = counts.iter().filter_map(count);
        Ok(counts.map(|(queue, count)| (queue, u64::try_from(count).unwrap_or_default())).collect())
    }

    pub(super) async fn create_expiry_indexes(self) -> Result<(), StoreError> {
        for collection in [COLLECTION, OPERATIONS] {
            let options = IndexOptions::builder().expire_after(Duration::ZERO).build();
            let index = IndexModel::builder().keys(doc! { "expires_at": 1 }).options(options).build();
            self.0.collection::<Document>(collection).create_index(index).await?;
        }
        Ok(())
    }

    fn rows(self) -> Collection<DeadLetter> {
        self.0.collection(COLLECTION)
    }
}

/// The failure of a change that others were faster than until it gave up.
fn never_first() -> StoreError {
    let message = "dead letters that were selected change all the time".to_owned();
    StoreError::Transient { store: "mongodb", message }
}

/// When what is finished now is removed.
fn expiry() -> DateTime {
    DateTime::from_system_time(SystemTime::now() + KEPT_FOR)
}
