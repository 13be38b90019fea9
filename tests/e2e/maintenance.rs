//! Maintenance: changes are refused by every API process, reads and Stripe's events go on, and nothing is lost.

use crate::booking_links::page;
use crate::harness::{AcceptedBooking, Expectations, SHORT_TIMEOUT, Stack, StackBuilder};
use crate::payments::{FREQUENT_EXPIRY, checkout, hold, prepaid, until};
use anyhow::{Context, Result, ensure};
use chrono::{SecondsFormat, TimeDelta, Utc};
use pvt_domain::actor::Actor;
use pvt_domain::booking::Status;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::maintenance::Maintenance;
use pvt_stripe_simulator::PayOutcome;
use pvt_testkit::{DORM, booking_body, days_from_now, doc, eventually};
use reqwest::StatusCode;
use serde_json::Value;
use uuid::Uuid;

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

/// The value of a counter of the API at `POST /api/bookings`, with these further labels.
async fn counted(stack: &Stack, counter: &str, labels: &str) -> Result<u32> {
    let series = format!("{counter}{{route=\"/api/bookings\",method=\"POST\"{labels}}} ");
    let metrics = operators_page(stack, "/metrics").await?;
    let value = metrics.lines().find_map(|line| line.strip_prefix(&series)).with_context(|| format!("no {series}"))?;
    Ok(value.parse()?)
}

/// The payment link of this booking: the status, and the value of this header.
async fn payment_link(stack: &Stack, booked: &AcceptedBooking, header: &str) -> Result<(StatusCode, String)> {
    let path = format!("/api/bookings/{}/pay?token={}", booked.id, booked.token);
    let answer = page(stack, &path, None).await?;
    let value = answer.headers().get(header).with_context(|| format!("no {header}: {answer:?}"))?;
    Ok((answer.status(), value.to_str()?.to_owned()))
}

#[tokio::test]
async fn maintenance_refuses_changes_and_loses_nothing() -> Result<()> {
    let mut stack = StackBuilder::new().paid_online().start().await?;
    let before = stack.book("before", &booking_body(DORM, days_from_now(30), 1, 1)).await?;
    let paying = hold(&stack, "paying", &prepaid(days_from_now(60), 2)).await?;
    let (session, _) = checkout(&stack, &paying, "pay").await?;
    let unpaid = hold(&stack, "unpaid", &prepaid(days_from_now(70), 2)).await?;
    let end = (Utc::now() + TimeDelta::minutes(10)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let (code, said) = maintenance(&stack, &["on", "--reason", "the mart is moved", "--until", &end]).await?;
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

    let refusals = counted(&stack, "pvt_maintenance_refusals_total", "").await?;
    ensure!(refusals > 0 && counted(&stack, "pvt_http_requests_total", ",status=\"503\"").await? == refusals);

    // A page of Stripe's that is open is led to, and none is opened.
    let (status, location) = payment_link(&stack, &paying, "location").await?;
    ensure!(status == StatusCode::SEE_OTHER && location.ends_with(&session), "{status} {location}");
    let (status, wait) = payment_link(&stack, &unpaid, "retry-after").await?;
    ensure!(status == StatusCode::SERVICE_UNAVAILABLE && wait.parse::<u32>()? > 500, "{status} {wait}");
    ensure!(stack.stripe()?.effects_of_booking(&unpaid.id.to_string()).sessions == 0);

    // What is paid there is confirmed: Stripe's events are accepted and applied.
    stack.stripe()?.pay(&session, PayOutcome::Success)?;
    until(&stack, &paying, Status::Confirmed).await?;

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
async fn hold_that_ends_in_maintenance_can_be_paid_after_it() -> Result<()> {
    let mut stack = StackBuilder::new().paid_online().with(FREQUENT_EXPIRY.0, FREQUENT_EXPIRY.1).start().await?;
    let late = hold(&stack, "late", &prepaid(days_from_now(60), 2)).await?;
    let unpaid = hold(&stack, "unpaid", &prepaid(days_from_now(70), 2)).await?;
    // It has been on for a while, so that its deferral is longer than this test.
    let (since, actor) = (Utc::now() - TimeDelta::minutes(2), Actor::from("operator"));
    let entry =
        AuditEntry::new(Uuid::now_v7(), since.into(), &actor, "maintenance.on".to_owned(), "maintenance", "a test");
    let on = Maintenance { since: since.into(), until: None, actor, reason: "a test".to_owned() };
    ensure!(stack.mongo.maintenance().store(&on, &entry).await?);
    let ended = (Utc::now() - TimeDelta::minutes(1)).to_rfc3339_opts(SecondsFormat::Millis, true);
    for booking in [&late, &unpaid] {
        stack.stores.set("bookings", &booking.id.to_string(), doc! { "payment.expires_at": &ended }).await?;
    }
    let workers = stack.metrics_url("workers")?;
    let waiting = || async {
        let metrics = stack.client.http().get(&workers).send().await?.text().await?;
        Ok(metrics.contains("pvt_schedule_waiting{schedule=\"expire_holds\"} 1").then_some(()))
    };
    eventually("the schedule waits", SHORT_TIMEOUT, waiting).await?;
    refused_with(&stack, "maintenance").await?;
    let (status, _) = payment_link(&stack, &late, "retry-after").await?;
    ensure!(status == StatusCode::SERVICE_UNAVAILABLE, "{status}");
    let listed = stack.pvt(&["schedules", "list"]).await?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    ensure!(listed.matches("waits for the end of the maintenance").count() == 2, "{listed}");

    ensure!(maintenance(&stack, &["off"]).await?.0 == Some(0));
    let opened = || async {
        let (status, location) = payment_link(&stack, &late, "location").await?;
        Ok((status == StatusCode::SEE_OTHER).then_some(location))
    };
    let location = eventually("the link opens a page of Stripe's", SHORT_TIMEOUT, opened).await?;
    let session = location.rsplit('/').next().context("a session")?;
    stack.stripe()?.pay(session, PayOutcome::Success)?;
    until(&stack, &late, Status::Confirmed).await?;
    let listed = stack.pvt_json(&["schedules", "list", "--json"]).await?;
    let holds = listed.as_array().and_then(|all| all.iter().find(|one| one["name"] == "expire_holds"));
    let reason = holds.and_then(|holds| holds["waits_for"].as_str()).context("a reason")?;
    ensure!(reason.starts_with("waits after the maintenance until "), "{reason}");
    until(&stack, &unpaid, Status::Held).await?;
    // Its time is over, too.
    stack.stores.set("maintenance", "last", doc! { "until": &ended }).await?;
    until(&stack, &unpaid, Status::Expired).await?;
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
