//! The focus: seen on every element of every page, caught by none, and kept when a section is made anew.

use super::browser::{pages, sign_in};
use super::dead_letters::{self, arrival, store};
use super::harness::{FOLLOW_LIMIT, HERE, Harness, PASSWORD};
use anyhow::{Result, ensure};
use chrono::Utc;
use pvt_domain::accounts::Role;
use pvt_domain::actor::Actor;
use pvt_operations::queue_pauses;
use pvt_testkit::Chromium;
use std::time::Duration;

/// Most elements that take the focus on a page of these tests.
const MOST: usize = 200;
const JOURNEY_LIMIT: Duration = Duration::from_secs(90);

#[tokio::test]
async fn focus_is_seen_everywhere_and_caught_nowhere() -> Result<()> {
    let harness = Harness::start().await?;
    let booking = harness.book(HERE, "confirmed", Utc::now().date_naive()).await?;
    harness.dispute(&booking).await?;
    let mut browser = Chromium::start().await?;
    browser.screen(1_280, 800, "light").await?;
    browser.open(&harness.url("/login")).await?;
    walk(&mut browser, "/login").await?;
    sign_in(&mut browser, &harness).await?;
    let walks = async {
        for (_, path) in pages(&booking.id.to_string()).into_iter().chain(dead_letters::pages(&harness).await?) {
            browser.open(&harness.url(&path)).await?;
            browser.press("Tab").await?;
            ensure!(browser.value("document.activeElement.className").await? == "skip", "{path} begins with its head");
            browser.press("Enter").await?;
            browser.press("Tab").await?;
            let is_past = "document.activeElement.closest('header, .skip') === null || \
                document.querySelector('main :is(a, button, input, summary, [tabindex=\"0\"])') === null";
            ensure!(browser.value(is_past).await? == true, "{path}: the head is skipped");
            browser.open(&harness.url(&path)).await?;
            walk(&mut browser, &path).await?;
        }
        Ok(())
    };
    tokio::time::timeout(JOURNEY_LIMIT, walks).await?
}

/// Presses Tab until the focus has been on every element and is back on the first.
async fn walk(browser: &mut Chromium, path: &str) -> Result<()> {
    browser.press("Tab").await?;
    browser.value("window.first = document.activeElement").await?;
    for _ in 0..MOST {
        let element = browser.value("document.activeElement.outerHTML.slice(0, 120)").await?;
        ensure!(browser.is_focus_seen().await?, "{path}: the focus is not seen on {element}");
        browser.press("Tab").await?;
        while browser.value("document.activeElement === document.body").await? == true {
            browser.press("Tab").await?;
        }
        if browser.value("document.activeElement === window.first").await? == true {
            return Ok(());
        }
    }
    anyhow::bail!("{path}: the focus does not come back: {}", browser.value("document.activeElement.outerHTML").await?)
}

#[tokio::test]
async fn focus_stays_where_a_section_is_made_anew() -> Result<()> {
    let harness = Harness::start().await?;
    let (topology, actor) = (harness.namespace.topology(), Actor::SYSTEM);
    queue_pauses::pause(&harness.mongo, &topology, "emails", actor, "tried").await?;
    store(&harness.mongo, &[arrival(1, "missing field `property_id`")]).await?;
    let mut browser = Chromium::start().await?;
    sign_in(&mut browser, &harness).await?;

    // What has the focus goes away: its row takes over, and no button that acts on something else.
    let form = "document.getElementById('resume-emails') !== null";
    browser.until(form, &true.into(), FOLLOW_LIMIT).await?;
    browser.tab_to("it.tagName === 'BUTTON' && it.textContent === 'Resume emails'").await?;
    queue_pauses::resume(&harness.mongo, &topology, "emails", Actor::SYSTEM, "tried").await?;
    browser.until(form, &false.into(), FOLLOW_LIMIT).await?;
    let row = "document.activeElement.matches('[data-row]') && document.activeElement.cells[0].textContent";
    ensure!(browser.value(row).await? == "emails", "{}", browser.value("document.activeElement.outerHTML").await?);

    browser.open(&harness.url("/dead-letters")).await?;
    browser.press("j").await?;
    let count = "document.querySelector('#groups td.number').textContent";
    browser.until(count, &"1".into(), FOLLOW_LIMIT).await?;
    let group = browser.value("document.activeElement.getAttribute('href')").await?;
    store(&harness.mongo, &[arrival(2, "missing field `property_id`"), arrival(3, "a newer group")]).await?;
    browser.until("document.querySelectorAll('#groups tbody tr').length", &2.into(), FOLLOW_LIMIT).await?;
    ensure!(group.is_string() && browser.value("document.activeElement.getAttribute('href')").await? == group);
    Ok(())
}

/// Only a page that follows says that it is live, and a refusal to sign in leads to what is to be corrected.
#[tokio::test]
async fn pages_say_how_old_they_are_and_refusals_have_the_focus() -> Result<()> {
    let harness = Harness::start().await?;
    let user = harness.user(Role::Staff, &[HERE]).await?;
    let mut browser = Chromium::start().await?;
    browser.open(&harness.url("/front-desk")).await?;
    browser.sign_in(user.email.as_str(), "wrong horse battery").await?;
    let focused = "document.activeElement.id + ', ' + document.activeElement.getAttribute('aria-describedby')";
    browser.until(focused, &"password, wrong".into(), FOLLOW_LIMIT).await?;
    browser.type_text(PASSWORD).await?;
    browser.enter().await?;
    let badge = "/^as of \\d+:\\d\\d/.test(document.getElementById('live-badge').textContent)";
    browser.until(badge, &true.into(), FOLLOW_LIMIT).await?;
    browser.open(&harness.url("/bookings/nonsense/move")).await?;
    browser.until("document.activeElement.getAttribute('role')", &"alert".into(), FOLLOW_LIMIT).await
}
