//! Who has which beds of a property, read for those who look on: search, calendars, and the desk. Nothing is decided on
//! it.

use super::{Index, Mongo, blocks, bookings};
use crate::StoreError;
use chrono::{Days, NaiveDate};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use pvt_domain::availability::Holding;
use pvt_domain::block::Block;
use pvt_domain::booking::{Booking, Status, Stay};
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::intake::MAX_NIGHTS;
use pvt_domain::nights::Nights;
use serde::Deserialize;

/// Bookings and blocks of one property by the dates that they end on; arrivals are found in the same index, a year of
/// departures wide, and what stands in the index need not be fetched to be passed over.
pub(crate) const INDEXES: &[Index] = &[
    (bookings::COLLECTION, &[("property_id", 1), ("stays.departure", 1), ("stays.arrival", 1), ("status", 1)], false),
    (blocks::COLLECTION, &[("property_id", 1), ("until", 1)], false),
];

/// What a booking holds, and nothing of its guest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StoredHolding {
    #[serde(rename = "_id")]
    id: BookingId,
    rev: u32,
    status: Status,
    stays: Vec<Stay>,
}

impl<'a> From<&'a StoredHolding> for Holding<'a> {
    fn from(stored: &'a StoredHolding) -> Self {
        Self { booking_id: stored.id, rev: stored.rev, status: stored.status, stays: &stored.stays }
    }
}

/// Read models of occupancy: search, calendars and the front desk.
#[derive(Debug, Clone, Copy)]
pub struct OccupancyReads<'a>(pub(super) &'a Mongo);

impl OccupancyReads<'_> {
    /// What the bookings of a property hold on nights from `from` on.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn holdings(self, property_id: &PropertyId, from: NaiveDate) -> Result<Vec<StoredHolding>, StoreError> {
        let mut filter = of_property(property_id, doc! { "departure": { "$gt": from.to_string() } });
        filter.insert("status", doc! { "$in": Status::HOLDING.to_vec() });
        let fields = doc! { "rev": 1, "status": 1, "stays": 1 };
        let found = self.0.collection::<StoredHolding>(bookings::COLLECTION).find(filter).projection(fields).await?;
        Ok(found.try_collect().await?)
    }

    /// The blocks of a property that keep beds on any of these nights.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn blocks_within(self, property_id: &PropertyId, nights: Nights) -> Result<Vec<Block>, StoreError> {
        let (arrival, departure) = (nights.arrival.to_string(), nights.departure.to_string());
        let filter = doc! { "property_id": property_id.as_str(), "status": "active", "until": { "$gt": arrival },
        "from": { "$lt": departure } };
        Ok(self.0.collection::<Block>(blocks::COLLECTION).find(filter).await?.try_collect().await?)
    }

    /// Bookings of a property with a stay that begins on this date, except those that were refused or cancelled.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn arrivals(self, property_id: &PropertyId, date: NaiveDate) -> Result<Vec<Booking>, StoreError> {
        let longest = date.checked_add_days(Days::new(MAX_NIGHTS.unsigned_abs())).unwrap_or(NaiveDate::MAX);
        let departure = doc! { "$gt": date.to_string(), "$lte": longest.to_string() };
        self.with_stay(property_id, doc! { "departure": departure, "arrival": date.to_string() }).await
    }

    /// Bookings of a property with a stay that ends on this date, except those that were refused or cancelled.
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

/// Bookings of a property with a stay like this. Dates are text that sorts like what it means.
fn of_property(property_id: &PropertyId, stay: Document) -> Document {
    doc! { "property_id": property_id.as_str(), "stays": { "$elemMatch": stay } }
}
