//! Drift that is made on purpose is found, and what loses nothing is repaired; what is in order stays untouched.

use crate::hostel::{Hostel, kinds};
use anyhow::Result;
use mongodb::bson::doc;
use pvt_domain::booking::Booking;
use pvt_domain::decide::Owner;
use pvt_stores::mongo::commit::claim_key;
use pvt_stores::mongo::reconciliations::FindingKind::{Conflict, EventMissing, MartBehind, MissingClaim, OrphanClaim};
use pvt_testkit::soon;
use pvt_workers::clock;
use pvt_workers::jobs::reconciliation::Reconciliation;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

fn first_key(booking: &Booking) -> String {
    let (bed, night) = booking.claims().next().expect("a confirmed booking has beds");
    claim_key(&booking.property_id, bed, night)
}

#[tokio::test]
async fn a_hostel_in_order_has_no_findings() -> Result<()> {
    let hostel = Hostel::open().await?;
    for key in ["a", "b"] {
        let (booking, events) = hostel.book(key, 10).await?;
        hostel.load(&events).await?;
        if key == "b" {
            hostel.load(&hostel.cancel(&booking).await?).await?;
        }
    }
    let (report, published) = hostel.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!((report.found, published.len()), (0, 0), "{report}");
    assert_eq!((report.checked.bookings, report.checked.claims, report.checked.events), (2, 2, 3));
    Ok(())
}

#[tokio::test]
async fn claims_that_drifted_are_found_and_put_right() -> Result<()> {
    let hostel = Hostel::open().await?;
    let (kept, events) = hostel.book("kept", 10).await?;
    hostel.load(&events).await?;
    let (gone, events) = hostel.book("gone", 20).await?;
    hostel.load(&events).await?;
    hostel.load(&hostel.cancel(&gone).await?).await?;
    // One claim lost, one taken by the cancelled booking, one of nobody.
    let keys: Vec<String> = kept.claims().map(|(bed, night)| claim_key(&kept.property_id, bed, night)).collect();
    hostel.claims().delete_one(doc! { "_id": &keys[0] }).await?;
    hostel.claims().update_one(doc! { "_id": &keys[1] }, doc! { "$set": { "booking": gone.id.to_string() } }).await?;
    let stray = format!("{}|d6a-1|2099-01-01", kept.property_id);
    hostel.claims().insert_one(doc! { "_id": &stray, "booking": Uuid::new_v4().to_string() }).await?;

    let (dry, _) = hostel.reconcile(Uuid::new_v4(), true).await?;
    assert_eq!(
        kinds(&dry),
        [(OrphanClaim, false), (OrphanClaim, false), (MissingClaim, false), (MissingClaim, false)],
        "{dry}"
    );
    assert_eq!(hostel.claims_of(&kept).await?, 0, "a dry run changes nothing");

    let run_id = Uuid::new_v4();
    let (report, _) = hostel.reconcile(run_id, false).await?;
    assert_eq!(
        kinds(&report),
        [(OrphanClaim, true), (OrphanClaim, true), (MissingClaim, true), (MissingClaim, true)],
        "{report}"
    );
    assert_eq!(hostel.claims_of(&kept).await?, 2);
    assert_eq!(hostel.claims_of(&gone).await?, 0);
    let audit = hostel.mongo.audit_of(run_id).await?;
    assert_eq!(audit.len(), 4);
    assert!(audit.iter().all(|entry| entry.actor == "tests" && entry.action.starts_with("repair.")));

    let (again, _) = hostel.reconcile(run_id, false).await?;
    assert_eq!(kinds(&again), kinds(&report), "a redelivered run still tells what it repaired");
    assert_eq!(hostel.mongo.audit_of(run_id).await?.len(), 4);
    let (next, _) = hostel.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!(next.found, 0, "{next}");
    Ok(())
}

#[tokio::test]
async fn a_bed_sold_twice_is_left_to_people() -> Result<()> {
    let hostel = Hostel::open().await?;
    let (one, events) = hostel.book("one", 10).await?;
    hostel.load(&events).await?;
    let (two, events) = hostel.book("two", 10).await?;
    hostel.load(&events).await?;
    let bed = one.stays[0].assigned_beds[0].as_str();
    hostel
        .bookings()
        .update_one(doc! { "_id": two.id.to_string() }, doc! { "$set": { "stays.0.assigned_beds": [bed] } })
        .await?;
    let (report, _) = hostel.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!(
        kinds(&report),
        [(OrphanClaim, true), (OrphanClaim, true), (Conflict, false), (Conflict, false)],
        "{report}"
    );
    assert_eq!(report.findings[0].kind, Conflict, "what is left comes first");
    assert_eq!(hostel.claims_of(&one).await?, 2, "the holder keeps its claims");
    Ok(())
}

#[tokio::test]
async fn commits_under_way_are_never_taken_for_drift() -> Result<()> {
    let hostel = Hostel::open().await?;
    let changes = async {
        for number in 0..40 {
            let (booking, events) = hostel.book(&number.to_string(), 10 + number % 7).await?;
            hostel.load(&events).await?;
            if number % 2 == 0 {
                hostel.load(&hostel.cancel(&booking).await?).await?;
            }
        }
        anyhow::Ok(())
    };
    let worker = Reconciliation::new(hostel.mongo.clone(), hostel.mart.clone(), clock::system);
    let checks = async {
        for _ in 0..40 {
            let (report, published) = hostel.reconcile_with(&worker, Uuid::new_v4(), true).await?;
            anyhow::ensure!(report.found == 0 && published.is_empty(), "{report}");
        }
        anyhow::Ok(())
    };
    tokio::try_join!(changes, checks)?;
    Ok(())
}

#[tokio::test]
async fn lost_events_are_published_again_under_the_same_ids() -> Result<()> {
    let hostel = Hostel::open().await?;
    let (booking, confirmed) = hostel.book("a", 10).await?;
    hostel.load(&confirmed).await?;
    let cancelled = hostel.cancel(&booking).await?;
    let (other, lost) = hostel.book("b", 10).await?;

    let patient = Reconciliation::new(hostel.mongo.clone(), hostel.mart.clone(), clock::system);
    let (report, published) = hostel.reconcile_with(&patient, Uuid::new_v4(), false).await?;
    assert_eq!((report.found, published.len()), (0, 0), "what happened a moment ago is still on its way");

    let (dry, published) = hostel.reconcile(Uuid::new_v4(), true).await?;
    assert_eq!((kinds(&dry), published.len()), (vec![(EventMissing, false); 2], 0));

    let (report, published) = hostel.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!(kinds(&report), [(EventMissing, true); 2], "{report}");
    let mut ids: Vec<Uuid> = published.iter().map(|event| event.id).collect();
    let mut expected = vec![cancelled[0].id, lost[0].id];
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected);
    hostel.load(&published).await?;
    assert!(hostel.mart.behind(&[(booking.id, 2), (other.id, 1)]).await?.is_empty());
    let (next, _) = hostel.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!(next.found, 0, "{next}");
    Ok(())
}

#[tokio::test]
async fn a_mart_that_lost_a_row_is_loaded_again() -> Result<()> {
    let hostel = Hostel::open().await?;
    let (booking, events) = hostel.book("a", 10).await?;
    hostel.load(&events).await?;
    let mut postgres = PgConnection::connect(&hostel.namespace.database_url()).await?;
    sqlx::raw_sql("TRUNCATE fact_booking, fact_bed_night").execute(&mut postgres).await?;
    let (report, published) = hostel.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!((kinds(&report), published.len()), (vec![(MartBehind, true)], 1), "{report}");
    hostel.load(&published).await?;
    assert!(hostel.mart.behind(&[(booking.id, 1)]).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_repair_that_is_no_longer_due_is_not_made() -> Result<()> {
    use pvt_stores::mongo::audit::AuditEntry;
    use pvt_stores::mongo::commit::StoredClaim;
    use pvt_stores::mongo::reconciliations::{ClaimRepair, ClaimToRestore};
    let hostel = Hostel::open().await?;
    let (booking, _) = hostel.book("a", 10).await?;
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
    assert_eq!(hostel.mongo.release_orphan_claim(&claim, &audit()).await?, ClaimRepair::NotDue, "its owner is active");
    assert_eq!(hostel.mongo.restore_claim(&missing, &audit()).await?, ClaimRepair::NotDue, "it is there");
    hostel
        .claims()
        .update_one(doc! { "_id": &claim.key }, doc! { "$set": { "booking": Uuid::new_v4().to_string() } })
        .await?;
    assert_eq!(hostel.mongo.restore_claim(&missing, &audit()).await?, ClaimRepair::Taken);
    hostel.claims().delete_one(doc! { "_id": &claim.key }).await?;
    hostel.cancel(&booking).await?;
    assert_eq!(hostel.mongo.restore_claim(&missing, &audit()).await?, ClaimRepair::NotDue, "the booking is cancelled");
    assert_eq!(hostel.claims_of(&booking).await?, 0);
    Ok(())
}

#[tokio::test]
async fn claims_of_blocks_are_put_right_like_those_of_bookings() -> Result<()> {
    use pvt_domain::block::BlockKind;
    use pvt_domain::ids::BlockId;
    use pvt_domain::messages::{BlockBeds, BookingCommand};
    let hostel = Hostel::open().await?;
    let block_id = BlockId::derive("tests", "block");
    let command = BlockBeds {
        block_id,
        property_id: Hostel::property(),
        kind: BlockKind::OutOfOrder,
        bed_ids: vec!["d6a-1".into()],
        from: soon(10),
        until: soon(12),
        actor: "staff:1".into(),
        reason: None,
        requested_at: clock::system(),
    };
    hostel.decide(Uuid::new_v4(), BookingCommand::Block(command)).await?;
    let (sound, _) = hostel.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!((sound.found, sound.checked.blocks, sound.checked.claims), (0, 1, 2), "{sound}");
    let owner = format!("block:{block_id}");
    hostel.claims().delete_one(doc! { "_id": claim_key(&Hostel::property(), &"d6a-1".into(), soon(11)) }).await?;
    hostel
        .claims()
        .insert_one(doc! { "_id": claim_key(&Hostel::property(), &"d6a-2".into(), soon(11)), "booking": &owner })
        .await?;
    let (report, _) = hostel.reconcile(Uuid::new_v4(), false).await?;
    assert_eq!(kinds(&report), [(OrphanClaim, true), (MissingClaim, true)], "{report}");
    assert_eq!(hostel.violations().await?, Vec::<String>::new());
    Ok(())
}
