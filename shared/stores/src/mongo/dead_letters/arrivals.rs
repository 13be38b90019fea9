//! Storing of deaths. A death that is stored again changes nothing; a further death of a message raises its count.

use super::{COLLECTION, DeadLetters, Death, StoredMessage};
use crate::StoreError;
use crate::error::{DUPLICATE_KEY, OF_THE_DOCUMENT};
use mongodb::bson::{Bson, Document, doc, serialize_to_bson};
use pvt_domain::ids::BookingId;
use uuid::Uuid;

/// Deaths of a message that are recognized when they are stored again.
const SEEN_DEATHS: i32 = 50;
/// Most bytes of one command, which the server takes like a document: up to 16 MiB.
const COMMAND_BYTES: usize = 15_000_000;
/// What a document needs besides headers and body.
const DOCUMENT_BYTES: usize = 4_096;

/// A message that has arrived in the dead letters.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// The id of its document.
    pub id: Uuid,
    /// The queue that gave it up, without the broker's prefix.
    pub queue: String,
    /// The id of the message; nil where it has none.
    pub message_id: Uuid,
    /// Its type.
    pub kind: String,
    /// The booking that it is about, where that can be read.
    pub booking_id: Option<BookingId>,
    /// Its death.
    pub death: Death,
    /// The message.
    pub message: StoredMessage,
}

/// The outcome of storing a death.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// It is stored now.
    New,
    /// It was stored before.
    Known,
    /// It cannot be stored, for this reason.
    Refused(String),
}

impl Stored {
    /// Whether the store has it.
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::New | Self::Known)
    }
}

impl DeadLetters<'_> {
    /// Stores deaths, one by one: the outcome of each, in their order. All that are kept are kept by a majority.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; then any of them may have been stored, and storing them again is safe.
    pub async fn store(self, arrivals: &[Arrival]) -> Result<Vec<Stored>, StoreError> {
        let mut outcomes = Vec::with_capacity(arrivals.len());
        let mut rest = arrivals;
        while !rest.is_empty() {
            let mut bytes = 0_usize;
            let fits = rest.iter().take_while(|arrival| {
                bytes += arrival.len();
                bytes <= COMMAND_BYTES
            });
            let (now, later) = rest.split_at(fits.count().max(1));
            match self.store_some(now).await {
                Ok(of_these) => outcomes.extend(of_these),
                // One of them makes the server refuse the whole command.
                Err(StoreError::Broken { .. }) => {
                    for arrival in now {
                        outcomes.push(self.store_alone(arrival).await?);
                    }
                }
                Err(error) => return Err(error),
            }
            rest = later;
        }
        Ok(outcomes)
    }

    async fn store_alone(self, arrival: &Arrival) -> Result<Stored, StoreError> {
        match self.store_some(std::slice::from_ref(arrival)).await {
            Ok(outcome) => Ok(outcome.into_iter().next().unwrap_or(Stored::New)),
            Err(StoreError::Broken { message, .. }) => Ok(Stored::Refused(message)),
            Err(error) => Err(error),
        }
    }

    async fn store_some(self, arrivals: &[Arrival]) -> Result<Vec<Stored>, StoreError> {
        let mut outcomes = self.upsert(arrivals.iter()).await?;
        // Another process may have inserted the document just before, with another death of the message.
        let is_known = |outcome: &Stored| *outcome == Stored::Known;
        let known: Vec<&Arrival> = arrivals
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| is_known(outcome))
            .map(|(arrival, _)| arrival)
            .collect();
        if !known.is_empty() {
            let again = self.upsert(known.into_iter()).await?;
            for (outcome, again) in outcomes.iter_mut().filter(|outcome| is_known(outcome)).zip(again) {
                *outcome = again;
            }
        }
        Ok(outcomes)
    }

    async fn upsert(self, arrivals: impl ExactSizeIterator<Item = &Arrival>) -> Result<Vec<Stored>, StoreError> {
        let mut outcomes = vec![Stored::New; arrivals.len()];
        let statements = arrivals.map(Arrival::statement).collect::<Result<Vec<_>, StoreError>>()?;
        let command = doc! { "update": COLLECTION, "updates": statements, "ordered": false,
        "writeConcern": { "w": "majority", "j": true } };
        let reply = self.0.database().run_command(command).await?;
        let unavailable = |message: String| StoreError::Unavailable { store: "mongodb", message };
        if let Some(error) = reply.get("writeConcernError") {
            return Err(unavailable(error.to_string()));
        }
        for error in reply.get_array("writeErrors").into_iter().flatten().filter_map(Bson::as_document) {
            let index = error.get_i32("index").ok().and_then(|index| usize::try_from(index).ok());
            let (code, message) = (error.get_i32("code"), error.get_str("errmsg").unwrap_or("no reason is given"));
            let Some(outcome) = index.and_then(|index| outcomes.get_mut(index)) else {
                return Err(unavailable(error.to_string()));
            };
            *outcome = match code {
                // A document with this death exists: the update matched nothing, so the upsert tried to insert it.
                Ok(DUPLICATE_KEY) => Stored::Known,
                Ok(code) if OF_THE_DOCUMENT.contains(&code) => Stored::Refused(message.to_owned()),
                _ => return Err(unavailable(message.to_owned())),
            };
        }
        Ok(outcomes)
    }

    /// The last position among the deaths of a queue; 0 when there is none.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn last_position(self, queue: &str) -> Result<i64, StoreError> {
        let rows = self.0.collection::<Document>(COLLECTION);
        let last = rows
            .find_one(doc! { "queue": queue })
            .sort(doc! { "last.position": -1 })
            .projection(doc! { "last.position": 1 })
            .await?;
        Ok(last.and_then(|row| row.get_document("last").ok()?.get_i64("position").ok()).unwrap_or_default())
    }
}

impl Arrival {
    /// About the length of its document.
    fn len(&self) -> usize {
        let headers: usize = self.message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        DOCUMENT_BYTES + headers + self.message.body.len()
    }

    /// An upsert that inserts the document, or adds the death to it unless it has it. What an operation holds stays
    /// with it, unless this death follows that very replay: an earlier copy of the message says nothing about it.
    fn statement(&self) -> Result<Document, StoreError> {
        let literal = |value: Bson| doc! { "$literal": value };
        let death_document = serialize_to_bson(&self.death).map_err(mongodb::error::Error::from)?;
        let message = serialize_to_bson(&self.message).map_err(mongodb::error::Error::from)?;
        let (death, follows) = (self.death.id.to_string(), self.death.follows.map(|operation| operation.to_string()));
        let is_held = doc! { "$and": [
            { "$eq": ["$state", "replaying"] }, { "$ne": ["$operation", literal(follows.into())] },
        ] };
        // A copy of before the edit must not undo it, whichever replay it follows; one of after it is the same.
        let is_edited = doc! { "$ne": [{ "$type": "$original" }, "missing"] };
        // What waits for an operator keeps its place: a late copy would move it behind its successors.
        let is_late_copy = doc! { "$and": [
            { "$in": [{ "$ifNull": ["$state", ""] }, ["dead", "replaying"]] }, self.death.follows.is_none(),
        ] };
        let set = doc! {
            "queue": literal(self.queue.as_str().into()),
            "message_id": self.message_id.to_string(),
            "kind": literal(self.kind.as_str().into()),
            "booking_id": literal(self.booking_id.map(|booking| booking.to_string()).into()),
            "state": { "$cond": [is_held.clone(), "replaying", "dead"] },
            "operation": { "$cond": [is_held, "$operation", "$$REMOVE"] },
            "deaths": { "$add": [{ "$ifNull": ["$deaths", 0_i32] }, 1_i32] },
            "first_died_at": { "$ifNull": ["$first_died_at", self.death.died_at.to_string()] },
            "seen": { "$slice": [
                { "$concatArrays": [{ "$ifNull": ["$seen", []] }, [&death]] }, -SEEN_DEATHS,
            ] },
            "last": { "$mergeObjects": [literal(death_document), {
                "position": { "$cond": [is_late_copy.clone(), "$last.position", self.death.position] },
            }] },
            "new_since_replay": { "$cond": [is_late_copy, "$new_since_replay", self.death.follows.is_some()] },
            "message": { "$cond": [is_edited, "$message", literal(message)] },
            "edits": { "$ifNull": ["$edits", []] },
            "replays": { "$ifNull": ["$replays", []] },
            "discarded": "$$REMOVE",
            "expires_at": "$$REMOVE",
        };
        let unless_known = doc! { "_id": self.id.to_string(), "seen": { "$ne": &death } };
        Ok(doc! { "q": unless_known, "u": [{ "$set": set }], "upsert": true })
    }
}
