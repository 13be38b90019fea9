//! The focus: seen on every element of every page, caught by none, and kept when a section is made anew.

use super::board::schedule;
use super::browser::{pages, sign_in};
use super::dead_letters::{self, arrival, store};
use super::harness::{FOLLOW_LIMIT, HERE, Harness, PASSWORD};
use anyhow::{Context, Result, ensure};
use chrono::{Days, Utc};
use pvt_domain::accounts::Role;
use pvt_domain::actor::Actor;
use pvt_operations::queue_pauses;
use pvt_operations::schedules::{RunNow, run_now};
use pvt_stores::mongo::schedule_runs::RunEnd;
use pvt_testkit::{Broker, Chromium, doc, properties};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// What can be used on the page, and has not had the focus.
const MISSED: &str = "[...document.querySelectorAll( \
    'a[href], button, input, select, textarea, summary, [tabindex=\"0\"]')] \
    .filter((it) => it.checkVisibility() && !it.disabled && it.type !== 'hidden' && !window.passed.has(it)) \
    .map((it) => it.outerHTML)";
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
            let is_past = "document.activeElement.closest('main') !== null || \
                document.querySelector('main :is(a, button, input, summary, [tabindex=\"0\"])') === null";
            ensure!(browser.value(is_past).await? == true, "{path}: the head is skipped");
            browser.open(&harness.url(&path)).await?;
            walk(&mut browser, &path).await?;
        }
        Ok(())
    };
    tokio::time::timeout(JOURNEY_LIMIT, walks).await?
}

/// Presses Tab until the focus is back on the first element: it has been on every one that can be used.
async fn walk(browser: &mut Chromium, path: &str) -> Result<()> {
    browser.press("Tab").await?;
    browser.value("window.first = document.activeElement, window.passed = new Set(), true").await?;
    for _ in 0..MOST {
        let element =
            browser.value("window.passed.add(document.activeElement), document.activeElement.outerHTML").await?;
        ensure!(browser.is_focus_seen().await?, "{path}: the focus is not seen on {element}");
        browser.press("Tab").await?;
        while browser.value("document.activeElement === document.body").await? == true {
            browser.press("Tab").await?;
        }
        if browser.value("document.activeElement === window.first").await? == true {
            let missed = browser.value(MISSED).await?;
            ensure!(missed == json!([]), "{path}: the focus never came to {missed}");
            return Ok(());
        }
    }
    anyhow::bail!("{path}: the focus does not come back: {}", browser.value("document.activeElement.outerHTML").await?)
}

/// On a chart that is wider and longer than the screen.
#[tokio::test]
async fn focus_is_seen_beside_the_beds_and_above_what_is_set_aside() -> Result<()> {
    let harness = Harness::start().await?;
    let today = Utc::now().date_naive();
    for day in [0, 12, 24, 36, 48] {
        harness.book(HERE, "confirmed", today + Days::new(day)).await?;
    }
    let mut browser = Chromium::start().await?;
    browser.screen(1_280, 800, "light").await?;
    sign_in(&mut browser, &harness).await?;
    browser.open(&harness.url(&format!("/chart?property={HERE}&nights=60"))).await?;
    let entry = "document.activeElement.matches('[data-move]')";
    browser.press("k").await?;
    for step in 0..5 {
        ensure!(browser.value(entry).await? == true && browser.is_focus_seen().await?, "{step} steps back");
        browser.press_back().await?;
    }
    ensure!(browser.value(entry).await? == false, "there are no more stays");

    browser.press("j").await?;
    browser.until("document.activeElement.draggable", &true.into(), FOLLOW_LIMIT).await?;
    for key in ["m", "p"] {
        browser.press(key).await?;
    }
    ensure!(browser.value("document.getElementById('parking').hidden").await? == false);
    let bottom = "Math.round([...document.querySelectorAll('[data-bed]')].pop().getBoundingClientRect().bottom)";
    ensure!(browser.value(&format!("{bottom} > innerHeight")).await? == true, "the chart is longer than the screen");
    browser.value("scrollTo({ top: document.body.scrollHeight, behavior: 'instant' })").await?;
    let is_above = format!("{bottom} <= document.getElementById('parking').getBoundingClientRect().top");
    browser.until(&is_above, &true.into(), FOLLOW_LIMIT).await
}

/// A browser of an administrator.
async fn browser_at(harness: &Harness, path: &str) -> Result<Chromium> {
    let mut browser = Chromium::start().await?;
    sign_in(&mut browser, harness).await?;
    browser.open(&harness.url(path)).await?;
    Ok(browser)
}

#[tokio::test]
async fn focus_stays_in_a_table_that_is_made_anew() -> Result<()> {
    let harness = Harness::start().await?;
    let topology = harness.namespace.topology();
    queue_pauses::pause(&harness.mongo, &topology, "emails", Actor::SYSTEM, "tried").await?;
    let mut browser = browser_at(&harness, "/queues").await?;
    browser.screen(700, 400, "light").await?;

    // What has the focus goes away: its row takes over, and no button that acts on something else.
    let form = "document.getElementById('resume-emails') !== null";
    browser.until(form, &true.into(), FOLLOW_LIMIT).await?;
    browser.tab_to("it.tagName === 'BUTTON' && it.textContent === 'Resume emails'").await?;
    queue_pauses::resume(&harness.mongo, &topology, "emails", Actor::SYSTEM, "tried").await?;
    browser.until(form, &false.into(), FOLLOW_LIMIT).await?;
    let row = "document.activeElement.matches('[data-row]') && document.activeElement.cells[0].textContent";
    ensure!(browser.value(row).await? == "emails", "{}", browser.value("document.activeElement.outerHTML").await?);

    // The table itself keeps the focus, and stays where the arrow keys have moved it; so does the page.
    browser.open(&harness.url("/queues")).await?;
    browser.tab_to("it.getAttribute('aria-label') === 'Work queues'").await?;
    browser.press("ArrowRight").await?;
    let is_moved = "document.querySelector('[aria-label=\"Work queues\"]').scrollLeft > 20";
    browser.until(is_moved, &true.into(), FOLLOW_LIMIT).await?;
    browser.value("scrollTo(0, document.body.scrollHeight), window.before = scrollY").await?;
    queue_pauses::pause(&harness.mongo, &topology, "emails", Actor::SYSTEM, "tried").await?;
    browser.until(form, &true.into(), FOLLOW_LIMIT).await?;
    let kept = "[document.activeElement.getAttribute('aria-label'), document.activeElement.scrollLeft > 20, \
        document.activeElement.getBoundingClientRect().bottom < 0 && scrollY >= window.before]";
    let kept = browser.value(kept).await?;
    ensure!(kept == json!(["Work queues", true, true]), "{kept}");
    Ok(())
}

#[tokio::test]
async fn focus_never_goes_from_one_group_of_dead_letters_to_another() -> Result<()> {
    let harness = Harness::start().await?;
    store(&harness.mongo, &[arrival(1, "missing field `property_id`")]).await?;
    let mut browser = browser_at(&harness, "/dead-letters").await?;
    let count = "document.querySelector('#groups td.number').textContent";
    browser.until(count, &"1".into(), FOLLOW_LIMIT).await?;
    browser.press("j").await?;
    let group = browser.value("document.activeElement.getAttribute('href')").await?;
    // The group with more letters comes to stand above it.
    store(&harness.mongo, &[arrival(2, "a newer group"), arrival(3, "a newer group")]).await?;
    browser.until("document.querySelectorAll('#groups tbody tr').length", &2.into(), FOLLOW_LIMIT).await?;
    ensure!(browser.value(count).await? == "2");
    ensure!(group.is_string() && browser.value("document.activeElement.getAttribute('href')").await? == group);

    // It goes away, by another operator: Enter must not open the other one.
    let letters = harness.database().await?.collection::<Value>("dead_letters");
    letters.delete_one(doc! { "_id": Uuid::from_u128(1).to_string() }).await?;
    browser.until("document.querySelectorAll('#groups tbody tr').length", &1.into(), FOLLOW_LIMIT).await?;
    ensure!(browser.value("document.activeElement.id").await? == "groups");
    letters.delete_many(doc! {}).await?;
    browser.until("document.querySelectorAll('#groups tbody tr').length", &0.into(), FOLLOW_LIMIT).await?;
    ensure!(browser.value("document.activeElement.id").await? == "groups");
    Ok(())
}

/// More than one of what is wrong leads to the same page.
#[tokio::test]
async fn focus_stays_on_the_link_of_its_row() -> Result<()> {
    let harness = Harness::start().await?;
    let topology = harness.namespace.topology();
    queue_pauses::pause(&harness.mongo, &topology, "emails", Actor::SYSTEM, "tried").await?;
    let broker = Broker::connect(&harness.namespace).await?;
    broker.send("emails", properties("carrier.pigeon.v1").1, b"{}").await?;
    let mut browser = browser_at(&harness, "/").await?;
    let links = "document.querySelectorAll('#wrong a[href=\"/queues\"]').length";
    browser.until(links, &2.into(), FOLLOW_LIMIT).await?;
    browser.tab_to("it === [...document.querySelectorAll('#wrong a[href=\"/queues\"]')].pop()").await?;
    let heading = "document.activeElement.closest('li')?.querySelector('h2').textContent";
    let before = browser.value(heading).await?;
    let findings = "document.querySelectorAll('#wrong li').length";
    let count = browser.value(findings).await?.as_u64().context("a number")?;
    store(&harness.mongo, &[arrival(1, "missing field `property_id`")]).await?;
    browser.until(findings, &(count + 1).into(), FOLLOW_LIMIT).await?;
    let now = browser.value("document.activeElement.getAttribute('href')").await?;
    ensure!(now == "/queues" && browser.value(heading).await? == before, "{before}: {now}");
    Ok(())
}

/// Requested runs are folded away once they are over, but not while they are read.
#[tokio::test]
async fn open_folds_stay_open_and_closed_ones_are_passed_over() -> Result<()> {
    let harness = Harness::start().await?;
    schedule(&harness.mongo, "night_audit", true).await?;
    let (name, reason, key) = ("night_audit".to_owned(), "tried".to_owned(), Uuid::new_v4());
    let request = RunNow { name, property_id: None, dry_run: false, actor: Actor::SYSTEM, reason, key };
    let run = run_now(&harness.mongo, request).await?;
    let mut browser = browser_at(&harness, "/schedules").await?;
    browser.press("j").await?;
    let row = format!("run-{}", run.id);
    ensure!(browser.value("document.activeElement.id").await? == row);
    let runs = harness.mongo.schedule_runs();
    ensure!(runs.begin(run.id, Utc::now().into(), 1).await?);
    let end = RunEnd { at: Utc::now().into(), outcome: Ok(3), dry_run: false, behind: 0 };
    ensure!(runs.finish(run.id, 1, end).await?);
    let text = format!("document.getElementById('{row}').textContent.includes('night_audit succeeded; messages 3')");
    browser.until(&text, &true.into(), FOLLOW_LIMIT).await?;
    ensure!(browser.value("document.activeElement.id").await? == row, "it is read still");
    browser.open(&harness.url("/schedules")).await?;
    ensure!(browser.value("document.getElementById('requested-runs').open").await? == false);
    browser.press("j").await?;
    ensure!(browser.value("document.activeElement.cells?.[0].textContent").await? == "night_audit");
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
    let badge = "/^as of \\d\\d:\\d\\d UTC$/.test(document.getElementById('live-badge').textContent)";
    browser.until(badge, &true.into(), FOLLOW_LIMIT).await?;
    browser.open(&harness.url("/bookings/nonsense/move")).await?;
    browser.until("document.activeElement.getAttribute('role')", &"alert".into(), FOLLOW_LIMIT).await
}
