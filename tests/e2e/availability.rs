//! Availability search: bookings, cancellations, blocks and rates change the next result; and the front desk's lists.

use crate::harness::{ApiResponse, Expectations, RivalWriter, SHORT_TIMEOUT, Stack, StackBuilder};
use anyhow::{Context, Result, ensure};
use chrono::Utc;
use pvt_domain::ids::RatePlanId;
use pvt_domain::inventory::{BedService, BedState, Cleanliness};
use pvt_domain::nights::Nights;
use pvt_domain::rates::restrictions::Restriction;
use pvt_domain::rates::{DateSet, RateCalendar};
use pvt_stores::mongo::audit::AuditEntry;
use pvt_testkit::{DORM, booking_body, days_from_now, dormitory, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

const PROPERTY: &str = "seek";
/// Longest delay between a decision and a search that reflects it.
const EVENT_DELAY: Duration = Duration::from_secs(1);
/// The same for a change in the store without an event.
const REFRESH_DELAY: Duration = Duration::from_secs(5);

fn body(arrival: u64, nights: u64, guests: u32) -> Value {
    let mut body = booking_body(DORM, days_from_now(arrival), nights, guests);
    body["property_id"] = json!(PROPERTY);
    body
}

async fn search(stack: &Stack, arrival: u64, nights: u64, guests: u32) -> Result<Value> {
    let (arrival, departure) = (days_from_now(arrival), days_from_now(arrival + nights));
    let answer = stack
        .client
        .get(&format!(
            "/api/rooms/search?arrival={arrival}&departure={departure}&guests={guests}&property_id={PROPERTY}"
        ))
        .await?;
    ensure!(answer.status == StatusCode::OK, "{answer:?}");
    Ok(answer.body["items"][0]["room_types"][0].clone())
}

/// Waits until a search returns this availability.
async fn wait_for_availability(stack: &Stack, stay: (u64, u64, u32), units: u64, bookable: bool) -> Result<()> {
    eventually(&format!("{units} units, bookable: {bookable}"), EVENT_DELAY, || async {
        let found = search(stack, stay.0, stay.1, stay.2).await?;
        let said = found["units_left"] == units && found["bookable"] == bookable;
        if said { Ok(Some(())) } else { anyhow::bail!("{found}") }
    })
    .await
}

async fn staff_get(stack: &Stack, key: &str, path: &str) -> Result<ApiResponse> {
    stack.client.send(Method::GET, path, &[("authorization", &format!("Bearer {key}"))], None).await
}

async fn staff_key(stack: &Stack, property: &str) -> Result<String> {
    let made = stack.pvt_json(&["keys", "create", "--role", "staff", "--property", property, "--json"]).await?;
    Ok(made["key"].as_str().context("no key")?.to_owned())
}

#[tokio::test]
async fn search_reflects_bookings_and_cancellations_immediately() -> Result<()> {
    let stack = StackBuilder::new().selling([dormitory(PROPERTY, 3)]).start().await?;
    eventually("the first search", SHORT_TIMEOUT, || async {
        Ok(search(&stack, 20, 2, 1).await.ok().filter(|found| found["units_left"] == 3))
    })
    .await?;
    let found = search(&stack, 20, 2, 2).await?;
    assert_eq!(found["offers"][0]["room"], json!({ "amount": 16_800, "currency": "CAD" }));
    let booked = stack.book("1", &body(20, 2, 2)).await?;
    let decided = stack.client.wait_for_decision(&booked).await?;
    assert_eq!(found["offers"][0]["total"], decided["price"]["total"], "the search shows the price that is charged");
    wait_for_availability(&stack, (20, 2, 1), 1, true).await?;
    wait_for_availability(&stack, (20, 2, 2), 1, false).await?;
    wait_for_availability(&stack, (22, 2, 3), 3, true).await?;
    assert_eq!(search(&stack, 20, 2, 2).await?["reason"], "no_availability");
    let full = stack.book("2", &body(21, 1, 2)).await?;
    assert_eq!(
        stack.client.wait_for_decision(&full).await?["status"],
        "rejected",
        "a stay that is not bookable is refused"
    );
    stack.client.cancel(&booked).await?;
    wait_for_availability(&stack, (20, 2, 3), 3, true).await?;

    let month = days_from_now(20).format("%Y-%m").to_string();
    let calendar =
        stack.client.get(&format!("/api/room-types/{DORM}/calendar?property_id={PROPERTY}&month={month}")).await?;
    let days = calendar.body["days"].as_array().context("no days")?;
    let day = days.iter().find(|day| day["date"] == json!(days_from_now(20))).context("the day")?;
    assert_eq!((&day["units_left"], &day["price"]["amount"]), (&json!(3), &json!(4_200)));
    let room = stack
        .client
        .get(&format!(
            "/api/rooms/r/availability?property_id={PROPERTY}&from={}&until={}",
            days_from_now(20),
            days_from_now(22)
        ))
        .await?;
    assert_eq!(
        room.body["nights"],
        json!([{ "date": days_from_now(20), "free_beds": 3 }, { "date": days_from_now(21), "free_beds": 3 }])
    );
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn blocked_beds_leave_search_results_and_stays_are_reassigned() -> Result<()> {
    let stack = StackBuilder::new().selling([dormitory(PROPERTY, 2)]).start().await?;
    eventually("the first search", SHORT_TIMEOUT, || async {
        Ok(search(&stack, 20, 4, 1).await.ok().filter(|found| found["units_left"] == 2))
    })
    .await?;
    // Each bed is occupied for half of the stay: the search knows that one stay can be reassigned.
    for (key, arrival) in [("1", 20), ("2", 22)] {
        let booked = stack.book(key, &body(arrival, 2, 1)).await?;
        stack.client.wait_for_decision(&booked).await?;
    }
    wait_for_availability(&stack, (20, 4, 1), 1, true).await?;
    let rival_writer = RivalWriter::of(&stack);
    // On free nights, because a block never takes an occupied bed.
    let block = rival_writer.block(PROPERTY, "r-2", Nights::new(days_from_now(30), days_from_now(34))).await?;
    wait_for_availability(&stack, (31, 2, 1), 1, true).await?;
    wait_for_availability(&stack, (31, 2, 2), 1, false).await?;
    rival_writer.unblock(PROPERTY, block).await?;
    wait_for_availability(&stack, (31, 2, 2), 2, true).await?;
    rival_writer.close().await;
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn search_follows_rates_restrictions_and_inventory() -> Result<()> {
    let seed = dormitory(PROPERTY, 2);
    let stack = StackBuilder::new().selling([seed.clone()]).start().await?;
    wait_for_availability(&stack, (20, 2, 1), 2, true).await?;
    let entry = |action: &str| {
        AuditEntry::new(Uuid::new_v4(), Utc::now().into(), "staff:test", action.to_owned(), PROPERTY, "")
    };
    let calendars: Vec<RateCalendar> = seed.rate_plans.iter().map(|plan| special_rates(&plan.id)).collect();
    ensure!(
        stack.mongo.rates().save(&PROPERTY.into(), seed.rev, &calendars, &entry("rates.set")).await?,
        "no other test changes the property"
    );
    eventually("too short a stay", REFRESH_DELAY, || async {
        Ok((search(&stack, 20, 2, 1).await?["bookable"] == false).then_some(()))
    })
    .await?;
    let short = search(&stack, 20, 2, 1).await?;
    assert_eq!(
        short["offers"][0]["restrictions"],
        json!([{ "kind": "min_stay_arrival", "date": days_from_now(20), "limit": 3 }])
    );
    assert_eq!(
        (&short["units_left"], short.get("reason")),
        (&json!(2), None),
        "there is room; the plans do not sell it"
    );
    let long = search(&stack, 20, 3, 1).await?;
    assert_eq!((&long["bookable"], &long["offers"][0]["room"]["amount"]), (&json!(true), &json!(2 * 4_200 + 9_900)));
    let cheap = format!(
        "/api/rooms/search?arrival={}&departure={}&property_id={PROPERTY}&max_price=9000",
        days_from_now(20),
        days_from_now(23)
    );
    assert_eq!(stack.client.get(&cheap).await?.body, json!({ "items": [] }));

    let mut changed = seed.clone();
    changed.rev = seed.rev + 2;
    changed.rooms[0]
        .bed_states
        .insert("r-2".into(), BedState { service: BedService::OutOfService, cleanliness: Cleanliness::Dirty });
    ensure!(
        stack.mongo.inventories().replace(&changed, seed.rev + 1, &entry("bed.set"), &[]).await?,
        "no other test changes the property"
    );
    eventually("a bed less", REFRESH_DELAY, || async {
        Ok((search(&stack, 20, 3, 2).await?["units_left"] == 1).then_some(()))
    })
    .await?;
    assert_eq!(search(&stack, 20, 3, 2).await?["bookable"], false);
    stack.end(Expectations::clean()).await
}

/// A minimum stay of three nights on arrival at night 20, and a special rate for night 21.
fn special_rates(plan: &RatePlanId) -> RateCalendar {
    let mut calendar = RateCalendar::new(PROPERTY.into(), plan.clone(), DORM.into());
    let night =
        |days| DateSet { range: Nights::new(days_from_now(days), days_from_now(days + 1)), weekdays: Vec::new() };
    calendar.set_restrictions(&night(20), &Restriction { min_stay_arrival: Some(3), ..Restriction::default() });
    calendar.set_prices(&night(21), Some(9_900));
    calendar
}

#[tokio::test]
async fn front_desk_sees_arrivals_and_departures_of_its_own_property_only() -> Result<()> {
    let stack = StackBuilder::new().selling([dormitory(PROPERTY, 3), dormitory("other", 1)]).start().await?;
    let booked = stack.book("1", &body(20, 2, 2)).await?;
    let decided = stack.client.wait_for_decision(&booked).await?;
    let (mine, theirs) = (staff_key(&stack, PROPERTY).await?, staff_key(&stack, "other").await?);
    let at = |part: &str| format!("/api/properties/{PROPERTY}/{part}");
    let arrivals = staff_get(&stack, &mine, &at(&format!("arrivals?date={}", days_from_now(20)))).await?;
    assert_eq!(arrivals.body["items"][0]["booking_id"], json!(booked.id), "{arrivals:?}");
    assert_eq!(arrivals.body["items"][0]["stays"][0]["assigned_beds"], decided["stays"][0]["assigned_beds"]);
    assert_eq!(arrivals.body["items"][0]["due"], decided["price"]["total"]);
    let none = staff_get(&stack, &mine, &at(&format!("arrivals?date={}", days_from_now(21)))).await?;
    assert_eq!(none.body["items"], json!([]));
    let departures = staff_get(&stack, &mine, &at(&format!("departures?date={}", days_from_now(22)))).await?;
    assert_eq!(departures.body["items"][0]["guest"]["last_name"], "Lovelace");
    let plan =
        staff_get(&stack, &mine, &at(&format!("calendar?from={}&until={}", days_from_now(19), days_from_now(25))))
            .await?;
    let entries: Vec<&Value> = plan.body["rooms"][0]["beds"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|bed| bed["entries"].get(0))
        .collect();
    assert_eq!(entries.len(), 2, "{plan:?}");
    assert_eq!(
        (&entries[0]["kind"], &entries[0]["from"], &entries[0]["until"]),
        (&json!("booking"), &json!(days_from_now(20)), &json!(days_from_now(22)))
    );
    let stats = eventually("the night's figures", EVENT_DELAY, || async {
        let stats = staff_get(&stack, &mine, &format!("/api/rooms/stats?date={}", days_from_now(20))).await?;
        Ok((stats.body["items"][0]["occupied"] == 2).then_some(stats))
    })
    .await?;
    assert_eq!((stats.body["items"].as_array().map(Vec::len), &stats.body["items"][0]["free"]), (Some(1), &json!(1)));
    assert_eq!(
        staff_get(&stack, &theirs, &format!("/api/rooms/stats?property_id={PROPERTY}")).await?.problem()?,
        "not_found"
    );
    assert_eq!(stack.client.get("/api/rooms/stats").await?.problem()?, "unauthenticated");
    for part in ["arrivals", "departures", "calendar?from=2027-01-01&until=2027-01-02"] {
        assert_eq!(staff_get(&stack, &theirs, &at(part)).await?.problem()?, "not_found");
        assert_eq!(stack.client.get(&at(part)).await?.problem()?, "unauthenticated");
    }
    stack.end(Expectations::clean()).await
}
