//! Every task of the console with the keyboard alone, in Chromium: those of an operator and those of a front desk.

use crate::harness::clock::at_night;
use crate::harness::{
    AcceptedBooking, Expectations, FrontDesk, Operator, PASSWORD, SHORT_TIMEOUT, Stack, StackBuilder, TestConsole,
};
use anyhow::{Context, Result, ensure};
use chrono::{Days, NaiveTime};
use pvt_domain::accounts::Role;
use pvt_domain::booking::Status;
use pvt_testkit::{days_from_now, doc, dormitory, eventually, properties};

const PROPERTY: &str = "pvt-montreal";
const POISON: u32 = 60;
/// With all letters that are shortcuts elsewhere: in a field they are text.
const REASON: &str = "tried by keyboard: jkxmpb/";
/// A booking that does not exist.
const GHOST: &str = "11111111-2222-5333-8444-555555555555";

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
    let colleague = console.sign_in(&stack, Role::Admin, "Bob Colleague", &[]).await?;
    for change in ["pause", "resume"] {
        let fields = [("queue", "analytics"), ("reason", "by a colleague")];
        console.post(&colleague, &format!("/queues/{change}"), &fields).await?;
    }
    let booking = stack.book_guest("Xylander", days_from_now(10)).await?;
    for _ in 0..POISON {
        stack.broker.send("emails", properties("carrier.pigeon.v1").1, b"{}").await?;
    }
    dead(&stack, POISON.into()).await?;
    let mut operator = Operator::sign_in(&console, "/dead-letters", admin.email.as_str(), PASSWORD).await?;
    dead_letters_are_replayed_and_discarded(&mut operator, &stack).await?;

    let reference = stack.stored(&booking).await?.reference;
    operator.search(&reference).await?;
    operator.sees("location.pathname", &format!("/bookings/{}", booking.id)).await?;
    operator.browser.press("j").await?;
    ensure!(operator.focused("it.closest('.timeline') !== null").await? == true, "j leads into the timeline");
    operator.follow("it.textContent === 'Audit of this booking'").await?;

    operator.go("Queues").await?;
    operator.choose("pause-queue", "emails").await?;
    operator.give_reason("pause-reason", REASON).await?;
    let state = "document.querySelector('[data-live=\"queue.emails.state\"]').textContent.split(' ')[0]";
    operator.sees(state, "paused").await?;
    operator.look("queues-paused").await?;
    operator.give_reason("resume-emails", REASON).await?;
    let paused = || async { Ok(stack.mongo.queue_pauses().list().await?.is_empty().then_some(())) };
    eventually("it is resumed", SHORT_TIMEOUT, paused).await?;

    // A claim without a booking, which no writer of the product makes.
    let claim = format!("{PROPERTY}|d6b-6|{}", days_from_now(100));
    stack.stores.insert("claims", doc! { "_id": claim, "booking": GHOST }).await?;
    operator.go("Schedules").await?;
    operator.give_reason("reason-reconcile_properties", REASON).await?;
    operator.reads(REASON).await?;
    let reported = || async { Ok((!stack.mongo.reconciliations().list(None, 5).await?.is_empty()).then_some(())) };
    eventually("the schedule has run", SHORT_TIMEOUT, reported).await?;
    operator.look("schedules-runs").await?;
    operator.go("Schedules").await?;
    operator.browser.press("j").await?;
    ensure!(operator.focused("it.closest('details:not([open])') === null && it.matches('[data-row]')").await? == true);
    operator.go("Workers").await?;
    operator.look("workers-running").await?;
    operator.go("Reconciliation").await?;
    operator.look("reconciliation-report").await?;
    operator.browser.press("j").await?;
    let finding = format!("it.open && it.querySelector('tbody').textContent.includes('{GHOST}')");
    ensure!(operator.focused(&finding).await? == true, "the finding is on the report");
    operator.reads("orphan_claim").await?;
    operator.reach("it.tagName === 'SUMMARY'").await?;
    let open = operator.focused("it.parentElement.open").await?;
    operator.browser.press("Enter").await?;
    ensure!(operator.focused("it.parentElement.open").await? != open, "a report is opened and closed");

    operator.go("Audit").await?;
    operator.reads("by a colleague").await?;
    operator.fill("actor", admin.email.as_str()).await?;
    operator.browser.enter().await?;
    operator.reads("queue.resume").await?;
    let others = "document.getElementById('content').textContent.includes('by a colleague')";
    ensure!(operator.browser.value(others).await? == false, "what another one did is not shown");
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
    operator.fill("whole-reason", REASON).await?;
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
    operator.fill("whole-reason", REASON).await?;
    operator.fill("password", PASSWORD).await?;
    operator.browser.enter().await?;
    operator.reads("Whole body").await?;

    operator.go("Dead letters").await?;
    operator.follow("it.id === 'replay-all'").await?;
    operator.reads(&format!("{POISON} would die again")).await?;
    operator.fill("rate", "1").await?;
    operator.give_reason("reason", REASON).await?;
    operator.sees("String(Number(document.querySelector('progress').value) > 0)", "true").await?;
    operator.give_reason("reason", REASON).await?;
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
    let (x, absent) = (stack.book_guest("Xylander", today).await?, stack.book_guest("Absent", today).await?);
    let (moved, kept) =
        (stack.book_guest("Moved", today + Days::new(3)).await?, stack.book_guest("Kept", today + Days::new(5)).await?);
    let paid = stack.book_guest("Paid", today + Days::new(40)).await?;
    let mut desk = Operator::sign_in(&console, "/front-desk", staff.email.as_str(), PASSWORD).await?;
    guest_comes_pays_and_leaves(&mut desk, &stack, &x).await?;
    stay_is_moved(&mut desk, &stack, &moved, &kept).await?;
    payment_is_returned(&mut desk, &stack, &paid).await?;

    // The day ends: a guest who was to come has not.
    FrontDesk::with_role(&stack, "admin").await?.close_day(PROPERTY).await?;
    desk.go("Front desk").await?;
    desk.follow(&action(&absent, "no-show")).await?;
    desk.follow("it.matches('#action button.main')").await?;
    desk.is_answered("done", "Marked as a no-show").await?;
    assert_eq!(stack.stored(&absent).await?.status, Status::NoShow);
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
    assert_eq!(stack.stored(guest).await?.stays[0].assigned_beds[0].as_str(), "r-6");

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
    assert_eq!(stack.stored(guest).await?.status, Status::CheckedOut);
    Ok(())
}

/// Goes to a stay on the chart by the keys of rows.
async fn find_stay(desk: &mut Operator, booking: &AcceptedBooking) -> Result<()> {
    let place = "[...document.querySelectorAll('[data-row]')].indexOf(it)";
    let count = desk.browser.value("document.querySelectorAll('[data-row]').length").await?;
    let count = count.as_u64().context("a number")?;
    for _ in 0..count {
        if desk.focused(place).await? == 0 {
            break;
        }
        desk.browser.press("k").await?;
    }
    for _ in 0..count {
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
    let before = stack.stored(booking).await?.stays[0].assigned_beds[0].clone();
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
    desk.give_reason("reason", REASON).await?;
    desk.sees("document.querySelector('#outcome.done') === document.activeElement ? 'focused' : ''", "focused").await?;
    let after = stack.stored(booking).await?.stays[0].assigned_beds[0].clone();
    ensure!(after != before, "{before} and {after}");

    desk.go("Tape chart").await?;
    desk.sees("String(document.querySelectorAll('#parked li').length)", "1").await?;
    desk.look("chart-set-aside").await?;
    desk.reach("it.textContent === 'Choose a bed'").await?;
    desk.browser.press("Enter").await?;
    ensure!(is_on(desk, kept).await?, "the stay that was set aside has the focus");
    desk.browser.press("Escape").await?;
    desk.reach("it.textContent === 'Put back'").await?;
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
    let reference = stack.stored(booking).await?.reference;
    desk.follow(&format!("it.textContent === '{reference}'")).await?;
    desk.follow(&action(booking, "payment")).await?;
    desk.reach("it.id === 'amount'").await?;
    ensure!(desk.focused("it.value.startsWith('-')").await? == true, "what is to be returned is filled in");
    desk.follow("it.matches('#action button.main')").await?;
    desk.is_answered("done", "Payment recorded").await?;
    desk.go("Payments").await?;
    desk.reads("No payments need attention.").await
}
