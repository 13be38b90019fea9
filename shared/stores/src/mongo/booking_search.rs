//! Searches for bookings by operators: by the name of the guest, and by changes of beds.

use super::SCAN_LIMIT;
use super::bookings::{Bookings, COLLECTION, exact};
use crate::StoreError;
use chrono::TimeDelta;
use futures_util::TryStreamExt;
use mongodb::IndexModel;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{Collation, CollationStrength, IndexOptions};
use pvt_domain::actor::Actor;
use pvt_domain::booking::{Booking, Guest, HistoryEntry};
use pvt_domain::ids::{BedId, BookingId, PropertyId};
use pvt_domain::people::text::normal;
use pvt_domain::timestamp::Timestamp;
use serde::Deserialize;

/// A stay that departed so long before has no nights left whose beds could change.
const BEFORE_DEPARTURE: TimeDelta = TimeDelta::days(2);

/// Most words of a name that is searched for; the others are part of the last one.
const MAX_WORDS: usize = 4;
/// Most entries of one booking that are shown among those of others.
pub const MAX_ENTRIES: usize = 10;
/// As many as are read, so that more are noticed.
const ENTRIES_READ: i32 = 11;
/// Above every letter in the order of the index.
const HIGHEST: char = '\u{ffff}';
const LAST_NAME: &str = "guest.last_name";
const FIRST_NAME: &str = "guest.first_name";

/// Comparison of base letters alone: without capitals and accents.
fn any_accent() -> Collation {
    Collation::builder().locale("en".to_owned()).strength(CollationStrength::Primary).build()
}

/// A booking with changes of beds in its history.
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
    /// From this bed or to it.
    pub bed: Option<BedId>,
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

    /// Bookings with stays that were given other beds at these instants and by this actor, last changed first; at most
    /// `limit`. Each has these entries, or if no booking is named the latest [`MAX_ENTRIES`] of them and one more.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails or the search takes too long.
    pub async fn changed_within(self, filter: &BedChangeFilter, limit: i64) -> Result<Vec<ChangedBooking>, StoreError> {
        let found = doc! { "$filter": { "input": "$history", "cond": filter.is_meant() } };
        let entries = match filter.booking {
            Some(_) => found,
            None => doc! { "$slice": [found, -ENTRIES_READ] },
        };
        // Entries are compared before bookings are counted: many changes of stays leave their beds as they are.
        let stages = [
            doc! { "$match": filter.query() },
            doc! { "$sort": { "updated_at": -1 } },
            doc! { "$project": { "reference": 1, "property_id": 1, "guest": 1, "history": entries } },
            doc! { "$match": { "history.0": { "$exists": true } } },
            doc! { "$limit": limit },
        ];
        let bookings = self.0.collection::<Document>(COLLECTION);
        let found = bookings.aggregate(stages).max_time(SCAN_LIMIT).with_type::<ChangedBooking>();
        Ok(found.await?.try_collect().await?)
    }
}

impl BedChangeFilter {
    /// Matches bookings that may have such an entry.
    fn query(&self) -> Document {
        let from = self.from.to_string();
        let mut entry =
            doc! { "at": { "$gte": &from, "$lt": self.until.to_string() }, "changes.stays": { "$exists": true } };
        entry.extend(self.actor.as_ref().map(|actor| ("actor".to_owned(), actor.as_str().into())));
        if let Some(bed) = &self.bed {
            let of_side = |side: &str| doc! { format!("changes.stays.{side}.assigned_beds"): bed.as_str() };
            entry.insert("$or", ["before", "after"].map(of_side).to_vec());
        }
        let properties: Vec<&str> = self.properties.iter().map(PropertyId::as_str).collect();
        // Beds are changed for nights to come; the day of a property is at most one off that of UTC.
        let departure = (self.from.as_datetime() - BEFORE_DEPARTURE).date_naive().to_string();
        let mut query = doc! { "property_id": { "$in": properties }, "stays.departure": { "$gte": departure },
        "updated_at": { "$gte": from }, "history": { "$elemMatch": entry } };
        query.extend(self.booking.map(|id| ("_id".to_owned(), id.to_string().into())));
        query
    }

    /// Whether `$$this`, an entry, is such a change: of beds, not only of guests, dates or progress. The time is
    /// compared first, since most entries are older.
    fn is_meant(&self) -> Document {
        let mut conditions = vec![
            doc! { "$gte": ["$$this.at", self.from.to_string()] },
            doc! { "$lt": ["$$this.at", self.until.to_string()] },
        ];
        conditions.extend(self.actor.as_ref().map(|actor| doc! { "$eq": ["$$this.actor", actor.as_str()] }));
        let mut of_stay = vec![
            // Whatever is not there sorts before null.
            doc! { "$gt": ["$$stay.before", null] },
            doc! { "$gt": ["$$stay.after", null] },
            doc! { "$or": [
                { "$ne": ["$$stay.before.assigned_beds", "$$stay.after.assigned_beds"] },
                { "$ne": ["$$stay.before.earlier_beds", "$$stay.after.earlier_beds"] },
            ] },
        ];
        if let Some(bed) = &self.bed {
            let beds = |side: &str| doc! { "$ifNull": [format!("$$stay.{side}.assigned_beds"), []] };
            let is_of = |side: &str| doc! { "$in": [bed.as_str(), beds(side)] };
            let sides = ["before", "after"].map(is_of).to_vec();
            of_stay.push(doc! { "$or": sides });
        }
        let stays = doc! { "$ifNull": ["$$this.changes.stays", []] };
        let changed = doc! { "$map": { "input": &stays, "as": "stay", "in": { "$and": of_stay } } };
        conditions.push(doc! { "$anyElementTrue": [changed] });
        // A stay that is only divided keeps the beds of its guests: compared by bed and dates, of all its parts.
        let [before, after] = ["before", "after"].map(|side| bed_spans(&stays, side));
        conditions.push(doc! { "$not": [{ "$setEquals": [before, after] }] });
        doc! { "$and": conditions }
    }
}

/// The beds of these stays on one side of a change, each with the dates of its stay and the beds before it.
fn bed_spans(stays: &Document, side: &str) -> Document {
    let of = |field: &str| format!("$$stay.{side}.{field}");
    let span = doc! { "bed": "$$bed", "from": of("arrival"), "until": of("departure"), "earlier": of("earlier_beds") };
    let beds = doc! { "$ifNull": [of("assigned_beds"), []] };
    let of_stay = doc! { "$map": { "input": beds, "as": "bed", "in": span } };
    let spans = doc! { "$map": { "input": stays, "as": "stay", "in": of_stay } };
    doc! { "$reduce": { "input": spans, "initialValue": [], "in": { "$concatArrays": ["$$value", "$$this"] } } }
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
