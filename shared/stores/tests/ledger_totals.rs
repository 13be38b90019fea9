//! Bookings learn totals that follow new rules, although nothing changed in their ledgers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use anyhow::{Context, Result};
use chrono::{TimeDelta, Utc};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::{Ledger, Record, RecordMethod};
use pvt_domain::money::Currency;
use pvt_domain::timestamp::Timestamp;
use pvt_testkit::Namespace;
use uuid::Uuid;

/// A ledger with 10.00 in cash, which only staff can return.
fn paid_in_cash(number: u128, at: Timestamp) -> Ledger {
    let before = Ledger::new(BookingId::from_uuid(Uuid::from_u128(number)), "pvt-montreal".into(), Currency::CAD, at);
    let mut paid = before.clone();
    paid.record(Record {
        id: Uuid::from_u128(number + 100),
        method: RecordMethod::Cash,
        amount: 1_000,
        actor: "staff:1".into(),
        note: None,
        at,
    });
    paid.advance_rev(&before, at);
    paid
}

#[tokio::test]
async fn totals_of_earlier_rules_are_renewed_once() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let raw =
        Client::with_uri_str(namespace.mongodb_uri()).await?.default_database().context("the URI names a database")?;
    let last_year: Timestamp = (Utc::now() - TimeDelta::days(365)).into();
    let [earlier, current, without_booking] = [1, 2, 3].map(|number| paid_in_cash(number, last_year));
    assert!(mongo.ledgers().save(&[earlier.clone(), current.clone(), without_booking]).await?);
    // The rules of before did not say which part only staff can return.
    let known = doc! { "ledger_rev": 1, "captured": 1_000, "refunded": 0, "cleared": 1_000 };
    let mut with_manual = known.clone();
    with_manual.insert("manual", 1_000);
    let booking = |ledger: &Ledger, known: Document| {
        let id = ledger.booking_id.to_string();
        doc! { "_id": id, "payment": { "ledger": known } }
    };
    raw.collection::<Document>("bookings")
        .insert_many([booking(&earlier, known), booking(&current, with_manual)])
        .await?;

    let ahead = async || {
        let (since, until) = ((Utc::now() - TimeDelta::hours(1)).into(), (Utc::now() + TimeDelta::hours(1)).into());
        let found = mongo.ledgers().ahead_of_bookings(since, until, 10).await?;
        anyhow::Ok(found.into_iter().map(|ledger| (ledger.booking_id, ledger.rev)).collect::<Vec<_>>())
    };
    mongo.migrate().await?;
    assert_eq!(ahead().await?, [], "the new database follows these rules already");
    raw.collection::<Document>("migrations").delete_many(doc! {}).await?;
    for _ in 0..2 {
        mongo.migrate().await?;
        assert_eq!(ahead().await?, [(earlier.booking_id, 2)], "only the one with other totals, once");
    }
    let stored = mongo.ledgers().find(earlier.booking_id).await?.context("its ledger")?;
    assert_eq!((stored.records, stored.totals_rev), (earlier.records, 2));
    Ok(())
}
