//! Stripe events as received, each once. Insert-only: events are not interpreted here.

use super::Mongo;
use crate::StoreError;
use crate::error::duplicate_positions;
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, doc, serialize_to_bson};
use pvt_domain::QueueHop;
use pvt_domain::messages::StripeEvent;
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

const COLLECTION: &str = "stripe_events";

/// An event as stored. Its `_id` makes inserting it again harmless.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredStripeEvent {
    /// Stripe's `evt_…`.
    #[serde(rename = "_id")]
    pub id: String,
    /// Stripe's type, for example `checkout.session.completed`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The event as Stripe wrote it.
    pub payload: Bson,
    /// When intake first verified its signature.
    pub received_at: Timestamp,
    /// The way of its message through the queue; absent in events from before it was stored, and where Stripe listed
    /// the event and no message carried it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<QueueHop>,
}

impl StoredStripeEvent {
    /// The stored form.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when the payload can never be stored.
    pub fn of(event: &StripeEvent) -> Result<Self, StoreError> {
        let payload = serialize_to_bson(&event.payload)
            .map_err(|error| StoreError::Broken { store: "mongodb", message: error.to_string() })?;
        Ok(Self {
            id: event.event_id.clone(),
            event_type: event.event_type.clone(),
            payload,
            received_at: event.received_at,
            hop: None,
        })
    }
}

/// Events as Stripe pushed them, each once.
#[derive(Debug, Clone, Copy)]
pub struct StripeEvents<'a>(pub(super) &'a Mongo);

impl StripeEvents<'_> {
    /// Stores the events that are not stored yet and returns their number.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; then any of them may have been stored. Inserting all of them again is safe.
    pub async fn insert(self, events: &[StoredStripeEvent]) -> Result<usize, StoreError> {
        if events.is_empty() {
            return Ok(0);
        }
        let known = duplicate_positions(
            self.0.collection::<StoredStripeEvent>(COLLECTION).insert_many(events).ordered(false).await,
        )?;
        Ok(events.len().saturating_sub(known.len()))
    }

    /// Ids of the given events that are stored.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn known(self, ids: &[&str]) -> Result<HashSet<String>, StoreError> {
        #[derive(Deserialize)]
        struct Named {
            #[serde(rename = "_id")]
            id: String,
        }
        let found = self
            .0
            .collection::<Named>(COLLECTION)
            .find(doc! { "_id": { "$in": ids } })
            .projection(doc! { "_id": 1 })
            .await?;
        Ok(found.map_ok(|event| event.id).try_collect().await?)
    }

    /// The given events, as far as they are stored.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find_by_ids(self, ids: &[&str]) -> Result<Vec<StoredStripeEvent>, StoreError> {
        Ok(self
            .0
            .collection::<StoredStripeEvent>(COLLECTION)
            .find(doc! { "_id": { "$in": ids } })
            .await?
            .try_collect()
            .await?)
    }

    /// One event.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find(self, id: &str) -> Result<Option<StoredStripeEvent>, StoreError> {
        Ok(self.0.collection::<StoredStripeEvent>(COLLECTION).find_one(doc! { "_id": id }).await?)
    }
}
