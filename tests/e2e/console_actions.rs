//! The console acts on bookings by the API: check-in and check-out, money, cancellation, and moves on the tape chart.

use crate::harness::clock::at_noon;
use crate::harness::{
    AcceptedBooking, Expectations, FrontDesk, PASSWORD, Session, Stack, StackBuilder, TestConsole, booked,
};
use anyhow::{Context, Result, ensure};
use chrono::{Days, NaiveDate, Utc};
use pvt_domain::accounts::Role;
use pvt_domain::booking::{Action, Booking, Status};
use pvt_domain::ids::BookingId;
use pvt_testkit::console::{hidden_field, hidden_fields};
use pvt_testkit::{Chromium, DORM, booking_body, dormitory};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use url::form_urlencoded;
use uuid::Uuid;

const PROPERTY: &str = "pvt-montreal";
const WORKERS: &[(&str, &[&str])] = &[("workers", &["confirmations", "analytics", "emails", "payments"])];

async fn book(stack: &Stack, key: &str, arrival: NaiveDate, nights: u64) -> Result<AcceptedBooking> {
    let mut body = booking_body(DORM, arrival, nights, 1);
    body["guest"]["last_name"] = key.into();
    let answer = stack.client.request_booking_and_wait(key, &body).await?;
    ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
    let booked = booked(&answer)?;
    stack.record_accepted(booked.id);
    Ok(booked)
}

async fn stored(stack: &Stack, booking: &AcceptedBooking) -> Result<Booking> {
    stack.mongo.bookings().find(BookingId::from_uuid(booking.id)).await?.context("the booking")
}

fn bed_of(booking: &Booking) -> &str {
    booking.stays[0].assigned_beds[0].as_str()
}

/// The form of the front desk for this booking that acts at once.
fn direct_form(page: &str, booking: &AcceptedBooking, action: &str) -> Result<Vec<(String, String)>> {
    let form = page.split("<form ").find(|form| form.contains(&format!("/bookings/{}/actions/{action}\"", booking.id)));
    let form = form.with_context(|| format!("no form to {action}: {page}"))?;
    ["key", "rev", "stay", "next"].into_iter().map(|name| Ok((name.to_owned(), hidden_field(form, name)?))).collect()
}

fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[tokio::test]
async fn front_desk_acts_by_the_api() -> Result<()> {
    let (inventory, today) = at_noon(dormitory(PROPERTY, 3))?;
    let mut stack = StackBuilder::new().selling([inventory]).workers(WORKERS).start().await?;
    let desk = TestConsole::start(&stack).await?;
    let staff = desk.sign_in(&stack, Role::Staff, "Grace Hopper", &[PROPERTY]).await?;
    let (x, y) = (book(&stack, "Xylander", today, 1).await?, book(&stack, "Yourcenar", today, 1).await?);

    // A double click acts once; an outdated form does nothing.
    let page = desk.get(&staff, "/front-desk").await?;
    let form = direct_form(&page.text, &x, "check-in")?;
    let path = format!("/bookings/{}/actions/check-in", x.id);
    for _ in 0..2 {
        let answer = desk.post(&staff, &path, &borrowed(&form)).await?;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert!(answer.text.contains("Checked in"), "{}", answer.text);
    }
    let now = stored(&stack, &x).await?;
    assert_eq!((now.status, now.rev), (Status::CheckedIn, 2), "once");
    assert_eq!(now.history[1].actor, format!("staff:{}", staff.user.id).as_str());
    let outdated = [("key", &*Uuid::new_v4().to_string()), ("rev", "1"), ("stay", "0")];
    let refused = desk.post(&staff, &format!("/bookings/{}/actions/check-out", x.id), &outdated).await?;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{}", refused.text);

    others_cannot_act(&stack, &desk, &y).await?;
    another_bed_is_chosen_at_check_in(&stack, &desk, &staff, &y).await?;
    balance_is_settled_before_check_out(&stack, &desk, &staff, &x).await?;
    let z = book(&stack, "Zola", today + Days::new(10), 2).await?;
    cancellation_shows_its_fee(&stack, &desk, &staff, &z).await?;
    form_is_sent_again_once_the_api_is_back(&mut stack, &desk, &staff, &y).await?;
    desk.end().await?;
    stack.end(Expectations::clean()).await
}

/// Staff of another property and forged forms change nothing.
async fn others_cannot_act(stack: &Stack, desk: &TestConsole, booking: &AcceptedBooking) -> Result<()> {
    let elsewhere = desk.sign_in(stack, Role::Staff, "Of another property", &["elsewhere"]).await?;
    let own = desk.sign_in(stack, Role::Staff, "Alan Turing", &[PROPERTY]).await?;
    let key = Uuid::new_v4().to_string();
    let fields = [("key", key.as_str()), ("rev", "1"), ("stay", "0"), ("amount", "1"), ("method", "cash")];
    let step = json!({ "booking": booking.id, "rev": 1, "assignments": [{ "id": 0, "beds": ["r-3"] }] }).to_string();
    let plan = [("key", key.as_str()), ("property", PROPERTY), ("step", step.as_str()), ("reason", "mine")];
    for action in ["check-in", "check-out", "no-show", "reinstate", "confirm", "cancel", "payment"] {
        let path = format!("/bookings/{}/actions/{action}", booking.id);
        assert_eq!(desk.post(&elsewhere, &path, &fields).await?.status, StatusCode::NOT_FOUND, "{action}");
        assert_eq!(desk.get(&elsewhere, &path).await?.status, StatusCode::NOT_FOUND, "{action}");
        let forged = desk.send(&own.cookie, &path, &fields).await?;
        assert_eq!(forged.status(), StatusCode::FORBIDDEN, "{action} without the token of the form");
        assert_eq!(desk.send("", &path, &fields).await?.status(), StatusCode::SEE_OTHER, "{action} signed out");
    }
    assert_eq!(desk.post(&elsewhere, "/chart/plan", &plan).await?.status, StatusCode::NOT_FOUND);
    assert_eq!(desk.send(&own.cookie, "/chart/plan", &plan).await?.status(), StatusCode::FORBIDDEN);
    // A plan of their own property with a booking of another one: the API refuses it.
    let stranger = desk.sign_in(stack, Role::Staff, "Of the annex", &["annex"]).await?;
    let mut annex = dormitory("annex", 1);
    annex.property.name = "Annex".to_owned();
    stack.mongo.inventories().save(&annex).await?;
    let smuggled = [("key", key.as_str()), ("property", "annex"), ("step", step.as_str()), ("reason", "mine")];
    let refused = desk.post(&stranger, "/chart/plan", &smuggled).await?;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.text);
    assert!(!refused.text.contains("Yourcenar"), "{}", refused.text);
    assert_eq!(stored(stack, booking).await?.rev, 1, "nothing has changed");
    Ok(())
}

async fn another_bed_is_chosen_at_check_in(
    stack: &Stack,
    desk: &TestConsole,
    staff: &Session,
    booking: &AcceptedBooking,
) -> Result<()> {
    let bed = bed_of(&stored(stack, booking).await?).to_owned();
    let front = FrontDesk::of(stack).await?;
    let path = format!("/api/beds/{bed}?property_id={PROPERTY}");
    let dirty = front.send(Method::PATCH, &path, None, &json!({ "cleanliness": "dirty" })).await?;
    ensure!(dirty.status == StatusCode::OK, "{dirty:?}");
    let refused = desk.act(staff, booking, "check-in", &[("stay", "0"), ("reason", "came by <train>")]).await?;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    for shown in [format!("Bed {bed} is not clean; clean and free: r-3"), "came by &#60;train&#62;".to_owned()] {
        assert!(refused.text.contains(&shown), "{shown}: {}", refused.text);
    }
    let fields = [("stay", "0"), ("bed-0-0", "r-3"), ("reason", "came by train")];
    let done = desk.act(staff, booking, "check-in", &fields).await?;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let now = stored(stack, booking).await?;
    assert_eq!((now.status, bed_of(&now)), (Status::CheckedIn, "r-3"));
    Ok(())
}

async fn balance_is_settled_before_check_out(
    stack: &Stack,
    desk: &TestConsole,
    staff: &Session,
    booking: &AcceptedBooking,
) -> Result<()> {
    let refused = desk.act(staff, booking, "check-out", &[("stay", "0")]).await?;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(refused.text.contains("open balance"), "{}", refused.text);
    let due = stored(stack, booking).await?.outstanding();
    let amount = format!("{}.{:02}", due / 100, due % 100);
    let path = format!("/bookings/{}/actions/payment", booking.id);
    let form = desk.get(staff, &path).await?;
    assert!(form.text.contains(&format!("name=\"amount\" value=\"{amount}\"")), "what is due is filled in");
    let unread = desk.act(staff, booking, "payment", &[("method", "cash"), ("amount", "12 dollars")]).await?;
    assert_eq!(unread.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unread.text.contains("value=\"12 dollars\""), "what was typed is kept: {}", unread.text);
    let paid = desk.act(staff, booking, "payment", &[("method", "cash"), ("amount", &amount), ("note", "")]).await?;
    assert_eq!(paid.status, StatusCode::OK, "{}", paid.text);
    assert!(paid.text.contains("<dt>Due</dt><dd>0.00 CAD</dd>"), "{}", paid.text);
    let done = desk.act(staff, booking, "check-out", &[("stay", "0")]).await?;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!(stored(stack, booking).await?.status, Status::CheckedOut);
    Ok(())
}

async fn cancellation_shows_its_fee(
    stack: &Stack,
    desk: &TestConsole,
    staff: &Session,
    booking: &AcceptedBooking,
) -> Result<()> {
    let form = desk.get(staff, &format!("/bookings/{}/actions/cancel", booking.id)).await?;
    assert!(form.text.contains("Fee: ") && form.text.contains("Refund: 0.00 CAD"), "{}", form.text);
    assert_eq!(stored(stack, booking).await?.rev, 1, "it was only asked");
    let done = desk.act(staff, booking, "cancel", &[("reason", "plans changed")]).await?;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let fee = stored(stack, booking).await?.cancellation_fee.context("a fee")?;
    ensure!(fee > 0, "the policy has a fee");
    let owed = format!("{}.{:02} CAD", fee / 100, fee % 100);
    let page = desk.get(staff, &format!("/bookings/{}", booking.id)).await?;
    assert!(page.text.contains(&format!("<dt>Due</dt><dd>{owed}</dd>")), "{}", page.text);
    assert!(page.text.contains(&format!("{owed} of the fee is owed")), "{}", page.text);
    assert!(page.text.contains(&format!("by Grace Hopper ({})", staff.user.email.as_str())), "{}", page.text);
    let traced = stack.pvt(&["trace", &booking.id.to_string()]).await?;
    assert!(String::from_utf8_lossy(&traced.stderr).contains(&format!("{owed} of the fee is owed")), "{traced:?}");
    let by = format!("by Grace Hopper ({})", staff.user.email.as_str());
    assert!(String::from_utf8_lossy(&traced.stdout).contains(&by), "{traced:?}");
    Ok(())
}

async fn form_is_sent_again_once_the_api_is_back(
    stack: &mut Stack,
    desk: &TestConsole,
    staff: &Session,
    booking: &AcceptedBooking,
) -> Result<()> {
    let path = format!("/bookings/{}/actions/check-out", booking.id);
    let form = desk.get(staff, &path).await?;
    let (key, rev) = (hidden_field(&form.text, "key")?, hidden_field(&form.text, "rev")?);
    let fields = [
        ("key", key.as_str()),
        ("rev", rev.as_str()),
        ("stay", "0"),
        ("allow_open_balance", "yes"),
        ("reason", "pays by invoice"),
    ];
    stack.program("api")?.stop().await?;
    let silent = desk.post(staff, &path, &fields).await?;
    assert_eq!(silent.status, StatusCode::SERVICE_UNAVAILABLE, "{}", silent.text);
    for kept in ["cannot be reached", "value=\"pays by invoice\"", &format!("name=\"key\" value=\"{key}\"")] {
        assert!(silent.text.contains(kept), "{kept}: {}", silent.text);
    }
    stack.restart("api").await?;
    let done = desk.post(staff, &path, &fields).await?;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!(stored(stack, booking).await?.status, Status::CheckedOut);
    Ok(())
}

#[tokio::test]
async fn guests_are_moved_by_a_plan() -> Result<()> {
    let (inventory, today) = at_noon(dormitory(PROPERTY, 3))?;
    let stack = StackBuilder::new().selling([inventory]).workers(WORKERS).start().await?;
    let desk = TestConsole::start(&stack).await?;
    let staff = desk.sign_in(&stack, Role::Staff, "Grace Hopper", &[PROPERTY]).await?;
    let arrival = today + Days::new(20);
    let (x, y) = (book(&stack, "Xylander", arrival, 2).await?, book(&stack, "Yourcenar", arrival, 2).await?);
    let beds = (bed_of(&stored(&stack, &x).await?).to_owned(), bed_of(&stored(&stack, &y).await?).to_owned());
    let swap = format!(
        "/chart/plan?property={PROPERTY}&move={}/0/{}/{}&move={}/0/{}/{}",
        x.id, beds.0, beds.1, y.id, beds.1, beds.0
    );
    let page = desk.get(&staff, &swap).await?;
    assert!(page.text.contains("for the time being"), "{}", page.text);
    assert_eq!(stored(&stack, &x).await?.rev, 1, "it was only asked");
    let (key, steps) = (hidden_field(&page.text, "key")?, hidden_fields(&page.text, "step"));
    assert_eq!(steps.len(), 3, "{}", page.text);
    let mut fields = vec![("key", key.as_str()), ("property", PROPERTY), ("reason", "asked to swap")];
    fields.extend(steps.iter().map(|step| ("step", step.as_str())));
    for _ in 0..2 {
        let done = desk.post(&staff, "/chart/plan", &fields).await?;
        assert_eq!(done.status, StatusCode::OK, "{}", done.text);
        assert_eq!(done.text.matches("<strong>Done</strong>").count(), 3, "{}", done.text);
    }
    let (now_x, now_y) = (stored(&stack, &x).await?, stored(&stack, &y).await?);
    assert_eq!((bed_of(&now_x), bed_of(&now_y)), (beds.1.as_str(), beds.0.as_str()));
    assert_eq!((now_x.rev, now_y.rev), (3, 2), "a plan that is sent twice moves once");
    assert!(now_x.history[1..].iter().all(|entry| entry.action == Action::Assign));

    let z = book(&stack, "Zola", arrival, 2).await?;
    let full =
        desk.get(&staff, &format!("/chart/plan?property={PROPERTY}&move={}/0/{}/{}", x.id, beds.1, beds.0)).await?;
    assert!(full.text.contains("Not possible") && full.text.contains("Yourcenar"), "{}", full.text);
    assert!(!full.text.contains("id=\"confirm\""), "an impossible plan has no form: {}", full.text);
    let choose = desk.get(&staff, &format!("/bookings/{}/move", z.id)).await?;
    assert!(choose.text.contains("room r: taken"), "the form for users without scripts: {}", choose.text);

    // Ten letters may also be a reference.
    book(&stack, "Richardson", arrival + Days::new(10), 2).await?;
    bed_changes_are_found(&stack, &desk, &staff, &beds.0).await?;
    guests_are_found_by_name(&stack, &desk, &staff).await?;
    desk.end().await?;
    stack.end(Expectations::clean()).await
}

async fn bed_changes_are_found(stack: &Stack, desk: &TestConsole, staff: &Session, bed: &str) -> Result<()> {
    assert_eq!(desk.get(staff, "/audit").await?.status, StatusCode::FORBIDDEN);
    let admin = desk.sign_in(stack, Role::Admin, "The Administrator", &[]).await?;
    let name = format!("Grace Hopper ({})", staff.user.email.as_str());
    let day = Utc::now().date_naive();
    let address: String = form_urlencoded::byte_serialize(staff.user.email.as_str().as_bytes()).collect();
    for query in [
        String::new(),
        format!("property={PROPERTY}&bed={bed}"),
        format!("actor={address}"),
        format!("actor=staff:{}", staff.user.id),
    ] {
        let page = desk.get(&admin, &format!("/audit?{query}")).await?;
        assert!(page.text.contains(&name) && page.text.contains("Yourcenar"), "{query}: {}", page.text);
        assert!(page.text.contains("asked to swap"), "{query}");
    }
    let earlier = day - Days::new(3);
    for query in [format!("day={earlier}"), "bed=r-99".to_owned(), "actor=schedule:night_audit".to_owned()] {
        let page = desk.get(&admin, &format!("/audit?{query}")).await?;
        assert!(page.text.contains("No changes."), "{query}: {}", page.text);
    }
    Ok(())
}

async fn guests_are_found_by_name(stack: &Stack, desk: &TestConsole, staff: &Session) -> Result<()> {
    let elsewhere = desk.sign_in(stack, Role::Staff, "Of another property", &["elsewhere"]).await?;
    for name in ["yourcenar", "YOURC", "Yo%C3%BBrcenar", "richardson"] {
        let found = desk.get(staff, &format!("/bookings?q={name}")).await?;
        assert_eq!(found.status, StatusCode::SEE_OTHER, "{name}: one booking leads to its page: {}", found.text);
        let hidden = desk.get(&elsewhere, &format!("/bookings?q={name}")).await?;
        assert!(hidden.text.contains("No booking at your properties matches."), "{name}");
    }
    Ok(())
}

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
