//! Bookings: read-only here, written only by [`super::commit`] together with their claims.

use super::{Index, Mongo, SCAN_LIMIT};
use crate::StoreError;
use chrono::{Days, NaiveDate};
use futures_util::TryStreamExt;
use mongodb::IndexModel;
use mongodb::bson::raw::CString;
use mongodb::bson::{Bson, Document, Regex, doc};
use mongodb::options::{Collation, CollationStrength, IndexOptions};
use pvt_domain::booking::{Booking, Status, StayProgress};
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::intake::MAX_NIGHTS;
use pvt_domain::nights::Nights;
use pvt_domain::timestamp::Timestamp;
use serde::Deserialize;
use std::collections::HashMap;
use uuid::Uuid;

/// Longest possible stay.
pub(super) const LONGEST_STAY: Days = Days::new(MAX_NIGHTS.unsigned_abs());

pub(crate) const COLLECTION: &str = "bookings";

/// Lists and reconciliation of one property's bookings. Every index slows down every decision, so queries by date, and
/// for changes of beds, share that of [`super::occupancy`].
pub(crate) const INDEXES: &[Index] = &[(COLLECTION, &[("property_id", 1), ("created_at", 1), ("_id", 1)], false)];

/// The name of the index of guests by their address.
const BY_EMAIL: &str = "guest.email_any_case";

/// Comparison without regard to capitals. Addresses are stored in lower case; those of earlier versions as they were
/// typed.
fn any_case() -> Collation {
    Collation::builder().locale("en".to_owned()).strength(CollationStrength::Secondary).build()
}

/// Bookings that the caller of a list may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BookingScope {
    /// Bookings of these properties.
    Properties(Vec<PropertyId>),
    /// Bookings that this client created.
    Client(String),
}

/// Filter of a list of bookings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookingFilter {
    /// Bookings that the caller may see.
    pub scope: BookingScope,
    /// Of this property.
    pub property_id: Option<PropertyId>,
    /// In this state.
    pub status: Option<Status>,
    /// With a stay that arrives on this day or later.
    pub arrival_from: Option<NaiveDate>,
    /// With a stay that arrives on this day or earlier.
    pub arrival_until: Option<NaiveDate>,
    /// Of the guest with this email address, in whatever capitals.
    pub email: Option<String>,
    /// With an id in this range, both ends included.
    pub ids: Option<(BookingId, BookingId)>,
}

impl BookingFilter {
    fn query(&self) -> Document {
        let exact = |text: &str| self.exact(text);
        let mut query = match &self.scope {
            BookingScope::Properties(properties) => {
                let properties = properties.iter().map(|property| exact(property.as_str()));
                doc! { "property_id": { "$in": properties.collect::<Vec<_>>() } }
            }
            BookingScope::Client(client) => doc! { "client": exact(client) },
        };
        if let (BookingScope::Client(_), Some(property)) = (&self.scope, &self.property_id) {
            query.insert("property_id", exact(property.as_str()));
        }
        if let Some(status) = self.status {
            query.insert("status", status.as_str());
        }
        let mut arrival = Document::new();
        // Dates are stored as text that sorts chronologically.
        arrival.extend(self.arrival_from.map(|date| ("$gte".to_owned(), date.to_string().into())));
        arrival.extend(self.arrival_until.map(|date| ("$lte".to_owned(), date.to_string().into())));
        if !arrival.is_empty() {
            query.insert("stays", doc! { "$elemMatch": { "arrival": arrival } });
        }
        if let Some(email) = &self.email {
            query.insert("guest.email", email);
        }
        if let Some((least, greatest)) = self.ids {
            query.insert("_id", doc! { "$gte": least.to_string(), "$lte": greatest.to_string() });
        }
        query
    }

    /// A value that is compared exactly. A query by address ignores capitals, in all of its texts but in patterns, and
    /// properties and clients whose names differ in capitals alone are not the same.
    fn exact(&self, text: &str) -> Bson {
        if self.email.is_some() { exact(text) } else { text.into() }
    }
}

/// A value that is compared exactly in a query that ignores capitals.
pub(super) fn exact(text: &str) -> Bson {
    let whole = |pattern: String| {
        Some(Regex { pattern: CString::try_from(pattern).ok()?, options: CString::try_from("").ok()? })
    };
    // A text with a NUL, which no name has, is no pattern.
    whole(format!("^{}$", literal(text))).map_or_else(|| text.into(), Bson::from)
}

/// A pattern that matches this text.
fn literal(text: &str) -> String {
    let escaped = |letter: char| match letter.is_alphanumeric() {
        true => letter.to_string(),
        false => format!("\\{letter}"),
    };
    text.chars().map(escaped).collect()
}

/// A booking of which guests have yet to arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedArrival {
    /// The booking.
    pub id: BookingId,
    /// The first night of those who are expected.
    pub arrival: NaiveDate,
    /// Whether other guests of it have checked in.
    pub is_partly_in_house: bool,
    /// When it was confirmed: the last time it entered this status.
    pub confirmed_at: Timestamp,
}

/// The fields that [`ExpectedArrival`] is made of.
#[derive(Deserialize)]
struct Confirmed {
    #[serde(rename = "_id")]
    id: BookingId,
    status: Status,
    stays: Vec<Arriving>,
    history: Vec<Step>,
}

#[derive(Deserialize)]
struct Arriving {
    arrival: NaiveDate,
    progress: Option<StayProgress>,
}

#[derive(Deserialize)]
struct Step {
    at: Timestamp,
    from: Status,
    to: Status,
}

impl Confirmed {
    fn expected(self) -> Option<ExpectedArrival> {
        let progress = |stay: &Arriving| match (stay.progress, self.status) {
            (Some(own), _) => own,
            (None, Status::CheckedIn) => StayProgress::CheckedIn,
            (None, _) => StayProgress::Expected,
        };
        let is_partly_in_house = self.stays.iter().any(|stay| progress(stay) == StayProgress::CheckedIn);
        let is_expected = |stay: &&Arriving| progress(stay) == StayProgress::Expected;
        let arrival = self.stays.iter().filter(is_expected).map(|stay| stay.arrival).min()?;
        let entered =
            self.history.iter().rfind(|step| step.to == Status::Confirmed && step.from != Status::Confirmed)?;
        Some(ExpectedArrival { id: self.id, arrival, is_partly_in_house, confirmed_at: entered.at })
    }
}

/// Bookings, read only; they are written by [`Claims::commit`](super::commit::Claims::commit).
#[derive(Debug, Clone, Copy)]
pub struct Bookings<'a>(pub(super) &'a Mongo);

impl Bookings<'_> {
    /// One booking.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find(self, id: BookingId) -> Result<Option<Booking>, StoreError> {
        Ok(self.0.collection::<Booking>(COLLECTION).find_one(doc! { "_id": id.to_string() }).await?)
    }

    /// The given bookings, as far as they are stored.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find_by_ids(
        self,
        ids: impl IntoIterator<Item = BookingId>,
    ) -> Result<HashMap<BookingId, Booking>, StoreError> {
        self.0.find_by_ids(COLLECTION, ids, |found: &Booking| found.id).await
    }

    /// Bookings of a property that hold beds on any of these nights.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn occupants(
        self,
        property_id: &PropertyId,
        nights: Nights,
    ) -> Result<HashMap<BookingId, Booking>, StoreError> {
        let found = self.0.collection::<Booking>(COLLECTION).find(occupying(property_id, nights)).await?;
        Ok(found.map_ok(|booking| (booking.id, booking)).try_collect().await?)
    }

    /// The same without their histories, which may be many times as large: not to be stored.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn occupants_without_history(
        self,
        property_id: &PropertyId,
        nights: Nights,
    ) -> Result<HashMap<BookingId, Booking>, StoreError> {
        let bookings = self.0.collection::<Booking>(COLLECTION);
        // None of the entries, and every other field.
        let found = bookings.find(occupying(property_id, nights)).projection(doc! { "history": { "$slice": 0 } });
        Ok(found.await?.map_ok(|booking| (booking.id, booking)).try_collect().await?)
    }

    /// Bookings in the order of their creation, newest first: those after the given one, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn list(
        self,
        filter: &BookingFilter,
        after: Option<&(String, BookingId)>,
        limit: i64,
    ) -> Result<Vec<Booking>, StoreError> {
        let mut query = filter.query();
        if let Some((at, id)) = after {
            query.insert(
                "$or",
                [doc! { "created_at": { "$lt": at } }, doc! { "created_at": at, "_id": { "$lt": id.to_string() } }]
                    .to_vec(),
            );
            // A bound that the index can use.
            query.insert("created_at", doc! { "$lte": at });
        }
        let bookings = self.0.collection::<Booking>(COLLECTION);
        let newest_first = bookings.find(query).sort(doc! { "created_at": -1, "_id": -1 }).limit(limit);
        let found = match filter.email {
            Some(_) => newest_first.collation(any_case()).await?,
            None => newest_first.await?,
        };
        Ok(found.try_collect().await?)
    }

    /// Bookings whose history has this message, a command or an event; at most `limit`. For operators: without an
    /// index, so it gives up after two seconds.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails or the search takes too long.
    pub async fn of_message(self, message_id: Uuid, limit: i64) -> Result<Vec<Booking>, StoreError> {
        let id = message_id.to_string();
        let caused = [doc! { "history.command_id": &id }, doc! { "history.event_id": &id }].to_vec();
        let bookings = self.0.collection::<Booking>(COLLECTION);
        let found = bookings.find(doc! { "$or": caused });
        Ok(found.limit(limit).max_time(SCAN_LIMIT).await?.try_collect().await?)
    }

    /// The index of guests by their address. The one that distinguished capitals stays for processes of the version
    /// before.
    pub(super) async fn create_email_index(self) -> Result<(), StoreError> {
        let collection = self.0.collection::<Document>(COLLECTION);
        let options = IndexOptions::builder().name(BY_EMAIL.to_owned()).collation(any_case()).build();
        collection.create_index(IndexModel::builder().keys(doc! { "guest.email": 1 }).options(options).build()).await?;
        Ok(())
    }

    /// Partial indexes, which cost other bookings nothing: bookings of clients, and holds and
    /// pending changes by the end of their hold.
    pub(super) async fn create_partial_indexes(self) -> Result<(), StoreError> {
        let of_clients = (doc! { "client": { "$exists": true } }, doc! { "client": 1, "created_at": 1, "_id": 1 });
        let of_holds = (doc! { "status": Status::Held.as_str() }, doc! { "payment.expires_at": 1 });
        let of_changes =
            (doc! { "pending_change.expires_at": { "$exists": true } }, doc! { "pending_change.expires_at": 1 });
        for (only, keys) in [of_clients, of_holds, of_changes] {
            let options = IndexOptions::builder().partial_filter_expression(only).build();
            self.0
                .collection::<Document>(COLLECTION)
                .create_index(IndexModel::builder().keys(keys).options(options).build())
                .await?;
        }
        Ok(())
    }

    /// Bookings of a property of which guests are expected to arrive on one of these days, earliest arrival first.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn expected_arrivals(
        self,
        property_id: &PropertyId,
        arrivals: Nights,
    ) -> Result<Vec<ExpectedArrival>, StoreError> {
        // Bounds the leading field of the index.
        let latest = arrivals.departure.checked_add_days(LONGEST_STAY).unwrap_or(NaiveDate::MAX);
        let arrival = doc! { "$gte": arrivals.arrival.to_string(), "$lt": arrivals.departure.to_string() };
        let departure = doc! { "$gt": arrivals.arrival.to_string(), "$lte": latest.to_string() };
        let within = doc! { "$elemMatch": { "arrival": arrival, "departure": departure } };
        let filter = doc! { "property_id": property_id.as_str(), "status": { "$in": ["confirmed", "checked_in"] },
        "stays": within };
        let fields = doc! { "status": 1, "stays.arrival": 1, "stays.progress": 1, "history.at": 1, "history.from": 1,
        "history.to": 1 };
        let found: Vec<Confirmed> =
            self.0.collection::<Confirmed>(COLLECTION).find(filter).projection(fields).await?.try_collect().await?;
        let is_first =
            |expected: &ExpectedArrival| arrivals.arrival <= expected.arrival && expected.arrival < arrivals.departure;
        let mut expected: Vec<ExpectedArrival> =
            found.into_iter().filter_map(Confirmed::expected).filter(is_first).collect();
        expected.sort_by_key(|expected| (expected.arrival, expected.id));
        Ok(expected)
    }

    /// Every booking of a property: for reconciliation and checks, not for request handling.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn of_property(self, property_id: &PropertyId) -> Result<Vec<Booking>, StoreError> {
        let found = self.0.collection::<Booking>(COLLECTION).find(doc! { "property_id": property_id.as_str() }).await?;
        Ok(found.try_collect().await?)
    }
}

/// Matches the bookings of a property that hold beds on any of these nights.
pub(super) fn occupying(property_id: &PropertyId, nights: Nights) -> Document {
    // Dates are stored as text that sorts chronologically. The longest stay bounds the range of the index.
    let earliest = nights.arrival.checked_sub_days(LONGEST_STAY).unwrap_or(NaiveDate::MIN);
    let latest = nights.departure.checked_add_days(LONGEST_STAY).unwrap_or(NaiveDate::MAX);
    let arrival = doc! { "$gte": earliest.to_string(), "$lt": nights.departure.to_string() };
    let departure = doc! { "$gt": nights.arrival.to_string(), "$lte": latest.to_string() };
    let within = doc! { "$elemMatch": { "arrival": arrival, "departure": departure } };
    doc! { "property_id": property_id.as_str(), "status": { "$in": Status::HOLDING.to_vec() }, "$or": [
        { "stays": within.clone() },
        { "pending_change.expires_at": { "$exists": true }, "pending_change.stays": within },
    ] }
}
