//! A group that arrives and leaves in parts, over HTTP, with two workers that are killed in turn.

use crate::checked_in::{WORKERS, while_killed};
use crate::harness::clock::at_noon;
use crate::harness::{Expectations, FrontDesk, StackBuilder, booked};
use anyhow::{Result, ensure};
use chrono::Days;
use pvt_domain::demo;
use pvt_testkit::{DORM, booking_body, dormitory};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Guests and progress of every stay.
fn parts(booking: &Value) -> Vec<(u64, &str)> {
    let whole = booking["status"].as_str().unwrap_or_default();
    let stays = booking["stays"].as_array().map_or(&[][..], Vec::as_slice);
    let part = |stay| -> (u64, &str) {
        let stay: &Value = stay;
        (stay["guests"].as_u64().unwrap_or(0), stay["progress"].as_str().unwrap_or(whole))
    };
    stays.iter().map(part).collect()
}

#[tokio::test]
async fn ten_of_twelve_arrive_and_two_of_them_leave_first() -> Result<()> {
    let (inventory, today) = at_noon(dormitory(demo::PROPERTY_ID, 12))?;
    let mut stack = StackBuilder::new().selling([inventory]).workers(WORKERS).start().await?;
    let desk = FrontDesk::of(&stack).await?;
    let answer = desk.request_booking("group", &booking_body(DORM, today, 3, 12)).await?;
    ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
    let (group, total) = (booked(&answer)?, answer.body["price"]["total"].clone());
    stack.record_accepted(group.id);

    let (front, booking) = (desk.clone(), group.clone());
    let ten = json!({ "stays": [{ "stay": 0, "guests": 10 }] });
    let arriving = async move { front.command(&booking, "checkin", &ten).await };
    let arrived = while_killed(&mut stack, "after_commit_before_publish", arriving).await?;
    assert_eq!(arrived.status, StatusCode::OK, "{arrived:?}");
    assert_eq!(parts(&arrived.body), [(2, "expected"), (10, "checked_in")]);
    assert_eq!((&arrived.body["price"]["total"], &arrived.body["status"]), (&total, &json!("checked_in")));

    // The other two are on the list of arrivals, with their beds.
    let path = format!("/api/properties/{}/arrivals?date={today}", demo::PROPERTY_ID);
    let arrivals = desk.send(Method::GET, &path, None, &json!({})).await?;
    let expected = &arrivals.body["items"][0]["stays"][0];
    assert_eq!((&expected["progress"], &expected["guests"]), (&json!("expected"), &json!(2)), "{arrivals:?}");
    assert_eq!(expected["assigned_beds"].as_array().map(Vec::len), Some(2));
    let early = desk.command(&group, "no-show", &json!({})).await?;
    assert_eq!((early.status, early.problem()?), (StatusCode::CONFLICT, "too_early"));
    let unknown = desk.command(&group, "checkin", &json!({ "stays": [{ "stay": 0, "guests": 3 }] })).await?;
    assert_eq!((unknown.status, unknown.problem()?), (StatusCode::CONFLICT, "unknown_guests"));

    // Two of the ten leave after a night; that their other nights stay owed is said apart.
    let (front, booking) = (desk.clone(), group.clone());
    let two = json!({ "stays": [{ "stay": 1, "guests": 2 }] });
    let leaving = async move { front.command(&booking, "checkout", &two).await };
    let left = while_killed(&mut stack, "before_commit", leaving).await?;
    assert_eq!(left.status, StatusCode::OK, "{left:?}");
    assert_eq!(parts(&left.body), [(2, "expected"), (8, "checked_in"), (2, "checked_out")]);
    assert_eq!(left.body["stays"][2]["departure"], json!(today + Days::new(1)), "a night at least");
    let night = |stay: u64| {
        let nights = left.body["price"]["nights"].as_array().into_iter().flatten();
        nights.filter(|night| night["stay"] == stay).count()
    };
    assert_eq!([night(0), night(1), night(2)], [3, 3, 1]);
    assert_eq!(left.body["price"]["total"], total);
    assert!(left.body["price"]["unused_nights"]["amount"].as_i64() > Some(0), "{left:?}");

    let last = desk.succeed(&group, "checkin", &json!({})).await?;
    assert_eq!(parts(&last.body), [(2, "checked_in"), (8, "checked_in"), (2, "checked_out")]);
    let end = json!({ "allow_open_balance": true, "reason": "the company pays", "reprice": true });
    let end = desk.succeed(&group, "checkout", &end).await?;
    assert_eq!((&end.body["status"], end.body["stays"][0].get("progress")), (&json!("checked_out"), None), "{end:?}");
    stack.end(Expectations::clean()).await
}
