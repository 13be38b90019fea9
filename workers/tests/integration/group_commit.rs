//! Group commit: concurrent batches share transactions, and none is affected by the failure of another.

use crate::harness::Harness;
use anyhow::{Context, Result, ensure};
use futures_util::future::{join, join_all};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use pvt_domain::booking::Status;
use pvt_domain::ids::BookingId;
use pvt_testkit::days_from_now;
use std::collections::HashSet;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_batches_are_all_decided_without_double_booking() -> Result<()> {
    let harness = Harness::open().await?;
    let keys: Vec<String> = (0..40).map(|number| format!("guest-{number}")).collect();
    let booked = join_all(keys.iter().map(|key| harness.book(key, 20))).await;
    let mut beds = HashSet::new();
    for outcome in booked {
        let (booking, events) = outcome?;
        ensure!(events.len() == 1, "one event a booking");
        for bed in booking.claims().map(|(bed, night)| (bed.clone(), night)) {
            ensure!(beds.insert(bed), "a bed was given twice");
        }
    }
    assert_eq!(beds.len(), 24, "12 beds for two nights, and no request was refused while one was free");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_batch_does_not_block_its_group() -> Result<()> {
    let harness = Arc::new(Harness::open().await?);
    for round in 0..20_u64 {
        let lost = {
            let harness = harness.clone();
            tokio::spawn(async move { harness.book(&format!("lost-{round}"), 30 + round).await })
        };
        let companions = join_all((0..3).map(|number| {
            let harness = harness.clone();
            async move { harness.book(&format!("kept-{round}-{number}"), 30 + round).await }
        }));
        let companions = tokio::spawn(companions);
        // Abort at any point, also while it commits for the others.
        tokio::task::yield_now().await;
        lost.abort();
        for booked in companions.await? {
            assert_eq!(booked?.0.stays[0].arrival, days_from_now(30 + round));
        }
        let _ = lost.await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_booking_fails_alone() -> Result<()> {
    let harness = Harness::open().await?;
    let raw = Client::with_uri_str(harness.namespace.mongodb_uri())
        .await?
        .default_database()
        .context("the URI names a database")?;
    for round in 0..5_u64 {
        let key = format!("broken-{round}");
        let unreadable =
            doc! { "_id": BookingId::derive(Some("tests"), &key, "").to_string(), "status": "of a later version" };
        raw.collection::<Document>("bookings").insert_one(unreadable).await?;
        let keys: Vec<String> = (0..3).map(|number| format!("whole-{round}-{number}")).collect();
        let companions = join_all(keys.iter().map(|key| harness.book(key, 40 + round)));
        // The first commits at once; the others, among them the broken one, wait for it and are committed as a group.
        let (companions, broken) = join(companions, harness.book(&key, 40 + round)).await;
        ensure!(broken.is_err_and(|error| error.to_string().contains("retry")), "it is retried and blocks no other");
        for booked in companions {
            assert_eq!(booked?.0.status, Status::Confirmed);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_request_stays_confirmed_when_property_is_full() -> Result<()> {
    let harness = Harness::open().await?;
    let (first, events) = harness.book("guest-0", 60).await?;
    for number in 1..13 {
        harness.book(&format!("guest-{number}"), 60).await?;
    }
    assert_eq!(harness.book("guest-13", 60).await?.0.status, Status::Rejected);
    let (again, again_events) = harness.book("guest-0", 60).await?;
    assert_eq!(
        (again, again_events[0].envelope.id),
        (first, events[0].envelope.id),
        "the same booking, and the same event under the same id"
    );
    Ok(())
}
