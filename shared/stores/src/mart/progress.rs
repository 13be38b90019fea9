//! Completeness of the mart, for reconciliation and the timelines of bookings. Reads only.

use super::{Mart, failed};
use crate::StoreError;
use chrono::{DateTime, Utc};
use pvt_domain::ids::BookingId;
use pvt_domain::timestamp::Timestamp;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Ids in one statement.
const CHUNK: usize = 10_000;

const MISSING_EVENTS: &str = "
    SELECT given.id FROM unnest($1::uuid[]) AS given (id)
    WHERE NOT EXISTS (SELECT 1 FROM fact_booking_event AS held WHERE held.event_id = given.id)";

const LOADS: &str = "
    SELECT event_id, loaded_at FROM fact_booking_event WHERE event_id = ANY($1::uuid[])";

const BEHIND: &str = "
    SELECT given.id FROM unnest($1::uuid[], $2::bigint[]) AS given (id, rev)
    WHERE NOT EXISTS (SELECT 1 FROM fact_booking AS held WHERE held.booking_id = given.id AND held.rev >= given.rev)";

impl Mart {
    /// The given booking events that were never loaded.
    ///
    /// # Errors
    /// [`StoreError`] when PostgreSQL fails.
    pub async fn missing_events(&self, event_ids: &[Uuid]) -> Result<HashSet<Uuid>, StoreError> {
        let mut missing = HashSet::new();
        for chunk in event_ids.chunks(CHUNK) {
            missing.extend(
                sqlx::query_scalar::<_, Uuid>(MISSING_EVENTS)
                    .bind(chunk)
                    .fetch_all(&self.pool)
                    .await
                    .map_err(failed)?,
            );
        }
        Ok(missing)
    }

    /// When these booking events were loaded, as far as that is known of events that were.
    ///
    /// # Errors
    /// [`StoreError`] when PostgreSQL fails.
    pub async fn loads(&self, event_ids: &[Uuid]) -> Result<HashMap<Uuid, Option<Timestamp>>, StoreError> {
        let found = sqlx::query_as::<_, (Uuid, Option<DateTime<Utc>>)>(LOADS).bind(event_ids);
        let found = found.fetch_all(&self.pool).await.map_err(failed)?;
        Ok(found.into_iter().map(|(id, at)| (id, at.map(Timestamp::from))).collect())
    }

    /// The given bookings whose row is missing or older than the given revision.
    ///
    /// # Errors
    /// [`StoreError`] when PostgreSQL fails.
    pub async fn behind(&self, bookings: &[(BookingId, u32)]) -> Result<HashSet<BookingId>, StoreError> {
        let mut behind = HashSet::new();
        for chunk in bookings.chunks(CHUNK) {
            let (ids, revs): (Vec<Uuid>, Vec<i64>) =
                chunk.iter().map(|(id, rev)| (id.as_uuid(), i64::from(*rev))).unzip();
            let late = sqlx::query_scalar::<_, Uuid>(BEHIND)
                .bind(ids)
                .bind(revs)
                .fetch_all(&self.pool)
                .await
                .map_err(failed)?;
            behind.extend(late.into_iter().map(BookingId::from_uuid));
        }
        Ok(behind)
    }
}
