//! Maintenance: changes are refused by every API process, reads and Stripe's events go on, and nothing is lost.

use crate::harness::{Expectations, SHORT_TIMEOUT, Stack, StackBuilder};
use crate::webhook::push_event;
use anyhow::{Context, Result, ensure};
use chrono::{SecondsFormat, TimeDelta, Utc};
use pvt_stores::mongo::stripe_events::StoredStripeEvent;
use pvt_testkit::{DORM, booking_body, days_from_now, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};

async fn maintenance(stack: &Stack, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let output = stack.pvt(&[&["maintenance"], arguments].concat()).await?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// What the API answers a booking request with, once that is `code`.
async fn refused_with(stack: &Stack, code: &str) -> Result<u32> {
    let body = booking_body(DORM, days_from_now(40), 1, 1);
    eventually(&format!("requests are refused with {code}"), SHORT_TIMEOUT, || async {
        let answer = stack.client.request_booking("in-maintenance", &body).await?;
        ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE && answer.problem()? == code, "{answer:?}");
        Ok(Some(answer.header("retry-after").parse()?))
    })
    .await
}

async fn operators_page(stack: &Stack, path: &str) -> Result<String> {
    let address = stack.config()?.api_metrics_addr;
    Ok(stack.client.http().get(format!("http://{address}{path}")).send().await?.text().await?)
}

#[tokio::test]
async fn maintenance_refuses_changes_and_loses_nothing() -> Result<()> {
    let mut stack = StackBuilder::new().paid_online().start().await?;
    let before = stack.book("before", &booking_body(DORM, days_from_now(30), 1, 1)).await?;
    let until = (Utc::now() + TimeDelta::minutes(10)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let (code, said) = maintenance(&stack, &["on", "--reason", "the mart is moved", "--until", &until]).await?;
    ensure!(code == Some(0) && said.contains("by operator, until about"), "{said}");
    let wait = refused_with(&stack, "maintenance").await?;
    ensure!((540..=600).contains(&wait), "clients come back at the expected end: {wait}");

    // What was accepted is decided, and can be read.
    ensure!(stack.client.wait_for_decision(&before).await?["status"] == "confirmed");
    let cancelled = stack.client.cancel(&before).await?;
    ensure!(cancelled.problem()? == "maintenance", "{cancelled:?}");
    let health = stack.client.get("/api/health").await?;
    ensure!(health.status == StatusCode::OK && health.body["status"] == "degraded", "{health:?}");
    ensure!(health.body["maintenance"]["until"].is_string() && !health.body.to_string().contains("mart"), "{health:?}");
    ensure!(stack.client.get("/readyz").await?.status == StatusCode::OK, "reads go on");
    let verbose = operators_page(&stack, "/readyz?verbose").await?;
    ensure!(verbose.contains("by operator: the mart is moved"), "{verbose}");
    ensure!(operators_page(&stack, "/metrics").await?.contains("pvt_maintenance_mode 1"));
    let doctor = stack.pvt(&["doctor"]).await?;
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    ensure!(said.contains("WARN   maintenance: on since"), "{said}");

    // Stripe's events are accepted and applied.
    push_event(
        &stack,
        json!({ "id": "evt_1", "type": "charge.succeeded", "object": "event",
        "created": 1_800_000_000, "data": { "object": { "id": "ch_1", "amount": 15_000 } } }),
    )
    .await?;
    eventually("the event is stored", SHORT_TIMEOUT, || async {
        let events: Vec<StoredStripeEvent> = stack.stores.all("stripe_events").await?;
        Ok((!events.is_empty()).then_some(()))
    })
    .await?;

    // A new process refuses from its first answer on. The end that was announced is withdrawn.
    stack.program("api")?.kill9()?;
    stack.restart("api").await?;
    let answer = stack.client.request_booking("restarted", &booking_body(DORM, days_from_now(40), 1, 1)).await?;
    ensure!(answer.problem()? == "maintenance", "{answer:?}");
    let shown = || async { stack.pvt_json(&["maintenance", "show", "--json"]).await };
    let since = shown().await?["maintenance"]["since"].clone();
    let (code, _) = maintenance(&stack, &["on", "--reason", "it takes longer"]).await?;
    ensure!(code == Some(0));
    let stored = shown().await?;
    ensure!(stored["maintenance"]["since"] == since && stored["maintenance"]["until"].is_null(), "{stored}");
    eventually("the new wait is announced", SHORT_TIMEOUT, || async {
        Ok((refused_with(&stack, "maintenance").await? == 60).then_some(()))
    })
    .await?;

    let (code, said) = maintenance(&stack, &["off"]).await?;
    ensure!(code == Some(0) && said.contains("it takes longer"), "{said}");
    ensure!(shown().await?["maintenance"] == Value::Null);
    let after = stack.book_with_retries("in-maintenance", &booking_body(DORM, days_from_now(40), 1, 1)).await?;
    ensure!(stack.client.wait_for_decision(&after).await?["status"] == "confirmed");
    let entries = stack.mongo.audit_log().list(Some("maintenance"), None, 10).await?;
    let described: Vec<_> = entries.iter().rev().map(|entry| format!("{} {}", entry.actor, entry.action)).collect();
    ensure!(described == ["operator maintenance.on", "operator maintenance.on", "operator maintenance.off"]);
    ensure!(entries.last().context("an entry")?.detail.ends_with(": the mart is moved"), "{entries:?}");
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn maintenance_needs_a_reason_and_an_end_to_come() -> Result<()> {
    let stack = StackBuilder::new().workers(&[]).prepare().await?;
    ensure!(maintenance(&stack, &["on"]).await?.0 == Some(2));
    let over = maintenance(&stack, &["on", "--reason", "a test", "--until", "2020-01-01T00:00:00Z"]).await?;
    ensure!(over.0 == Some(5), "{over:?}");
    let off = maintenance(&stack, &["off"]).await?;
    ensure!(off.0 == Some(0) && off.1.contains("was not on"), "{off:?}");
    ensure!(stack.mongo.audit_log().list(Some("maintenance"), None, 10).await?.is_empty());
    stack.end(Expectations::clean().without_mails().without_mart()).await
}
