//! A receptionist with a keyboard alone, in a real browser.

use super::{PROPERTY, WORKERS, bed_of, book, stored};
use crate::harness::clock::at_noon;
use crate::harness::{AcceptedBooking, Expectations, PASSWORD, Stack, StackBuilder, TestConsole};
use anyhow::{Context, Result};
use pvt_domain::accounts::Role;
use pvt_domain::booking::Status;
use pvt_testkit::{Chromium, dormitory};
use serde_json::{Value, json};
use std::time::Duration;

async fn until(browser: &mut Chromium, expression: &str, value: &Value) -> Result<()> {
    browser.until(expression, value, Duration::from_secs(30)).await
}

#[tokio::test]
async fn keyboard_alone_moves_and_checks_in() -> Result<()> {
    let (inventory, today) = at_noon(dormitory(PROPERTY, 3))?;
    let stack = StackBuilder::new().selling([inventory]).workers(WORKERS).start().await?;
    let desk = TestConsole::start(&stack).await?;
    let user = desk.account(&stack, Role::Staff, "Grace Hopper", &[PROPERTY]).await?;
    let x = book(&stack, "Xylander", today, 1).await?;
    let mut browser = Chromium::start().await?;
    browser.screen(1_280, 800, "light").await?;
    browser.open(&format!("{}/chart", desk.base)).await?;
    browser.sign_in(user.email.as_str(), PASSWORD).await?;
    moves_by_keyboard(&mut browser, &stack, &x).await?;
    drags(&mut browser, &desk).await?;
    checks_in_and_out(&mut browser, &stack, &desk, &x).await?;
    browser.screenshot("console-actions").await?;
    assert_eq!(browser.complaints(&format!("{}/", desk.base)), Vec::<String>::new());
    desk.end().await?;
    stack.end(Expectations::clean()).await
}

async fn moves_by_keyboard(browser: &mut Chromium, stack: &Stack, booking: &AcceptedBooking) -> Result<()> {
    let before = bed_of(&stored(stack, booking).await?).to_owned();
    until(browser, "document.querySelector('[data-move]')?.draggable ?? false", &true.into()).await?;
    browser.press("j").await?;
    until(browser, "document.activeElement.dataset.move !== undefined", &true.into()).await?;
    browser.press("m").await?;
    let key = "ArrowDown";
    browser.press(key).await?;
    until(browser, "document.querySelectorAll('.cells.target').length", &1.into()).await?;
    // Set aside, and taken up again: nothing is lost, and nothing is changed.
    browser.press("p").await?;
    until(browser, "document.querySelectorAll('#parked li').length", &1.into()).await?;
    let reference = stored(stack, booking).await?.reference;
    let details = browser.value("document.querySelector('#parked a').textContent").await?;
    assert!(details.as_str().is_some_and(|text| text.contains(&reference) && text.contains("confirmed")), "{details}");
    browser.press("b").await?;
    until(browser, "document.querySelectorAll('#parked li, .entry.aside').length", &0.into()).await?;
    until(browser, "document.activeElement.dataset.move !== undefined", &true.into()).await?;
    for key in ["m", key, "p"] {
        browser.press(key).await?;
    }
    until(browser, "document.querySelectorAll('#parked li').length", &1.into()).await?;
    browser.value("document.querySelector('#parked button').click()").await?;
    browser.press(key).await?;
    let to = browser.value("document.querySelector('.cells.target').dataset.bed").await?;
    let to = to.as_str().context("a bed")?.to_owned();
    assert_ne!(to, before);
    browser.press("Enter").await?;
    until(browser, "location.pathname", &"/chart/plan".into()).await?;
    until(browser, "document.getElementById('confirm') !== null", &true.into()).await?;
    assert_eq!(bed_of(&stored(stack, booking).await?), before, "it was only asked");
    let confirm = "document.getElementById('reason').value = 'near the window'; \
        document.getElementById('confirm').requestSubmit()";
    browser.load("Runtime.evaluate", json!({ "expression": confirm })).await?;
    until(browser, "document.querySelector('#outcome.done') !== null", &true.into()).await?;
    assert_eq!(bed_of(&stored(stack, booking).await?), to);
    let left = "sessionStorage.length";
    until(browser, left, &0.into()).await
}

/// Dropped on another bed of its room type a stay leads to the plan; its own bed takes no drop.
async fn drags(browser: &mut Chromium, desk: &TestConsole) -> Result<()> {
    browser.open(&format!("{}/chart", desk.base)).await?;
    until(browser, "document.querySelector('[data-move]')?.draggable ?? false", &true.into()).await?;
    let over = |row: &str| {
        format!(
            "(() => {{ const stay = document.querySelector('[data-move]'), own = stay.closest('.cells'); \
            const other = [...document.querySelectorAll('.cells[data-bed]')].find((row) => row !== own); \
            const send = (at, kind) => at.dispatchEvent(new DragEvent(kind, \
                {{ bubbles: true, cancelable: true, dataTransfer: new DataTransfer() }})); \
            send(stay, 'dragstart'); \
            const takes = !send({row}, 'dragover'); \
            if (takes) send({row}, 'drop'); \
            send(stay, 'dragend'); return takes; }})()"
        )
    };
    assert_eq!(browser.value(&over("own")).await?, false);
    assert_eq!(browser.value(&over("other")).await?, true);
    until(browser, "location.pathname", &"/chart/plan".into()).await?;
    until(browser, "document.getElementById('confirm') !== null", &true.into()).await
}

async fn checks_in_and_out(
    browser: &mut Chromium,
    stack: &Stack,
    desk: &TestConsole,
    booking: &AcceptedBooking,
) -> Result<()> {
    browser.open(&format!("{}/front-desk", desk.base)).await?;
    until(browser, "document.querySelector('.actions button') !== null", &true.into()).await?;
    browser.value("document.querySelector('.actions button').focus()").await?;
    browser.press("Enter").await?;
    until(browser, "document.querySelector('#outcome.done h2')?.textContent ?? ''", &"Checked in".into()).await?;
    assert_eq!(stored(stack, booking).await?.status, Status::CheckedIn);
    browser.open(&format!("{}/bookings/{}/actions/check-out", desk.base, booking.id)).await?;
    until(browser, "document.querySelector('[name=allow_open_balance]') !== null", &true.into()).await?;
    let leave = "document.querySelector('[name=allow_open_balance]').checked = true; \
        document.getElementById('reason').value = 'pays later'; document.getElementById('action').requestSubmit()";
    browser.load("Runtime.evaluate", json!({ "expression": leave })).await?;
    until(browser, "document.querySelector('#outcome.done h2')?.textContent ?? ''", &"Checked out".into()).await?;
    assert_eq!(stored(stack, booking).await?.status, Status::CheckedOut);
    Ok(())
}
