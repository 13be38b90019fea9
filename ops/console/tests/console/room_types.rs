//! Moves to beds of another room type begin on the tape chart and go on in a form with their price.

use super::browser::sign_in;
use super::harness::{FOLLOW_LIMIT, HERE, Harness};
use anyhow::{Context as _, Result, ensure};
use chrono::Utc;
use pvt_testkit::Chromium;

/// Most beds between one and the next room type.
const MOST: usize = 40;

#[tokio::test]
async fn stay_that_was_set_aside_goes_to_another_room_type() -> Result<()> {
    let harness = Harness::start().await?;
    let booking = harness.book(HERE, "confirmed", Utc::now().date_naive()).await?;
    let mut browser = Chromium::start().await?;
    sign_in(&mut browser, &harness).await?;
    browser.open(&harness.url(&format!("/chart?property={HERE}"))).await?;
    browser.until("document.querySelector('[data-move]')?.draggable ?? false", &true.into(), FOLLOW_LIMIT).await?;
    browser.value("document.querySelector('[data-move]').focus()").await?;
    for key in ["m", "p", "m"] {
        browser.press(key).await?;
    }
    let aside = "document.querySelectorAll('#parked li').length";
    browser.until(aside, &1.into(), FOLLOW_LIMIT).await?;
    let said = "document.getElementById('moving').textContent.includes('of another room type')";
    for _ in 0..MOST {
        browser.press("ArrowDown").await?;
        if browser.value(said).await? == true {
            break;
        }
    }
    let bed = browser.value("document.querySelector('.cells.target').dataset.bed").await?;
    let bed = bed.as_str().context("a bed")?.to_owned();
    browser.press("Enter").await?;
    let path = format!("/bookings/{}/actions/room", booking.id);
    browser.until("location.pathname", &path.into(), FOLLOW_LIMIT).await?;
    let chosen = browser.value("document.getElementById('to').value").await?;
    ensure!(chosen.as_str().is_some_and(|beds| beds.split(',').any(|one| one == bed)), "{chosen} has no {bed}");

    // It is no part of a plan any more, and the next user of this tab finds nothing of others.
    let stored = "Object.values(sessionStorage).join()";
    ensure!(browser.value(stored).await? == "[]", "{}", browser.value(stored).await?);
    browser.open(&harness.url("/login")).await?;
    browser.until("sessionStorage.length", &0.into(), FOLLOW_LIMIT).await
}
