//! Guests who do not come, come after all, or come in part; held bookings; and what is sent again after 202.

use super::{PROPERTY, WORKERS, stored};
use crate::harness::clock::at_night;
use crate::harness::{AcceptedBooking, Expectations, FrontDesk, Session, Stack, StackBuilder, TestConsole, booked};
use anyhow::{Result, ensure};
use chrono::{Days, NaiveDate};
use pvt_domain::accounts::Role;
use pvt_domain::booking::{Status, StayProgress};
use pvt_testkit::console::{hidden_field, hidden_fields};
use pvt_testkit::{DORM, booking_body, dormitory};
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn guests_come_in_part_or_not_or_after_all() -> Result<()> {
    let (inventory, night) = at_night(dormitory(PROPERTY, 6))?;
    let mut stack = StackBuilder::new().selling([inventory]).workers(WORKERS).start().await?;
    let desk = TestConsole::start(&stack).await?;
    let staff = desk.sign_in(&stack, Role::Staff, "Grace Hopper", &[PROPERTY]).await?;
    let front = FrontDesk::of(&stack).await?;
    no_show_is_undone(&stack, &desk, &staff, &front, night).await?;
    held_booking_is_confirmed(&stack, &desk, &staff, night).await?;
    some_places_are_checked_in_once(&mut stack, &desk, &staff, &front, night).await?;
    desk.end().await?;
    stack.end(Expectations::clean()).await
}

/// Staff book the night that has begun.
async fn tonight(
    stack: &Stack,
    front: &FrontDesk,
    name: &str,
    night: NaiveDate,
    guests: u32,
) -> Result<AcceptedBooking> {
    let mut body = booking_body(DORM, night, 2, guests);
    body["guest"]["last_name"] = name.into();
    let answer = front.request_booking(name, &body).await?;
    ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
    let booking = booked(&answer)?;
    stack.record_accepted(booking.id);
    Ok(booking)
}

/// From now on the property ends its business day at midnight.
async fn end_business_day(stack: &Stack) -> Result<()> {
    let admin = FrontDesk::with_role(stack, "admin").await?;
    let path = format!("/api/properties/{PROPERTY}");
    let shown = admin.send(Method::GET, &path, None, &json!({})).await?;
    let rev = shown.header("etag").trim_matches('"').parse()?;
    let ended = admin.send(Method::PATCH, &path, Some(rev), &json!({ "business_day_cutoff": "00:00" })).await?;
    ensure!(ended.status == StatusCode::OK, "{ended:?}");
    Ok(())
}

async fn no_show_is_undone(
    stack: &Stack,
    desk: &TestConsole,
    staff: &Session,
    front: &FrontDesk,
    night: NaiveDate,
) -> Result<()> {
    let booking = tonight(stack, front, "Absent", night, 1).await?;
    let page = desk.get(staff, "/front-desk").await?;
    assert!(page.text.contains("Arrivals: 1 to arrive<"), "{}", page.text);
    let early = desk.act(staff, &booking, "no-show", &[("stay", "0")]).await?;
    assert_eq!(early.status, StatusCode::CONFLICT, "{}", early.text);
    assert!(early.text.contains(&format!("It is possible from {} on.", night + Days::new(1))), "{}", early.text);
    end_business_day(stack).await?;
    let page = desk.get(staff, "/front-desk").await?;
    assert!(page.text.contains("Overdue: 1<"), "{}", page.text);
    let absent = desk.act(staff, &booking, "no-show", &[("stay", "0")]).await?;
    assert_eq!(absent.status, StatusCode::OK, "{}", absent.text);
    assert!(absent.text.contains("Marked as a no-show"), "{}", absent.text);
    let now = stored(stack, &booking).await?;
    assert_eq!((now.status, now.rev), (Status::NoShow, 2));
    let page = desk.get(staff, "/front-desk").await?;
    assert!(page.text.contains("Overdue: 0<"), "{}", page.text);
    // What is still owed is the fee, not the price of nights that are not slept.
    let path = format!("/api/properties/{PROPERTY}/arrivals?date={night}");
    let listed = front.send(Method::GET, &path, None, &json!({})).await?;
    let due = &listed.body["items"][0]["due"]["amount"];
    assert_eq!((due.as_i64(), now.outstanding() != now.balance()), (Some(now.outstanding()), true), "{listed:?}");

    let form = desk.get(staff, &format!("/bookings/{}/actions/reinstate", booking.id)).await?;
    assert!(form.text.contains("Undo the no-show of 0"), "between two and three at night: {}", form.text);
    let unexplained = desk.act(staff, &booking, "reinstate", &[]).await?;
    assert_eq!(unexplained.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", unexplained.text);
    assert!(unexplained.text.contains("Reason: is missing") && !unexplained.text.contains("/reason"));
    let undone = desk.act(staff, &booking, "reinstate", &[("reason", "came by the last train")]).await?;
    assert_eq!(undone.status, StatusCode::OK, "{}", undone.text);
    assert_eq!(stored(stack, &booking).await?.status, Status::Confirmed);
    Ok(())
}

async fn held_booking_is_confirmed(stack: &Stack, desk: &TestConsole, staff: &Session, night: NaiveDate) -> Result<()> {
    let mut body = booking_body(DORM, night + Days::new(5), 1, 1);
    body["rate_plan_id"] = "prepaid".into();
    let answer = stack.client.request_booking_and_wait("held", &body).await?;
    ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
    let held = booked(&answer)?;
    stack.record_accepted(held.id);
    assert_eq!(stored(stack, &held).await?.status, Status::Held);
    let done = desk.act(staff, &held, "confirm", &[("reason", "pays at the desk")]).await?;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!(stored(stack, &held).await?.status, Status::Confirmed);
    let again = desk.get(staff, &format!("/bookings/{}/actions/confirm", held.id)).await?;
    assert!(again.text.contains("Confirm without payment: not now"), "{}", again.text);
    Ok(())
}

async fn some_places_are_checked_in_once(
    stack: &mut Stack,
    desk: &TestConsole,
    staff: &Session,
    front: &FrontDesk,
    night: NaiveDate,
) -> Result<()> {
    let group = tonight(stack, front, "Group", night + Days::new(1), 3).await?;
    stack.program("workers")?.stop().await?;
    let chosen = [("place", "0.0"), ("place", "0.2")];
    let accepted = desk.act(staff, &group, "check-in", &chosen).await?;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text);
    let (key, rev) = (hidden_field(&accepted.text, "key")?, hidden_field(&accepted.text, "rev")?);
    let steps = hidden_fields(&accepted.text, "step");
    assert_eq!((steps.len(), rev.as_str()), (1, "1"), "{}", accepted.text);
    stack.restart("workers").await?;
    let path = format!("/bookings/{}/actions/check-in", group.id);
    let again = [("key", key.as_str()), ("rev", "1"), ("step", steps[0].as_str()), ("place", "0.0"), ("place", "0.2")];
    for _ in 0..2 {
        let done = desk.post(staff, &path, &again).await?;
        assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    }
    let now = stored(stack, &group).await?;
    let progress: Vec<(u32, StayProgress)> =
        now.stays.iter().map(|stay| (stay.guests, now.progress_of(stay))).collect();
    assert_eq!(progress, [(1, StayProgress::Expected), (2, StayProgress::CheckedIn)], "the two who were named, once");
    assert_eq!(now.rev, 2);
    Ok(())
}
