//! Bookings, read. They are written only by [`super::commit`], together with their claims.

use super::{Index, Mongo};
use crate::StoreError;
use futures_util::TryStreamExt;
use mongodb::bson::doc;
use pvt_domain::booking::Booking;
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::nights::Nights;
use std::collections::HashMap;

pub(crate) const COLLECTION: &str = "bookings";

/// Listing and reconciling one property's bookings.
pub(crate) const INDEXES: &[Index] = &[(COLLECTION, &[("property_id", 1), ("updated_at", 1)], false)];

impl Mongo {
    /// One booking.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn booking(&self, id: BookingId) -> Result<Option<Booking>, StoreError> {
        Ok(self.collection::<Booking>(COLLECTION).find_one(doc! { "_id": id.to_string() }).await?)
    }

    /// Those of the given bookings that are stored.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn bookings(&self, ids: impl IntoIterator<Item = BookingId>) -> Result<HashMap<BookingId, Booking>, StoreError> {
        let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.collection::<Booking>(COLLECTION).find(doc! { "_id": { "$in": ids } }).await?;
        Ok(found.map_ok(|booking| (booking.id, booking)).try_collect().await?)
    }

    /// Bookings of a property that own beds on any of these nights.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn occupants(&self, property_id: &PropertyId, nights: Nights) -> Result<HashMap<BookingId, Booking>, StoreError> {
        // Dates are text that sorts like what it means.
        let within = doc! { "$elemMatch": { "arrival": { "$lt": nights.departure.to_string() }, "departure": { "$gt": nights.arrival.to_string() } } };
        let holding = doc! { "$in": ["confirmed", "checked_in", "checked_out"] };
        let found = self.collection::<Booking>(COLLECTION).find(doc! { "property_id": property_id.as_str(), "status": holding, "stays": within }).await?;
        Ok(found.map_ok(|booking| (booking.id, booking)).try_collect().await?)
    }

    /// Every booking of a property, one at a time. For reconciliation and checks, not for request handling.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn bookings_of(&self, property_id: &PropertyId) -> Result<Vec<Booking>, StoreError> {
        let found = self.collection::<Booking>(COLLECTION).find(doc! { "property_id": property_id.as_str() }).await?;
        Ok(found.try_collect().await?)
    }
}
