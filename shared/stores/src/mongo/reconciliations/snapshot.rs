//! Consistent snapshot of a property's bookings, blocks and claims.

use super::super::commit::{CLAIMS, StoredClaim};
use super::super::{blocks, bookings};
use super::Reconciliations;
use crate::StoreError;
use chrono::NaiveDate;
use mongodb::ClientSession;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::options::ReadConcern;
use pvt_domain::block::Block;
use pvt_domain::booking::{Status, Stay, claimed_nights};
use pvt_domain::ids::{BedId, BookingId, PropertyId, uuid_text};
use pvt_domain::timestamp::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

/// The part of a booking that reconciliation needs: nothing about the guest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BookingSummary {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: BookingId,
    /// Its status.
    pub status: Status,
    /// Its revision.
    pub rev: u32,
    /// Its stays.
    pub stays: Vec<Stay>,
    /// When it last changed.
    pub updated_at: Timestamp,
    #[serde(default)]
    pending_change: Option<PendingStays>,
    history: Vec<EventOf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct PendingStays {
    stays: Vec<Stay>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct EventOf {
    #[serde(with = "uuid_text")]
    event_id: Uuid,
}

impl BookingSummary {
    /// A summary by value, for checks without a store.
    pub fn new(
        id: BookingId,
        status: Status,
        stays: Vec<Stay>,
        updated_at: Timestamp,
        event_ids: impl IntoIterator<Item = Uuid>,
    ) -> Self {
        let history: Vec<EventOf> = event_ids.into_iter().map(|event_id| EventOf { event_id }).collect();
        let rev = u32::try_from(history.len()).unwrap_or(u32::MAX);
        Self { id, status, rev, stays, updated_at, pending_change: None, history }
    }

    /// The ids of its events, oldest first.
    pub fn event_ids(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.history.iter().map(|entry| entry.event_id)
    }

    /// The bed-nights it must have claimed.
    pub fn bed_nights(&self) -> impl Iterator<Item = (&BedId, NaiveDate)> {
        let pending = self.pending_change.as_ref().map_or(&[][..], |pending| &pending.stays);
        claimed_nights(self.status, &self.stays, pending)
    }
}

/// A property's bookings, blocks and claims at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PropertySnapshot {
    /// Every booking.
    pub bookings: Vec<BookingSummary>,
    /// Every active block.
    pub blocks: Vec<Block>,
    /// Every claim; an unreadable owner is empty.
    pub claims: Vec<StoredClaim>,
}

impl Reconciliations<'_> {
    /// Reads a property's bookings, blocks and claims as they were at one instant, so that every commit is
    /// visible as a whole or not at all.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn property_snapshot(self, property_id: &PropertyId) -> Result<PropertySnapshot, StoreError> {
        let (mongo, property_id) = (self.0.clone(), property_id.clone());
        // A dropped driver future can leave its session in the middle of a transaction.
        let read = tokio::spawn(async move {
            let mut session = mongo.client().start_session().await?;
            session.start_transaction().read_concern(ReadConcern::snapshot()).await?;
            let snapshot = mongo.reconciliations().read_snapshot(&mut session, &property_id).await;
            // It wrote nothing, so its end has no effect.
            if let Err(error) = session.abort_transaction().await {
                tracing::debug!(%error, "abort of a snapshot was not acknowledged");
            }
            snapshot
        });
        read.await.unwrap_or_else(|lost| Err(StoreError::Broken { store: "mongodb", message: lost.to_string() }))
    }

    async fn read_snapshot(
        self,
        session: &mut ClientSession,
        property_id: &PropertyId,
    ) -> Result<PropertySnapshot, StoreError> {
        let mut snapshot = PropertySnapshot::default();
        let fields = doc! { "status": 1, "rev": 1, "stays": 1, "pending_change.stays": 1, "updated_at": 1,
        "history.event_id": 1 };
        let mine = doc! { "property_id": property_id.as_str() };
        let mut found = self
            .0
            .collection::<BookingSummary>(bookings::COLLECTION)
            .find(mine)
            .projection(fields)
            .session(&mut *session)
            .await?;
        while found.advance(session).await? {
            snapshot.bookings.push(found.deserialize_current()?);
        }
        let holding = doc! { "property_id": property_id.as_str(), "status": "active" };
        let mut found = self.0.collection::<Block>(blocks::COLLECTION).find(holding).session(&mut *session).await?;
        while found.advance(session).await? {
            snapshot.blocks.push(found.deserialize_current()?);
        }
        let mut found =
            self.0.collection::<RawDocumentBuf>(CLAIMS).find(claims_of(property_id)).session(&mut *session).await?;
        while found.advance(session).await? {
            let claim = found.current();
            let text = |field: &str| claim.get_str(field).unwrap_or_default().to_owned();
            snapshot.claims.push(StoredClaim { key: text("_id"), booking: text("booking") });
        }
        Ok(snapshot)
    }
}

/// All keys `property|…`; served by the index on `_id`. (`}` is the character after `|`.)
fn claims_of(property_id: &PropertyId) -> Document {
    doc! { "_id": { "$gte": format!("{property_id}|"), "$lt": format!("{property_id}}}") } }
}
