//! What comparing Stripe's events and its ledger with ours came to. The newest run also says up to when events were
//! looked for.

use super::{Index, Mongo};
use crate::StoreError;
use mongodb::bson::doc;
use pvt_domain::actor::Actor;
use pvt_domain::ids::uuid_text;
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
    /// What Stripe's ledger says, in minor units.
    pub stripe: i64,
    /// What ours say.
    pub ledger: i64,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentSweep {
    /// Names the run.
    #[serde(rename = "_id", with = "uuid_text")]
    pub run_id: Uuid,
    /// Who asked.
    pub actor: Actor,
    /// Whether nothing was to be replayed.
    pub dry_run: bool,
    /// From when on events were listed.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Events that Stripe has.
    pub events: u32,
    /// Those of them that never arrived.
    pub missing: u32,
    /// Those that were handed on to be taken in.
    pub replayed: u32,
    /// Fees that were noted.
    pub fees: u32,
    /// Days on which the sums differ.
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
    /// Stores a run, in place of an earlier one of the same id.
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

    /// The newest run that was not dry.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn last(self) -> Result<Option<PaymentSweep>, StoreError> {
        Ok(self
            .0
            .collection::<PaymentSweep>(COLLECTION)
            .find_one(doc! { "dry_run": false })
            .sort(doc! { "until": -1 })
            .await?)
    }

    /// One run.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find(self, run_id: Uuid) -> Result<Option<PaymentSweep>, StoreError> {
        Ok(self.0.collection::<PaymentSweep>(COLLECTION).find_one(doc! { "_id": run_id.to_string() }).await?)
    }
}
