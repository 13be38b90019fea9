//! Addresses that were taken from bookings, kept until the last mail to them was certainly sent or given up.
//!
//! They are written in the transaction that changes the booking ([`super::commit`]), and removed by the server alone:
//! the messages about a change may be delivered again, or replayed by staff, until then.

use super::Mongo;
use crate::StoreError;
use futures_util::TryStreamExt as _;
use mongodb::IndexModel;
use mongodb::bson::{DateTime, doc};
use mongodb::options::IndexOptions;
use pvt_domain::booking::FormerAddress;
use pvt_domain::ids::BookingId;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Duration;

pub(crate) const COLLECTION: &str = "former_addresses";

/// An address is removed this long after the change: staff replay a dead letter within days, and nothing else needs it.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// An address as stored. Other times are text, but the server removes documents by a date only.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredAddress {
    /// `booking|revision`.
    #[serde(rename = "_id")]
    key: String,
    #[serde(flatten)]
    address: FormerAddress,
    left_at: DateTime,
}

impl StoredAddress {
    pub(crate) fn of(address: &FormerAddress) -> Self {
        Self {
            key: key(address.booking_id, address.rev),
            address: address.clone(),
            left_at: DateTime::from_millis(address.at.as_datetime().timestamp_millis()),
        }
    }
}

fn key(booking: BookingId, rev: u32) -> String {
    format!("{booking}|{rev}")
}

/// Addresses that were taken from bookings.
#[derive(Debug, Clone, Copy)]
pub struct FormerAddresses<'a>(pub(super) &'a Mongo);

impl FormerAddresses<'_> {
    /// The addresses that these revisions took from their bookings, as far as they are kept.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn of_revisions(
        self,
        revisions: impl IntoIterator<Item = (BookingId, u32)>,
    ) -> Result<HashMap<(BookingId, u32), FormerAddress>, StoreError> {
        let keys: Vec<String> = revisions.into_iter().map(|(booking, rev)| key(booking, rev)).collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.rows().find(doc! { "_id": { "$in": keys } }).await?;
        let by_revision = |row: StoredAddress| ((row.address.booking_id, row.address.rev), row.address);
        Ok(found.map_ok(by_revision).try_collect().await?)
    }

    pub(super) async fn create_expiry_index(self) -> Result<(), StoreError> {
        let options = IndexOptions::builder().expire_after(KEPT_FOR).build();
        let index = IndexModel::builder().keys(doc! { "left_at": 1 }).options(options).build();
        self.rows().create_index(index).await?;
        Ok(())
    }

    fn rows(self) -> mongodb::Collection<StoredAddress> {
        self.0.collection(COLLECTION)
    }
}
