//! Bookings, read. They are written only by [`super::commit`], together with their claims.

use super::{Index, Mongo};
use crate::StoreError;
use chrono::{Days, NaiveDate};
use futures_util::TryStreamExt;
use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::intake::MAX_NIGHTS;
use pvt_domain::nights::Nights;
use pvt_domain::timestamp::Timestamp;
use serde::Deserialize;
use std::collections::HashMap;

/// The longest that one stay can be.
const LONGEST_STAY: Days = Days::new(MAX_NIGHTS.unsigned_abs());

pub(crate) const COLLECTION: &str = "bookings";

/// Listing and reconciling one property's bookings; finding those of a guest. By their dates they are found by the
/// index of [`super::occupancy`]: each that a booking is in costs every decision.
pub(crate) const INDEXES: &[Index] = &[
    (COLLECTION, &[("property_id", 1), ("created_at", 1), ("_id", 1)], false),
    (COLLECTION, &[("guest.email", 1)], false),
];

/// Whose bookings are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Those of these properties.
    Of(Vec<PropertyId>),
    /// Those that this client asked for.
    Client(String),
}

/// Which bookings are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookingFilter {
    /// Whose.
    pub whose: Whose,
    /// Of this property.
    pub property_id: Option<PropertyId>,
    /// In this state.
    pub status: Option<Status>,
    /// With a stay that arrives on this day or later.
    pub arrival_from: Option<NaiveDate>,
    /// With a stay that arrives on this day or earlier.
    pub arrival_until: Option<NaiveDate>,
    /// Of the guest with this address.
    pub email: Option<String>,
    /// With an id from the first to the second.
    pub ids: Option<(BookingId, BookingId)>,
}

impl BookingFilter {
    fn query(&self) -> Document {
        let mut query = match &self.whose {
            Whose::Of(properties) => {
                doc! { "property_id": { "$in": properties.iter().map(PropertyId::as_str).collect::<Vec<_>>() } }
            }
            Whose::Client(client) => doc! { "client": client },
        };
        if let (Whose::Client(_), Some(property)) = (&self.whose, &self.property_id) {
            query.insert("property_id", property.as_str());
        }
        if let Some(status) = self.status {
            query.insert("status", status.as_str());
        }
        let mut arrival = Document::new();
        // Dates are text that sorts like what it means.
        arrival.extend(self.arrival_from.map(|date| ("$gte".to_owned(), date.to_string().into())));
        arrival.extend(self.arrival_until.map(|date| ("$lte".to_owned(), date.to_string().into())));
        if !arrival.is_empty() {
            query.insert("stays", doc! { "$elemMatch": { "arrival": arrival } });
        }
        if let Some(email) = &self.email {
            query.insert("guest.email", doc! { "$in": [email, &email.to_lowercase()] });
        }
        if let Some((least, greatest)) = self.ids {
            query.insert("_id", doc! { "$gte": least.to_string(), "$lte": greatest.to_string() });
        }
        query
    }
}

/// A confirmed booking whose guests are expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Which booking.
    pub id: BookingId,
    /// Its first night.
    pub arrival: NaiveDate,
    /// Since when it is confirmed: the last time that it entered this status.
    pub confirmed_at: Timestamp,
}

/// What [`Expected`] is made of.
#[derive(Deserialize)]
struct Confirmed {
    #[serde(rename = "_id")]
    id: BookingId,
    stays: Vec<Arriving>,
    history: Vec<Step>,
}

#[derive(Deserialize)]
struct Arriving {
    arrival: NaiveDate,
}

#[derive(Deserialize)]
struct Step {
    at: Timestamp,
    from: Status,
    to: Status,
}

impl Confirmed {
    fn expected(self) -> Option<Expected> {
        let arrival = self.stays.iter().map(|stay| stay.arrival).min()?;
        let entered =
            self.history.iter().rfind(|step| step.to == Status::Confirmed && step.from != Status::Confirmed)?;
        Some(Expected { id: self.id, arrival, confirmed_at: entered.at })
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

    /// Those of the given bookings that are stored.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find_by_ids(
        self,
        ids: impl IntoIterator<Item = BookingId>,
    ) -> Result<HashMap<BookingId, Booking>, StoreError> {
        let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.0.collection::<Booking>(COLLECTION).find(doc! { "_id": { "$in": ids } }).await?;
        Ok(found.map_ok(|booking| (booking.id, booking)).try_collect().await?)
    }

    /// Bookings of a property that own beds on any of these nights.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn occupants(
        self,
        property_id: &PropertyId,
        nights: Nights,
    ) -> Result<HashMap<BookingId, Booking>, StoreError> {
        // Dates are text that sorts like what it means. No stay is longer than the longest, which bounds the range of
        // the index.
        let earliest = nights.arrival.checked_sub_days(LONGEST_STAY).unwrap_or(NaiveDate::MIN);
        let latest = nights.departure.checked_add_days(LONGEST_STAY).unwrap_or(NaiveDate::MAX);
        let arrival = doc! { "$gte": earliest.to_string(), "$lt": nights.departure.to_string() };
        let departure = doc! { "$gt": nights.arrival.to_string(), "$lte": latest.to_string() };
        let within = doc! { "$elemMatch": { "arrival": arrival, "departure": departure } };
        let holding = doc! { "$in": Status::HOLDING.to_vec() };
        let found = self
            .0
            .collection::<Booking>(COLLECTION)
            .find(doc! { "property_id": property_id.as_str(), "status": holding, "stays": within })
            .await?;
        Ok(found.map_ok(|booking| (booking.id, booking)).try_collect().await?)
    }

    /// Bookings by when they were asked for, the newest first: those after the given one, at most `limit`.
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
            // The bound that an index can use.
            query.insert("created_at", doc! { "$lte": at });
        }
        let found = self
            .0
            .collection::<Booking>(COLLECTION)
            .find(query)
            .sort(doc! { "created_at": -1, "_id": -1 })
            .limit(limit)
            .await?;
        Ok(found.try_collect().await?)
    }

    /// The indexes of few bookings, so that they cost the others nothing: clients' own, and holds by when they end.
    pub(super) async fn create_partial_indexes(self) -> Result<(), StoreError> {
        let of_clients = (doc! { "client": { "$exists": true } }, doc! { "client": 1, "created_at": 1, "_id": 1 });
        let of_holds = (doc! { "status": Status::Held.as_str() }, doc! { "payment.expires_at": 1 });
        for (only, keys) in [of_clients, of_holds] {
            let options = IndexOptions::builder().partial_filter_expression(only).build();
            self.0
                .collection::<Document>(COLLECTION)
                .create_index(IndexModel::builder().keys(keys).options(options).build())
                .await?;
        }
        Ok(())
    }

    /// Confirmed bookings of a property whose first night is one of these, oldest arrival first.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn expected_arrivals(
        self,
        property_id: &PropertyId,
        arrivals: Nights,
    ) -> Result<Vec<Expected>, StoreError> {
        // The bound that the index begins with.
        let latest = arrivals.departure.checked_add_days(LONGEST_STAY).unwrap_or(NaiveDate::MAX);
        let arrival = doc! { "$gte": arrivals.arrival.to_string(), "$lt": arrivals.departure.to_string() };
        let departure = doc! { "$gt": arrivals.arrival.to_string(), "$lte": latest.to_string() };
        let within = doc! { "$elemMatch": { "arrival": arrival, "departure": departure } };
        let filter = doc! { "property_id": property_id.as_str(), "status": "confirmed", "stays": within };
        let fields = doc! { "stays.arrival": 1, "history.at": 1, "history.from": 1, "history.to": 1 };
        let found: Vec<Confirmed> =
            self.0.collection::<Confirmed>(COLLECTION).find(filter).projection(fields).await?.try_collect().await?;
        let is_first =
            |expected: &Expected| arrivals.arrival <= expected.arrival && expected.arrival < arrivals.departure;
        let mut expected: Vec<Expected> = found.into_iter().filter_map(Confirmed::expected).filter(is_first).collect();
        expected.sort_by_key(|expected| (expected.arrival, expected.id));
        Ok(expected)
    }

    /// Every booking of a property, one at a time. For reconciliation and checks, not for request handling.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn of_property(self, property_id: &PropertyId) -> Result<Vec<Booking>, StoreError> {
        let found = self.0.collection::<Booking>(COLLECTION).find(doc! { "property_id": property_id.as_str() }).await?;
        Ok(found.try_collect().await?)
    }
}
