//! Searches for bookings by operators: by the name of the guest, and by changes of beds.

use super::SCAN_LIMIT;
use super::bookings::{Bookings, COLLECTION, exact};
use crate::StoreError;
use futures_util::TryStreamExt;
use mongodb::IndexModel;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{Collation, CollationStrength, IndexOptions};
use pvt_domain::actor::Actor;
use pvt_domain::booking::{Booking, Guest, HistoryEntry};
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::people::text::normal;
use pvt_domain::timestamp::Timestamp;
use serde::Deserialize;

/// Most words of a name that is searched for; the others are part of the last one.
const MAX_WORDS: usize = 4;
/// Most entries of one booking among those of others.
pub const MAX_ENTRIES: i32 = 10;
/// Above every letter in the order of the index.
const HIGHEST: char = '\u{ffff}';
const LAST_NAME: &str = "guest.last_name";
const FIRST_NAME: &str = "guest.first_name";

/// Comparison of base letters alone: without capitals and accents.
fn any_accent() -> Collation {
    Collation::builder().locale("en".to_owned()).strength(CollationStrength::Primary).build()
}

/// A booking whose history has changes of stays.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ChangedBooking {
    /// The booking.
    #[serde(rename = "_id")]
    pub id: BookingId,
    /// Its reference for people.
    pub reference: String,
    /// Its property.
    pub property_id: PropertyId,
    /// Its guest.
    pub guest: Guest,
    /// The entries that were searched for.
    pub history: Vec<HistoryEntry>,
}

/// Changes of beds that are searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BedChangeFilter {
    /// At these properties.
    pub properties: Vec<PropertyId>,
    /// Of this booking.
    pub booking: Option<BookingId>,
    /// By this actor.
    pub actor: Option<Actor>,
    /// From this instant on.
    pub from: Timestamp,
    /// Before this instant.
    pub until: Timestamp,
}

impl Bookings<'_> {
    /// The indexes of guests by their names. MongoDB builds them while it serves others.
    pub(super) async fn create_name_indexes(self) -> Result<(), StoreError> {
        for name in [LAST_NAME, FIRST_NAME] {
            let options = IndexOptions::builder().name(format!("{name}_letters")).collation(any_accent()).build();
            let model = IndexModel::builder().keys(doc! { name: 1 }).options(options).build();
            self.0.collection::<Document>(COLLECTION).create_index(model).await?;
        }
        Ok(())
    }

    /// Bookings of these properties whose guest's first or last name begins with this text, or, for several words,
    /// both names with a part of it, in whatever capitals and accents; newest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails or the search takes too long.
    pub async fn of_guest(self, properties: &[PropertyId], name: &str, limit: i64) -> Result<Vec<Booking>, StoreError> {
        let properties: Vec<Bson> = properties.iter().map(|property| exact(property.as_str())).collect();
        let query = doc! { "$or": named(name), "property_id": { "$in": properties } };
        let bookings = self.0.collection::<Booking>(COLLECTION);
        let found = bookings.find(query).collation(any_accent());
        let newest = found.sort(doc! { "created_at": -1, "_id": -1 }).limit(limit).max_time(SCAN_LIMIT);
        Ok(newest.await?.try_collect().await?)
    }

    /// Bookings whose history has changes of stays at these instants and by this actor, last changed first; at most
    /// `limit`. Each has these entries, or the latest [`MAX_ENTRIES`] of them if no booking is named.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails or the search takes too long.
    pub async fn changed_within(self, filter: &BedChangeFilter, limit: i64) -> Result<Vec<ChangedBooking>, StoreError> {
        let (from, until) = (filter.from.to_string(), filter.until.to_string());
        let actor = filter.actor.as_ref().map(Actor::as_str);
        let mut entry = doc! { "at": { "$gte": &from, "$lt": &until }, "changes.stays": { "$exists": true } };
        entry.extend(actor.map(|actor| ("actor".to_owned(), actor.into())));
        let properties: Vec<&str> = filter.properties.iter().map(PropertyId::as_str).collect();
        let mut query = doc! { "property_id": { "$in": properties }, "updated_at": { "$gte": &from },
        "history": { "$elemMatch": entry } };
        query.extend(filter.booking.map(|id| ("_id".to_owned(), id.to_string().into())));
        let mut is_meant = vec![
            doc! { "$gte": ["$$this.at", from] },
            doc! { "$lt": ["$$this.at", until] },
            // Whatever is not there sorts before null.
            doc! { "$gt": ["$$this.changes.stays", null] },
        ];
        is_meant.extend(actor.map(|actor| doc! { "$eq": ["$$this.actor", actor] }));
        let found = doc! { "$filter": { "input": "$history", "cond": { "$and": is_meant } } };
        let entries = match filter.booking {
            Some(_) => found,
            None => doc! { "$slice": [found, -MAX_ENTRIES] },
        };
        let fields = doc! { "reference": 1, "property_id": 1, "guest": 1, "history": entries };
        let bookings = self.0.collection::<ChangedBooking>(COLLECTION);
        let found = bookings.find(query).projection(fields);
        let last = found.sort(doc! { "updated_at": -1 }).limit(limit).max_time(SCAN_LIMIT);
        Ok(last.await?.try_collect().await?)
    }
}

/// Conditions of which a guest of this name meets one.
fn named(name: &str) -> Vec<Document> {
    let name = normal(name);
    let words: Vec<&str> = name.split_whitespace().collect();
    let begins = |words: &[&str]| {
        let text = words.join(" ");
        doc! { "$gte": &text, "$lt": format!("{text}{HIGHEST}") }
    };
    let whole = [LAST_NAME, FIRST_NAME].map(|one| doc! { one: begins(&words) });
    let parts = (1..words.len().min(MAX_WORDS)).flat_map(|end| {
        let (ahead, behind) = words.split_at(end);
        [(FIRST_NAME, LAST_NAME), (LAST_NAME, FIRST_NAME)]
            .map(|(one, other)| doc! { one: begins(ahead), other: begins(behind) })
    });
    whole.into_iter().chain(parts).collect()
}
