//! Refusals over HTTP: which restriction, which nights, which status; and the deadline of free cancellation.

use crate::harness::clock::at_noon;
use crate::harness::{AcceptedBooking, Expectations, FrontDesk, Stack, StackBuilder};
use anyhow::{Context, Result};
use chrono::{Days, NaiveDate, SecondsFormat, TimeZone as _};
use pvt_domain::demo;
use pvt_domain::inventory::Inventory;
use pvt_domain::rates::cancellation::{CancellationPolicy, Fee, Tier};
use pvt_testkit::{DORM, booking_body};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// The demonstration property at noon, where cancelling costs nothing until two days before arrival; and its business
/// day.
fn free_until_two_days_before() -> Result<(Inventory, NaiveDate)> {
    let (mut inventory, today) = at_noon(demo::inventory())?;
    let tier = |hours_before, ppm| Tier { hours_before, fee: Fee::Percent { ppm } };
    let lenient = CancellationPolicy {
        id: "lenient".into(),
        tiers: vec![tier(48, 0), tier(0, 1_000_000)],
        ..CancellationPolicy::standard()
    };
    inventory.rate_plans.iter_mut().for_each(|plan| plan.cancellation_policy_id = Some(lenient.id.clone()));
    inventory.cancellation_policies.push(lenient);
    Ok((inventory, today))
}

async fn booked(stack: &Stack, key: &str, arrival: NaiveDate, guests: u32) -> Result<(AcceptedBooking, Value)> {
    let booked = stack.book(key, &booking_body(DORM, arrival, 2, guests)).await?;
    let decided = stack.client.wait_for_decision(&booked).await?;
    Ok((booked, decided))
}

#[tokio::test]
async fn refusals_say_which_and_why() -> Result<()> {
    let (inventory, today) = free_until_two_days_before()?;
    let day = |number| today + Days::new(number);
    let local = inventory.property.clone();
    let mut stack = StackBuilder::new().selling([inventory]).start().await?;
    let (desk, admin) = (FrontDesk::of(&stack).await?, FrontDesk::with_role(&stack, "admin").await?);

    // A restriction, in a quote and in a rejection.
    let property = admin.send(Method::GET, &format!("/api/properties/{}", demo::PROPERTY_ID), None, &json!({})).await?;
    let closed = json!({ "changes": [{ "room_type_ids": [DORM], "from": day(50), "until": day(51),
        "restriction": { "min_stay_through": 3 } }] });
    let path = format!("/api/rate-plans/standard/restrictions?property_id={}", demo::PROPERTY_ID);
    let rev = property.header("etag").trim_matches('"').parse().ok();
    let set = admin.send(Method::PUT, &path, rev, &closed).await?;
    assert_eq!(set.status, StatusCode::OK, "{set:?}");
    let short = booking_body(DORM, day(49), 2, 1);
    let cause = json!([{ "stay": 0, "date": day(50), "kind": "min_stay_through", "limit": 3 }]);
    let quote =
        json!({ "property_id": short["property_id"], "rate_plan_id": "standard", "stays": short["stays"].clone() });
    let quoted = stack.client.post("/api/quotes", &[], &quote).await?;
    assert_eq!((quoted.problem()?, &quoted.body["cause"]["restrictions"]), ("restriction", &cause));
    let rejected = stack.client.request_booking_and_wait("short", &short).await?;
    assert_eq!((rejected.problem()?, &rejected.body["cause"]["restrictions"]), ("restriction", &cause));
    stack.record_accepted(rejected.header("location").split(['/', '?']).nth(3).context("a location")?.parse()?);

    // The deadline of free cancellation, and a fee that is not waived in silence.
    let (later, shown) = booked(&stack, "later", day(10), 1).await?;
    let until = local.time_zone.from_local_datetime(&day(8).and_time(local.check_in_from)).single();
    let until = until.context("an ordinary time")?.to_rfc3339_opts(SecondsFormat::Secs, true);
    assert_eq!(shown["cancellation"]["free_until"], until, "{shown}");
    desk.succeed(&later, "cancel", &json!({})).await?;
    let (soon, _) = booked(&stack, "soon", day(1), 1).await?;
    let cancelled = desk.succeed(&soon, "cancel", &json!({})).await?;
    assert!(cancelled.body["cancellation_fee"]["amount"].as_i64().is_some_and(|fee| fee > 0), "{cancelled:?}");
    assert_eq!(desk.succeed(&soon, "cancel", &json!({})).await?.body["rev"], cancelled.body["rev"], "nothing to do");
    let waived = desk.command(&soon, "cancel", &json!({ "waive_fee": true, "reason": "goodwill" })).await?;
    assert_eq!((waived.problem()?, &waived.body["booking_status"]), ("not_cancellable", &json!("cancelled")));
    assert!(waived.text("/detail").contains("refund"), "{waived:?}");

    // The key belongs to its first body, also where the booking is cancelled already.
    let path = format!("/api/bookings/{}/cancel?token={}", soon.id, soon.token);
    let again = |reason: &str| json!({ "reason": reason });
    let key = [("idempotency-key", "k")];
    assert_eq!(stack.client.post(&path, &key, &again("plans changed")).await?.status, StatusCode::OK);
    let reused = stack.client.post(&path, &key, &again("another reason")).await?;
    assert_eq!(reused.problem()?, "idempotency_key_reused");

    // A wrong status names itself and those that are needed.
    let (due, _) = booked(&stack, "today", day(0), 1).await?;
    let early = desk.command(&due, "checkout", &json!({})).await?;
    assert_eq!(
        (early.problem()?, &early.body["booking_status"], &early.body["needed"], early.text("/current/status")),
        ("wrong_status", &json!("confirmed"), &json!(["checked_in"]), "confirmed")
    );
    assert!(early.text("/detail").contains("Check the guests in first."), "{early:?}");
    desk.succeed(&due, "checkin", &json!({})).await?;
    let inside = desk.command(&due, "cancel", &json!({})).await?;
    assert_eq!((inside.problem()?, &inside.body["needed"]), ("not_cancellable", &json!(["held", "confirmed"])));
    assert!(inside.text("/detail").contains("Check the guests out instead"), "{inside:?}");

    // Full nights are named with their room type.
    let (_, group) = booked(&stack, "group", day(20), 8).await?;
    assert_eq!(group["status"], "confirmed", "{group}");
    let (second, _) = booked(&stack, "second", day(18), 5).await?;
    let path = format!("/api/bookings/{}", second.id);
    let longer = json!({ "stays": [{ "departure": day(21) }] });
    let full = desk.send(Method::PATCH, &path, Some(1), &longer).await?;
    let nights = json!([{ "room_type_id": DORM, "nights": [day(20)] }]);
    assert_eq!((full.problem()?, &full.body["cause"]["shortages"]), ("no_availability", &nights), "{full:?}");
    assert!(full.text("/detail").contains("Send the change with other dates"), "{full:?}");

    // To refuse by rule is no fault of the system.
    let log = stack.program("workers")?.log();
    let refusals: Vec<&str> = log.lines().filter(|line| line.contains("command refused")).collect();
    assert!(!refusals.is_empty() && refusals.iter().all(|line| line.contains("\"INFO\"")), "{refusals:?}");
    stack.end(Expectations::clean().without_mails().without_mart()).await
}

#[tokio::test]
async fn change_that_changes_nothing_keeps_the_revision() -> Result<()> {
    let (inventory, today) = free_until_two_days_before()?;
    let stack = StackBuilder::new().selling([inventory]).start().await?;
    let desk = FrontDesk::of(&stack).await?;
    let (booking, shown) = booked(&stack, "1", today + Days::new(10), 1).await?;
    let path = format!("/api/bookings/{}", booking.id);
    let guest = shown["guest"]["first_name"].clone();
    for body in [
        json!({ "guest": { "first_name": guest } }),
        json!({ "stays": [{ "arrival": shown["stays"][0]["arrival"] }] }),
        json!({ "reprice": true }),
    ] {
        let same = desk.send(Method::PATCH, &path, Some(1), &body).await?;
        assert_eq!((same.status, &same.body["rev"], same.header("etag")), (StatusCode::OK, &json!(1), "\"1\""));
    }
    let renamed = desk.send(Method::PATCH, &path, Some(1), &json!({ "guest": { "first_name": "Augusta" } })).await?;
    assert_eq!((renamed.status, &renamed.body["rev"]), (StatusCode::OK, &json!(2)));
    stack.end(Expectations::clean().without_mails().without_mart()).await
}
