//! Pages of which a part cannot be read, and the chart of a property whose beds have changed.

use super::browser::sign_in;
use super::harness::{HERE, Harness, booking};
use anyhow::{Context, Result};
use chrono::Utc;
use mongodb::bson::{Document, doc};
use pvt_domain::accounts::Role;
use pvt_domain::booking::Booking;
use pvt_domain::business_day::business_date;
use pvt_domain::timestamp::Timestamp;
use pvt_testkit::Chromium;
use reqwest::StatusCode;

/// More than the inventory of the tests has.
const MAX_BEDS: usize = 30;

#[tokio::test]
async fn changes_of_beds_that_cannot_be_read_leave_the_audit_log() -> Result<()> {
    let harness = Harness::start().await?;
    let booking = harness.book(HERE, "confirmed", Utc::now().date_naive()).await?;
    let now = Timestamp::from(Utc::now()).to_string();
    let stay = mongodb::bson::serialize_to_document(&booking.stays[0])?;
    let mut moved = stay.clone();
    moved.insert("assigned_beds", ["d6a-2"].to_vec());
    let change = doc! { "index": 0, "before": stay, "after": moved };
    let set = async |changes: Document| -> Result<()> {
        let set = doc! { "$set": { "history.0.changes": changes, "history.0.at": &now, "updated_at": &now } };
        let bookings = harness.database().await?.collection::<Document>("bookings");
        bookings.update_one(doc! { "_id": booking.id.to_string() }, set).await?;
        Ok(())
    };
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let mut unreadable = change.clone();
    unreadable.insert("index", "none");
    set(doc! { "stays": [change] }).await?;
    let (_, page) = harness.get(&admin, "/audit").await?;
    assert!(page.contains("→ d6a-2") && !page.contains("cannot be shown"), "{page}");
    set(doc! { "stays": [unreadable] }).await?;
    let (status, page) = harness.get(&admin, "/audit").await?;
    assert_eq!(status, StatusCode::OK, "{page}");
    let (beds, log) = page.split_once("<h2>Audit log</h2>").context("the log")?;
    assert!(beds.contains("Changes of beds cannot be shown.") && !beds.contains("No changes."), "{beds}");
    assert!(log.contains("No entries."), "{log}");
    Ok(())
}

#[tokio::test]
async fn stay_in_a_removed_bed_can_be_moved() -> Result<()> {
    let harness = Harness::start().await?;
    let inventory = super::harness::inventory(HERE);
    let mut booking = booking(HERE, "confirmed", business_date(&inventory.property, Utc::now().into()));
    booking.stays[0].assigned_beds = vec!["gone-1".into()];
    harness.database().await?.collection::<Booking>("bookings").insert_one(&booking).await?;
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let (_, chart) = harness.get(&staff, "/chart").await?;
    let key = format!("{}/0/gone-1", booking.id);
    assert!(chart.contains(&format!("data-move=\"{key}\" data-type=\"dorm-6-mixed\"")), "{chart}");
    let (_, plan) = harness.get(&staff, &format!("/chart/plan?property={HERE}&move={key}/d6a-1")).await?;
    assert!(plan.contains("gone-1 → d6a-1") && plan.contains("name=\"step\""), "{plan}");
    let (_, targets) = harness.get(&staff, &format!("/bookings/{}/move", booking.id)).await?;
    assert!(targets.contains("d6a-1") && targets.contains("free"), "{targets}");
    let mut browser = Chromium::start().await?;
    sign_in(&mut browser, &harness).await?;
    browser.open(&harness.url(&format!("/chart?property={HERE}"))).await?;
    browser.value(&format!("document.querySelector('[data-move=\"{key}\"]').focus()")).await?;
    browser.press("m").await?;
    // Upwards to the first bed of the stay's own room type: any other leads to the form for another type.
    for _ in 0..MAX_BEDS {
        browser.press("ArrowUp").await?;
        if browser.value("document.querySelector('.cells.target')?.dataset.type").await? == "dorm-6-mixed" {
            break;
        }
    }
    let target = browser.value("document.querySelector('.cells.target')?.dataset.type").await?;
    assert_eq!(target, "dorm-6-mixed", "a bed of the stay's own room type");
    browser.enter().await?;
    assert_eq!(browser.value("location.pathname").await?, "/chart/plan");
    Ok(())
}
