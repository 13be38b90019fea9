//! Life cycle of a booking over HTTP: changed, assigned, checked in, extended, shortened, checked out; and concurrent
//! changes.

use crate::harness::clock::at_noon;
use crate::harness::{AcceptedBooking, ApiResponse, Expectations, Stack, StackBuilder, booked};
use anyhow::{Context, Result, ensure};
use chrono::Days;
use futures_util::future::{join, try_join_all};
use pvt_domain::booking::{Action, Booking, Status};
use pvt_domain::demo;
use pvt_testkit::{DORM, booking_body, days_from_now, dormitory};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Mails and mart are not checked here: other journeys cover them.
fn expectations() -> Expectations {
    Expectations::clean().without_mails().without_mart()
}

/// A member of staff with an API key.
struct Staff<'a> {
    stack: &'a Stack,
    bearer: String,
}

impl<'a> Staff<'a> {
    async fn of(stack: &'a Stack) -> Result<Self> {
        Self::at(stack, &[]).await
    }

    async fn at(stack: &'a Stack, properties: &[&str]) -> Result<Self> {
        let key = stack.pvt_json(&[&["keys", "create", "--role", "staff", "--json"], properties].concat()).await?;
        Ok(Self { stack, bearer: format!("Bearer {}", key["key"].as_str().context("a key")?) })
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<ApiResponse> {
        let mut all =
            vec![("authorization", self.bearer.as_str()), ("content-type", "application/json"), ("prefer", "wait=30")];
        all.extend(headers);
        self.stack.client.send(method, &format!("/api/bookings{path}"), &all, Some(body.to_string().into_bytes())).await
    }

    async fn command(&self, booking: &AcceptedBooking, command: &str, body: &Value) -> Result<ApiResponse> {
        self.send(Method::POST, &format!("/{}/{command}", booking.id), &[], body).await
    }

    /// As [`Self::command`], which must succeed.
    async fn succeed(&self, booking: &AcceptedBooking, command: &str, body: &Value) -> Result<ApiResponse> {
        let answer = self.command(booking, command, body).await?;
        ensure!(answer.status == StatusCode::OK, "{command}: {answer:?}");
        Ok(answer)
    }

    /// Changes the newest revision, which must succeed.
    async fn change(&self, booking: &AcceptedBooking, rev: u32, body: &Value) -> Result<ApiResponse> {
        let answer =
            self.send(Method::PATCH, &format!("/{}", booking.id), &[("if-match", &format!("\"{rev}\""))], body).await?;
        ensure!(answer.status == StatusCode::OK, "{answer:?}");
        Ok(answer)
    }

    async fn read(&self, path: &str) -> Result<ApiResponse> {
        self.send(Method::GET, path, &[], &json!({})).await
    }
}

/// Books as a guest who waits for the decision.
async fn book(stack: &Stack, key: &str, body: &Value) -> Result<AcceptedBooking> {
    let answer = stack.client.request_booking_and_wait(key, body).await?;
    ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
    let booked = booked(&answer)?;
    stack.record_accepted(booked.id);
    Ok(booked)
}

/// Changes a booking as its guest, with the booking's token.
async fn guest_changes(
    stack: &Stack,
    AcceptedBooking { id, token }: &AcceptedBooking,
    headers: &[(&str, &str)],
    body: &Value,
) -> Result<ApiResponse> {
    let mut all = vec![("content-type", "application/json")];
    all.extend(headers);
    stack
        .client
        .send(Method::PATCH, &format!("/api/bookings/{id}?token={token}"), &all, Some(body.to_string().into_bytes()))
        .await
}

async fn stored(stack: &Stack, booked: &AcceptedBooking) -> Result<Booking> {
    let all = stack.stores.records().await?.bookings;
    all.into_iter().find(|booking| booking.id.as_uuid() == booked.id).context("not stored")
}

#[tokio::test]
async fn booking_lifecycle_from_request_to_check_out() -> Result<()> {
    let (inventory, today) = at_noon(demo::inventory())?;
    let stack = StackBuilder::new().selling([inventory]).start().await?;
    let staff = Staff::of(&stack).await?;
    let ours = book(&stack, "one", &booking_body(DORM, today, 2, 2)).await?;
    let followed = {
        let (client, path) = (stack.client.clone(), format!("/api/bookings/{}/events?token={}", ours.id, ours.token));
        tokio::spawn(async move { client.get(&path).await })
    };

    let longer = json!({ "stays": [{ "departure": today + Days::new(3) }], "guest": { "phone": "+15145550199" } });
    assert_eq!(guest_changes(&stack, &ours, &[], &longer).await?.problem()?, "precondition_required");
    let changed =
        guest_changes(&stack, &ours, &[("if-match", "\"1\""), ("idempotency-key", "longer")], &longer).await?;
    assert_eq!(
        (changed.status, changed.header("etag"), changed.text("/guest/phone")),
        (StatusCode::OK, "\"2\"", "+15145550199"),
        "{changed:?}"
    );
    assert_eq!(changed.body["price"]["total"]["amount"], json!(29_988), "three nights are paid for");
    let again = guest_changes(&stack, &ours, &[("if-match", "\"1\""), ("idempotency-key", "longer")], &longer).await?;
    assert_eq!(
        (again.status, again.header("idempotency-replayed"), again.header("etag")),
        (StatusCode::OK, "true", "\"2\""),
        "{again:?}"
    );
    let stale = guest_changes(&stack, &ours, &[("if-match", "\"1\"")], &longer).await?;
    assert_eq!(
        (stale.status, stale.problem()?, &stale.body["current"]["rev"]),
        (StatusCode::PRECONDITION_FAILED, "precondition_failed", &json!(2))
    );
    let beds = json!({ "stays": [{ "beds": ["d6b-5", "d6b-6"] }] });
    let refused = guest_changes(&stack, &ours, &[("if-match", "\"2\"")], &beds).await?;
    assert_eq!(
        (refused.status, refused.text("/errors/0/code")),
        (StatusCode::UNPROCESSABLE_ENTITY, "staff_only"),
        "{refused:?}"
    );

    let fee = stack
        .client
        .send(Method::DELETE, &format!("/api/bookings/{}?token={}&dry_run=true", ours.id, ours.token), &[], None)
        .await?;
    assert_eq!(
        (fee.status, &fee.body["fee"]["amount"]),
        (StatusCode::OK, &json!(29_988)),
        "less than a day before arrival it is everything: {fee:?}"
    );

    let moved = staff
        .succeed(
            &ours,
            "assign",
            &json!({ "assignments": [{ "stay": 0, "beds": ["d6b-5", "d6b-6"], "locked": true }],
            "reason": "a window" }),
        )
        .await?;
    assert_eq!(
        (&moved.body["stays"][0]["assigned_beds"], &moved.body["stays"][0]["locked"]),
        (&json!(["d6b-5", "d6b-6"]), &json!(true))
    );
    assert_eq!(staff.command(&ours, "checkout", &json!({})).await?.problem()?, "wrong_status");
    assert_eq!(staff.succeed(&ours, "checkin", &json!({})).await?.text("/status"), "checked_in");
    let inside = guest_changes(&stack, &ours, &[("if-match", "\"4\"")], &json!({ "stays": [{ "guests": 1 }] })).await?;
    assert_eq!(inside.problem()?, "wrong_status", "after check-in only the front desk changes a stay");
    let extended = staff
        .change(
            &ours,
            4,
            &json!({ "stays": [{ "departure": today + Days::new(6) }], "reprice": false, "reason": "goodwill" }),
        )
        .await?;
    assert_eq!(
        (extended.text("/stays/0/departure"), &extended.body["price"]["total"]["amount"]),
        (&*(today + Days::new(6)).to_string(), &json!(29_988))
    );
    staff.change(&ours, 5, &json!({ "stays": [{ "departure": today + Days::new(2) }] })).await?;

    assert_eq!(staff.command(&ours, "checkout", &json!({})).await?.problem()?, "balance_open");
    assert_eq!(
        staff.command(&ours, "checkout", &json!({ "allow_open_balance": true })).await?.text("/errors/0/pointer"),
        "/reason"
    );
    let left = staff
        .succeed(&ours, "checkout", &json!({ "allow_open_balance": true, "reason": "invoice to the school" }))
        .await?;
    assert_eq!(
        (left.text("/status"), left.text("/stays/0/departure")),
        ("checked_out", &*(today + Days::new(1)).to_string()),
        "{left:?}"
    );
    assert_eq!(staff.command(&ours, "cancel", &json!({})).await?.problem()?, "not_cancellable");

    let history = staff.read(&format!("/{}/history", ours.id)).await?;
    let actions: Vec<&str> =
        history.body["items"].as_array().into_iter().flatten().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(actions, ["request", "modify", "assign", "check_in", "modify", "modify", "check_out"], "{history:?}");
    let actors: Vec<bool> = history.body["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry["actor"].as_str()? == "guest"))
        .collect();
    assert_eq!(actors, [true, true, false, false, false, false, false]);
    assert_eq!(
        (history.text("/items/2/reason"), history.text("/items/6/reason")),
        ("a window", "invoice to the school")
    );
    let first = &history.body["items"][1]["changes"];
    assert_eq!((&first["total"]["after"]["amount"], &first["guest"]), (&json!(29_988), &json!(true)));
    assert_eq!(
        stack.client.get(&format!("/api/bookings/{}/history?token={}", ours.id, ours.token)).await?.problem()?,
        "unauthenticated"
    );

    let received = followed.await??;
    let text = received.body.as_str().unwrap_or_default();
    let events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(
        (received.header("content-type"), &events[events.len() - 2..]),
        ("text/event-stream", &["modify", "check_out"][..]),
        "{text}"
    );
    let revs: Vec<u32> = text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
    assert!(revs.windows(2).all(|pair| pair[1] == pair[0] + 1) && revs.last() == Some(&7), "{revs:?}");
    assert!(!text.contains("Lovelace") && !text.contains("staff:"), "{text}");
    let known = stack
        .client
        .send(
            Method::GET,
            &format!("/api/bookings/{}/events?token={}", ours.id, ours.token),
            &[("last-event-id", "7")],
            None,
        )
        .await?;
    assert_eq!(known.status, StatusCode::NO_CONTENT, "no further change is possible");
    let file = stack.client.get(&format!("/api/bookings/{}/calendar.ics?token={}", ours.id, ours.token)).await?;
    assert!(file.body.as_str().is_some_and(|text| text.contains(&format!("UID:{}", ours.id))), "{file:?}");
    stack.end(expectations()).await
}

#[tokio::test]
async fn bookings_are_listed_to_authorized_callers_only() -> Result<()> {
    let elsewhere = dormitory("elsewhere", 2);
    let stack = StackBuilder::new().selling([demo::inventory(), elsewhere]).start().await?;
    let staff = Staff::of(&stack).await?;
    let client = stack.pvt_json(&["keys", "create", "--role", "client", "--json"]).await?;
    let bearer = format!("Bearer {}", client["key"].as_str().context("a key")?);
    for number in 0..5_u64 {
        let mut body = booking_body(DORM, days_from_now(20 + number), 1, 1);
        body["guest"]["email"] = json!(format!("guest-{number}@example.com"));
        book(&stack, &number.to_string(), &body).await?;
    }
    let headers = [("idempotency-key", "ours"), ("prefer", "wait=30"), ("authorization", bearer.as_str())];
    let mut other = booking_body(DORM, days_from_now(40), 1, 1);
    other["property_id"] = json!("elsewhere");
    let ours = stack.client.post("/api/bookings", &headers, &other).await?;
    stack.record_accepted(ours.text("/id").parse()?);
    let references = |answer: &ApiResponse| -> Vec<String> {
        answer.body["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|item| Some(item["reference"].as_str()?.to_owned()))
            .collect()
    };

    let own = stack.client.send(Method::GET, "/api/bookings", &[("authorization", &bearer)], None).await?;
    assert_eq!(references(&own), [ours.text("/reference")], "a client sees its own");
    assert_eq!(stack.client.get("/api/bookings").await?.problem()?, "unauthenticated");
    let mut seen = BTreeSet::new();
    let mut path = "?property_id=pvt-montreal&limit=2".to_owned();
    for pages in 1.. {
        let page = staff.read(&path).await?;
        seen.extend(references(&page));
        match page.header("link").split_once('>') {
            Some((link, _)) => link.trim_start_matches("</api/bookings").clone_into(&mut path),
            None => {
                assert_eq!((pages, seen.len()), (3, 5));
                break;
            }
        }
    }
    assert_eq!(references(&staff.read("").await?).len(), 6, "staff of all properties");
    let range = format!("?status=confirmed&arrival_from={}&arrival_until={}", days_from_now(21), days_from_now(22));
    assert_eq!(references(&staff.read(&range).await?).len(), 2);
    assert_eq!(references(&staff.read("?email=guest-3%40example.com").await?).len(), 1);
    let one = seen.first().context("a reference")?;
    assert_eq!(
        references(&staff.read(&format!("?reference={}", one.to_lowercase())).await?),
        std::slice::from_ref(one)
    );
    let foreign = Staff::at(&stack, &["--property", "elsewhere"]).await?;
    assert_eq!(references(&foreign.read("").await?), [ours.text("/reference")], "staff of one property");
    assert_eq!(foreign.read("?property_id=pvt-montreal").await?.problem()?, "not_found");
    let theirs = staff.read("?property_id=pvt-montreal&limit=1").await?;
    let id = theirs.text("/items/0/id");
    for (method, path, body) in [
        (Method::GET, "", json!({})),
        (Method::GET, "/history", json!({})),
        (Method::GET, "/events", json!({})),
        (Method::GET, "/calendar.ics", json!({})),
        (Method::PATCH, "", json!({ "reprice": true })),
        (Method::DELETE, "", json!({})),
        (Method::POST, "/cancel", json!({ "dry_run": true })),
        (Method::POST, "/checkin", json!({})),
        (Method::POST, "/checkout", json!({})),
        (Method::POST, "/no-show", json!({})),
        (Method::POST, "/reinstate", json!({ "reason": "a slip" })),
        (Method::POST, "/assign", json!({ "assignments": [{ "stay": 0, "locked": true }] })),
        (Method::POST, "/confirm", json!({})),
    ] {
        let answer = foreign.send(method.clone(), &format!("/{id}{path}"), &[("if-match", "\"1\"")], &body).await?;
        assert_eq!((answer.status, answer.problem()?), (StatusCode::NOT_FOUND, "not_found"), "{method} {path}");
    }
    for (query, code) in
        [("?status=gone", "invalid_query"), ("?arrival_from=x", "invalid_query"), ("?property_id=castle", "not_found")]
    {
        assert_eq!(staff.read(query).await?.problem()?, code, "{query}");
    }
    stack.end(expectations()).await
}

#[tokio::test]
async fn hundred_concurrent_changes_are_serialized_or_refused() -> Result<()> {
    const CHANGES: usize = 100;
    let stack = StackBuilder::new().start().await?;
    let staff = Staff::of(&stack).await?;
    let ours = book(&stack, "one", &booking_body(DORM, days_from_now(20), 2, 1)).await?;
    let names: Vec<Value> =
        (0..CHANGES).map(|number| json!({ "guest": { "first_name": format!("Ada {number}") } })).collect();
    let answers = try_join_all(
        names.iter().map(|body| guest_changes(&stack, &ours, &[("if-match", "\"1\""), ("prefer", "wait=30")], body)),
    )
    .await?;
    let (done, refused): (Vec<&ApiResponse>, Vec<&ApiResponse>) =
        answers.iter().partition(|answer| answer.status == StatusCode::OK);
    assert_eq!((done.len(), refused.len()), (1, CHANGES - 1), "one of the changes to the first revision");
    for answer in refused {
        assert_eq!(
            (answer.status, answer.problem()?, &answer.body["current"]["rev"]),
            (StatusCode::PRECONDITION_FAILED, "precondition_failed", &json!(2))
        );
    }
    assert_eq!(stored(&stack, &ours).await?.guest.first_name, done[0].text("/guest/first_name"));

    // A change without `If-Match` applies to any revision.
    let locks: Vec<Value> = (0..CHANGES)
        .map(|number| {
            json!({ "assignments": [{ "stay": 0, "locked": number % 2 == 0 }],
            "reason": format!("change {number}") })
        })
        .collect();
    let answers = try_join_all(locks.iter().map(|body| staff.command(&ours, "assign", body))).await?;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK), "{answers:?}");
    let after = stored(&stack, &ours).await?;
    let reasons: BTreeSet<&str> = after
        .history
        .iter()
        .filter(|entry| entry.action == Action::Assign)
        .filter_map(|entry| entry.reason.as_deref())
        .collect();
    assert_eq!((after.rev, reasons.len()), (u32::try_from(CHANGES)? + 2, CHANGES), "each left a history entry");
    stack.end(expectations()).await
}

#[tokio::test]
async fn concurrent_check_in_and_cancel_have_one_winner() -> Result<()> {
    const ROUNDS: usize = 12;
    let (inventory, today) = at_noon(demo::inventory())?;
    let stack = StackBuilder::new().selling([inventory]).start().await?;
    let staff = Staff::of(&stack).await?;
    let keys: Vec<String> = (0..ROUNDS).map(|number| number.to_string()).collect();
    let body = booking_body(DORM, today, 1, 1);
    let bookings = try_join_all(keys.iter().map(|key| book(&stack, key, &body))).await?;
    let races = bookings.iter().map(async |booking| {
        let (came, went) = join(staff.command(booking, "checkin", &json!({})), stack.client.cancel(booking)).await;
        anyhow::Ok((came?, went?))
    });
    for (booking, (came, went)) in bookings.iter().zip(try_join_all(races).await?) {
        let (loser, code, status) = match (came.status, went.status) {
            (StatusCode::OK, StatusCode::CONFLICT) => (&went, "not_cancellable", Status::CheckedIn),
            (StatusCode::CONFLICT, StatusCode::OK) => (&came, "wrong_status", Status::Cancelled),
            _ => anyhow::bail!("{came:?}\n{went:?}"),
        };
        // The winner was stored before the loser's request was read, or after.
        assert!([code, "concurrent_change"].contains(&loser.problem()?), "{loser:?}");
        assert_eq!(loser.text("/current/status"), status.as_str(), "the loser sees what is now");
        assert_eq!((stored(&stack, booking).await?.status, stored(&stack, booking).await?.rev), (status, 2));
    }
    stack.end(expectations()).await
}

#[tokio::test]
async fn group_booking_without_availability_is_refused_with_alternatives() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let staff = Staff::of(&stack).await?;
    let group = booking_body(DORM, days_from_now(20), 2, 12);
    let alone = stack.client.request_booking("alone", &group).await?;
    assert_eq!(alone.text("/errors/0/code"), "too_many_guests", "{alone:?}");
    let made = staff.send(Method::POST, "", &[("idempotency-key", "group")], &group).await?;
    assert_eq!((made.status, made.text("/status")), (StatusCode::CREATED, "confirmed"), "{made:?}");
    stack.record_accepted(made.text("/id").parse()?);
    let beds: BTreeSet<&str> =
        made.body["stays"][0]["assigned_beds"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(beds.len(), 12);

    let more = staff
        .send(Method::POST, "", &[("idempotency-key", "more")], &booking_body(DORM, days_from_now(21), 2, 8))
        .await?;
    assert_eq!((more.status, more.problem()?), (StatusCode::CONFLICT, "no_availability"), "{more:?}");
    let offered = more.body["alternatives"].as_array().context("alternatives")?;
    assert!(
        (1..=3).contains(&offered.len()) && offered.iter().all(|one| one["total"]["amount"].as_i64() > Some(0)),
        "{more:?}"
    );
    let mut other = booking_body(DORM, days_from_now(21), 2, 8);
    other["stays"] = offered[0]["stays"].clone();
    let retried = staff.send(Method::POST, "", &[("idempotency-key", "other")], &other).await?;
    stack.record_accepted(retried.text("/id").parse()?);
    assert_eq!(retried.status, StatusCode::CREATED, "what is offered can be had: {retried:?}");
    let longer = staff
        .send(
            Method::PATCH,
            &format!("/{}", made.text("/id")),
            &[("if-match", "\"1\"")],
            &json!({ "stays": [{ "guests": 13 }] }),
        )
        .await?;
    assert_eq!(longer.text("/errors/0/code"), "over_capacity", "{longer:?}");
    stack.end(expectations()).await
}

#[tokio::test]
async fn reassignment_makes_room_for_a_stay_and_is_recorded_in_history() -> Result<()> {
    const PROPERTY: &str = "narrow";
    let stack = StackBuilder::new().selling([dormitory(PROPERTY, 2)]).start().await?;
    let staff = Staff::of(&stack).await?;
    let body = |first: u64, nights: u64| {
        let mut body = booking_body(DORM, days_from_now(first), nights, 1);
        body["property_id"] = json!(PROPERTY);
        body
    };
    let first = book(&stack, "first", &body(20, 1)).await?;
    let second = book(&stack, "second", &body(21, 1)).await?;
    for (booking, bed) in [(&first, "r-1"), (&second, "r-2")] {
        staff.succeed(booking, "assign", &json!({ "assignments": [{ "stay": 0, "beds": [bed] }] })).await?;
    }
    let taken = staff.command(&first, "assign", &json!({ "assignments": [{ "stay": 0, "beds": ["r-3"] }] })).await?;
    assert_eq!(taken.problem()?, "bed_unfit");
    let through = book(&stack, "through", &body(20, 2)).await?;
    let (first, second, through) =
        (stored(&stack, &first).await?, stored(&stack, &second).await?, stored(&stack, &through).await?);
    assert_eq!(first.stays[0].assigned_beds, second.stays[0].assigned_beds, "one of the two was reassigned");
    let moved: Vec<&Booking> = [&first, &second]
        .into_iter()
        .filter(|booking| booking.history.last().is_some_and(|entry| entry.action == Action::Move))
        .collect();
    assert_eq!(moved.len(), 1, "and only one");
    assert_eq!(through.history[0].moved, [moved[0].id]);
    let history = staff.read(&format!("/{}/history", moved[0].id)).await?;
    let last = history.body["items"].as_array().and_then(|items| items.last()).context("an entry")?;
    assert_eq!(
        (&last["action"], last["changes"]["stays"].as_array().map(Vec::len)),
        (&json!("move"), Some(1)),
        "{last}"
    );

    let free = through.stays[0].assigned_beds.clone();
    let blocked = staff
        .send(
            Method::POST,
            &format!("/{}/assign", first.id),
            &[],
            &json!({ "assignments": [{ "stay": 0, "beds": free }] }),
        )
        .await?;
    assert_eq!(
        (blocked.problem()?, &blocked.body["bookings"]),
        ("bed_taken", &json!([through.id])),
        "staff learn who is in the way"
    );
    stack.end(expectations()).await
}
