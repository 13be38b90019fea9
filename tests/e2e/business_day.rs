//! Bookings after midnight, while the business day before goes on.

use crate::harness::clock::at_night;
use crate::harness::{Expectations, FrontDesk, Stack, StackBuilder, booked};
use anyhow::{Result, ensure};
use chrono::{Days, NaiveDate};
use pvt_domain::demo;
use pvt_testkit::{DORM, booking_body, dormitory, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// The reasons why a dorm is not bookable tonight, as this caller finds it.
async fn searched(stack: &Stack, desk: Option<&FrontDesk>, night: NaiveDate) -> Result<Value> {
    let path = format!("/api/rooms/search?arrival={night}&departure={}&guests=1", night + Days::new(1));
    let found = match desk {
        Some(desk) => desk.send(Method::GET, &path, None, &json!({})).await?,
        None => stack.client.get(&path).await?,
    };
    ensure!(found.status == StatusCode::OK, "{found:?}");
    Ok(found.body["items"][0]["room_types"][0].clone())
}

#[tokio::test]
async fn walk_in_after_midnight_gets_the_night_that_has_begun() -> Result<()> {
    let (inventory, night) = at_night(dormitory(demo::PROPERTY_ID, 4))?;
    let stack = StackBuilder::new().selling([inventory]).start().await?;
    let desk = FrontDesk::of(&stack).await?;
    let body = booking_body(DORM, night, 1, 1);

    // Guests book the date, staff the night that has begun.
    let refused = stack.client.request_booking("guest", &body).await?;
    assert_eq!((refused.status, refused.problem()?), (StatusCode::UNPROCESSABLE_ENTITY, "validation_failed"));
    assert_eq!(refused.body["errors"][0]["code"], "arrival_in_past", "{refused:?}");
    assert_eq!(searched(&stack, None, night).await?["reason"], "invalid_dates");
    assert_eq!(searched(&stack, Some(&desk), night).await?["bookable"], true);
    let quoted = desk.send(Method::POST, "/api/quotes", None, &quote(&body)).await?;
    ensure!(quoted.status.is_success(), "{quoted:?}");
    let walk_in = desk.request_booking("walk-in", &body).await?;
    assert_eq!(walk_in.status, StatusCode::CREATED, "{walk_in:?}");
    let walk_in = booked(&walk_in)?;
    stack.record_accepted(walk_in.id);
    desk.succeed(&walk_in, "checkin", &json!({})).await?;
    let bed = desk.beds(&walk_in).await?;
    let occupant = desk.bed(bed[0].as_str().unwrap_or_default(), night).await?.0;
    assert_eq!(occupant, Some(walk_in.id.to_string()), "the bed calendar shows the guest tonight");
    let longer = desk.extend(&walk_in, night + Days::new(2)).await?;
    assert_eq!(longer.status, StatusCode::OK, "{longer:?}");

    // The property lets guests book until half past three, too.
    let path = format!("/api/properties/{}", demo::PROPERTY_ID);
    let admin = FrontDesk::with_role(&stack, "admin").await?;
    let shown = desk.send(Method::GET, &path, None, &json!({})).await?;
    assert_eq!(shown.body["same_day_until"], "00:00");
    let changed = admin
        .send(Method::PATCH, &path, Some(rev(shown.header("etag"))?), &json!({ "same_day_until": "03:30" }))
        .await?;
    assert_eq!((changed.status, &changed.body["same_day_until"]), (StatusCode::OK, &json!("03:30")), "{changed:?}");
    eventually("guests find the night", Duration::from_secs(30), async || {
        Ok((searched(&stack, None, night).await?["bookable"] == true).then_some(()))
    })
    .await?;
    let late = stack.client.request_booking_and_wait("guest", &body).await?;
    assert_eq!(late.status, StatusCode::CREATED, "{late:?}");
    stack.record_accepted(booked(&late)?.id);
    stack.end(Expectations::clean()).await
}

fn quote(body: &Value) -> Value {
    json!({ "property_id": body["property_id"], "rate_plan_id": body["rate_plan_id"], "stays": body["stays"] })
}

fn rev(etag: &str) -> Result<u64> {
    Ok(etag.trim_matches('"').parse()?)
}
