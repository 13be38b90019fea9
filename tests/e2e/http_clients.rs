//! Requests as client libraries and proxies write them: entity tags, encodings of bodies, spellings of numbers, and
//! `null`.

use crate::harness::{AcceptedBooking, ApiResponse, Expectations, FrontDesk, Stack, StackBuilder};
use anyhow::{Context, Result};
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

/// The violations of a refused change, each as its pointer and code.
fn violations(answer: &ApiResponse) -> Result<Vec<(String, String)>> {
    assert_eq!((answer.status, answer.problem()?), (StatusCode::UNPROCESSABLE_ENTITY, "validation_failed"));
    let errors = answer.body["errors"].as_array().context("errors")?;
    let text = |error: &Value, member: &str| error[member].as_str().unwrap_or_default().to_owned();
    Ok(errors.iter().map(|error| (text(error, "pointer"), text(error, "code"))).collect())
}

#[tokio::test]
async fn null_in_a_change_clears_or_is_refused() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let desk = FrontDesk::of(&stack).await?;
    let mut body = booking_body(DORM, days_from_now(30), 2, 2);
    body["guest"]["phone"] = json!("+1 514 555 0100");
    body["guest"]["locale"] = json!("fr-CA");
    body["stays"][0]["gender"] = json!("mixed");
    body["stays"][0]["guest_ages"] = json!([9]);
    let booked = stack.book("null", &body).await?;
    let first = stack.client.wait_for_decision(&booked).await?;
    assert_eq!((&first["rev"], &first["guest"]["phone"]), (&json!(1), &json!("+15145550100")));
    let path = format!("/api/bookings/{}", booked.id);
    let by_guest = async |rev: u64, change: &Value| {
        let tag = format!("\"{rev}\"");
        let headers = [("content-type", "application/json"), ("if-match", &tag), ("prefer", "wait=30")];
        let path = format!("{path}?token={}", booked.token);
        stack.client.send(Method::PATCH, &path, &headers, Some(change.to_string().into_bytes())).await
    };

    // What a booking can be without is cleared; a second time it is already, and no revision is written.
    let cleared = json!({ "guest": { "phone": null, "locale": null, "last_name": null },
        "stays": [{ "gender": null, "guest_ages": null }] });
    let changed = by_guest(1, &cleared).await?;
    assert_eq!((changed.status, &changed.body["rev"]), (StatusCode::OK, &json!(2)), "{changed:?}");
    let shown = by_guest(2, &cleared).await?;
    assert_eq!((shown.status, &shown.body["rev"]), (StatusCode::OK, &json!(2)), "{shown:?}");
    let (guest, stay) = (&shown.body["guest"], &shown.body["stays"][0]);
    for (name, value) in [("phone", guest), ("locale", guest), ("gender", stay), ("guest_ages", stay)] {
        assert!(value.get(name).is_none_or(Value::is_null), "{name}: {shown:?}");
    }
    assert_eq!((&guest["last_name"], &guest["email"]), (&json!(""), &first["guest"]["email"]), "{shown:?}");
    assert_eq!((&stay["arrival"], &stay["guests"]), (&first["stays"][0]["arrival"], &json!(2)), "{shown:?}");

    // What it cannot be without, and what is no part of it, is refused with its place; nothing of the change is made.
    let all = json!({ "guest": null, "stays": null, "reprice": null, "quote": null, "reason": null, "dry_run": null });
    let expected = ["/stays", "/guest", "/reprice", "/quote", "/reason", "/dry_run"];
    assert_eq!(
        violations(&by_guest(2, &all).await?)?,
        expected.map(|pointer| (pointer.to_owned(), "null_not_allowed".to_owned()))
    );
    let of_stay = json!({ "guest": { "phone": "+15145550199" },
        "stays": [{ "arrival": null, "departure": null, "guests": null, "room_type_id": null }] });
    let expected = ["room_type_id", "arrival", "departure", "guests"];
    assert_eq!(
        violations(&by_guest(2, &of_stay).await?)?,
        expected.map(|member| (format!("/stays/0/{member}"), "null_not_allowed".to_owned()))
    );
    for (member, place) in [("first_name", "/guest/first_name"), ("email", "/guest/email")] {
        let refused = violations(&by_guest(2, &json!({ "guest": { member: null } })).await?)?;
        assert_eq!(refused, [(place.to_owned(), "required".to_owned())], "a name, and an address, must be left");
    }
    assert_eq!(stack.client.wait_for_decision(&booked).await?["rev"], 2);

    // The desk may keep a booking without an address.
    let anonymous = desk.send(Method::PATCH, &path, Some(2), &json!({ "guest": { "email": null } })).await?;
    assert_eq!((anonymous.status, &anonymous.body["rev"]), (StatusCode::OK, &json!(3)), "{anonymous:?}");
    assert_eq!(anonymous.body["guest"]["receives_mails"], false, "{anonymous:?}");
    let again = desk.send(Method::PATCH, &path, Some(3), &json!({ "guest": { "email": null } })).await?;
    assert_eq!((again.status, &again.body["rev"]), (StatusCode::OK, &json!(3)), "{again:?}");
    let history = desk.send(Method::GET, &format!("{path}/history"), None, &json!({})).await?;
    let actions: Vec<&str> =
        history.body["items"].as_array().into_iter().flatten().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(actions, ["request", "modify", "modify"], "{history:?}");
    stack.end(Expectations::clean()).await
}
