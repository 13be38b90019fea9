//! Every task of the console with the keyboard alone, in Chromium: those of an operator and those of a front desk.

use crate::harness::clock::at_night;
use crate::harness::{
    AcceptedBooking, Expectations, FrontDesk, Operator, PASSWORD, SHORT_TIMEOUT, Stack, StackBuilder, TestConsole,
};
use anyhow::{Context, Result, ensure};
use chrono::{Days, NaiveDate, NaiveTime};
use pvt_domain::accounts::Role;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::ids::BookingId;
use pvt_testkit::{DORM, booking_body, days_from_now, dormitory, eventually, properties};
use reqwest::{Method, StatusCode};
use serde_json::json;

const PROPERTY: &str = "pvt-montreal";
const POISON: u32 = 60;

async fn book(stack: &Stack, name: &str, arrival: NaiveDate) -> Result<AcceptedBooking> {
    let mut body = booking_body(DORM, arrival, 1, 1);
    body["guest"]["last_name"] = name.into();
    let booked = stack.book(name, &body).await?;
    let decided = stack.client.wait_for_decision(&booked).await?;
    ensure!(decided["status"] == "confirmed", "{decided}");
    Ok(booked)
}

async fn stored(stack: &Stack, booking: &AcceptedBooking) -> Result<Booking> {
    stack.mongo.bookings().find(BookingId::from_uuid(booking.id)).await?.context("the booking")
}

async fn dead(stack: &Stack, count: u64) -> Result<()> {
    let counted = || async {
        let found = stack.mongo.dead_letters().count_by_queue().await?.get("emails").copied();
        Ok((found.unwrap_or_default() == count).then_some(()))
    };
    eventually(&format!("{count} dead letters"), SHORT_TIMEOUT, counted).await
}

#[tokio::test]
async fn operator_does_every_task_by_keyboard() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let console = TestConsole::start(&stack).await?;
    let admin = console.account(&stack, Role::Admin, "Ada Operator", &[]).await?;
    let booking = book(&stack, "Xylander", days_from_now(10)).await?;
    for _ in 0..POISON {
        stack.broker.send("emails", properties("carrier.pigeon.v1").1, b"{}").await?;
    }
    dead(&stack, POISON.into()).await?;
    let mut operator = Operator::sign_in(&console, "/dead-letters", admin.email.as_str(), PASSWORD).await?;
    dead_letters_are_replayed_and_discarded(&mut operator, &stack).await?;

    let reference = stored(&stack, &booking).await?.reference;
    operator.search(&reference).await?;
    operator.sees("location.pathname", &format!("/bookings/{}", booking.id)).await?;
    operator.browser.press("j").await?;
    ensure!(operator.focused("it.closest('.timeline') !== null").await? == true, "j leads into the timeline");
    operator.follow("it.textContent === 'Audit of this booking'").await?;

    operator.go("Queues").await?;
    operator.choose("pause-queue", "emails").await?;
    operator.give_reason("pause-reason", "tried by keyboard").await?;
    let state = "document.querySelector('[data-live=\"queue.emails.state\"]').textContent.split(' ')[0]";
    operator.sees(state, "paused").await?;
    operator.look("queues-paused").await?;
    operator.give_reason("resume-emails", "tried by keyboard").await?;
    let paused = || async { Ok(stack.mongo.queue_pauses().list().await?.is_empty().then_some(())) };
    eventually("it is resumed", SHORT_TIMEOUT, paused).await?;

    operator.go("Schedules").await?;
    operator.give_reason("reason-reconcile_properties", "tried by keyboard").await?;
    operator.reads("tried by keyboard").await?;
    let reported = || async { Ok((!stack.mongo.reconciliations().list(None, 5).await?.is_empty()).then_some(())) };
    eventually("the schedule has run", SHORT_TIMEOUT, reported).await?;
    operator.look("schedules-runs").await?;
    operator.go("Workers").await?;
    operator.look("workers-running").await?;
    operator.go("Reconciliation").await?;
    operator.look("reconciliation-report").await?;
    operator.browser.press("j").await?;
    operator.reach("it.tagName === 'SUMMARY'").await?;
    let open = operator.focused("it.parentElement.open").await?;
    operator.browser.press("Enter").await?;
    ensure!(operator.focused("it.parentElement.open").await? != open, "a report is opened and closed");

    operator.go("Audit").await?;
    operator.fill("actor", admin.email.as_str()).await?;
    operator.browser.enter().await?;
    operator.reads("queue.resume").await?;
    operator.sign_out(1).await?;
    console.end().await?;
    stack.end(Expectations::clean()).await
}

/// Opens a group and one of its messages, replays all slowly, cancels that, and discards what is left.
async fn dead_letters_are_replayed_and_discarded(operator: &mut Operator, stack: &Stack) -> Result<()> {
    operator.browser.press("j").await?;
    operator.browser.enter().await?;
    operator.follow("it.closest('th') !== null").await?;
    operator.reads("Body, masked").await?;
    operator.fill("whole-reason", "tried by keyboard").await?;
    operator.fill("password", "wrong horse battery").await?;
    operator.browser.enter().await?;
    operator
        .sees("document.querySelector('[role=alert]') === document.activeElement ? 'focused' : ''", "focused")
        .await?;
    operator.follow("it.textContent === 'To the overview'").await?;
    operator.go("Dead letters").await?;
    operator.browser.press("j").await?;
    operator.browser.enter().await?;
    operator.follow("it.closest('th') !== null").await?;
    operator.fill("whole-reason", "tried by keyboard").await?;
    operator.fill("password", PASSWORD).await?;
    operator.browser.enter().await?;
    operator.reads("Whole body").await?;

    operator.go("Dead letters").await?;
    operator.follow("it.id === 'replay-all'").await?;
    operator.reads(&format!("{POISON} would die again")).await?;
    operator.fill("rate", "1").await?;
    operator.give_reason("reason", "tried by keyboard").await?;
    operator.sees("String(Number(document.querySelector('progress').value) > 0)", "true").await?;
    operator.give_reason("reason", "enough").await?;
    operator.sees("document.getElementById('state').textContent", "cancelled").await?;
    dead(stack, POISON.into()).await?;
    operator.go("Dead letters").await?;
    operator.sees("document.getElementById('discard-all')?.textContent", &format!("Discard all {POISON}…")).await?;
    operator.follow("it.id === 'discard-all'").await?;
    operator.give_reason("reason", "a test").await?;
    operator.reads(&format!("{POISON} discarded")).await?;
    dead(stack, 0).await
}

#[tokio::test]
async fn front_desk_does_every_task_by_keyboard() -> Result<()> {
    let (mut inventory, today) = at_night(dormitory(PROPERTY, 6))?;
    inventory.property.same_day_until = NaiveTime::from_hms_opt(4, 0, 0).context("a time")?;
    let stack = StackBuilder::new().selling([inventory]).start().await?;
    let console = TestConsole::start(&stack).await?;
    let staff = console.account(&stack, Role::Staff, "Grace Hopper", &[PROPERTY]).await?;
    let (x, absent) = (book(&stack, "Xylander", today).await?, book(&stack, "Absent", today).await?);
    let (moved, kept) =
        (book(&stack, "Moved", today + Days::new(3)).await?, book(&stack, "Kept", today + Days::new(5)).await?);
    let paid = book(&stack, "Paid", today + Days::new(40)).await?;
    let mut desk = Operator::sign_in(&console, "/front-desk", staff.email.as_str(), PASSWORD).await?;
    guest_comes_pays_and_leaves(&mut desk, &stack, &x).await?;
    stay_is_moved(&mut desk, &stack, &moved, &kept).await?;
    payment_is_returned(&mut desk, &stack, &paid).await?;

    // The day ends: a guest who was to come has not.
    close_day(&stack).await?;
    desk.go("Front desk").await?;
    desk.follow(&action(&absent, "no-show")).await?;
    desk.follow("it.matches('#action button.main')").await?;
    desk.is_answered("done", "Marked as a no-show").await?;
    assert_eq!(stored(&stack, &absent).await?.status, Status::NoShow);
    desk.sign_out(1).await?;
    console.end().await?;
    stack.end(Expectations::clean()).await
}

/// The link to the form of an action on a booking.
fn action(booking: &AcceptedBooking, action: &str) -> String {
    format!("it.getAttribute('href')?.startsWith('/bookings/{}/actions/{action}') === true", booking.id)
}

async fn guest_comes_pays_and_leaves(desk: &mut Operator, stack: &Stack, guest: &AcceptedBooking) -> Result<()> {
    desk.look("front-desk-arrivals").await?;
    desk.follow(&action(guest, "check-in")).await?;
    desk.choose("bed-0-0", "r-6").await?;
    desk.follow("it.matches('#action button.main')").await?;
    desk.is_answered("done", "Checked in").await?;
    assert_eq!(stored(stack, guest).await?.stays[0].assigned_beds[0].as_str(), "r-6");

    // A refusal has the focus, and what is to be done about it follows in the order of Tab.
    desk.follow(&action(guest, "check-out")).await?;
    desk.follow("it.matches('#action button.main')").await?;
    desk.sees("document.activeElement.id", "outcome").await?;
    desk.reads("open balance").await?;
    desk.look("action-refused").await?;
    desk.follow(&action(guest, "payment")).await?;
    desk.reach("it.id === 'method'").await?;
    desk.follow("it.matches('#action button.main')").await?;
    desk.is_answered("done", "Payment recorded").await?;
    desk.follow(&action(guest, "check-out")).await?;
    desk.follow("it.matches('#action button.main')").await?;
    desk.is_answered("done", "Checked out").await?;
    assert_eq!(stored(stack, guest).await?.status, Status::CheckedOut);
    Ok(())
}

/// Goes to a stay on the chart by the keys of rows.
async fn find_stay(desk: &mut Operator, booking: &AcceptedBooking) -> Result<()> {
    let place = "[...document.querySelectorAll('[data-row]')].indexOf(it)";
    while desk.focused(place).await?.as_i64() != Some(0) {
        desk.browser.press("k").await?;
    }
    let count = desk.browser.value("document.querySelectorAll('[data-row]').length").await?;
    for _ in 0..count.as_u64().context("a number")? {
        if is_on(desk, booking).await? {
            return Ok(());
        }
        desk.browser.press("j").await?;
    }
    anyhow::bail!("j does not lead to the stay")
}

async fn is_on(desk: &mut Operator, booking: &AcceptedBooking) -> Result<bool> {
    Ok(desk.focused(&format!("it.dataset.move?.startsWith('{}') === true", booking.id)).await? == true)
}

/// One stay is set aside while another is moved, taken up again, left, and forgotten.
async fn stay_is_moved(
    desk: &mut Operator,
    stack: &Stack,
    booking: &AcceptedBooking,
    kept: &AcceptedBooking,
) -> Result<()> {
    let before = stored(stack, booking).await?.stays[0].assigned_beds[0].clone();
    desk.go("Tape chart").await?;
    desk.sees("String(document.querySelector('[data-move]')?.draggable)", "true").await?;
    desk.browser.press("j").await?;
    find_stay(desk, kept).await?;
    for key in ["m", "ArrowDown", "p"] {
        desk.browser.press(key).await?;
    }
    ensure!(is_on(desk, kept).await?, "the focus stays on what was set aside");
    find_stay(desk, booking).await?;
    for key in ["m", "ArrowDown", "Enter"] {
        desk.browser.press(key).await?;
    }
    ensure!(desk.focused("it.id").await? == "show-plan" && desk.browser.is_focus_seen().await?);
    desk.browser.enter().await?;
    desk.sees("location.pathname", "/chart/plan").await?;
    desk.give_reason("reason", "near the window").await?;
    desk.sees("document.querySelector('#outcome.done') === document.activeElement ? 'focused' : ''", "focused").await?;
    let after = stored(stack, booking).await?.stays[0].assigned_beds[0].clone();
    ensure!(after != before, "{before} and {after}");

    desk.go("Tape chart").await?;
    desk.sees("String(document.querySelectorAll('#parked li').length)", "1").await?;
    desk.look("chart-set-aside").await?;
    desk.reach("it.textContent === 'Choose a bed'").await?;
    desk.browser.press("Enter").await?;
    ensure!(is_on(desk, kept).await?, "the stay that was set aside has the focus");
    desk.browser.press("Escape").await?;
    desk.reach("it.closest('#parked') !== null && it.textContent !== 'Choose a bed'").await?;
    desk.browser.press("Enter").await?;
    ensure!(desk.browser.value("document.getElementById('parking').hidden").await? == true);
    ensure!(is_on(desk, kept).await?, "the focus returns to the stay");
    Ok(())
}

/// Cash is taken, the booking cancelled, and the cash returned, which the page of payments asks for meanwhile.
async fn payment_is_returned(desk: &mut Operator, stack: &Stack, booking: &AcceptedBooking) -> Result<()> {
    desk.search("Paid").await?;
    desk.sees("location.pathname", &format!("/bookings/{}", booking.id)).await?;
    for (path, done) in [("payment", "Payment recorded"), ("cancel", "Cancelled")] {
        desk.follow(&action(booking, path)).await?;
        if path == "cancel" {
            desk.reads("Fee: ").await?;
        }
        desk.follow("it.matches('#action button.main')").await?;
        desk.is_answered("done", done).await?;
    }
    desk.go("Payments").await?;
    let reference = stored(stack, booking).await?.reference;
    desk.follow(&format!("it.textContent === '{reference}'")).await?;
    desk.follow(&action(booking, "payment")).await?;
    desk.reach("it.id === 'amount'").await?;
    ensure!(desk.focused("it.value.startsWith('-')").await? == true, "what is to be returned is filled in");
    desk.follow("it.matches('#action button.main')").await?;
    desk.is_answered("done", "Payment recorded").await?;
    desk.go("Payments").await?;
    desk.reads("No payments need attention.").await
}

/// Ends the business day at midnight, which is two hours ago.
async fn close_day(stack: &Stack) -> Result<()> {
    let admin = FrontDesk::with_role(stack, "admin").await?;
    let path = format!("/api/properties/{PROPERTY}");
    let now = admin.send(Method::GET, &path, None, &json!({})).await?;
    let rev = now.header("etag").trim_matches('"').parse().ok();
    let closed = admin.send(Method::PATCH, &path, rev, &json!({ "business_day_cutoff": "00:00" })).await?;
    ensure!(closed.status == StatusCode::OK, "{closed:?}");
    Ok(())
}
