//! Requests as client libraries and proxies write them: entity tags, encodings of bodies, and spellings of numbers.

use crate::harness::{AcceptedBooking, ApiResponse, Expectations, Stack, StackBuilder};
use anyhow::Result;
use pvt_testkit::{DORM, booking_body, days_from_now};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Changes the number of guests with this `If-Match`.
async fn change(stack: &Stack, booked: &AcceptedBooking, if_match: &str, guests: &str) -> Result<ApiResponse> {
    let path = format!("/api/bookings/{}?token={}", booked.id, booked.token);
    let headers = [("content-type", "application/json"), ("if-match", if_match), ("prefer", "wait=30")];
    let body = format!(r#"{{"stays":[{{"guests":{guests}}}]}}"#);
    stack.client.send(Method::PATCH, &path, &headers, Some(body.into_bytes())).await
}

/// Requests a booking with these headers beside its key.
async fn request(stack: &Stack, key: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<ApiResponse> {
    let all = [&[("idempotency-key", key)], headers].concat();
    stack.client.send(Method::POST, "/api/bookings", &all, Some(body)).await
}

#[tokio::test]
async fn entity_tags_and_bodies_are_read_as_clients_write_them() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let body = booking_body(DORM, days_from_now(30), 2, 1);
    let json_type = ("content-type", "application/json");

    // A client library of Windows puts a byte order mark first.
    let marked = [b"\xef\xbb\xbf", body.to_string().as_bytes()].concat();
    let accepted = request(&stack, "marked", &[json_type], marked).await?;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{accepted:?}");
    let booked = crate::harness::booked(&accepted)?;
    stack.record_accepted(booked.id);
    stack.client.wait_for_decision(&booked).await?;
    let plain = request(&stack, "marked", &[json_type], body.to_string().into_bytes()).await?;
    assert_eq!(crate::harness::booked(&plain)?.id, booked.id, "the same request without it");

    let compressed = request(&stack, "zipped", &[json_type, ("content-encoding", "gzip")], vec![0x1f, 0x8b]).await?;
    assert_eq!(
        (compressed.status, compressed.problem()?, compressed.header("accept-encoding")),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_coding", "identity")
    );
    let mut latin = body.clone();
    latin["guest"]["first_name"] = json!("André");
    let latin: Vec<u8> =
        latin.to_string().chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect();
    let declared = [("content-type", "application/json; charset=iso-8859-1")];
    let refused = request(&stack, "latin", &declared, latin).await?;
    assert_eq!(refused.problem()?, "unsupported_charset");
    assert!(refused.body["detail"].as_str().is_some_and(|text| text.contains("iso-8859-1")), "{refused:?}");

    let weak = change(&stack, &booked, "W/\"1\"", "2").await?;
    assert_eq!((weak.status, weak.problem()?), (StatusCode::PRECONDITION_FAILED, "invalid_if_match"));
    let outdated = change(&stack, &booked, "\"7\", \"8\"", "2").await?;
    assert_eq!((outdated.status, outdated.problem()?), (StatusCode::PRECONDITION_FAILED, "precondition_failed"));
    let listed = change(&stack, &booked, "\"7\", \"1\"", "2.0").await?;
    assert_eq!((listed.status, &listed.body["rev"]), (StatusCode::OK, &json!(2)), "{listed:?}");
    assert_eq!(listed.body["stays"][0]["guests"], json!(2), "a whole number, however it is written");
    let any = change(&stack, &booked, "*", "3").await?;
    assert_eq!((any.status, &any.body["rev"]), (StatusCode::OK, &json!(3)), "{any:?}");

    // The stream of a booking whose client comes back with an id of another one begins with what is newest.
    let path = format!("/api/bookings/{}/events?token={}", booked.id, booked.token);
    let mut stream = stack
        .client
        .http()
        .get(format!("{}{path}", stack.client.base()))
        .header("last-event-id", "99")
        .send()
        .await?
        .error_for_status()?;
    let mut text = String::new();
    while !text.contains("data:") || !text.ends_with("\n\n") {
        let Some(chunk) = stream.chunk().await? else { break };
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    let data = text.lines().find_map(|line| line.strip_prefix("data:"));
    let newest: Value = serde_json::from_str(data.unwrap_or_default())?;
    assert_eq!(newest["rev"], json!(3), "{text}");
    stack.end(Expectations::clean()).await
}
