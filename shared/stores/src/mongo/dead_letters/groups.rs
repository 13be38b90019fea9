//! Groups of dead letters with one cause.

use super::{DeadLetter, DeadLetterFilter, DeadLetterState, DeadLetters};
use crate::StoreError;
use futures_util::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use pvt_domain::ids::uuid_text;
use pvt_domain::timestamp::Timestamp;
use serde::Deserialize;
use std::collections::HashMap;
use uuid::Uuid;

/// Dead letters with one cause: same worker, class of error, and message but for its values.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetterGroup {
    /// Names it.
    pub group: String,
    /// How many are dead now.
    pub dead: u64,
    /// How many a replay operation holds.
    pub replaying: u64,
    /// How many of them have died again after a replay.
    pub new_since_replay: u64,
    /// When the first of them was first stored.
    pub first_seen: Timestamp,
    /// When the last of them died.
    pub last_seen: Timestamp,
    /// Their queues, in order.
    pub queues: Vec<String>,
    /// One of them, without its message.
    pub example: DeadLetter,
}

#[derive(Debug, Deserialize)]
struct Row {
    #[serde(rename = "_id")]
    group: String,
    dead: i64,
    replaying: i64,
    new_since_replay: i64,
    first_seen: Timestamp,
    last_seen: Timestamp,
    queues: Vec<String>,
    #[serde(with = "uuid_text")]
    example: Uuid,
}

impl DeadLetters<'_> {
    /// The groups of all that are dead or being replayed, the largest first.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn groups(self) -> Result<Vec<DeadLetterGroup>, StoreError> {
        self.groups_of(&DeadLetterFilter::default()).await
    }

    /// The groups of those that match and are dead or being replayed, the largest first.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn groups_of(self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetterGroup>, StoreError> {
        let open = [DeadLetterState::Dead, DeadLetterState::Replaying];
        let one_if = |condition: Document| doc! { "$sum": { "$cond": [condition, 1_i64, 0_i64] } };
        // An index has every field that is named here, and those of most filters.
        let pipeline = [
            doc! { "$match": filter.document(&open) },
            doc! { "$group": {
                "_id": "$last.group",
                "dead": one_if(doc! { "$eq": ["$state", "dead"] }),
                "replaying": one_if(doc! { "$eq": ["$state", "replaying"] }),
                "new_since_replay": one_if(doc! { "$eq": ["$new_since_replay", true] }),
                "first_seen": { "$min": "$first_died_at" },
                "last_seen": { "$max": "$last.died_at" },
                "queues": { "$addToSet": "$queue" },
                "example": { "$last": "$_id" },
            } },
        ];
        let rows = self.rows().aggregate(pipeline).await?.with_type::<Row>();
        let rows: Vec<Row> = rows.try_collect().await?;
        let examples = DeadLetterFilter::of_ids(rows.iter().map(|row| row.example));
        let found = self.list(&examples, &DeadLetterState::ALL, 0, 0).await?;
        let mut examples: HashMap<Uuid, DeadLetter> = found.into_iter().map(|found| (found.id, found)).collect();
        let mut groups: Vec<DeadLetterGroup> = rows
            .into_iter()
            .filter_map(
                |Row { group, dead, replaying, new_since_replay, first_seen, last_seen, mut queues, example }| {
                    let count = |count: i64| u64::try_from(count).unwrap_or_default();
                    let (dead, replaying, new_since_replay) = (count(dead), count(replaying), count(new_since_replay));
                    queues.sort_unstable();
                    let example = examples.remove(&example)?;
                    Some(DeadLetterGroup {
                        group,
                        dead,
                        replaying,
                        new_since_replay,
                        first_seen,
                        last_seen,
                        queues,
                        example,
                    })
                },
            )
            .collect();
        groups.sort_by(|one, other| (other.dead, &one.group).cmp(&(one.dead, &other.group)));
        Ok(groups)
    }
}
