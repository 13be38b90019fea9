//! Totals of ledgers that were stored under earlier rules.
//!
//! A booking keeps the totals of its ledger and learns new ones when these change. Where the rules change, the totals
//! do without any change of the ledger: such a ledger gets a new revision, so that the schedule that continues lost
//! commands brings its totals to the booking.

use super::{Mongo, bookings, ledgers};
use crate::StoreError;
use chrono::Utc;
use futures_util::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use pvt_domain::booking::Payment;
use pvt_domain::ledger::{Ledger, TOTALS_VERSION};
use serde::Deserialize;

/// Collection of the migrations that were completed, with the version that each has reached.
const MIGRATIONS: &str = "migrations";
const NAME: &str = "ledger_totals";

/// A ledger and the payment state of its booking.
#[derive(Deserialize)]
struct Pair {
    ledger: Ledger,
    #[serde(default)]
    payment: Option<Payment>,
}

/// Advances the ledgers whose bookings know other totals than these rules give. Safe to repeat and to interrupt.
pub(super) async fn migrate(mongo: &Mongo) -> Result<(), StoreError> {
    let migrations = mongo.collection::<Document>(MIGRATIONS);
    let done = doc! { "_id": NAME, "version": { "$gte": TOTALS_VERSION } };
    if migrations.find_one(done).await?.is_some() {
        return Ok(());
    }
    let pipeline = [
        doc! { "$lookup": { "from": bookings::COLLECTION, "localField": "_id", "foreignField": "_id",
        "as": "booking", "pipeline": [{ "$project": { "payment": 1 } }] } },
        doc! { "$project": { "ledger": "$$ROOT", "payment": { "$first": "$booking.payment" } } },
        doc! { "$unset": "ledger.booking" },
    ];
    let mut pairs = mongo.collection::<Document>(ledgers::COLLECTION).aggregate(pipeline).await?.with_type::<Pair>();
    while let Some(Pair { ledger, payment }) = pairs.try_next().await? {
        let Some(known) = payment.and_then(|payment| payment.ledger) else { continue };
        let booking_id = ledger.booking_id;
        let mut current = Some(ledger);
        while let Some(mut ledger) = current.take().filter(|ledger| !known.same_totals_as(&ledger.summary())) {
            ledger.advance_totals_rev(Utc::now().into());
            if !mongo.ledgers().save(&[ledger]).await? {
                // A worker changed it meanwhile, perhaps one of the version before, which counts by the earlier rules.
                current = mongo.ledgers().find(booking_id).await?;
            }
        }
    }
    migrations.update_one(doc! { "_id": NAME }, doc! { "$max": { "version": TOTALS_VERSION } }).upsert(true).await?;
    Ok(())
}
