//! Crashes at the worst moments: nothing accepted is lost, nothing is duplicated, no healthy message is dead-lettered.

use crate::harness::{AcceptedBooking, Expectations, SHORT_TIMEOUT, Stack, StackBuilder, booked};
use anyhow::{Result, ensure};
use chrono::Utc;
use futures_util::future::{join_all, try_join_all};
use futures_util::{StreamExt, TryStreamExt, stream};
use pvt_testkit::{DORM, booking_body, days_from_now, eventually, stripe_signature};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// One process per worker.
const SEPARATE: &[(&str, &[&str])] =
    &[("confirmations", &["confirmations"]), ("emails", &["emails"]), ("analytics", &["analytics"])];

fn body(number: u64) -> Value {
    let room_types = [DORM, "dorm-8-mixed", "private-double", "private-twin"];
    booking_body(
        room_types[usize::try_from(number).unwrap_or_default() % room_types.len()],
        days_from_now(5 + number % 300),
        1 + number % 3,
        1,
    )
}

async fn book_some(stack: &Stack, label: &str, count: u64) -> Result<Vec<AcceptedBooking>> {
    let keys: Vec<String> = (0..count).map(|number| format!("{label}-{number}")).collect();
    let offset = label.bytes().map(u64::from).sum::<u64>();
    try_join_all(
        keys.iter().zip(offset..).map(|(key, number)| async move { stack.book_with_retries(key, &body(number)).await }),
    )
    .await
}

/// Aborts the worker at each of these points and lets it resume.
async fn abort_at(worker: &str, points: &[&str], expectations: Expectations) -> Result<()> {
    let mut stack = StackBuilder::new().workers(SEPARATE).start().await?;
    for (round, point) in points.iter().enumerate() {
        stack.program(worker)?.stop().await?;
        stack.start_with_fault_point(worker, point).await?;
        let booked = book_some(&stack, &format!("{round}-{point}"), 6).await?;
        if point.ends_with(":2") {
            // The first batch gets through.
            stack.client.wait_for_decision(&booked[0]).await?;
            book_some(&stack, &format!("{round}-{point}-more"), 6).await?;
        }
        stack.program(worker)?.wait_for_abort().await?;
        stack.restart(worker).await?;
        stack.wait_until_quiet(&expectations).await?;
    }
    stack.end(expectations).await
}

#[tokio::test]
async fn confirmations_survive_abort_at_every_fault_point() -> Result<()> {
    let points = [
        "before_commit",
        "after_commit_before_publish",
        "after_handle_before_publish",
        "after_publish_before_ack",
        "after_commit_before_publish:2",
    ];
    abort_at("confirmations", &points, Expectations::clean()).await
}

#[tokio::test]
async fn emails_survive_abort_at_every_fault_point() -> Result<()> {
    // Between the server's 250 and the record the outcome is unknown: a mail may arrive twice, with one Message-ID.
    let points = ["after_smtp_before_record", "after_handle_before_publish", "after_publish_before_ack"];
    abort_at("emails", &points, Expectations::clean().mail_copies(2)).await
}

/// Once the record is written, a crash causes no second mail.
#[tokio::test]
async fn recorded_mail_is_not_sent_again() -> Result<()> {
    abort_at("emails", &["after_handle_before_publish", "after_publish_before_ack"], Expectations::clean()).await
}

#[tokio::test]
async fn analytics_survives_abort_at_every_fault_point() -> Result<()> {
    abort_at(
        "analytics",
        &["after_load_before_ack", "after_handle_before_publish", "after_publish_before_ack"],
        Expectations::clean(),
    )
    .await
}

#[tokio::test]
async fn payments_and_reconciliation_survive_abort_at_every_fault_point() -> Result<()> {
    let mut stack = StackBuilder::new()
        .workers(&[("payments", &["payments"]), ("reconciliation", &["reconciliation"])])
        .start()
        .await?;
    for (round, point) in ["after_handle_before_publish", "after_publish_before_ack"].into_iter().enumerate() {
        stack.program("payments")?.stop().await?;
        stack.start_with_fault_point("payments", point).await?;
        for number in 0..3 {
            let event =
                json!({ "id": format!("evt_{round}_{number}"), "type": "invoice.paid", "created": 1_800_000_000,
                    "data": { "object": {} } })
                .to_string();
            let signature = stripe_signature(crate::harness::WEBHOOK_SECRET, Utc::now().timestamp(), event.as_bytes());
            let headers = [("content-type", "application/json"), ("stripe-signature", signature.as_str())];
            let answer = stack
                .client
                .send(reqwest::Method::POST, "/api/payments/webhook", &headers, Some(event.into_bytes()))
                .await?;
            ensure!(answer.status == StatusCode::OK, "{answer:?}");
        }
        stack.program("payments")?.wait_for_abort().await?;
        stack.restart("payments").await?;
        let kept =
            || async { Ok((stack.stores.all::<Value>("stripe_events").await?.len() == 3 * (round + 1)).then_some(())) };
        eventually("every event is stored once", SHORT_TIMEOUT, kept).await?;
    }
    for point in ["after_repair_before_report", "after_handle_before_publish", "after_publish_before_ack"] {
        stack.program("reconciliation")?.stop().await?;
        stack.start_with_fault_point("reconciliation", point).await?;
        // The command is redelivered, and the caller still gets the report.
        let report = stack.spawn_pvt(&["reconcile", "run", "--json"]);
        stack.program("reconciliation")?.wait_for_abort().await?;
        stack.restart("reconciliation").await?;
        let report = report.await??;
        ensure!(report.status.success(), "{point}: {}", String::from_utf8_lossy(&report.stderr));
    }
    let reports: Vec<Value> = stack.stores.all("reconciliations").await?;
    assert_eq!(reports.len(), 3, "one report per run: {reports:?}");
    stack.end(Expectations::clean().without_mails().without_mart()).await
}

/// A burst of clients that retry with the same key while the API is killed repeatedly.
#[tokio::test]
async fn api_killed_during_burst_loses_no_booking() -> Result<()> {
    const CLIENTS: u64 = 150;
    const KILLS: usize = 5;
    let mut stack = StackBuilder::new().start().await?;
    let accepted = Arc::new(AtomicUsize::new(0));
    let (client, count) = (stack.client.clone(), accepted.clone());
    let clients = tokio::spawn(async move {
        let requests = (0..CLIENTS).map(|number| {
            let (client, count) = (client.clone(), count.clone());
            async move {
                let key = format!("burst-{number}");
                let id = eventually(&key, SHORT_TIMEOUT, || async {
                    let answer = client.request_booking(&key, &body(number)).await?;
                    ensure!(answer.status == StatusCode::ACCEPTED, "{answer:?}");
                    Ok(Some(booked(&answer)?.id))
                })
                .await?;
                count.fetch_add(1, Ordering::Relaxed);
                Ok::<Uuid, anyhow::Error>(id)
            }
        });
        // Enough concurrency that every kill hits requests in flight, with more to come.
        stream::iter(requests).buffer_unordered(16).try_collect::<Vec<Uuid>>().await
    });
    for kill in 1..=KILLS {
        let enough = || async { Ok((accepted.load(Ordering::Relaxed) >= kill * 20).then_some(())) };
        eventually("some were accepted", SHORT_TIMEOUT, enough).await?;
        stack.program("api")?.kill9()?;
        stack.restart("api").await?;
    }
    let ids: Vec<Uuid> = clients.await??;
    ids.iter().for_each(|id| stack.record_accepted(*id));
    let expectations = Expectations::clean();
    stack.wait_until_quiet(&expectations).await?;
    assert_eq!(stack.stores.records().await?.bookings.len(), ids.len(), "one booking per key");
    stack.end(expectations).await
}

/// A client that disconnects does not cancel its request, and its retry is the same booking.
#[tokio::test]
async fn disconnected_clients_get_one_booking_each() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    let keys: Vec<String> = (0..30).map(|number| format!("hasty-{number}")).collect();
    let client = &stack.client;
    let hang_up = keys.iter().zip(0..).map(|(key, number)| async move {
        // Somewhere between the first byte of the request and the response.
        let patience = Duration::from_micros(500 * number);
        drop(tokio::time::timeout(patience, client.request_booking(key, &body(number))).await);
    });
    join_all(hang_up).await;
    let persistent_client = &stack;
    try_join_all(
        keys.iter()
            .zip(0..)
            .map(|(key, number)| async move { persistent_client.book_with_retries(key, &body(number)).await }),
    )
    .await?;
    let expectations = Expectations::clean();
    stack.wait_until_quiet(&expectations).await?;
    assert_eq!(stack.stores.records().await?.bookings.len(), keys.len());
    stack.end(expectations).await
}

/// Kills workers as soon as they hold messages, far more often than any delivery limit: healthy messages must not be
/// mistaken for the cause of a crash loop.
#[tokio::test]
#[ignore = "takes minutes: tests/long-journeys/run"]
async fn repeatedly_killed_workers_dead_letter_no_healthy_message() -> Result<()> {
    const KILLS: u64 = 26;
    let mut stack = StackBuilder::new().start().await?;
    for round in 0..KILLS {
        stack.program("workers")?.kill9()?;
        book_some(&stack, &format!("round-{round}"), 10).await?;
        stack.restart("workers").await?;
    }
    // Any of these kills may have hit between a mail's acceptance and its record.
    stack.end(Expectations::clean().mail_copies(usize::try_from(KILLS)?)).await
}

/// Kills workers while they hold messages that they cannot finish, which costs those messages no attempt.
#[tokio::test]
#[ignore = "takes minutes: tests/long-journeys/run"]
async fn workers_killed_while_waiting_dead_letter_no_healthy_message() -> Result<()> {
    const KILLS: u64 = 26;
    let mut stack = StackBuilder::new().workers(SEPARATE).start().await?;
    // Not one mail is begun: a begun one waits until its sender counts as gone, and waits are short in tests.
    stack.mailbox.inject_fault(&json!({ "mode": "refuse_connections" })).await?;
    book_some(&stack, "held", 20).await?;
    let metrics = stack.metrics_url("emails")?;
    for _ in 0..KILLS {
        let http = stack.client.http().clone();
        let holds = || async {
            let shown = http.get(&metrics).send().await?.text().await?;
            let held = shown
                .lines()
                .find_map(|line| line.strip_prefix("pvt_worker_in_flight{worker=\"emails\"} "))
                .and_then(|count| count.parse::<f64>().ok());
            Ok(held.filter(|held| *held > 0.0))
        };
        eventually("the worker holds messages", SHORT_TIMEOUT, holds).await?;
        stack.program("emails")?.kill9()?;
        stack.restart("emails").await?;
    }
    stack.mailbox.inject_fault(&json!({ "mode": null })).await?;
    stack.program("emails")?.kill9()?;
    stack.restart("emails").await?;
    stack.end(Expectations::clean()).await
}

/// On SIGTERM under load, a worker drains and requeues the rest.
#[tokio::test]
async fn rolling_restart_loses_and_duplicates_nothing() -> Result<()> {
    let mut stack = StackBuilder::new().workers(&[("w1", &["--all"]), ("w2", &["--all"])]).start().await?;
    for round in 0..3 {
        for worker in ["w1", "w2"] {
            book_some(&stack, &format!("{round}-{worker}"), 20).await?;
            stack.program(worker)?.stop().await?;
            stack.restart(worker).await?;
        }
    }
    stack.end(Expectations::clean()).await
}
