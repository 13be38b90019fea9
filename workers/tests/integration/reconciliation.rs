//! Mismatches made on purpose are found, and repaired where nothing can be lost; consistent data stays untouched.

use crate::harness::{Harness, kinds};
use anyhow::Result;
use mongodb::bson::doc;
use pvt_domain::booking::Booking;
use pvt_domain::decide::Owner;
use pvt_messaging::Target;
use pvt_stores::mongo::commit::claim_key;
use pvt_stores::mongo::reconciliations::FindingKind::{Conflict, EventMissing, MartBehind, MissingClaim, OrphanClaim};
use pvt_testkit::days_from_now;
use pvt_workers::clock;
use pvt_workers::jobs::reconciliation::Reconciliation;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

fn first_key(booking: &Booking) -> String {
    let (bed, night) = booking.claims().next().expect("a confirmed booking has beds");
    claim_key(&booking.property_id, bed, night)
}

#[tokio::test]
async fn consistent_property_has_no_findings() -> Result<()> {
    let harness = Harness::open().await?;
    for key in ["a", "b"] {
        let (booking, events) = harness.book(key, 10).await?;
        harness.load(&events).await?;
        if key == "b" {
            harness.load(&harness.cancel(&booking).await?).await?;
        }
    }
    let (report, published) = harness.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!((report.found, published.len()), (0, 0), "{report}");
    assert_eq!((report.checked.bookings, report.checked.claims, report.checked.events), (2, 2, 3));
    Ok(())
}

#[tokio::test]
async fn claim_mismatches_are_found_and_repaired() -> Result<()> {
    let harness = Harness::open().await?;
    let (kept, events) = harness.book("kept", 10).await?;
    harness.load(&events).await?;
    let (gone, events) = harness.book("gone", 20).await?;
    harness.load(&events).await?;
    harness.load(&harness.cancel(&gone).await?).await?;
    // One claim missing, one held by the cancelled booking, one without any owner.
    let keys: Vec<String> = kept.claims().map(|(bed, night)| claim_key(&kept.property_id, bed, night)).collect();
    harness.claims().delete_one(doc! { "_id": &keys[0] }).await?;
    harness.claims().update_one(doc! { "_id": &keys[1] }, doc! { "$set": { "booking": gone.id.to_string() } }).await?;
    let stray = format!("{}|d6a-1|2099-01-01", kept.property_id);
    harness.claims().insert_one(doc! { "_id": &stray, "booking": Uuid::new_v4().to_string() }).await?;

    let (dry, _) = harness.reconcile(Uuid::new_v4(), true).await?;
    assert_eq!(
        kinds(&dry),
        [(OrphanClaim, false), (OrphanClaim, false), (MissingClaim, false), (MissingClaim, false)],
        "{dry}"
    );
    assert_eq!(harness.claims_of(&kept).await?, 0, "a dry run changes nothing");

    let run_id = Uuid::new_v4();
    let (report, _) = harness.reconcile(run_id, false).await?;
    assert_eq!(
        kinds(&report),
        [(OrphanClaim, true), (OrphanClaim, true), (MissingClaim, true), (MissingClaim, true)],
        "{report}"
    );
    assert_eq!(harness.claims_of(&kept).await?, 2);
    assert_eq!(harness.claims_of(&gone).await?, 0);
    let audit = harness.mongo.audit_log().of_cause(run_id).await?;
    assert_eq!(audit.len(), 4);
    assert!(audit.iter().all(|entry| entry.actor == "tests" && entry.action.starts_with("repair.")));

    let (again, _) = harness.reconcile(run_id, false).await?;
    assert_eq!(kinds(&again), kinds(&report), "a redelivered run still reports its repairs");
    assert_eq!(harness.mongo.audit_log().of_cause(run_id).await?.len(), 4);
    let (next, _) = harness.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!(next.found, 0, "{next}");
    Ok(())
}

#[tokio::test]
async fn double_booked_bed_is_reported_only() -> Result<()> {
    let harness = Harness::open().await?;
    let (one, events) = harness.book("one", 10).await?;
    harness.load(&events).await?;
    let (two, events) = harness.book("two", 10).await?;
    harness.load(&events).await?;
    let bed = one.stays[0].assigned_beds[0].as_str();
    harness
        .bookings()
        .update_one(doc! { "_id": two.id.to_string() }, doc! { "$set": { "stays.0.assigned_beds": [bed] } })
        .await?;
    let (report, _) = harness.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!(
        kinds(&report),
        [(OrphanClaim, true), (OrphanClaim, true), (Conflict, false), (Conflict, false)],
        "{report}"
    );
    assert_eq!(report.findings[0].kind, Conflict, "unrepaired findings come first");
    assert_eq!(harness.claims_of(&one).await?, 2, "the holder keeps its claims");
    Ok(())
}

#[tokio::test]
async fn concurrent_commits_are_not_mismatches() -> Result<()> {
    let harness = Harness::open().await?;
    let changes = async {
        for number in 0..40 {
            let (booking, events) = harness.book(&number.to_string(), 10 + number % 7).await?;
            harness.load(&events).await?;
            if number % 2 == 0 {
                harness.load(&harness.cancel(&booking).await?).await?;
            }
        }
        anyhow::Ok(())
    };
    let worker =
        Reconciliation::new(harness.mongo.clone(), harness.mart.clone(), &harness.namespace.topology(), clock::system);
    let checks = async {
        for _ in 0..40 {
            let (report, published) = harness.reconcile_with(&worker, Uuid::new_v4(), true).await?;
            anyhow::ensure!(report.found == 0 && published.is_empty(), "{report}");
        }
        anyhow::Ok(())
    };
    tokio::try_join!(changes, checks)?;
    Ok(())
}

#[tokio::test]
async fn lost_events_are_republished_under_the_same_ids() -> Result<()> {
    let harness = Harness::open().await?;
    let (booking, confirmed) = harness.book("a", 10).await?;
    harness.load(&confirmed).await?;
    let cancelled = harness.cancel(&booking).await?;
    let (other, lost) = harness.book("b", 10).await?;

    let patient =
        Reconciliation::new(harness.mongo.clone(), harness.mart.clone(), &harness.namespace.topology(), clock::system);
    let (report, published) = harness.reconcile_with(&patient, Uuid::new_v4(), false).await?;
    assert_eq!((report.found, published.len()), (0, 0), "recent events may still be in flight");

    let (dry, published) = harness.reconcile(Uuid::new_v4(), true).await?;
    assert_eq!((kinds(&dry), published.len()), (vec![(EventMissing, false); 2], 0));

    let (report, published) = harness.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!(kinds(&report), [(EventMissing, true); 2], "{report}");
    let mut ids: Vec<Uuid> = published.iter().map(|event| event.envelope.id).collect();
    let mut expected = vec![cancelled[0].envelope.id, lost[0].envelope.id];
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected);
    let mart_queue = harness.namespace.topology().name("analytics");
    assert!(published.iter().all(|event| event.target == Target::Queue && event.routing_key == mart_queue));
    harness.load(&published).await?;
    assert!(harness.mart.behind(&[(booking.id, 2), (other.id, 1)]).await?.is_empty());
    let (next, _) = harness.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!(next.found, 0, "{next}");
    Ok(())
}

#[tokio::test]
async fn missing_mart_row_is_reloaded() -> Result<()> {
    let harness = Harness::open().await?;
    let (booking, events) = harness.book("a", 10).await?;
    harness.load(&events).await?;
    let mut postgres = PgConnection::connect(&harness.namespace.database_url()).await?;
    sqlx::raw_sql("TRUNCATE fact_booking, fact_bed_night").execute(&mut postgres).await?;
    let (report, published) = harness.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!((kinds(&report), published.len()), (vec![(MartBehind, true)], 1), "{report}");
    harness.load(&published).await?;
    assert!(harness.mart.behind(&[(booking.id, 1)]).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_repair_that_is_no_longer_due_is_not_made() -> Result<()> {
    use pvt_stores::mongo::audit::AuditEntry;
    use pvt_stores::mongo::commit::StoredClaim;
    use pvt_stores::mongo::reconciliations::{ClaimRepair, ClaimToRestore};
    let harness = Harness::open().await?;
    let (booking, _) = harness.book("a", 10).await?;
    let (bed, night) =
        booking.claims().next().map(|(bed, night)| (bed.clone(), night)).expect("a confirmed booking has beds");
    let audit = || AuditEntry::new(Uuid::new_v4(), clock::system(), "tests", "repair.test".into(), "x", "");
    let claim = StoredClaim { key: first_key(&booking), booking: booking.id.to_string() };
    let missing = ClaimToRestore {
        property_id: booking.property_id.clone(),
        owner: Owner::Booking(booking.id),
        bed_id: bed,
        night,
    };
    assert_eq!(
        harness.mongo.reconciliations().release_orphan_claim(&claim, &audit()).await?,
        ClaimRepair::NotDue,
        "its owner is active"
    );
    assert_eq!(
        harness.mongo.reconciliations().restore_claim(&missing, &audit()).await?,
        ClaimRepair::NotDue,
        "it is there"
    );
    harness
        .claims()
        .update_one(doc! { "_id": &claim.key }, doc! { "$set": { "booking": Uuid::new_v4().to_string() } })
        .await?;
    assert_eq!(harness.mongo.reconciliations().restore_claim(&missing, &audit()).await?, ClaimRepair::Taken);
    harness.claims().delete_one(doc! { "_id": &claim.key }).await?;
    harness.cancel(&booking).await?;
    assert_eq!(
        harness.mongo.reconciliations().restore_claim(&missing, &audit()).await?,
        ClaimRepair::NotDue,
        "the booking is cancelled"
    );
    assert_eq!(harness.claims_of(&booking).await?, 0);
    Ok(())
}

#[tokio::test]
async fn block_claims_are_repaired_like_booking_claims() -> Result<()> {
    use pvt_domain::block::BlockKind;
    use pvt_domain::ids::BlockId;
    use pvt_domain::messages::{BlockBeds, BookingCommand};
    let harness = Harness::open().await?;
    let block_id = BlockId::derive("tests", "block");
    let command = BlockBeds {
        block_id,
        property_id: Harness::property(),
        kind: BlockKind::OutOfOrder,
        bed_ids: vec!["d6a-1".into()],
        from: days_from_now(10),
        until: days_from_now(12),
        actor: "staff:1".into(),
        reason: None,
        requested_at: clock::system(),
    };
    harness.decide(Uuid::new_v4(), BookingCommand::Block(command)).await?;
    let (sound, _) = harness.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!((sound.found, sound.checked.blocks, sound.checked.claims), (0, 1, 2), "{sound}");
    let owner = format!("block:{block_id}");
    harness
        .claims()
        .delete_one(doc! { "_id": claim_key(&Harness::property(), &"d6a-1".into(), days_from_now(11)) })
        .await?;
    harness
        .claims()
        .insert_one(
            doc! { "_id": claim_key(&Harness::property(), &"d6a-2".into(), days_from_now(11)), "booking": &owner },
        )
        .await?;
    let (report, _) = harness.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!(kinds(&report), [(OrphanClaim, true), (MissingClaim, true)], "{report}");
    assert_eq!(harness.violations().await?, Vec::<String>::new());
    Ok(())
}
