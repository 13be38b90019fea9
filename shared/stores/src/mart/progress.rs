//! Completeness of the mart, for reconciliation. Reads only.

use super::{Mart, failed};
use crate::StoreError;
use pvt_domain::ids::BookingId;
use std::collections::HashSet;
use uuid::Uuid;

/// Ids in one statement.
const CHUNK: usize = 10_000;

const MISSING_EVENTS: &str = "
    SELECT given.id FROM unnest($1::uuid[]) AS given (id)
    WHERE NOT EXISTS (SELECT 1 FROM fact_booking_event AS held WHERE held.event_id = given.id)";

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
