//! Read models of occupancy for search, calendars and the front desk. No decision is based on them.

use super::{Index, Mongo, blocks, bookings};
use crate::StoreError;
use chrono::{Days, NaiveDate};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use pvt_domain::availability::Holding;
use pvt_domain::block::Block;
use pvt_domain::booking::{Booking, Guest, Status, Stay};
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::intake::MAX_NIGHTS;
use pvt_domain::nights::Nights;
use serde::Deserialize;

/// Bookings and blocks of a property by their last day. Arrivals use the same index, over a year of departures: entries
/// that do not match are skipped in the index, without reading their documents.
pub(crate) const INDEXES: &[Index] = &[
    (bookings::COLLECTION, &[("property_id", 1), ("stays.departure", 1), ("stays.arrival", 1), ("status", 1)], false),
    (blocks::COLLECTION, &[("property_id", 1), ("until", 1)], false),
];

/// Bookings of a reply. By default all of a large property come in one, of many megabytes.
const BATCH: u32 = 1_000;

/// Beds that a booking holds, without anything about its guest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StoredHolding {
    #[serde(rename = "_id")]
    id: BookingId,
    rev: u32,
    status: Status,
    stays: Vec<Stay>,
    #[serde(default)]
    pending_change: Option<PendingStays>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct PendingStays {
    stays: Vec<Stay>,
}

impl<'a> From<&'a StoredHolding> for Holding<'a> {
    fn from(stored: &'a StoredHolding) -> Self {
        let pending = stored.pending_change.as_ref().map_or(&[][..], |pending| &pending.stays);
        Self { booking_id: stored.id, rev: stored.rev, status: stored.status, stays: &stored.stays, pending }
    }
}

/// A booking that holds beds, without its price, payments and history.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Occupant {
    /// The booking.
    #[serde(rename = "_id")]
    pub id: BookingId,
    /// Its reference for people.
    pub reference: String,
    /// Its status.
    pub status: Status,
    /// Its guest.
    pub guest: Guest,
    /// Its stays.
    pub stays: Vec<Stay>,
    #[serde(default)]
    pending_change: Option<PendingStays>,
}

impl Occupant {
    /// The same in less memory: lists are decoded into room for four, and most bookings have one stay.
    fn compact(mut self) -> Self {
        self.stays.shrink_to_fit();
        self
    }

    /// All stays after a change that waits for its deposit.
    pub fn pending_stays(&self) -> &[Stay] {
        self.pending_change.as_ref().map_or(&[], |pending| &pending.stays)
    }
}

/// Read models of occupancy: search, calendars and the front desk.
#[derive(Debug, Clone, Copy)]
pub struct OccupancyReads<'a>(pub(super) &'a Mongo);

impl OccupancyReads<'_> {
    /// Beds that bookings of a property hold on nights from `from` on.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn holdings(self, property_id: &PropertyId, from: NaiveDate) -> Result<Vec<StoredHolding>, StoreError> {
        let mut filter = of_property(property_id, doc! { "departure": { "$gt": from.to_string() } });
        filter.insert("status", doc! { "$in": Status::HOLDING.to_vec() });
        let fields = doc! { "rev": 1, "status": 1, "stays": 1, "pending_change": 1 };
        let bookings = self.0.collection::<StoredHolding>(bookings::COLLECTION);
        let found = bookings.find(filter).projection(fields).batch_size(BATCH).await?;
        Ok(found.try_collect().await?)
    }

    /// Bookings of a property that hold beds on any of these nights.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn occupants(self, property_id: &PropertyId, nights: Nights) -> Result<Vec<Occupant>, StoreError> {
        let filter = bookings::occupying(property_id, nights);
        let fields = doc! { "reference": 1, "status": 1, "guest": 1, "stays": 1, "pending_change": 1 };
        let bookings = self.0.collection::<Occupant>(bookings::COLLECTION);
        let found = bookings.find(filter).projection(fields).batch_size(BATCH).await?;
        Ok(found.map_ok(Occupant::compact).try_collect().await?)
    }

    /// Active blocks of a property on any of these nights.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn blocks_within(self, property_id: &PropertyId, nights: Nights) -> Result<Vec<Block>, StoreError> {
        let (arrival, departure) = (nights.arrival.to_string(), nights.departure.to_string());
        let filter = doc! { "property_id": property_id.as_str(), "status": "active", "until": { "$gt": arrival },
        "from": { "$lt": departure } };
        Ok(self.0.collection::<Block>(blocks::COLLECTION).find(filter).await?.try_collect().await?)
    }

    /// Bookings of a property with a stay that begins on this date, except rejected and cancelled ones.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn arrivals(self, property_id: &PropertyId, date: NaiveDate) -> Result<Vec<Booking>, StoreError> {
        let longest = date.checked_add_days(Days::new(MAX_NIGHTS.unsigned_abs())).unwrap_or(NaiveDate::MAX);
        let departure = doc! { "$gt": date.to_string(), "$lte": longest.to_string() };
        self.with_stay(property_id, doc! { "departure": departure, "arrival": date.to_string() }).await
    }

    /// Bookings of a property with a stay that ends on this date, except rejected and cancelled ones.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn departures(self, property_id: &PropertyId, date: NaiveDate) -> Result<Vec<Booking>, StoreError> {
        self.with_stay(property_id, doc! { "departure": date.to_string() }).await
    }

    async fn with_stay(self, property_id: &PropertyId, stay: Document) -> Result<Vec<Booking>, StoreError> {
        let mut filter = of_property(property_id, stay);
        filter.insert("status", doc! { "$in": ["confirmed", "checked_in", "checked_out", "no_show"] });
        let found = self.0.collection::<Booking>(bookings::COLLECTION).find(filter).await?;
        Ok(found.try_collect().await?)
    }
}

/// Matches bookings of a property with such a stay. Dates are stored as text that sorts chronologically.
fn of_property(property_id: &PropertyId, stay: Document) -> Document {
    doc! { "property_id": property_id.as_str(), "stays": { "$elemMatch": stay } }
}
