//! Reports of payment sweeps, which replay Stripe's events that never arrived and compare its balance transactions
//! with our ledgers. The newest run also holds the time up to which events were read.

use super::{Index, Mongo};
use crate::StoreError;
use mongodb::bson::doc;
use pvt_domain::actor::Actor;
use pvt_domain::ids::uuid_text;
use pvt_domain::money::is_zero;
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const COLLECTION: &str = "payment_sweeps";

/// The newest run.
pub(crate) const INDEXES: &[Index] = &[(COLLECTION, &[("until", -1)], false)];

/// Sums of one day and one kind of entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaySum {
    /// The day, in UTC, as Stripe counts them.
    pub day: chrono::NaiveDate,
    /// `payment`, `refund`, `chargeback`, `chargeback_reversal`.
    pub kind: String,
    /// Stripe's lower-case code.
    pub currency: String,
    /// Sum of Stripe's balance transactions, in minor units.
    pub stripe: i64,
    /// Sum of our ledgers, in minor units.
    pub ledger: i64,
}

/// One sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentSweep {
    /// Id of the run.
    #[serde(rename = "_id", with = "uuid_text")]
    pub run_id: Uuid,
    /// Who started it.
    pub actor: Actor,
    /// Whether missing events were only reported, not replayed.
    pub dry_run: bool,
    /// Start of the period whose events were listed.
    pub since: Timestamp,
    /// End of the period.
    pub until: Timestamp,
    /// Events that Stripe has.
    pub events: u32,
    /// Whether every event up to the run was read; else the next run continues.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub complete: bool,
    /// Events that were never received.
    pub missing: u32,
    /// Of these, events that are too large for a message: stored, and their payments read from Stripe.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub oversize: u32,
    /// Events that were replayed into intake.
    pub replayed: u32,
    /// Fees that were recorded.
    pub fees: u32,
    /// Reconciliation mismatches: days on which the sums differ.
    pub differences: Vec<DaySum>,
    /// When the run began.
    pub started_at: Timestamp,
    /// How long it took.
    pub took_ms: u64,
}

/// Reports of the sweeps that compare Stripe with the ledgers.
#[derive(Debug, Clone, Copy)]
pub struct PaymentSweeps<'a>(pub(super) &'a Mongo);

impl PaymentSweeps<'_> {
    /// Stores a sweep, replacing one of the same id.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn save(self, sweep: &PaymentSweep) -> Result<(), StoreError> {
        self.0
            .collection::<PaymentSweep>(COLLECTION)
            .replace_one(doc! { "_id": sweep.run_id.to_string() }, sweep)
            .upsert(true)
            .await?;
        Ok(())
    }

    /// The run that was not dry and read furthest up to `now`. A later time was written by a clock that was wrong.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn last(self, now: Timestamp) -> Result<Option<PaymentSweep>, StoreError> {
        Ok(self
            .0
            .collection::<PaymentSweep>(COLLECTION)
            .find_one(doc! { "dry_run": false, "until": { "$lte": now.to_string() } })
            .sort(doc! { "until": -1 })
            .await?)
    }

    /// One sweep.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find(self, run_id: Uuid) -> Result<Option<PaymentSweep>, StoreError> {
        Ok(self.0.collection::<PaymentSweep>(COLLECTION).find_one(doc! { "_id": run_id.to_string() }).await?)
    }
}
