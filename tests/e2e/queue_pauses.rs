//! Queues that an operator pauses: whatever is killed and restarted, they stay paused. Nothing is lost or done twice.

use crate::harness::{CONSUMERS, Expectations, LONG_TIMEOUT, SHORT_TIMEOUT, Stack, StackBuilder};
use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use pvt_domain::actor::Actor;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::queue_pauses::QueuePause;
use pvt_testkit::{booking_body, days_from_now, eventually};
use serde_json::Value;
use uuid::Uuid;

/// Two processes compete for the queues that are paused.
const WORKERS: [(&str, &[&str]); 3] =
    [("first", CONSUMERS), ("second", &["confirmations", "emails"]), ("scheduler", &["scheduler"])];

/// A row of `pvt queues list --json`.
async fn row(stack: &Stack, queue: &str) -> Result<Value> {
    let rows = stack.pvt_json(&["queues", "list", "--json"]).await?;
    let name = stack.topology.name(queue);
    let rows = rows.as_array().context("an array")?;
    rows.iter().find(|row| row["name"] == name.as_str()).cloned().with_context(|| format!("no row of {name}"))
}

/// Waits until nothing consumes the queue, and checks that it is shown as paused.
async fn wait_until_unconsumed(stack: &Stack, queue: &str, reason: &str) -> Result<()> {
    let unconsumed = || async {
        let row = row(stack, queue).await?;
        ensure!(row["paused"]["reason"] == reason && row["paused"]["actor"] == "operator", "{row}");
        Ok((row["consumers"] == 0).then_some(()))
    };
    eventually(&format!("nothing consumes {queue}"), SHORT_TIMEOUT, unconsumed).await
}

async fn pause(stack: &Stack, queue: &str, reason: &str) -> Result<()> {
    let paused = stack.pvt(&["queues", "pause", queue, "--reason", reason]).await?;
    ensure!(paused.status.success(), "{paused:?}");
    Ok(())
}

async fn resume(stack: &Stack, queue: &str) -> Result<()> {
    let resumed = stack.pvt(&["queues", "resume", queue, "--reason", "the test goes on"]).await?;
    ensure!(resumed.status.success(), "{resumed:?}");
    Ok(())
}

/// Kills both processes that consume, and starts them again.
async fn kill_workers(stack: &mut Stack) -> Result<()> {
    for name in ["first", "second"] {
        stack.program(name)?.kill9()?;
    }
    stack.run(&["first", "second"]).await
}

/// `/readyz?verbose` or `/metrics` of a worker process.
async fn page(stack: &mut Stack, program: &str, path: &str) -> Result<String> {
    let url = stack.metrics_url(program)?.replace("/metrics", path);
    Ok(stack.client.http().get(url).send().await?.text().await?)
}

async fn actions(stack: &Stack, queue: &str) -> Result<Vec<String>> {
    let entries = stack.mongo.audit_log().list(Some(queue), None, 10).await?;
    let described = entries.iter().rev().map(|entry| format!("{} {}: {}", entry.actor, entry.action, entry.detail));
    Ok(described.collect())
}

#[tokio::test]
async fn paused_queues_outlast_kills_and_lose_nothing() -> Result<()> {
    let mut stack = StackBuilder::new().workers(&WORKERS).start().await?;
    let partition = stack.partition_of("pvt-montreal");
    let before = stack.book("before", &booking_body("dorm-8-mixed", days_from_now(10), 1, 1)).await?;
    stack.client.wait_for_decision(&before).await?;
    pause(&stack, "emails", "the mail provider is moving").await?;
    wait_until_unconsumed(&stack, "emails", "the mail provider is moving").await?;

    // Requests are being decided when the pause begins and a process is killed, and are accepted all the same.
    let requests = (0..20).map(|number| {
        let (stack, key) = (&stack, format!("during-{number}"));
        async move { stack.book(&key, &booking_body("dorm-8-mixed", days_from_now(20 + number), 1, 1)).await }
    });
    let during = try_join_all(requests).await?;
    let pausing = stack.spawn_pvt(&["queues", "pause", "bookings", "--reason", "an index is built"]);
    let stored = || async { Ok((row(&stack, &partition).await?["paused"]["reason"].is_string()).then_some(())) };
    eventually("the pause is stored", SHORT_TIMEOUT, stored).await?;
    stack.program("first")?.kill9()?;
    let paused = pausing.await??;
    ensure!(paused.status.success(), "{paused:?}");
    wait_until_unconsumed(&stack, &partition, "an index is built").await?;
    let mut waiting = Vec::new();
    for number in 0..5 {
        let body = booking_body("private-twin", days_from_now(20 + 3 * number), 1, 1);
        waiting.push(stack.book(&format!("waiting-{number}"), &body).await?);
    }

    // They are paused from the first moment of every new process.
    stack.program("second")?.kill9()?;
    stack.run(&["first", "second"]).await?;
    wait_until_unconsumed(&stack, &partition, "an index is built").await?;
    wait_until_unconsumed(&stack, "emails", "the mail provider is moving").await?;
    let ready = row(&stack, &partition).await?["ready"].as_u64().context("a count")?;
    ensure!(ready >= 5, "{ready} requests wait");
    for booked in &waiting {
        let shown = stack.client.get(&format!("/api/bookings/{}?token={}", booked.id, booked.token)).await?;
        ensure!(shown.text("/status") == "requested", "{shown:?}");
    }
    let health = page(&mut stack, "first", "/readyz?verbose").await?;
    let shown = format!("queue {} paused by operator since", stack.topology.name(&partition));
    ensure!(health.contains(&shown) && health.contains(": an index is built"), "{health}");
    let gauge =
        |queue: &str, value: u8| format!("pvt_queue_paused{{queue=\"{}\"}} {value}", stack.topology.name(queue));
    let gauges = [gauge(&partition, 1), gauge("emails", 1), gauge("analytics", 0)];
    let url = stack.metrics_url("scheduler")?;
    let http = stack.client.http().clone();
    let measured = || async {
        let metrics = http.get(&url).send().await?.text().await?;
        Ok(gauges.iter().all(|gauge| metrics.contains(gauge)).then_some(()))
    };
    eventually("the gauges show the pauses", SHORT_TIMEOUT, measured).await?;

    // One partition cannot be resumed while all of them are paused.
    let refused = stack.pvt(&["queues", "resume", &partition]).await?;
    ensure!(refused.status.code() == Some(5), "{refused:?}");
    resume(&stack, "bookings").await?;
    for booked in during.iter().chain(&waiting) {
        stack.client.wait_for_decision(booked).await?;
    }
    kill_workers(&mut stack).await?;
    wait_until_unconsumed(&stack, "emails", "the mail provider is moving").await?;
    ensure!(row(&stack, "emails").await?["ready"].as_u64() >= Some(25), "a mail is due for each booking");
    let emails = stack.topology.name("emails");
    let doctor = stack.pvt(&["doctor"]).await?;
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    let waiting = said.split("WARN   messages of paused queues: wait in ").nth(1).context("a warning")?;
    ensure!(waiting.starts_with(&format!("{emails} (")), "{said}");
    let trace = stack.pvt_json(&["trace", &during[0].id.to_string(), "--json"]).await?;
    let lines = trace["verdict"].to_string();
    let paused = format!("queue {emails} is paused by operator since");
    ensure!(lines.contains(&paused) && lines.contains("no mail booking_confirmed was written"), "{trace}");
    resume(&stack, "emails").await?;
    let consumed = || async {
        let row = row(&stack, "emails").await?;
        Ok((row["consumers"] == 2 && row["paused"].is_null()).then_some(()))
    };
    eventually("emails is consumed", LONG_TIMEOUT, consumed).await?;
    ensure!(
        actions(&stack, "bookings").await?
            == ["operator queue.pause: an index is built", "operator queue.resume: the test goes on"]
    );
    ensure!(
        actions(&stack, "emails").await?
            == ["operator queue.pause: the mail provider is moving", "operator queue.resume: the test goes on"]
    );
    stack.end(Expectations::clean()).await
}

/// Processes of the version before know no pauses: a consumer without an end stands for one.
#[tokio::test]
async fn pause_waits_for_consumers_and_names_those_that_go_on() -> Result<()> {
    let stack = StackBuilder::new().workers(&[]).prepare().await?;
    let channel = stack.broker.channel().await?;
    let queue = stack.topology.name("emails");
    let options = BasicConsumeOptions::default();
    // Dropping it would cancel it.
    let _old = channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default()).await?;
    let paused = stack.pvt(&["queues", "pause", "emails", "--reason", "an upgrade"]).await?;
    let said = String::from_utf8_lossy(&paused.stderr).into_owned();
    ensure!(paused.status.code() == Some(75) && said.contains(&format!("still has consumers: {queue} (1)")), "{said}");
    ensure!(row(&stack, "emails").await?["paused"]["reason"] == "an upgrade", "it is stored all the same");
    // It ends while the command waits.
    let waiting = stack.spawn_pvt(&["queues", "pause", "emails", "--reason", "again"]);
    channel.close(200, "done".into()).await?;
    let paused = waiting.await??;
    ensure!(paused.status.success(), "{paused:?}");
    wait_until_unconsumed(&stack, "emails", "an upgrade").await?;
    resume(&stack, "emails").await?;
    stack.end(Expectations::clean().without_mails().without_mart()).await
}

#[tokio::test]
async fn pausing_twice_keeps_the_first_reason_and_unknown_queues_are_refused() -> Result<()> {
    let stack = StackBuilder::new().workers(&[]).prepare().await?;
    let partition = stack.partition_of("pvt-montreal");
    pause(&stack, &partition, "first").await?;
    let again = stack.pvt(&["queues", "pause", &partition, "--reason", "second"]).await?;
    ensure!(again.status.success() && String::from_utf8_lossy(&again.stderr).contains("first"), "{again:?}");
    ensure!(row(&stack, &partition).await?["paused"]["reason"] == "first");
    let doctor = stack.pvt(&["doctor"]).await?;
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    ensure!(said.contains(&format!("WARN   pauses of queues: {partition} by operator since")), "{said}");
    let consumers = said.split("consumers: ").nth(1).context("no queue is consumed")?.lines().next();
    ensure!(consumers.is_some_and(|queues| !queues.contains(&stack.topology.name(&partition))), "{said}");
    for queue in ["emails.dead", "nope", "retry.5s"] {
        let refused = stack.pvt(&["queues", "pause", queue, "--reason", "a test"]).await?;
        ensure!(refused.status.code() == Some(3), "{queue}: {refused:?}");
    }
    let without_reason = stack.pvt(&["queues", "pause", "emails"]).await?;
    ensure!(without_reason.status.code() == Some(2), "{without_reason:?}");
    // A family ends the pauses of its partitions as well, and names them.
    let resumed = stack.pvt(&["queues", "resume", "bookings", "--reason", "the test goes on"]).await?;
    let said = String::from_utf8_lossy(&resumed.stderr).into_owned();
    let expected = format!("{partition} is resumed with bookings; it was paused since");
    ensure!(resumed.status.success() && said.contains(&expected), "{said}");
    ensure!(row(&stack, &partition).await?["paused"].is_null());
    resume(&stack, "bookings").await?;
    ensure!(actions(&stack, "bookings").await?.is_empty(), "it was not paused itself");
    ensure!(
        actions(&stack, &partition).await?
            == ["operator queue.pause: first", "operator queue.resume: with bookings: the test goes on"]
    );
    // A partition that was paused when there were more of them.
    let since = chrono::Utc::now().into();
    let actor = Actor::from("operator");
    let entry = AuditEntry::new(Uuid::now_v7(), since, &actor, "queue.pause".to_owned(), "bookings.250", "earlier");
    let left = QueuePause { queue: "bookings.250".to_owned(), since, actor, reason: "earlier".to_owned() };
    ensure!(stack.mongo.queue_pauses().insert(&left, &entry).await?);
    resume(&stack, "bookings.250").await?;
    ensure!(stack.mongo.queue_pauses().list().await?.is_empty());
    let refused = stack.pvt(&["queues", "resume", "bookings.250"]).await?;
    ensure!(refused.status.code() == Some(3), "{refused:?}");
    stack.end(Expectations::clean().without_mails().without_mart()).await
}
