//! A booking from request to mail to cancellation, with the names and shapes that clients rely on (docs/http.md).

use crate::harness::{Expectations, SHORT_TIMEOUT, Stack, StackBuilder, booked};
use anyhow::{Context, Result, ensure};
use pvt_testkit::{DORM, Mail, booking_body, days_from_now, dormitory, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

/// The mails to an address, once there are `count` of them.
pub(crate) async fn mails_to(stack: &Stack, address: &str, count: usize) -> Result<Vec<Mail>> {
    let what = format!("{count} mails to {address}");
    eventually(&what, SHORT_TIMEOUT, || async {
        let mails: Vec<Mail> = stack.mailbox.all().await?.into_iter().filter(|mail| mail.to == address).collect();
        Ok((mails.len() >= count).then_some(mails))
    })
    .await
}

fn amounts(lines: &Value) -> Vec<i64> {
    lines.as_array().unwrap().iter().map(|line| line["price"]["amount"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn booking_is_confirmed_mailed_and_cancelled() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let body = booking_body(DORM, days_from_now(30), 3, 2);
    let accepted = stack.client.request_booking("the-first-request", &body).await?;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{accepted:?}");
    let ours = booked(&accepted)?;
    stack.record_accepted(ours.id);
    assert_eq!(accepted.text("/status"), "requested");
    assert!(accepted.text("/reference").starts_with("PVT-"), "{accepted:?}");
    assert_eq!(accepted.header("location"), format!("/api/bookings/{}?token={}", ours.id, ours.token));
    assert_eq!(accepted.text("/links/self"), accepted.header("location"));
    assert_eq!(accepted.header("retry-after"), "1");
    assert!(accepted.headers.contains_key("x-request-id"));

    let confirmed = stack.client.wait_for_decision(&ours).await?;
    assert_eq!((&confirmed["status"], &confirmed["rev"]), (&json!("confirmed"), &json!(1)));
    assert_eq!(confirmed["reference"], accepted.body["reference"]);
    assert_eq!(confirmed["stays"][0]["assigned_beds"].as_array().context("beds")?.len(), 2);
    let mut guest = body["guest"].clone();
    guest["receives_mails"] = json!(true);
    assert_eq!(confirmed["guest"], guest);
    // 2 guests × 42.00 per night; 3.5 % lodging tax, then 5 % and 9.975 % on both: rounded once, on the sum.
    assert_eq!(amounts(&confirmed["price"]["nights"]), [8_400, 8_400, 8_400]);
    assert_eq!(amounts(&confirmed["price"]["taxes"]), [882, 1_304, 2_602]);
    assert_eq!(confirmed["price"]["total"], json!({ "amount": 29_988, "currency": "CAD" }));
    assert_eq!(confirmed["payment"]["status"], "pay_on_arrival");
    assert_eq!(
        (&confirmed["payment"]["paid"]["amount"], &confirmed["payment"]["due"]["amount"]),
        (&json!(0), &json!(29_988))
    );
    for private in ["history", "fingerprint", "client"] {
        assert!(confirmed.get(private).is_none(), "{private} is shown");
    }

    let mail = mails_to(&stack, "ada@example.com", 1).await?.remove(0);
    let reference = accepted.text("/reference").to_owned();
    assert!(mail.subject.contains(&reference) || mail.text.contains(&reference), "{mail:?}");
    assert!(mail.text.contains("299.88") && mail.html.contains("299.88"), "{mail:?}");
    assert_eq!(mail.headers.get("Content-Language").map(String::as_str), Some("en"));
    for line in [format!("UID:{}", ours.id), "STATUS:CONFIRMED".to_owned(), "SEQUENCE:1".to_owned()] {
        assert!(mail.calendar.contains(&line), "no {line} in {}", mail.calendar);
    }

    let cancelled = stack.client.cancel(&ours).await?;
    assert_eq!(
        (cancelled.status, cancelled.text("/status"), &cancelled.body["rev"]),
        (StatusCode::OK, "cancelled", &json!(2))
    );
    assert_eq!(cancelled.header("etag"), "\"2\"");
    let mail = mails_to(&stack, "ada@example.com", 2).await?.remove(1);
    for line in [format!("UID:{}", ours.id), "STATUS:CANCELLED".to_owned(), "SEQUENCE:2".to_owned()] {
        assert!(mail.calendar.contains(&line), "no {line} in {}", mail.calendar);
    }
    let again = stack.client.cancel(&ours).await?;
    assert_eq!((again.status, &again.body["rev"]), (StatusCode::OK, &json!(2)), "cancelling twice is cancelling once");
    let about = mail.headers.get("X-PVT-Booking-Id").context("a mail names its booking")?;
    timeline_is_whole(&stack, about).await?;
    stack.end(Expectations::clean()).await
}

/// The timeline of a booking that was confirmed and cancelled, with two mails.
async fn timeline_is_whole(stack: &Stack, booking: &str) -> Result<()> {
    // The fee is that of the plan, of which nothing was paid.
    let owed = json!(["29.99 CAD of the fee is owed, and is not collected by itself"]);
    let trace = eventually("nothing waits but the fee", SHORT_TIMEOUT, || async {
        let trace = stack.pvt_json(&["trace", booking, "--json"]).await?;
        ensure!(trace["verdict"] == owed, "{}", trace["verdict"]);
        Ok(Some(trace))
    })
    .await?;
    let lines = trace["lines"].as_array().context("lines")?;
    let count = |place: &str| lines.iter().filter(|line| line["place"] == place).count();
    // Two commands and two mails came over queues; the cancellation was requested through the API, too.
    let counts = ["api", "queue", "booking", "mart", "mail"].map(count);
    assert_eq!(counts, [2, 4, 2, 2, 2], "{lines:#?}");
    assert!(lines.iter().any(|line| line.get("cause").is_some()), "events name their causes: {lines:#?}");
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.get("cause").is_some()) {
        let cause = lines.iter().position(|other| other["id"] == line["cause"]);
        assert!(cause.is_some_and(|cause| cause < index), "{line} stands before its cause");
        assert!(line["after_ms"].as_i64().is_some_and(|after| after >= 0), "{line}");
    }
    let cancelled = lines.iter().find(|line| line["id"] == "rev 2").context("the cancellation")?;
    assert!(cancelled["what"].as_str().is_some_and(|what| what.contains("releases 6 bed-nights")), "{cancelled}");
    let message = cancelled["message_id"].as_str().context("its event")?;
    let by_message = stack.pvt_json(&["trace", message, "--json"]).await?;
    assert_eq!(by_message["booking_id"], trace["booking_id"]);
    Ok(())
}

#[tokio::test]
async fn mails_use_the_language_of_the_guest() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    for (locale, expected) in [("fr", "fr"), ("fr-CA", "fr"), ("en-GB", "en"), ("de", "en"), ("eng-x-slow", "en")] {
        let mut body = booking_body(DORM, days_from_now(20), 1, 1);
        let address = format!("{}@example.com", locale.to_lowercase());
        (body["guest"]["locale"], body["guest"]["email"]) = (json!(locale), json!(address));
        stack.book(locale, &body).await?;
        let mail = mails_to(&stack, &address, 1).await?.remove(0);
        // No mail is in German: the property speaks English, too.
        assert_eq!(mail.headers.get("Content-Language").map(String::as_str), Some(expected), "{locale}");
        assert!(mail.html.contains(&format!("lang=\"{expected}\"")), "{}", mail.html);
    }
    let mails = stack.mailbox.all().await?;
    let subject = |to: &str| {
        mails
            .iter()
            .find(|mail| mail.to == to)
            .map(|mail| mail.subject.split(' ').next().unwrap_or_default().to_owned())
    };
    assert_eq!(subject("fr@example.com"), subject("fr-ca@example.com"));
    assert_ne!(subject("fr@example.com"), subject("en-gb@example.com"));
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn prefer_wait_returns_the_decision() -> Result<()> {
    let stack = StackBuilder::new().selling([dormitory("tiny", 1)]).start().await?;
    let mut body = booking_body(DORM, days_from_now(10), 2, 1);
    body["property_id"] = json!("tiny");
    let created = stack.client.request_booking_and_wait("one", &body).await?;
    assert_eq!((created.status, created.text("/status")), (StatusCode::CREATED, "confirmed"), "{created:?}");
    assert_eq!((created.header("preference-applied"), created.header("etag")), ("wait=30", "\"1\""));
    let first = booked(&created)?;
    stack.record_accepted(first.id);

    let refused = stack.client.request_booking_and_wait("two", &body).await?;
    assert_eq!((refused.status, refused.problem()?), (StatusCode::CONFLICT, "no_availability"));
    let seen = stack.client.get(refused.header("location")).await?;
    assert_eq!((seen.text("/status"), seen.text("/rejection")), ("rejected", "no_availability"), "{seen:?}");

    let cancelled = stack.client.cancel(&first).await?;
    assert_eq!(cancelled.text("/status"), "cancelled", "{cancelled:?}");
    let third = stack.client.request_booking_and_wait("three", &body).await?;
    assert_eq!(third.status, StatusCode::CREATED, "the freed bed is sold again: {third:?}");
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn booking_requires_its_access_token() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let one = stack.book("one", &booking_body(DORM, days_from_now(10), 1, 1)).await?;
    let other = stack.book("other", &booking_body(DORM, days_from_now(11), 1, 1)).await?;
    for booking in [&one, &other] {
        stack.client.wait_for_decision(booking).await?;
    }
    let strangers = [
        format!("/api/bookings/{}", one.id),
        format!("/api/bookings/{}?token={}", one.id, other.token),
        format!("/api/bookings/{}?token=", one.id),
        format!("/api/bookings/{}?token={}", Uuid::new_v4(), one.token),
        "/api/bookings/not-an-id?token=x".to_owned(),
    ];
    for path in &strangers {
        let answer = stack.client.get(path).await?;
        assert_eq!((answer.status, answer.problem()?), (StatusCode::NOT_FOUND, "not_found"), "{path}");
        let deleted = stack.client.send(reqwest::Method::DELETE, path, &[], None).await?;
        assert_eq!(deleted.status, StatusCode::NOT_FOUND, "{path}");
    }
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn repeated_request_for_a_mail_is_answered_as_the_first_by_another_instance() -> Result<()> {
    let mut stack = StackBuilder::new().start().await?;
    let key = stack.pvt_json(&["keys", "create", "--role", "staff", "--json"]).await?;
    let bearer = format!("Bearer {}", key["key"].as_str().context("a key")?);
    let ours = stack.book("one", &booking_body(DORM, days_from_now(10), 1, 1)).await?;
    mails_to(&stack, "ada@example.com", 1).await?;
    let client = stack.client.clone();
    let ask = async |key: &str| {
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        client
            .post("/api/notifications", &headers, &json!({ "booking_id": ours.id, "kind": "booking_confirmed" }))
            .await
    };
    let first = ask("again").await?;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{first:?}");
    mails_to(&stack, "ada@example.com", 2).await?;
    assert_eq!(stack.client.cancel(&ours).await?.status, StatusCode::OK);
    // It remembers no request of the instance before.
    stack.program("api")?.stop().await?;
    stack.restart("api").await?;
    let other = ask("another").await?;
    assert_eq!((other.status, other.problem()?), (StatusCode::CONFLICT, "not_sendable"), "{other:?}");
    for _ in 0..2 {
        let again = ask("again").await?;
        assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::ACCEPTED, "true"), "{again:?}");
        assert_eq!(again.body, first.body);
    }
    mails_to(&stack, "ada@example.com", 3).await?;
    let count = stack.mailbox.all().await?.len();
    stack.end(Expectations::clean()).await?;
    assert_eq!(count, 3, "two of the confirmation, and one of the cancellation");
    Ok(())
}

#[tokio::test]
async fn staff_can_resend_a_mail() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let key = stack.pvt_json(&["keys", "create", "--role", "staff", "--json"]).await?;
    let bearer = format!("Bearer {}", key["key"].as_str().context("a key")?);
    let ours = stack.book("one", &booking_body(DORM, days_from_now(10), 1, 1)).await?;
    let first = mails_to(&stack, "ada@example.com", 1).await?.remove(0);
    let request = json!({ "booking_id": ours.id, "kind": "booking_confirmed" });
    for _ in 0..3 {
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", "again")];
        let answer = stack.client.post("/api/notifications", &headers, &request).await?;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    }
    let untrue = json!({ "booking_id": ours.id, "kind": "booking_cancelled" });
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "untrue")];
    let refused = stack.client.post("/api/notifications", &headers, &untrue).await?;
    assert_eq!((refused.status, refused.problem()?), (StatusCode::CONFLICT, "not_sendable"));
    assert_eq!(refused.body["sendable"], json!(["booking_confirmed"]), "{refused:?}");
    let mails = mails_to(&stack, "ada@example.com", 2).await?;
    assert_ne!(mails[1].message_id, first.message_id, "another request is another mail");
    assert_eq!(mails[1].subject, first.subject);
    let anonymous = stack.client.post("/api/notifications", &[("idempotency-key", "k")], &request).await?;
    assert!([StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&anonymous.status), "{anonymous:?}");
    let seen = stack
        .client
        .send(reqwest::Method::GET, &format!("/api/bookings/{}", ours.id), &[("authorization", &bearer)], None)
        .await?;
    assert_eq!(seen.text("/status"), "confirmed", "staff see every booking: {seen:?}");
    let count = stack.mailbox.all().await?.len();
    stack.end(Expectations::clean()).await?;
    assert_eq!(count, 2, "the same request three times is one mail");
    Ok(())
}
