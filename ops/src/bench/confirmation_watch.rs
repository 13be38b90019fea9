//! When bookings become confirmed, as their store tells it: one change stream, so that nobody asks again and again.
//!
//! A change is told once it is committed to a majority. Whoever listens costs the store one cursor, and no request of
//! ours.

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

/// Whoever listens.
pub(super) struct ConfirmationWatch(ChangeStream<ChangedBooking>);

impl ConfirmationWatch {
    /// Listens from now on.
    pub(super) async fn start(namespace: &Namespace) -> Result<Self> {
        let confirmed = doc! { "$match": { "$or": [{ "fullDocument.status": "confirmed" },
        { "updateDescription.updatedFields.status": "confirmed" }] } };
        let brief = doc! { "$project": { "documentKey": 1 } };
        let stream = namespace.database().collection::<Document>(BOOKINGS).watch().pipeline([confirmed, brief]).await?;
        Ok(Self(stream.with_type()))
    }

    /// When each of these was confirmed, each under its number; waits for all of them.
    pub(super) async fn all(
        mut self,
        mut awaited: HashMap<String, u64>,
        limit: Duration,
    ) -> Result<Vec<(u64, Instant)>> {
        let count = awaited.len();
        let listening = async {
            let mut heard = Vec::with_capacity(count);
            while !awaited.is_empty() {
                let seen = self.0.try_next().await?.context("the change stream ended")?;
                heard.extend(awaited.remove(&seen.key.id).map(|number| (number, Instant::now())));
            }
            anyhow::Ok(heard)
        };
        tokio::time::timeout(limit, listening)
            .await
            .with_context(|| format!("{count} bookings were not all confirmed within {limit:?}"))?
    }
}
