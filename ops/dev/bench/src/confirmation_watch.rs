//! Confirmation times of bookings from a change stream of their collection, without polling.
//!
//! A change is seen once it is committed to a majority. Watching costs the store one cursor and no requests.

use super::namespace::{BOOKINGS, Namespace};
use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::change_stream::ChangeStream;
use serde::Deserialize;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A booking that changed.
#[derive(Debug, Deserialize)]
struct ChangedBooking {
    #[serde(rename = "documentKey")]
    key: Key,
}

#[derive(Debug, Deserialize)]
struct Key {
    #[serde(rename = "_id")]
    id: String,
}

/// An open watch.
pub(super) struct ConfirmationWatch(ChangeStream<ChangedBooking>);

impl ConfirmationWatch {
    /// Watches from now on.
    pub(super) async fn start(namespace: &Namespace) -> Result<Self> {
        let confirmed = doc! { "$match": { "$or": [{ "fullDocument.status": "confirmed" },
        { "updateDescription.updatedFields.status": "confirmed" }] } };
        let brief = doc! { "$project": { "documentKey": 1 } };
        let stream = namespace.database().collection::<Document>(BOOKINGS).watch().pipeline([confirmed, brief]).await?;
        Ok(Self(stream.with_type()))
    }

    /// Waits for all of these bookings and returns the confirmation time of each, under its number.
    pub(super) async fn all(
        mut self,
        mut awaited: HashMap<String, u64>,
        limit: Duration,
    ) -> Result<Vec<(u64, Instant)>> {
        let count = awaited.len();
        let watching = async {
            let mut confirmed = Vec::with_capacity(count);
            while !awaited.is_empty() {
                let changed = self.0.try_next().await?.context("the change stream ended")?;
                confirmed.extend(awaited.remove(&changed.key.id).map(|number| (number, Instant::now())));
            }
            anyhow::Ok(confirmed)
        };
        tokio::time::timeout(limit, watching)
            .await
            .with_context(|| format!("{count} bookings were not all confirmed within {limit:?}"))?
    }
}
