//! Presence of the processes that send mail, so that none takes over a mail that another one is still sending.

use super::Mongo;
use crate::StoreError;
use futures_util::TryStreamExt as _;
use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use std::collections::HashSet;
use std::time::Duration;

const COLLECTION: &str = "mail_senders";

/// A process that was not seen for this long counts as ended.
const ALIVE_FOR: Duration = Duration::from_secs(15);
/// How often a sending process should renew its presence.
pub const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Rows of ended processes are removed after this.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Presence of senders, one row a process. Times are the server's.
#[derive(Debug, Clone, Copy)]
pub struct MailSenders<'a>(pub(super) &'a Mongo);

impl MailSenders<'_> {
    /// Records that the process is alive now.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn renew(self, process: &str) -> Result<(), StoreError> {
        let now = vec![doc! { "$set": { "seen_at": "$$NOW" } }];
        self.rows().update_one(doc! { "_id": process }, now).upsert(true).await?;
        Ok(())
    }

    /// Those of these processes that are alive.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn alive(self, processes: HashSet<&str>) -> Result<HashSet<String>, StoreError> {
        if processes.is_empty() {
            return Ok(HashSet::new());
        }
        let processes: Vec<&str> = processes.into_iter().collect();
        let oldest = doc! { "$subtract": ["$$NOW", i64::try_from(ALIVE_FOR.as_millis()).unwrap_or(i64::MAX)] };
        let seen = doc! { "_id": { "$in": processes }, "$expr": { "$gte": ["$seen_at", oldest] } };
        let found: Vec<Document> = self.rows().find(seen).await?.try_collect().await?;
        Ok(found.iter().filter_map(|row| row.get_str("_id").ok()).map(str::to_owned).collect())
    }

    pub(super) async fn create_expiry_index(self) -> Result<(), StoreError> {
        let options = IndexOptions::builder().expire_after(KEPT_FOR).build();
        let index = IndexModel::builder().keys(doc! { "seen_at": 1 }).options(options).build();
        self.rows().create_index(index).await?;
        Ok(())
    }

    fn rows(self) -> mongodb::Collection<Document> {
        self.0.collection(COLLECTION)
    }
}
