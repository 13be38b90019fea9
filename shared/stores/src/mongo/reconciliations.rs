//! Reconciliation: reports of its runs, the consistent snapshot that a run checks, and safe repairs.
//!
//! Repairs change claims only, one at a time, in a transaction that checks again whether the repair is still due. They
//! never change a booking.

mod repairs;
mod report;
mod snapshot;

pub use repairs::{ClaimRepair, ClaimToRestore};
pub use report::{Checked, Finding, FindingKind, Report, Severity};
pub use snapshot::{BookingSummary, PropertySnapshot};

use super::{Index, Mongo};
use crate::StoreError;
use futures_util::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::doc;
use pvt_domain::ids::PropertyId;
use uuid::Uuid;

const COLLECTION: &str = "reconciliations";

/// Newest reports, of one property or of all.
pub(crate) const INDEXES: &[Index] =
    &[(COLLECTION, &[("property_id", 1), ("started_at", -1)], false), (COLLECTION, &[("started_at", -1)], false)];

/// Most reports in one listing.
const LISTING_MAX: i64 = 200;

/// Reports, snapshots and repairs of reconciliation.
#[derive(Debug, Clone, Copy)]
pub struct Reconciliations<'a>(pub(super) &'a Mongo);

impl Reconciliations<'_> {
    /// Stores the report of a run, replacing an earlier one of the same run.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn save(self, report: &Report) -> Result<(), StoreError> {
        self.rows().replace_one(doc! { "_id": report.run_id.to_string() }, report).upsert(true).await?;
        Ok(())
    }

    /// The report of a run; `None` until it has finished.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find(self, run_id: Uuid) -> Result<Option<Report>, StoreError> {
        Ok(self.rows().find_one(doc! { "_id": run_id.to_string() }).await?)
    }

    /// The newest reports, newest first, of one property or of all: at most `limit`, and never more than 200.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn list(self, property_id: Option<&PropertyId>, limit: u32) -> Result<Vec<Report>, StoreError> {
        let filter = property_id.map(|id| doc! { "property_id": id.as_str() }).unwrap_or_default();
        let found = self
            .rows()
            .find(filter)
            .sort(doc! { "started_at": -1 })
            .limit(i64::from(limit).clamp(1, LISTING_MAX))
            .await?;
        Ok(found.try_collect().await?)
    }

    fn rows(self) -> Collection<Report> {
        self.0.collection(COLLECTION)
    }
}
