//! A property set up over HTTP: rooms, rates, restrictions and blocks; and changes that race bookings or each other.

use crate::harness::{ApiResponse, Expectations, SHORT_TIMEOUT, Stack, StackBuilder};
use anyhow::{Context, Result, ensure};
use chrono::Datelike as _;
use futures_util::future::try_join_all;
use pvt_testkit::{DORM, booking_body, days_from_now, dormitory, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PROPERTY: &str = "pvt-quebec";

/// Mails and mart are not checked here: other journeys cover them.
fn expectations() -> Expectations {
    Expectations::clean().without_mails().without_mart()
}

/// A caller with an API key.
struct Key<'a> {
    stack: &'a Stack,
    bearer: String,
}

impl<'a> Key<'a> {
    async fn of(stack: &'a Stack, role: &str, more: &[&str]) -> Result<Self> {
        let key = stack.pvt_json(&[&["keys", "create", "--role", role, "--json"], more].concat()).await?;
        Ok(Self { stack, bearer: format!("Bearer {}", key["key"].as_str().context("a key")?) })
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<ApiResponse> {
        let mut all =
            vec![("authorization", self.bearer.as_str()), ("content-type", "application/json"), ("prefer", "wait=30")];
        all.extend(headers);
        self.stack.client.send(method, &format!("/api{path}"), &all, Some(body.to_string().into_bytes())).await
    }

    /// Creates an object under its own idempotency key.
    async fn make(&self, path: &str, key: &str, body: &Value) -> Result<ApiResponse> {
        self.send(Method::POST, path, &[("idempotency-key", key)], body).await
    }

    async fn made(&self, path: &str, key: &str, body: &Value) -> Result<ApiResponse> {
        let answer = self.make(path, key, body).await?;
        ensure!(answer.status == StatusCode::CREATED, "{path} {body}: {answer:?}");
        Ok(answer)
    }

    /// Changes the property at its current revision.
    async fn change(&self, method: Method, path: &str, body: &Value) -> Result<ApiResponse> {
        let now = self.stack.client.get(&format!("/api/properties/{PROPERTY}")).await?;
        self.send(method, path, &[("if-match", now.header("etag"))], body).await
    }
}

/// `pvt-quebec` with one dorm of four beds, sold for 40 dollars a night without tax.
async fn set_up(admin: &Key<'_>) -> Result<()> {
    let property = json!({ "id": PROPERTY, "name": "PVT Québec", "address": "19 rue Sainte-Ursule, \
        Québec", "time_zone": "America/Toronto", "currency": "CAD" });
    admin.made("/properties", "property", &property).await?;
    admin
        .made(
            "/room-types",
            "type",
            &json!({ "property_id": PROPERTY, "id": DORM, "name": "Bed in 4-bed dorm", "kind": "dorm" }),
        )
        .await?;
    let beds = ["q1-1", "q1-2", "q1-3", "q1-4"];
    admin
        .made("/rooms", "room", &json!({ "property_id": PROPERTY, "id": "q1", "room_type_id": DORM, "beds": beds }))
        .await?;
    let plan =
        json!({ "property_id": PROPERTY, "id": "standard", "name": "Standard", "nightly": { DORM: cad(4_000) } });
    admin.made("/rate-plans", "plan", &plan).await?;
    Ok(())
}

fn cad(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "CAD" })
}

fn booking_for(first: u64, nights: u64, guests: u32) -> Value {
    let mut body = booking_body(DORM, days_from_now(first), nights, guests);
    body["property_id"] = json!(PROPERTY);
    body
}

async fn booked(stack: &Stack, key: &str, body: &Value) -> Result<ApiResponse> {
    let answer = stack.client.request_booking_and_wait(key, body).await?;
    ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
    stack.record_accepted(answer.text("/id").parse()?);
    Ok(answer)
}

fn total(answer: &ApiResponse) -> Option<i64> {
    answer.body["price"]["total"]["amount"].as_i64()
}

#[tokio::test]
async fn property_created_by_api_sells_at_its_rates() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let admin = Key::of(&stack, "admin", &[]).await?;
    set_up(&admin).await?;
    let policy = json!({ "property_id": PROPERTY, "id": "strict", "name": "Strict",
        "tiers": [{ "hours_before": 0, "fee": { "kind": "percent", "ppm": 1_000_000 } }] });
    admin.made("/cancellation-policies", "strict", &policy).await?;
    let set = admin
        .change(
            Method::PATCH,
            &format!("/rate-plans/standard?property_id={PROPERTY}"),
            &json!({ "cancellation_policy_id": "strict" }),
        )
        .await?;
    assert_eq!((set.status, set.text("/cancellation_policy_id")), (StatusCode::OK, "strict"), "{set:?}");

    // Two nights, the second of which is the more expensive weekday.
    let weekday =
        ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][days_from_now(41).weekday().num_days_from_monday() as usize];
    let season = |price: Value| {
        json!({ "changes": [{ "room_type_ids": [DORM], "from": days_from_now(30), "until": days_from_now(60),
        "weekdays": [weekday], "price": price }] })
    };
    let calendar = format!("/rate-plans/standard/calendar?property_id={PROPERTY}");
    let priced = admin.change(Method::PUT, &calendar, &season(cad(5_500))).await?;
    assert_eq!(priced.status, StatusCode::OK, "{priced:?}");
    let days = stack
        .client
        .get(&format!("/api{calendar}&room_type_id={DORM}&from={}&until={}", days_from_now(40), days_from_now(43)))
        .await?;
    let prices: Vec<_> =
        days.body["days"].as_array().into_iter().flatten().map(|day| day["price"]["amount"].as_i64()).collect();
    assert_eq!(prices, [Some(4_000), Some(5_500), Some(4_000)], "{days:?}");

    let quoted = stack
        .client
        .post(
            "/api/quotes",
            &[],
            &json!({ "property_id": PROPERTY, "rate_plan_id": "standard", "stays": booking_for(40, 2, 2)["stays"] }),
        )
        .await?;
    assert_eq!((quoted.status, total(&quoted)), (StatusCode::OK, Some(19_000)), "{quoted:?}");
    assert_eq!(
        total(&booked(&stack, "before", &booking_for(40, 2, 1)).await?),
        Some(9_500),
        "the worker follows the season at once"
    );
    admin.change(Method::PUT, &calendar, &season(cad(9_900))).await?;
    let mut with_quote = booking_for(40, 2, 2);
    with_quote["quote"] = quoted.body["quote"].clone();
    let promised = booked(&stack, "quoted", &with_quote).await?;
    assert_eq!(
        (total(&promised), total(&booked(&stack, "after", &booking_for(40, 2, 1)).await?)),
        (Some(19_000), Some(13_900)),
        "a quote is a promise"
    );
    let mut forged = with_quote.clone();
    forged["quote"] = json!(format!("{}x", quoted.text("/quote")));
    assert_eq!(stack.client.request_booking("forged", &forged).await?.text("/errors/0/code"), "invalid_quote");
    let mut other = with_quote;
    other["stays"][0]["guests"] = json!(1);
    assert_eq!(stack.client.request_booking("other", &other).await?.text("/errors/0/code"), "quote_of_other_stays");

    let path = format!("/api/bookings/{}?token={}&dry_run=true", promised.text("/id"), promised.text("/token"));
    let fee = stack.client.send(Method::DELETE, &path, &[], None).await?;
    assert_eq!(fee.body["fee"]["amount"], json!(19_000), "the policy that was set");

    let closed = json!({ "changes": [{ "room_type_ids": [DORM], "from": days_from_now(50), "until": days_from_now(51),
        "restriction": { "stop_sell": true } }] });
    let restrictions = format!("/rate-plans/standard/restrictions?property_id={PROPERTY}");
    assert_eq!(admin.change(Method::PUT, &restrictions, &closed).await?.status, StatusCode::OK);
    assert_eq!(
        stack.client.request_booking_and_wait("closed", &booking_for(49, 2, 1)).await?.problem()?,
        "restriction"
    );
    let mut anyway = booking_for(49, 2, 1);
    anyway["override_restrictions"] = json!(true);
    let sold = admin.made("/bookings", "anyway", &anyway).await?;
    stack.record_accepted(sold.text("/id").parse()?);
    let lifted = json!({ "changes": [{ "room_type_ids": [DORM], "from": days_from_now(50),
        "until": days_from_now(51), "restriction": {} }] });
    admin.change(Method::PUT, &restrictions, &lifted).await?;
    booked(&stack, "open", &booking_for(49, 2, 1)).await?;

    let audit =
        admin.send(Method::GET, &format!("/audit?subject={PROPERTY}%7Crate_plan:standard"), &[], &json!({})).await?;
    let actions: Vec<&str> =
        audit.body["items"].as_array().into_iter().flatten().filter_map(|entry| entry["action"].as_str()).collect();
    let expected = ["set_restrictions", "set_restrictions", "set_prices", "set_prices", "change", "create"]
        .map(|action| format!("rate_plan.{action}"));
    assert_eq!(actions, expected, "{audit:?}");
    assert!(
        audit.text("/items/2/detail").contains("9900") && audit.text("/items/4/detail").contains("strict"),
        "{audit:?}"
    );
    stack.end(expectations()).await
}

#[tokio::test]
async fn inventory_changes_require_if_match_and_replays_create_nothing_twice() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let admin = Key::of(&stack, "admin", &[]).await?;
    set_up(&admin).await?;
    let room = json!({ "property_id": PROPERTY, "id": "q2", "room_type_id": DORM, "beds": ["q2-1"] });
    let first = admin.made("/rooms", "q2", &room).await?;
    let again = admin.made("/rooms", "q2", &room).await?;
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    let mut other = room.clone();
    other["beds"] = json!(["q2-2"]);
    assert_eq!(admin.make("/rooms", "q2", &other).await?.problem()?, "idempotency_key_reused");
    assert_eq!(admin.make("/rooms", "another", &other).await?.problem()?, "already_exists");
    let gone = admin.send(Method::DELETE, &format!("/rooms/q2?property_id={PROPERTY}"), &[], &json!({})).await?;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{gone:?}");
    assert_eq!(
        admin.make("/rooms", "q2", &room).await?.problem()?,
        "not_found",
        "a late repetition brings nothing back"
    );
    admin.made("/rooms", "q2 again", &room).await?;
    let faulty = json!({ "property_id": PROPERTY, "id": "q 3", "room_type_id": "castle", "beds": ["q1-1"] });
    let refused = admin.make("/rooms", "faulty", &faulty).await?;
    let faults: BTreeSet<(&str, &str)> = refused.body["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|fault| Some((fault["pointer"].as_str()?, fault["code"].as_str()?)))
        .collect();
    assert_eq!(
        faults,
        BTreeSet::from([("/id", "invalid_id"), ("/room_type_id", "unknown_room_type"), ("/beds/0", "duplicate")]),
        "{refused:?}"
    );

    let name = json!({ "name": "PVT Vieux-Québec" });
    let path = format!("/properties/{PROPERTY}");
    assert_eq!(admin.send(Method::PATCH, &path, &[], &name).await?.problem()?, "precondition_required");
    assert_eq!(
        admin.send(Method::PATCH, &path, &[("if-match", "\"1\"")], &name).await?.problem()?,
        "precondition_failed"
    );
    let changed = admin.change(Method::PATCH, &path, &name).await?;
    assert_eq!((changed.status, changed.text("/name")), (StatusCode::OK, "PVT Vieux-Québec"), "{changed:?}");
    assert_eq!(
        admin.change(Method::PATCH, &path, &json!({ "currency": "EUR" })).await?.text("/errors/0/code"),
        "unknown_field"
    );

    // Many callers at once, each reading, changing and writing the whole property.
    let makes = (0..12).map(|number| {
        let room = json!({ "property_id": PROPERTY, "id": format!("r{number}"), "room_type_id": DORM,
            "beds": [format!("r{number}-1")] });
        let (admin, key) = (&admin, format!("r{number}"));
        async move { admin.made("/rooms", &key, &room).await }
    });
    try_join_all(makes).await?;
    let rooms = stack.client.get(&format!("/api/rooms?property_id={PROPERTY}")).await?;
    assert_eq!(rooms.body["items"].as_array().map(Vec::len), Some(14), "{rooms:?}");

    let staff = Key::of(&stack, "staff", &["--property", "pvt-montreal"]).await?;
    assert_eq!(staff.make("/rooms", "theirs", &room).await?.problem()?, "forbidden");
    let block = json!({ "property_id": PROPERTY, "kind": "maintenance", "bed_ids": ["q2-1"],
        "from": days_from_now(3), "until": days_from_now(4) });
    assert_eq!(staff.make("/blocks", "theirs", &block).await?.problem()?, "not_found");
    assert_eq!(
        staff.send(Method::GET, &format!("/blocks?property_id={PROPERTY}"), &[], &json!({})).await?.problem()?,
        "not_found"
    );
    let bed = staff
        .send(Method::PATCH, &format!("/beds/q2-1?property_id={PROPERTY}"), &[], &json!({ "cleanliness": "dirty" }))
        .await?;
    assert_eq!(bed.problem()?, "not_found");
    stack.end(expectations()).await
}

#[tokio::test]
async fn occupied_beds_cannot_be_removed() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let admin = Key::of(&stack, "admin", &[]).await?;
    set_up(&admin).await?;
    let guest = booked(&stack, "guest", &booking_for(20, 3, 3)).await?;
    let beds: Vec<&str> =
        guest.body["stays"][0]["assigned_beds"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let free = ["q1-1", "q1-2", "q1-3", "q1-4"].into_iter().find(|bed| !beds.contains(bed)).context("a free bed")?;
    let room = format!("/rooms/q1?property_id={PROPERTY}");
    let in_the_way = json!([guest.text("/id")]);

    let refused = admin.send(Method::DELETE, &room, &[], &json!({})).await?;
    assert_eq!((refused.problem()?, &refused.body["bookings"]), ("bed_taken", &in_the_way), "{refused:?}");
    let refused = admin.change(Method::PUT, &room, &json!({ "room_type_id": DORM, "beds": [free] })).await?;
    assert_eq!((refused.problem()?, &refused.body["bookings"]), ("bed_taken", &in_the_way), "{refused:?}");
    let state = json!({ "service": "out_of_service" });
    let refused = admin.send(Method::PATCH, &format!("/beds/{}?property_id={PROPERTY}", beds[0]), &[], &state).await?;
    assert_eq!((refused.problem()?, &refused.body["bookings"]), ("bed_taken", &in_the_way), "{refused:?}");
    let second = booked(&stack, "second", &booking_for(40, 1, 4)).await?;
    let refused = admin.send(Method::DELETE, &room, &[], &json!({})).await?;
    let named: BTreeSet<&str> =
        refused.body["bookings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(
        named,
        BTreeSet::from([guest.text("/id"), second.text("/id")]),
        "all that are in the way are named at once"
    );
    stack
        .client
        .send(
            Method::DELETE,
            &format!("/api/bookings/{}?token={}", second.text("/id"), second.text("/token")),
            &[],
            None,
        )
        .await?;
    let claims = |left: usize| {
        let stores = &stack.stores;
        move || async move { Ok((stores.records().await?.claims.len() == left).then_some(())) }
    };
    // Released after the response, and not at once: the block covers every night that can be sold.
    eventually("the beds blocked for the change are released", SHORT_TIMEOUT, claims(9)).await?;

    let gone = admin.send(Method::PATCH, &format!("/beds/{free}?property_id={PROPERTY}"), &[], &state).await?;
    assert_eq!((gone.status, gone.text("/service")), (StatusCode::OK, "out_of_service"), "{gone:?}");
    assert_eq!(
        stack.client.request_booking_and_wait("full", &booking_for(20, 1, 1)).await?.problem()?,
        "no_availability"
    );
    let back = admin
        .send(Method::PATCH, &format!("/beds/{free}?property_id={PROPERTY}"), &[], &json!({ "service": "active" }))
        .await?;
    assert_eq!(back.status, StatusCode::OK, "{back:?}");
    let last = booked(&stack, "last", &booking_for(20, 1, 1)).await?;
    for guest in [&guest, &last] {
        let cancelled = stack
            .client
            .send(
                Method::DELETE,
                &format!("/api/bookings/{}?token={}", guest.text("/id"), guest.text("/token")),
                &[],
                None,
            )
            .await?;
        assert_eq!(cancelled.text("/status"), "cancelled", "{cancelled:?}");
    }
    let shorter = admin.change(Method::PUT, &room, &json!({ "room_type_id": DORM, "beds": ["q1-1"] })).await?;
    assert_eq!(shorter.status, StatusCode::OK, "{shorter:?}");
    assert_eq!(
        stack.client.request_booking("two", &booking_for(20, 1, 2)).await?.text("/errors/0/code"),
        "over_capacity"
    );
    let deleted = admin.send(Method::DELETE, &room, &[], &json!({})).await?;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{deleted:?}");
    assert_eq!(admin.send(Method::DELETE, &room, &[], &json!({})).await?.problem()?, "not_found");
    eventually("no bed is blocked any more", SHORT_TIMEOUT, claims(0)).await?;
    stack.end(expectations()).await
}

#[tokio::test]
async fn block_racing_a_booking_never_takes_an_occupied_bed() -> Result<()> {
    const ROUNDS: u64 = 12;
    let stack = StackBuilder::new().selling([dormitory(PROPERTY, 4)]).start().await?;
    let staff = Key::of(&stack, "staff", &["--property", PROPERTY]).await?;
    let beds: Vec<String> = (1..=4).map(|bed| format!("r-{bed}")).collect();
    let rounds = (0..ROUNDS).map(|round| {
        let (stack, staff, beds) = (&stack, &staff, &beds);
        async move {
            // Blocks all four beds for three nights while a guest requests the middle one.
            let first = 20 + 4 * round;
            let block = json!({ "property_id": PROPERTY, "kind": "maintenance", "bed_ids": beds,
                "from": days_from_now(first),
                    "until": days_from_now(first + 3), "reason": "paint" });
            let key = round.to_string();
            let request = booking_for(first + 1, 1, 1);
            let (blocked, guest) = tokio::try_join!(
                staff.make("/blocks", &key, &block),
                stack.client.request_booking_and_wait(&key, &request)
            )?;
            anyhow::Ok((first, blocked, guest))
        }
    });
    let mut lifted = Vec::new();
    for (first, blocked, guest) in try_join_all(rounds).await? {
        match (blocked.status, guest.status) {
            (StatusCode::CREATED, StatusCode::CONFLICT) => {
                assert_eq!(guest.problem()?, "no_availability");
                lifted.push((first, blocked.text("/id").to_owned()));
            }
            (StatusCode::CONFLICT, StatusCode::CREATED) => {
                stack.record_accepted(guest.text("/id").parse()?);
                assert_eq!(
                    (blocked.problem()?, &blocked.body["bookings"]),
                    ("bed_taken", &json!([guest.text("/id")])),
                    "{blocked:?}"
                );
            }
            _ => anyhow::bail!("{blocked:?}\n{guest:?}"),
        }
    }
    stack.wait_until_quiet(&expectations()).await?;
    let list = staff.send(Method::GET, &format!("/blocks?property_id={PROPERTY}"), &[], &json!({})).await?;
    assert_eq!(list.body["items"].as_array().map(Vec::len), Some(lifted.len()), "{list:?}");
    for (first, id) in lifted {
        let answer = staff.send(Method::DELETE, &format!("/blocks/{id}"), &[], &json!({})).await?;
        assert_eq!((answer.status, answer.text("/status")), (StatusCode::OK, "lifted"), "{answer:?}");
        booked(&stack, &format!("after-{first}"), &booking_for(first + 1, 1, 4)).await?;
    }
    stack.end(expectations()).await
}
