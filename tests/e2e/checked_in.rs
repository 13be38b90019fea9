//! Checked-in guests keep their bed, over HTTP, with two workers that are killed in turn.

use crate::harness::clock::at_noon;
use crate::harness::{AcceptedBooking, ApiResponse, Expectations, FrontDesk, Stack, StackBuilder, booked};
use anyhow::{Result, ensure};
use chrono::{Days, NaiveDate};
use pvt_testkit::{DORM, booking_body, dormitory};
use reqwest::{Method, StatusCode};
use serde_json::json;

const PROPERTY: &str = "pvt-montreal";
pub(crate) const WORKERS: &[(&str, &[&str])] =
    &[("one", &["confirmations"]), ("two", &["confirmations"]), ("others", &["analytics", "emails", "payments"])];

/// Books as a guest who waits for the decision.
async fn book(stack: &Stack, key: &str, arrival: NaiveDate, nights: u64) -> Result<AcceptedBooking> {
    let body = booking_body(DORM, arrival, nights, 1);
    let answer = stack.client.request_booking_and_wait(key, &body).await?;
    ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
    let booked = booked(&answer)?;
    stack.record_accepted(booked.id);
    Ok(booked)
}

/// Sends a request while only worker `one` runs, which aborts at this fault point; worker `two` goes on with it.
pub(crate) async fn while_killed<F>(stack: &mut Stack, fault: &str, request: F) -> Result<ApiResponse>
where
    F: Future<Output = Result<ApiResponse>> + Send + 'static,
{
    stack.program("two")?.stop().await?;
    stack.program("one")?.stop().await?;
    stack.start_with_fault_point("one", fault).await?;
    let answer = tokio::spawn(request);
    stack.program("one")?.wait_for_abort().await?;
    stack.restart("two").await?;
    let answer = answer.await??;
    stack.restart("one").await?;
    Ok(answer)
}

#[tokio::test]
async fn checked_in_guest_keeps_the_bed_while_workers_are_killed() -> Result<()> {
    let (inventory, today) = at_noon(dormitory(PROPERTY, 2))?;
    let day = move |number| today + Days::new(number);
    let mut stack = StackBuilder::new().selling([inventory]).workers(WORKERS).start().await?;
    let desk = FrontDesk::of(&stack).await?;

    // X lies in r-1 until tomorrow; Y has it from then on.
    let x = book(&stack, "x", day(0), 1).await?;
    ensure!(desk.assign(&x, json!({ "stay": 0, "beds": ["r-1"] })).await?.status == StatusCode::OK);
    desk.succeed(&x, "checkin", &json!({})).await?;
    let y = book(&stack, "y", day(1), 2).await?;
    ensure!(desk.assign(&y, json!({ "stay": 0, "beds": ["r-1"] })).await?.status == StatusCode::OK);

    // X stays a night longer: Y gives way.
    let (front, guest) = (desk.clone(), x.clone());
    let longer = async move { front.extend(&guest, day(2)).await };
    let longer = while_killed(&mut stack, "before_commit", longer).await?;
    assert_eq!(longer.status, StatusCode::OK, "{longer:?}");
    assert!(longer.body.get("bed_moves").is_none(), "{longer:?}");
    assert_eq!((desk.beds(&x).await?, desk.beds(&y).await?), (json!(["r-1"]), json!(["r-2"])));
    let in_house = (Some(x.id.to_string()), "clean".to_owned());
    assert_eq!(desk.bed("r-1", day(0)).await?, in_house, "as the front desk sees it");

    // Neither Y nor Z can give way for one more night. Once Y has cancelled, X moves for that night.
    ensure!(desk.assign(&y, json!({ "stay": 0, "locked": true })).await?.status == StatusCode::OK);
    let z = book(&stack, "z", day(2), 2).await?;
    assert_eq!(desk.beds(&z).await?, json!(["r-1"]));
    ensure!(desk.assign(&z, json!({ "stay": 0, "locked": true })).await?.status == StatusCode::OK);
    let full = desk.extend(&x, day(3)).await?;
    assert_eq!((full.problem()?, &full.body["booking_count"]), ("no_availability", &json!(1)), "{full:?}");
    assert_eq!(full.body["bookings"], json!([z.id]));
    stack.client.cancel(&y).await?;
    let (front, guest) = (desk.clone(), x.clone());
    let longer = async move { front.extend(&guest, day(3)).await };
    let longer = while_killed(&mut stack, "after_commit_before_publish", longer).await?;
    let later = json!([{ "stay": 0, "id": 0, "from": day(2), "left": ["r-1"], "beds": ["r-2"] }]);
    assert_eq!((longer.status, &longer.body["bed_moves"]), (StatusCode::OK, &later), "{longer:?}");
    assert_eq!(desk.bed("r-1", day(0)).await?, (Some(x.id.to_string()), "dirty".to_owned()), "to be cleaned for Z");
    assert_eq!(desk.bed("r-2", day(2)).await?, (Some(x.id.to_string()), "clean".to_owned()));

    // Tonight X moves only when staff say so.
    let (front, guest) = (desk.clone(), x.clone());
    let tonight = async move { front.assign(&guest, json!({ "stay": 0, "beds": ["r-2"] })).await };
    let tonight = while_killed(&mut stack, "after_publish_before_ack", tonight).await?;
    let now = json!([{ "stay": 0, "id": 0, "from": day(0), "left": ["r-1"], "beds": ["r-2"] }]);
    assert_eq!((tonight.status, &tonight.body["bed_moves"]), (StatusCode::OK, &now), "{tonight:?}");
    let history = desk.send(Method::GET, &format!("/api/bookings/{}/history", x.id), None, &json!({})).await?;
    let last = history.body["items"].as_array().and_then(|items| items.last()).cloned().unwrap_or_default();
    assert_eq!((&last["action"], &last["bed_moves"]), (&json!("assign"), &now));

    // A walk-in gets the bed that was left, once it is clean.
    let walk_in = book(&stack, "walk-in", day(0), 1).await?;
    assert_eq!(desk.beds(&walk_in).await?, json!(["r-1"]));
    let refused = desk.command(&walk_in, "checkin", &json!({})).await?;
    assert_eq!(refused.problem()?, "bed_not_clean");
    assert_eq!(refused.body["cause"], json!({ "dirty_beds": [{ "bed": "r-1", "clean": [] }] }), "no other is free");
    let path = format!("/api/beds/r-1?property_id={PROPERTY}");
    // The worker that marked the bed as dirty raised the revision; staff read that one at once.
    let rooms = desk.send(Method::GET, &format!("/api/rooms?property_id={PROPERTY}"), None, &json!({})).await?;
    assert_eq!(rooms.body["items"][0]["beds"][0]["cleanliness"], "dirty", "{rooms:?}");
    let rev = rooms.header("etag").trim_matches('"').parse().ok();
    let cleaned = desk.send(Method::PATCH, &path, rev, &json!({ "cleanliness": "clean" })).await?;
    assert_eq!(cleaned.status, StatusCode::OK, "{cleaned:?}");
    desk.succeed(&walk_in, "checkin", &json!({})).await?;
    assert_eq!(desk.bed("r-1", day(0)).await?.0, Some(walk_in.id.to_string()));
    assert_eq!(desk.bed("r-2", day(0)).await?.0, Some(x.id.to_string()));
    stack.end(Expectations::clean()).await
}
