//! The console in a real browser: pages without errors, on small screens and in the dark, live figures, the keyboard.

use super::dead_letters;
use super::harness::{FOLLOW_LIMIT, HERE, Harness, PASSWORD};
use anyhow::Result;
use chrono::Utc;
use pvt_domain::accounts::Role;
use pvt_domain::actor::Actor;
use pvt_operations::queue_pauses;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::schedule_runs::{RunRequest, ScheduleRun};
use pvt_testkit::{Broker, Chromium, properties};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// The whole journey; a browser that takes longer hangs.
const JOURNEY_LIMIT: Duration = Duration::from_secs(90);
/// Headings of columns that are aligned otherwise than what stands below them.
const CROOKED: &str = "[...document.querySelectorAll('table')].flatMap((table) => \
    [...(table.tBodies[0]?.rows[0]?.cells ?? [])].map((cell, at) => [cell, table.tHead.rows[0].cells[at]])) \
    .filter((pair) => new Set(pair.map((it) => getComputedStyle(it).textAlign)).size > 1) \
    .map(([, heading]) => heading.textContent)";

async fn until(browser: &mut Chromium, expression: &str, value: &Value) -> Result<()> {
    browser.until(expression, value, FOLLOW_LIMIT).await
}

pub(crate) async fn sign_in(browser: &mut Chromium, harness: &Harness) -> Result<()> {
    let user = harness.user(Role::Admin, &[]).await?;
    browser.open(&harness.url("/queues")).await?;
    browser.sign_in(user.email.as_str(), PASSWORD).await?;
    until(browser, "location.pathname", &"/queues".into()).await
}

/// Every page for those who are signed in, each with its name.
pub(crate) fn pages(booking: &str) -> Vec<(&'static str, String)> {
    vec![
        ("overview", "/".to_owned()),
        ("queues", "/queues".to_owned()),
        ("bookings", "/bookings".to_owned()),
        ("booking", format!("/bookings/{booking}")),
        ("front-desk", format!("/front-desk?property={HERE}")),
        ("chart", format!("/chart?property={HERE}&nights=60")),
        ("payments", "/payments".to_owned()),
        ("reconciliations", "/reconciliations".to_owned()),
        ("workers", "/workers".to_owned()),
        ("schedules", "/schedules".to_owned()),
        ("audit", "/audit".to_owned()),
    ]
}

#[tokio::test]
async fn operator_works_in_a_browser() -> Result<()> {
    let harness = Harness::start().await?;
    let booking = harness.book(HERE, "confirmed", Utc::now().date_naive()).await?;
    harness.dispute(&booking).await?;
    let mut browser = Chromium::start().await?;
    tokio::time::timeout(JOURNEY_LIMIT, journey(&mut browser, &harness, &booking.id.to_string())).await?
}

async fn journey(browser: &mut Chromium, harness: &Harness, booking: &str) -> Result<()> {
    browser.open(&harness.url("/login")).await?;
    browser.look("sign-in").await?;
    sign_in(browser, harness).await?;
    for (name, path) in pages(booking).into_iter().chain(dead_letters::pages(harness).await?) {
        browser.screen(1_280, 800, "light").await?;
        browser.open(&harness.url(&path)).await?;
        assert_eq!(browser.value("location.pathname + location.search").await?, path);
        assert_eq!(browser.value(CROOKED).await?, json!([]), "{path}: headings stand above their columns");
        browser.look(name).await?;
    }
    columns_are_aligned(browser, harness).await?;
    figures_follow(browser, harness).await?;
    section_is_fetched_until_it_is_new(browser, harness).await?;
    keyboard_leads_everywhere(browser, harness).await?;
    pause_is_made_and_ended(browser, harness).await?;
    closed_part_stays_closed(browser, harness).await?;
    assert_eq!(browser.complaints(&harness.url("/")), Vec::<String>::new());
    // Figures that nothing confirms any more are called stale.
    harness.stop.cancel();
    until(browser, "document.getElementById('live-badge').dataset.state", &"stale".into()).await
}

/// A stay stands below the days of its nights, in whatever row.
async fn columns_are_aligned(browser: &mut Chromium, harness: &Harness) -> Result<()> {
    browser.open(&harness.url(&format!("/chart?property={HERE}&nights=60"))).await?;
    let left =
        |selector: &str| format!("Math.round(document.querySelector('{selector}').getBoundingClientRect().left)");
    let places = [".day.today", ".cells .entry.confirmed", ".today-column"].map(left).join(", ");
    let places = browser.value(&format!("[{places}]")).await?;
    let place = |index: usize| places[index].as_i64().unwrap_or_default();
    assert!((1..3).all(|other| (place(other) - place(0)).abs() <= 3), "today, a stay from today, its column: {places}");
    Ok(())
}

async fn figures_follow(browser: &mut Chromium, harness: &Harness) -> Result<()> {
    browser.open(&harness.url("/queues")).await?;
    until(browser, "document.getElementById('live-badge').textContent", &"live".into()).await?;
    browser.value("window.isSamePage = true").await?;
    let broker = Broker::connect(&harness.namespace).await?;
    broker.send("emails", properties("carrier.pigeon.v1").1, b"{}").await?;
    let cell = "document.querySelector('[data-live=\"queue.emails.ready\"]').textContent";
    until(browser, cell, &"1".into()).await?;
    assert_eq!(browser.value("window.isSamePage").await?, true, "without loading the page again");
    Ok(())
}

/// A refused answer and a focused row delay new content, under a badge that says so, and do not keep it away.
async fn section_is_fetched_until_it_is_new(browser: &mut Chromium, harness: &Harness) -> Result<()> {
    browser.open(&harness.url("/queues")).await?;
    let badge = "document.getElementById('live-badge').dataset.state";
    until(browser, badge, &"live".into()).await?;
    browser.press("j").await?;
    let refuse = "{ const real = window.fetch; window.refused = 0; window.isRefused = true; \
        window.fetch = (...all) => window.isRefused \
            ? Promise.resolve(new Response('', { status: (window.refused += 1, 503) })) : real(...all); }";
    browser.value(refuse).await?;
    let (topology, actor) = (harness.namespace.topology(), Actor::SYSTEM);
    queue_pauses::pause(&harness.mongo, &topology, "emails", actor, "tried").await?;
    until(browser, badge, &"stale".into()).await?;
    until(browser, "window.refused > 1", &true.into()).await?;
    assert_eq!(browser.value("document.querySelectorAll('form[action=\"/queues/resume\"]').length").await?, 0);
    browser.value("window.isRefused = false").await?;
    until(browser, "document.querySelectorAll('form[action=\"/queues/resume\"]').length", &1.into()).await?;
    until(browser, badge, &"live".into()).await?;
    assert_eq!(browser.value("document.activeElement.matches('[data-row]')").await?, true, "the row keeps the focus");
    queue_pauses::resume(&harness.mongo, &topology, "emails", Actor::SYSTEM, "tried").await?;
    Ok(())
}

/// The requested runs of a section that is fetched anew stay closed when the reader has closed them.
async fn closed_part_stays_closed(browser: &mut Chromium, harness: &Harness) -> Result<()> {
    let (id, now) = (Uuid::from_u128(1), Utc::now().into());
    let request = RunRequest { actor: Actor::SYSTEM, reason: "tried".to_owned(), property_id: None, dry_run: false };
    let run = ScheduleRun::requested(id, "night_audit", now, request);
    let entry = AuditEntry::new(id, now, Actor::SYSTEM, "schedule.run".to_owned(), "night_audit", "tried");
    harness.mongo.schedule_runs().request(&run, &entry).await?;
    browser.open(&harness.url("/schedules")).await?;
    assert_eq!(browser.value("document.querySelector('#requested details').open").await?, true);
    browser.value("document.querySelector('#requested details').open = false").await?;
    assert!(harness.mongo.schedule_runs().begin(id, now, 1).await?);
    let is_newer = "document.getElementById('requested').textContent.includes('night_audit running')";
    until(browser, is_newer, &true.into()).await?;
    assert_eq!(browser.value("document.querySelector('#requested details').open").await?, false);
    Ok(())
}

async fn keyboard_leads_everywhere(browser: &mut Chromium, harness: &Harness) -> Result<()> {
    browser.open(&harness.url("/queues")).await?;
    let row = "[...document.querySelectorAll('[data-row]')].indexOf(document.activeElement)";
    for (key, expected) in [("j", 0), ("j", 1), ("k", 0)] {
        browser.press(key).await?;
        assert_eq!(browser.value(row).await?, expected, "{key}");
    }
    browser.press("/").await?;
    assert_eq!(browser.value("document.activeElement.id").await?, "search");
    assert_eq!(browser.value("document.activeElement.value").await?, "", "the key itself is not typed");
    Ok(())
}

async fn pause_is_made_and_ended(browser: &mut Chromium, harness: &Harness) -> Result<()> {
    let submit = |form: &str| {
        json!({ "expression": format!("{{ const form = document.querySelector('form[action=\"/queues/{form}\"]'); \
            if (form.elements.queue.tagName === 'SELECT') form.elements.queue.value = 'emails'; \
            form.elements.reason.value = 'tried in a browser'; form.requestSubmit(); }}") })
    };
    let state = "document.querySelector('[data-live=\"queue.emails.state\"]').textContent.split(' ')[0]";
    browser.load("Runtime.evaluate", submit("pause")).await?;
    until(browser, state, &"paused".into()).await?;
    browser.load("Runtime.evaluate", submit("resume")).await?;
    until(browser, state, &"no".into()).await?;
    assert!(harness.mongo.queue_pauses().list().await?.is_empty());
    Ok(())
}
