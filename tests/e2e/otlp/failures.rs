//! Spans of what fails: a class of error, and nothing that a guest wrote.

use super::{Collector, SHORT_TIMEOUT, Seen, StackBuilder, booked, seen};
use crate::harness::{CONSUMERS, Expectations};
use anyhow::{Context, Result, ensure};
use mongodb::bson::Document;
use pvt_testkit::{DORM, booking_body, days_from_now, doc, eventually, properties};
use reqwest::StatusCode;
use serde_json::json;

/// The classes of the spans of this name that have failed.
fn failed<'s>(spans: &'s [Seen], name: &str) -> Vec<&'s str> {
    let failed = spans.iter().filter(|span| span.name == name && span.status == "STATUS_CODE_ERROR");
    failed.filter_map(|span| span.attributes.get("error.type")).map(String::as_str).collect()
}

#[tokio::test]
#[ignore = "needs a collector: tests/otlp/run"]
async fn spans_of_what_fails_hold_classes_and_nothing_personal() -> Result<()> {
    let collector = Collector::start().await?;
    let stack = StackBuilder::new()
        .workers(&[("workers", CONSUMERS)])
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{}", collector.address))
        .with("OTEL_BSP_SCHEDULE_DELAY", "100")
        .start()
        .await?;
    // The server refuses the guest's mail and names the address in its answer.
    stack.mailbox.inject_fault(&json!({ "mode": "550", "next": 1 })).await?;
    let mut body = booking_body(DORM, days_from_now(30), 1, 1);
    (body["guest"]["last_name"], body["guest"]["email"]) = ("Unmistakable".into(), "unmistakable@example.com".into());
    let answer = stack.client.request_booking("refused", &body).await?;
    let booking = booked(&answer)?;
    stack.record_accepted(booking.id);
    stack.client.wait_for_decision(&booking).await?;
    // A message that cannot be read becomes a dead letter, with its body in the reason.
    let (_, unreadable) = properties("notification.send.v1");
    stack.broker.send("emails", unreadable, br#"{ "kind": "Unmistakable" }"#).await?;
    // A document that cannot be read makes an answer 500, and its content is not logged either (`Stack::end`).
    let id = booking.id.to_string();
    let stored: Vec<Document> = stack.stores.all("bookings").await?;
    let guest = stored.first().and_then(|booking| booking.get("guest")).context("a guest")?.clone();
    stack.stores.set("bookings", &id, doc! { "guest": "Unmistakable" }).await?;
    let path = format!("/api/bookings/{id}?token={}", booking.token);
    ensure!(stack.client.get(&path).await?.status == StatusCode::INTERNAL_SERVER_ERROR);
    stack.stores.set("bookings", &id, doc! { "guest": guest }).await?;

    let prefix = stack.topology.prefix().to_owned();
    let arrived = || async {
        let spans = seen(&collector.log()?, &prefix);
        let found = ["send mail", "process emails", "GET /api/bookings/{id}"].map(|name| failed(&spans, name));
        ensure!(found == [vec!["refused"], vec!["invalid_body"], vec!["500"]], "{found:?} of {spans:#?}");
        Ok(Some(()))
    };
    eventually("each failure has a span with its class", SHORT_TIMEOUT, arrived).await?;
    stack.end(Expectations::clean().without_mails().dead("emails", 1)).await?;
    let log = collector.log()?.to_lowercase();
    for secret in ["unmistakable", booking.token.to_lowercase().as_str()] {
        ensure!(!log.contains(secret), "a span holds {secret}");
    }
    Ok(())
}
