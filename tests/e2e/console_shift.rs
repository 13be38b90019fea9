//! A shift of a new operator, with the console in a browser and nothing else.

use crate::harness::clock::at_noon;
use crate::harness::{
    AcceptedBooking, Expectations, InProcessWorkers, Operator, PASSWORD, SHORT_TIMEOUT, Stack, StackBuilder,
    TestConsole,
};
use anyhow::{Context, Result, ensure};
use chrono::{Days, NaiveDate, Utc};
use pvt_domain::accounts::Role;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::ids::BookingId;
use pvt_domain::timestamp::Timestamp;
use pvt_testkit::console::{hidden_field, hidden_fields};
use pvt_testkit::{DORM, booking_body, dormitory, eventually, properties};
use pvt_workers::jobs::confirmations::Confirmations;
use reqwest::StatusCode;
use serde_json::json;
use std::time::{Duration, Instant};

const PROPERTY: &str = "pvt-montreal";
/// For an outage to be read on the overview, whose checks are made every ten seconds, on a busy machine.
const READING_LIMIT: Duration = Duration::from_secs(20);
const WORKERS: &[(&str, &[&str])] = &[
    ("confirmations", &["confirmations"]),
    ("others", &["payments", "emails", "analytics", "reconciliation", "scheduler"]),
];

fn yesterday() -> Timestamp {
    (Utc::now() - Days::new(1)).into()
}

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

fn bed_of(booking: &Booking) -> &str {
    booking.stays[0].assigned_beds[0].as_str()
}

#[tokio::test]
async fn new_operator_does_a_shift_with_the_console_alone() -> Result<()> {
    let (inventory, today) = at_noon(dormitory(PROPERTY, 6))?;
    let mut stack = StackBuilder::new().selling([inventory]).workers(WORKERS).start().await?;
    let console = TestConsole::start(&stack).await?;
    let changed = bed_was_changed_yesterday(&mut stack, &console, today + Days::new(5)).await?;
    let guest = book(&stack, "Xylander", today).await?;
    let admin = console.account(&stack, Role::Admin, "New Operator", &[]).await?;
    let mut operator = Operator::sign_in(&console, "/", admin.email.as_str(), PASSWORD).await?;
    mail_server_is_missed(&mut operator, &mut stack, today).await?;
    message_is_put_right(&mut operator, &stack).await?;

    let reference = stored(&stack, &guest).await?.reference;
    operator.search(&reference).await?;
    operator.sees("location.pathname", &format!("/bookings/{}", guest.id)).await?;
    operator.reads("booking_confirmed").await?;
    change_of_yesterday_is_found(&mut operator, &stack, &changed).await?;
    guest_is_moved_and_comes_and_leaves(&mut operator, &stack, &guest).await?;
    operator.sign_out(0).await?;
    console.end().await?;
    stack.end(Expectations::clean()).await
}

/// By a colleague, at the chart.
async fn bed_was_changed_yesterday(
    stack: &mut Stack,
    console: &TestConsole,
    arrival: NaiveDate,
) -> Result<AcceptedBooking> {
    stack.program("confirmations")?.stop().await?;
    let worker = Confirmations::new(stack.mongo.clone(), yesterday);
    let crew = InProcessWorkers::start(stack, |engine| engine.register_batch(worker))?;
    let booked = book(stack, "Yourcenar", arrival).await?;
    let colleague = console.sign_in(stack, Role::Staff, "Grace Hopper", &[PROPERTY]).await?;
    let from = bed_of(&stored(stack, &booked).await?).to_owned();
    let plan = format!("/chart/plan?property={PROPERTY}&move={}/0/{from}/r-6", booked.id);
    let page = console.get(&colleague, &plan).await?;
    let (key, steps) = (hidden_field(&page.text, "key")?, hidden_fields(&page.text, "step"));
    let mut fields = vec![("key", key.as_str()), ("property", PROPERTY), ("reason", "snores")];
    fields.extend(steps.iter().map(|step| ("step", step.as_str())));
    let done = console.post(&colleague, "/chart/plan", &fields).await?;
    ensure!(done.status == StatusCode::OK && bed_of(&stored(stack, &booked).await?) == "r-6", "{}", done.text);
    crew.stop().await?;
    stack.restart("confirmations").await?;
    Ok(booked)
}

/// The page says by itself that mails cannot be sent, and where they wait; then that all is well again.
async fn mail_server_is_missed(operator: &mut Operator, stack: &mut Stack, today: NaiveDate) -> Result<()> {
    operator.sees("document.getElementById('live-badge').textContent", "live").await?;
    operator.reads("Nothing is wrong.").await?;
    operator.browser.value("window.isSamePage = true").await?;
    stack.program("mail-sink")?.stop().await?;
    let stopped = Instant::now();
    let alert = "[...document.querySelectorAll('#wrong h2')].some((it) => it.textContent.includes('SMTP server') \
        && it.getBoundingClientRect().bottom < innerHeight)";
    operator.browser.until(alert, &true.into(), READING_LIMIT).await?;
    ensure!(stopped.elapsed() < READING_LIMIT, "{:?}", stopped.elapsed());
    ensure!(operator.browser.value("window.isSamePage").await? == true, "without loading the page again");
    operator.look("overview-without-mail-server").await?;
    let booked = book(stack, "Zola", today + Days::new(9)).await?;
    operator.go("Workers").await?;
    let waits = "/wait[^;]* smtp/i.test(document.getElementById('processes').textContent)";
    operator.browser.until(waits, &true.into(), SHORT_TIMEOUT).await?;

    stack.restart("mail-sink").await?;
    operator.go("Overview").await?;
    operator.reads("Nothing is wrong.").await?;
    operator.go("Queues").await?;
    for figure in ["ready", "unacknowledged"] {
        operator
            .sees(&format!("document.querySelector('[data-live=\"queue.emails.{figure}\"]').textContent"), "0")
            .await?;
    }
    let sent = || async {
        let booking = stored(stack, &booked).await?;
        let mails = stack.mailbox.all().await?;
        Ok(mails.iter().any(|mail| mail.text.contains(&booking.reference)).then_some(()))
    };
    eventually("the mail has been sent", SHORT_TIMEOUT, sent).await
}

/// A command that its sender has spelled wrong.
async fn message_is_put_right(operator: &mut Operator, stack: &Stack) -> Result<()> {
    let run = "5b0a3c54-1c39-4d6e-9a0b-0d4a5a9be001";
    let body = |property: &str| {
        json!({ "run_id": run, property: PROPERTY, "dry_run": true, "actor": "a script", 
            "requested_at": "2027-01-01T00:00:00.000Z" })
        .to_string()
    };
    stack.broker.send("reconciliation", properties("reconcile.property.v1").1, body("property").as_bytes()).await?;
    operator.go("Overview").await?;
    operator.reads("Dead letters by cause").await?;
    operator.follow("it.textContent === 'Dead letters by cause'").await?;
    operator.reads("field property_id is missing").await?;
    operator.follow("it.closest('td.error') !== null").await?;
    operator.follow("it.closest('th') !== null").await?;
    operator.fill("whole-reason", "which command is it").await?;
    operator.fill("password", PASSWORD).await?;
    operator.browser.enter().await?;
    operator.fill("body", &body("property_id")).await?;
    operator.give_reason("edit-reason", "spelled wrong").await?;
    operator.reads("/property_id").await?;
    operator.follow("it.textContent === 'Change the body'").await?;
    operator.follow("it.textContent === 'Replay…'").await?;
    operator.reads("1 would be handled").await?;
    operator.give_reason("reason", "put right").await?;
    operator.sees("document.getElementById('state').textContent", "done").await?;
    let reported = || async { Ok((!stack.mongo.reconciliations().list(None, 5).await?.is_empty()).then_some(())) };
    eventually("the command is carried out", SHORT_TIMEOUT, reported).await?;
    operator.go("Reconciliation").await?;
    operator.reads("By a script").await
}

async fn change_of_yesterday_is_found(operator: &mut Operator, stack: &Stack, changed: &AcceptedBooking) -> Result<()> {
    let booking = stored(stack, changed).await?;
    let zone = stack.mongo.inventories().find(&PROPERTY.into()).await?.context("the property")?.property.time_zone;
    let day = yesterday().local_date(zone);
    operator.go("Audit").await?;
    operator.choose("property", PROPERTY).await?;
    operator.fill("bed", "r-6").await?;
    operator.reach("it.id === 'day'").await?;
    for key in day.format("%m%d%Y").to_string().chars() {
        operator.browser.press(&key.to_string()).await?;
    }
    ensure!(operator.focused("it.value").await? == day.to_string(), "the day is typed in the order of the browser");
    operator.follow("it.textContent === 'Show'").await?;
    for shown in ["Grace Hopper", "snores", &booking.reference] {
        operator.reads(shown).await?;
    }
    operator.look("audit-change-of-a-bed").await
}

async fn guest_is_moved_and_comes_and_leaves(
    operator: &mut Operator,
    stack: &Stack,
    guest: &AcceptedBooking,
) -> Result<()> {
    let before = stored(stack, guest).await?;
    operator.go("Tape chart").await?;
    operator.sees("String(document.querySelector('[data-move]')?.draggable)", "true").await?;
    operator.reach(&format!("it.dataset.move?.startsWith('{}') === true", guest.id)).await?;
    // From the last bed there is none further down, and from the first none further up.
    for key in ["m", "ArrowDown", "ArrowUp"] {
        operator.browser.press(key).await?;
    }
    operator.browser.enter().await?;
    operator.give_reason("reason", "wants the lower bed").await?;
    operator.sees("document.querySelector('#outcome.done') === null ? '' : 'done'", "done").await?;
    ensure!(bed_of(&stored(stack, guest).await?) != bed_of(&before), "another bed");

    operator.go("Front desk").await?;
    let button = format!("it.form?.getAttribute('action') === '/bookings/{}/actions/check-in'", guest.id);
    operator.follow(&button).await?;
    operator.is_answered("done", "Checked in").await?;
    operator.go("Front desk").await?;
    let options = format!("it.getAttribute('href')?.startsWith('/bookings/{}/actions/check-out') === true", guest.id);
    operator.follow(&options).await?;
    operator.reach("it.name === 'allow_open_balance'").await?;
    operator.browser.press(" ").await?;
    operator.give_reason("reason", "pays by invoice").await?;
    operator.is_answered("done", "Checked out").await?;
    ensure!(stored(stack, guest).await?.status == Status::CheckedOut);
    Ok(())
}
