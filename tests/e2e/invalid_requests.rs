//! Invalid requests: all violations are reported at once, and nothing reaches a queue.

use crate::harness::{ApiResponse, Expectations, Stack, StackBuilder};
use anyhow::Result;
use pvt_testkit::{DORM, booking_body, days_from_now};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The field errors of a problem as (pointer, code), after checking its shape.
fn field_errors(answer: &ApiResponse) -> Result<BTreeSet<(String, String)>> {
    assert_eq!(
        (answer.status, answer.problem()?),
        (StatusCode::UNPROCESSABLE_ENTITY, "validation_failed"),
        "{answer:?}"
    );
    let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
    let text = |error: &Value, member: &str| error[member].as_str().unwrap_or_default().to_owned();
    assert!(errors.iter().all(|error| !text(error, "message").is_empty()), "every fault says what to do: {answer:?}");
    Ok(errors.iter().map(|error| (text(error, "pointer"), text(error, "code"))).collect())
}

fn set(expected: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    expected.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect()
}

async fn nothing_was_queued(stack: &Stack) -> Result<()> {
    assert!(stack.broker.pending().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn all_field_errors_are_reported_at_once() -> Result<()> {
    let stack = StackBuilder::new().workers(&[]).start().await?;
    let mut body = booking_body(DORM, days_from_now(10), 1, 1);
    body["stays"] = json!([
        { "room_type_id": "dorm-9-imaginary", "arrival": "2020-01-10", "departure": "2020-01-09", "guests": 0 },
        { "room_type_id": DORM, "arrival": days_from_now(10), "departure": days_from_now(410), "guests": 1,
          "pillow": "soft" },
    ]);
    body["rate_plan_id"] = json!("cheapest");
    body["total"] = json!(1);
    body["guest"]["email"] = json!("ada at example.com");
    body["guest"]["last_name"] = json!("a\nb");
    let expected = set(&[
        ("/total", "unknown_field"),
        ("/rate_plan_id", "unknown_rate_plan"),
        ("/stays/0/room_type_id", "unknown_room_type"),
        ("/stays/0/arrival", "arrival_in_past"),
        ("/stays/0/departure", "departure_not_after_arrival"),
        ("/stays/0/guests", "no_guests"),
        ("/stays/1/departure", "stay_too_long"),
        ("/stays/1/pillow", "unknown_field"),
        ("/guest/email", "invalid_email"),
        ("/guest/last_name", "invalid_name"),
    ]);
    assert_eq!(field_errors(&stack.client.request_booking("k", &body).await?)?, expected);
    nothing_was_queued(&stack).await?;
    stack.end(Expectations::clean().without_mails().without_mart()).await
}

/// One change to a valid body, and the violation that it causes.
type Spoiling = (fn(&mut Value), &'static str, &'static str);

#[tokio::test]
async fn each_field_error_points_at_its_field() -> Result<()> {
    let stack = StackBuilder::new().workers(&[]).start().await?;
    let table: [Spoiling; 14] = [
        (|body| body["stays"][0]["arrival"] = json!("2027-02-30"), "/stays/0/arrival", "invalid_date"),
        (
            |body| body["stays"][0]["arrival"] = json!(days_from_now(0).pred_opt().unwrap().pred_opt().unwrap()),
            "/stays/0/arrival",
            "arrival_in_past",
        ),
        (
            |body| body["stays"][0]["departure"] = body["stays"][0]["arrival"].clone(),
            "/stays/0/departure",
            "departure_not_after_arrival",
        ),
        (|body| body["stays"][0]["departure"] = json!(days_from_now(410)), "/stays/0/departure", "stay_too_long"),
        (|body| body["stays"][0]["guests"] = json!(0), "/stays/0/guests", "no_guests"),
        (|body| body["stays"][0]["guests"] = json!(-1), "/stays/0/guests", "out_of_range"),
        (|body| body["stays"][0]["guests"] = json!("2"), "/stays/0/guests", "wrong_type"),
        (|body| body["stays"][0]["room_type_id"] = json!("suite"), "/stays/0/room_type_id", "unknown_room_type"),
        (|body| body["stays"] = json!([]), "/stays", "stay_count"),
        (|body| body["property_id"] = json!("pvt-atlantis"), "/property_id", "unknown_property"),
        (|body| body["source"] = json!("carrier_pigeon"), "/source", "unknown_value"),
        (
            |body| body["guest"]["email"] = json!("ada@example.com\r\nBcc: eve@example.com"),
            "/guest/email",
            "invalid_email",
        ),
        (|body| body["guest"]["phone"] = json!("call me"), "/guest/phone", "invalid_phone"),
        (|body| drop(body.as_object_mut().unwrap().remove("guest")), "/guest", "required"),
    ];
    for (spoil, pointer, code) in table {
        let mut body = booking_body(DORM, days_from_now(10), 1, 1);
        spoil(&mut body);
        let found = field_errors(&stack.client.request_booking("k", &body).await?)?;
        assert!(found.iter().any(|(at, _)| at == pointer), "{pointer} {code} is not in {found:?}");
        assert_eq!(found, set(&[(pointer, code)]), "{body}");
    }
    nothing_was_queued(&stack).await?;
    stack.end(Expectations::clean().without_mails().without_mart()).await
}

#[tokio::test]
async fn malformed_requests_are_refused() -> Result<()> {
    let stack = StackBuilder::new().workers(&[]).start().await?;
    let good = booking_body(DORM, days_from_now(10), 1, 1).to_string();
    let mut card = booking_body(DORM, days_from_now(10), 1, 1);
    card["guest"]["first_name"] = json!("4242 4242 4242 4242");
    let long_key = "k".repeat(256);
    let json_type = ("content-type", "application/json");
    let key = ("idempotency-key", "k");
    let twice = good.replacen('{', "{\"source\":\"api\",", 1);
    for (what, headers, body, status, code) in [
        ("broken JSON", vec![json_type, key], "{\"property_id\": ".to_owned(), 400, "invalid_json"),
        ("no body", vec![json_type, key], String::new(), 400, "invalid_json"),
        ("a member twice", vec![json_type, key], twice, 400, "invalid_json"),
        ("no Idempotency-Key", vec![json_type], good.clone(), 400, "idempotency_key_missing"),
        ("an empty key", vec![json_type, ("idempotency-key", "")], good.clone(), 400, "idempotency_key_missing"),
        (
            "a key of 256 characters",
            vec![json_type, ("idempotency-key", long_key.as_str())],
            good.clone(),
            400,
            "idempotency_key_invalid",
        ),
        (
            "another content type",
            vec![("content-type", "text/plain"), key],
            good.clone(),
            415,
            "unsupported_media_type",
        ),
        ("no content type", vec![key], good.clone(), 415, "unsupported_media_type"),
        ("70 KiB", vec![json_type, key], format!("{good}{}", " ".repeat(70 * 1024)), 413, "payload_too_large"),
        ("a card number", vec![json_type, key], card.to_string(), 422, "card_number_refused"),
        (
            "a key of another client",
            vec![json_type, key, ("authorization", "Bearer pvt_000000000000_x")],
            good.clone(),
            401,
            "unauthenticated",
        ),
    ] {
        let answer = stack.client.send(Method::POST, "/api/bookings", &headers, Some(body.into_bytes())).await?;
        assert_eq!((answer.status.as_u16(), answer.problem()?), (status, code), "{what}: {answer:?}");
        let shown = answer.body.to_string();
        assert!(!shown.contains("4242") && !shown.contains("ada@example.com"), "{what} is shown again: {shown}");
    }
    let answer = stack.client.send(Method::PATCH, "/api/bookings", &[], None).await?;
    assert_eq!((answer.status.as_u16(), answer.problem()?), (405, "method_not_allowed"));
    let answer = stack.client.get("/api/nothing-here").await?;
    assert_eq!((answer.status.as_u16(), answer.problem()?), (404, "not_found"));
    nothing_was_queued(&stack).await?;
    stack.end(Expectations::clean().without_mails().without_mart()).await
}
