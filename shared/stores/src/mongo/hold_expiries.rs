//! Requests to end expired holds: one outstanding for each hold, repeated at growing distances.
//!
//! Ending a hold needs Stripe. While Stripe is down its commands wait in a queue, so asking again every minute would
//! only make the queue longer.

use super::{Index, Mongo, bookings, ledgers};
use crate::StoreError;
use futures_util::TryStreamExt as _;
use mongodb::bson::{Bson, Document, deserialize_from_document, doc};
use pvt_domain::booking::Status;
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::timestamp::Timestamp;
use serde::Deserialize;
use tracing::warn;

const COLLECTION: &str = "hold_expiries";

pub(crate) const INDEXES: &[Index] = &[(COLLECTION, &[("next_at", 1)], false)];

/// An expired hold that is to be ended now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ExpiredHold {
    /// The booking.
    #[serde(rename = "_id")]
    pub booking_id: BookingId,
    /// Its property.
    pub property_id: PropertyId,
    /// When the hold expired.
    pub expires_at: Timestamp,
    /// How often its end was requested before.
    pub requests: u32,
}

/// Requests to end expired holds.
#[derive(Debug, Clone, Copy)]
pub struct HoldExpiries<'a>(pub(super) &'a Mongo);

impl HoldExpiries<'_> {
    /// Held bookings and pending changes whose hold has expired at `now` and whose end is to be requested, the longest
    /// overdue first, at most `limit`. Left out are those with a request under way, and those with money in them whose
    /// ledger has not changed since the last request. A request that is to be repeated after `latest` was recorded by a
    /// wrong clock, or before the clock was set back: it is repeated now.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn due(self, now: Timestamp, latest: Timestamp, limit: i64) -> Result<Vec<ExpiredHold>, StoreError> {
        let now = now.to_string();
        let same_hold = doc! { "$eq": ["$request.expires_at", "$expires_at"] };
        let waits_for_ledger = doc! { "$ne": [{ "$ifNull": ["$request.ledger_rev", Bson::Null] }, Bson::Null] };
        let unchanged = doc! { "$eq": ["$request.ledger_rev", "$ledger.rev"] };
        let too_early = doc! { "$and": [
            { "$gt": ["$request.next_at", now.clone()] },
            { "$lte": ["$request.next_at", latest.to_string()] },
        ] };
        let waits = doc! { "$cond": [waits_for_ledger, unchanged, too_early] };
        let pipeline = [
            doc! { "$match": { "$or": [
                { "status": Status::Held.as_str(), "payment.expires_at": { "$lte": now.clone() } },
                { "pending_change.expires_at": { "$lte": now } },
            ] } },
            doc! { "$project": {
                "property_id": 1,
                "expires_at": { "$ifNull": ["$pending_change.expires_at", "$payment.expires_at"] },
            } },
            doc! { "$sort": { "expires_at": 1 } },
            doc! { "$lookup": { "from": COLLECTION, "localField": "_id", "foreignField": "_id", "as": "request" } },
            doc! { "$set": { "request": { "$first": "$request" } } },
            doc! { "$lookup": {
                "from": ledgers::COLLECTION, "localField": "_id", "foreignField": "_id", "as": "ledger",
                "pipeline": [{ "$project": { "rev": 1 } }],
            } },
            doc! { "$set": { "ledger": { "$first": "$ledger" } } },
            doc! { "$match": { "$expr": { "$not": { "$and": [same_hold.clone(), waits] } } } },
            doc! { "$limit": limit },
            doc! { "$project": {
                "property_id": 1,
                "expires_at": 1,
                "requests": { "$cond": [same_hold, { "$ifNull": ["$request.requests", 0] }, 0] },
            } },
        ];
        let bookings = self.0.collection::<Document>(bookings::COLLECTION);
        let found: Vec<Document> = bookings.aggregate(pipeline).await?.try_collect().await?;
        // One unreadable booking must not keep the beds of all others.
        let read = |hold| deserialize_from_document(hold).inspect_err(|error| warn!(%error, "unreadable hold skipped"));
        Ok(found.into_iter().filter_map(|hold| read(hold).ok()).collect())
    }

    /// Records, before they are sent, that the end of these holds is being requested at `now`. They stay due until
    /// [`HoldExpiries::requested`], so that a crash in between repeats the same requests.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn requesting(self, holds: &[ExpiredHold], now: Timestamp) -> Result<(), StoreError> {
        if holds.is_empty() {
            return Ok(());
        }
        let update = |hold: &ExpiredHold| {
            let row = doc! {
                "expires_at": hold.expires_at.to_string(),
                "requests": hold.requests,
                "next_at": now.to_string(),
            };
            let id = doc! { "_id": hold.booking_id.to_string() };
            doc! { "q": id, "u": { "$set": row, "$unset": { "ledger_rev": "" } }, "upsert": true }
        };
        // One command: guests wait for the beds of all of them.
        let refused = |message| StoreError::Unavailable { store: "mongodb", message };
        self.0.update_each(COLLECTION, holds.iter().map(update).collect(), refused).await?;
        Ok(())
    }

    /// Records that the requests recorded at `now` were sent. One that was carried out since keeps what was recorded
    /// then; without an answer the others are repeated at `next_at`.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn requested(self, holds: &[ExpiredHold], now: Timestamp, next_at: Timestamp) -> Result<(), StoreError> {
        let ids: Vec<String> = holds.iter().map(|hold| hold.booking_id.to_string()).collect();
        let unanswered = doc! { "_id": { "$in": ids }, "next_at": now.to_string(), "ledger_rev": { "$exists": false } };
        let update = doc! { "$set": { "next_at": next_at.to_string() }, "$inc": { "requests": 1 } };
        self.0.collection::<Document>(COLLECTION).update_many(unanswered, update).await?;
        Ok(())
    }

    /// How often the end of a hold was requested.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn requests(self, booking_id: BookingId) -> Result<u32, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            requests: u32,
        }
        let row = self.0.collection::<Row>(COLLECTION).find_one(doc! { "_id": booking_id.to_string() }).await?;
        Ok(row.map_or(0, |row| row.requests))
    }

    /// Records that a request was carried out. If the hold is still there at `next_at`, its end is requested again;
    /// with money in it, when its ledger is no longer at `ledger_rev`.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn carried_out(
        self,
        booking_id: BookingId,
        next_at: Timestamp,
        ledger_rev: Option<u64>,
    ) -> Result<(), StoreError> {
        let mut row = doc! { "next_at": next_at.to_string() };
        if let Some(rev) = ledger_rev {
            row.insert("ledger_rev", i64::try_from(rev).unwrap_or(i64::MAX));
        }
        let rows = self.0.collection::<Document>(COLLECTION);
        rows.update_one(doc! { "_id": booking_id.to_string() }, doc! { "$set": row }).await?;
        Ok(())
    }

    /// Removes the requests that were to be repeated before `before`: their holds have ended. Those that wait for a
    /// change of their ledger stay.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn remove_before(self, before: Timestamp) -> Result<(), StoreError> {
        let old = doc! { "next_at": { "$lt": before.to_string() }, "ledger_rev": { "$exists": false } };
        self.0.collection::<Document>(COLLECTION).delete_many(old).await?;
        Ok(())
    }
}
