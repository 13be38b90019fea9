//! Idempotency of booking requests: a repeated request is the same booking, and never another caller's.

use crate::checked_in::{WORKERS, while_killed};
use crate::harness::{ApiResponse, Expectations, RivalWriter, SHORT_TIMEOUT, Stack, StackBuilder, booked};
use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use pvt_domain::ids::BookingId;
use pvt_testkit::{DORM, booking_body, days_from_now, earlier_fingerprint, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

const REPLAYED: &str = "idempotency-replayed";

#[tokio::test]
async fn fifty_concurrent_identical_requests_make_one_booking() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let body = booking_body(DORM, days_from_now(15), 2, 2);
    let answers: Vec<ApiResponse> =
        try_join_all((0..50).map(|_| stack.client.request_booking("the-same", &body))).await?;
    let mut named = BTreeSet::new();
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        named.insert(booked(answer)?);
    }
    assert_eq!(named.len(), 1, "all of them name one booking");
    stack.record_accepted(named.first().context("one")?.id);
    let late = stack.client.request_booking("the-same", &body).await?;
    assert_eq!((late.status, late.header(REPLAYED)), (StatusCode::ACCEPTED, "true"));
    let expectations = Expectations::clean();
    stack.wait_until_quiet(&expectations).await?;
    let records = stack.stores.records().await?;
    assert_eq!((records.bookings.len(), records.mart_bookings.len(), stack.mailbox.all().await?.len()), (1, 1, 1));
    assert_eq!(records.bookings[0].rev, 1);
    stack.end(expectations).await
}

#[tokio::test]
async fn field_order_and_whitespace_do_not_change_the_request() -> Result<()> {
    let stack = StackBuilder::new().workers(&[]).start().await?;
    let body = booking_body(DORM, days_from_now(15), 2, 2);
    let ours = stack.client.book("k", &body).await?;
    let mut turned: Vec<(String, Value)> = body.as_object().context("an object")?.clone().into_iter().collect();
    turned.reverse();
    let members: Vec<String> = turned.iter().map(|(name, value)| format!("\n  {} :  {value:#}", json!(name))).collect();
    let text = format!("{{{}\n}}", members.join(","));
    let headers = [("content-type", "application/json; charset=utf-8"), ("idempotency-key", "k")];
    let again = stack.client.send(reqwest::Method::POST, "/api/bookings", &headers, Some(text.into_bytes())).await?;
    assert_eq!((again.status, again.header(REPLAYED)), (StatusCode::ACCEPTED, "true"), "{again:?}");
    assert_eq!(booked(&again)?, ours);
    Ok(())
}

/// The same request as another client library writes it.
fn respelled(body: &Value) -> Value {
    let mut other = body.clone();
    drop(other.as_object_mut().map(|members| members.remove("source")));
    (other["quote"], other["override_restrictions"]) = (Value::Null, json!(false));
    other["stays"][0]["gender"] = Value::Null;
    other["guest"]["first_name"] = json!(" Ada ");
    other["guest"]["email"] = json!("Ada@Example.com");
    other["guest"]["phone"] = json!("001 (514) 555-0100");
    other
}

#[tokio::test]
async fn another_spelling_of_a_request_is_the_same_request() -> Result<()> {
    let mut stack = StackBuilder::new().start().await?;
    let app = client_key(&stack).await?;
    let body = booking_body(DORM, days_from_now(15), 2, 2);
    let other = respelled(&body);
    let ours = stack.book("k", &body).await?;
    assert_eq!(booked(&stack.client.request_booking("k", &other).await?)?, ours, "of a guest");
    let theirs = booked(&request_as(&stack, &app, "k", &other).await?)?;
    stack.record_accepted(theirs.id);
    stack.client.wait_for_decision(&ours).await?;
    eventually("a decision", SHORT_TIMEOUT, || async {
        Ok(stack.stores.records().await?.bookings.iter().any(|booking| booking.id.as_uuid() == theirs.id).then_some(()))
    })
    .await?;
    // An instance without any memory of the requests.
    stack.program("api")?.kill9()?;
    stack.restart("api").await?;
    for body in [&body, &other] {
        assert_eq!(booked(&stack.client.request_booking("k", body).await?)?, ours, "of a guest");
        let again = request_as(&stack, &app, "k", body).await?;
        assert_eq!((again.header(REPLAYED), booked(&again)?), ("true", theirs.clone()), "of an account: {again:?}");
    }
    let cancel = |reason: Value| {
        let path = format!("/api/bookings/{}/cancel?token={}", ours.id, ours.token);
        let (client, body) = (&stack.client, json!({ "reason": reason, "waive_fee": null }));
        async move { client.post(&path, &[("idempotency-key", "c")], &body).await }
    };
    assert_eq!(cancel(json!("plans changed")).await?.text("/status"), "cancelled");
    assert_eq!(cancel(json!(" plans changed ")).await?.text("/status"), "cancelled");
    let expectations = Expectations::clean();
    stack.wait_until_quiet(&expectations).await?;
    assert_eq!(stack.stores.records().await?.bookings.len(), 2);
    stack.end(expectations).await
}

#[tokio::test]
async fn spellings_of_one_request_beside_killed_workers_are_one_booking() -> Result<()> {
    let mut stack = StackBuilder::new().workers(WORKERS).start().await?;
    let faults = ["before_commit", "after_commit_before_publish", "after_publish_before_ack"];
    for (index, fault) in (0..).zip(faults) {
        let (client, body) = (stack.client.clone(), booking_body(DORM, days_from_now(15 + index), 2, 2));
        let both = async move {
            let other = respelled(&body);
            let spellings = [&body, &other].map(|body| client.request_booking_and_wait(fault, body));
            let answers = try_join_all(spellings).await?;
            ensure!(booked(&answers[0])? == booked(&answers[1])?, "{answers:?}");
            answers.into_iter().next().context("two answers")
        };
        let decided = while_killed(&mut stack, fault, both).await?;
        assert_eq!(decided.text("/status"), "confirmed", "{decided:?}");
        stack.record_accepted(booked(&decided)?.id);
    }
    let expectations = Expectations::clean();
    stack.wait_until_quiet(&expectations).await?;
    assert_eq!(stack.stores.records().await?.bookings.len(), faults.len());
    stack.end(expectations).await
}

/// Bookings of earlier versions have ids and fingerprints of their bodies as sent.
#[tokio::test]
async fn retry_finds_a_booking_that_an_earlier_version_accepted() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let app = client_key(&stack).await?;
    let body = respelled(&booking_body(DORM, days_from_now(15), 2, 1));
    let as_sent = earlier_fingerprint(&body);
    let client = app.split('_').nth(1).context("the id in the key")?;
    for (client, key) in [(None, "guest's"), (Some(client), "client's")] {
        let id = BookingId::derive(client, key, &as_sent);
        let mut request: Value = body.clone();
        (request["booking_id"], request["client"]) = (json!(id), json!(client));
        (request["fingerprint"], request["requested_at"]) = (json!(as_sent), json!("2026-12-01T12:00:00.000Z"));
        (request["source"], request["guest"]["phone"]) = (json!("direct"), json!("+15145550100"));
        RivalWriter::of(&stack).request(serde_json::from_value(request)?).await?;
        stack.record_accepted(id.as_uuid());
        let again = match client {
            None => stack.client.request_booking_and_wait(key, &body).await?,
            Some(_) => request_as(&stack, &app, key, &body).await?,
        };
        assert_eq!(again.text("/id"), id.to_string(), "{key}: {again:?}");
    }
    assert_eq!(stack.stores.records().await?.bookings.len(), 2);
    stack.end(Expectations::clean().without_mails().without_mart()).await
}

async fn client_key(stack: &Stack) -> Result<String> {
    let key = stack.pvt_json(&["keys", "create", "--role", "client", "--name", "an app", "--json"]).await?;
    Ok(format!("Bearer {}", key["key"].as_str().context("a key")?))
}

async fn request_as(stack: &Stack, bearer: &str, key: &str, body: &Value) -> Result<ApiResponse> {
    stack.client.post("/api/bookings", &[("authorization", bearer), ("idempotency-key", key)], body).await
}

#[tokio::test]
async fn client_key_is_bound_to_its_first_body() -> Result<()> {
    let mut stack = StackBuilder::new().start().await?;
    let (app, other_app) = (client_key(&stack).await?, client_key(&stack).await?);
    let (body, other_body) = (booking_body(DORM, days_from_now(15), 2, 1), booking_body(DORM, days_from_now(15), 3, 1));
    let first = request_as(&stack, &app, "k", &body).await?;
    assert_eq!((first.status, first.header(REPLAYED)), (StatusCode::ACCEPTED, ""));
    let ours = booked(&first)?;
    stack.record_accepted(ours.id);
    stack.client.wait_for_decision(&ours).await?;
    let reused = request_as(&stack, &app, "k", &other_body).await?;
    assert_eq!((reused.status, reused.problem()?), (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"));
    let again = request_as(&stack, &app, "k", &body).await?;
    assert_eq!((again.status, again.header(REPLAYED), booked(&again)?), (StatusCode::ACCEPTED, "true", ours.clone()));
    let other = request_as(&stack, &other_app, "k", &other_body).await?;
    assert_eq!(other.status, StatusCode::ACCEPTED, "another client's keys are its own: {other:?}");
    stack.record_accepted(booked(&other)?.id);
    stack.client.wait_for_decision(&booked(&other)?).await?;

    // An instance without any memory of the first request.
    stack.program("api")?.kill9()?;
    stack.restart("api").await?;
    let reused = request_as(&stack, &app, "k", &other_body).await?;
    assert_eq!((reused.status, reused.problem()?), (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"));
    let again = request_as(&stack, &app, "k", &body).await?;
    assert_eq!((again.header(REPLAYED), booked(&again)?), ("true", ours));
    let expectations = Expectations::clean();
    stack.wait_until_quiet(&expectations).await?;
    assert_eq!(stack.stores.records().await?.bookings.len(), 2);
    stack.end(expectations).await
}

#[tokio::test]
async fn concurrent_bodies_under_one_key_have_one_winner() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let app = client_key(&stack).await?;
    let bodies = [booking_body(DORM, days_from_now(15), 2, 1), booking_body(DORM, days_from_now(16), 2, 1)];
    let headers = [("authorization", app.as_str()), ("idempotency-key", "k"), ("prefer", "wait=30")];
    let answers =
        try_join_all((0..20).map(|number| stack.client.post("/api/bookings", &headers, &bodies[number % 2]))).await?;
    let (won, lost): (Vec<&ApiResponse>, Vec<&ApiResponse>) =
        answers.iter().partition(|answer| answer.status.is_success());
    assert!(!won.is_empty());
    for answer in lost {
        assert_eq!((answer.status, answer.problem()?), (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"));
    }
    let arrivals: BTreeSet<&str> = won.iter().map(|answer| answer.text("/stays/0/arrival")).collect();
    assert_eq!(arrivals.len(), 1, "only one body was served: {arrivals:?}");
    stack.record_accepted(booked(won[0])?.id);
    let expectations = Expectations::clean();
    stack.wait_until_quiet(&expectations).await?;
    assert_eq!(stack.stores.records().await?.bookings.len(), 1);
    stack.end(expectations).await
}

#[tokio::test]
async fn anonymous_callers_with_the_same_key_get_separate_bookings() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let mut theirs = booking_body(DORM, days_from_now(15), 2, 1);
    theirs["guest"]["email"] = json!("grace@example.com");
    let (one, other) =
        (stack.book("1", &booking_body(DORM, days_from_now(15), 2, 1)).await?, stack.book("1", &theirs).await?);
    assert_ne!(one.id, other.id);
    assert_ne!(one.token, other.token);
    assert_eq!(stack.client.wait_for_decision(&one).await?["guest"]["email"], "ada@example.com");
    assert_eq!(stack.client.wait_for_decision(&other).await?["guest"]["email"], "grace@example.com");
    let open = |id: Uuid, token: &str| format!("/api/bookings/{id}?token={token}");
    for path in [open(one.id, &other.token), open(other.id, &one.token)] {
        assert_eq!(stack.client.get(&path).await?.status, StatusCode::NOT_FOUND, "{path}");
    }
    stack.end(Expectations::clean()).await
}
