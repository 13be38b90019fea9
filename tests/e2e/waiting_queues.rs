//! The mail server stops: an operator sees within seconds what mails wait for, wherever queues are shown, and sees them
//! go on.

use crate::harness::{Expectations, SHORT_TIMEOUT, Session, Stack, StackBuilder, TestConsole};
use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use pvt_domain::accounts::Role;
use pvt_domain::actor::Actor;
use pvt_operations::queue_pauses;
use pvt_testkit::{DORM, booking_body, days_from_now, eventually};
use serde_json::Value;
use std::time::{Duration, Instant};

/// After the mail was to be sent.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);
const WAITS: &str = "waits for the SMTP server since";

/// The row of the queue `emails` on the page of the queues.
async fn row(console: &TestConsole, operator: &Session) -> Result<String> {
    let page = console.get(operator, "/queues").await?.text;
    let begin = page.find("<th scope=\"row\">emails</th>").context("no row")?;
    Ok(page[begin..].split("</tr>").next().unwrap_or_default().to_owned())
}

/// The same of `pvt queues list`.
async fn listed(stack: &Stack) -> Result<Value> {
    let all = stack.pvt_json(&["queues", "list", "--json"]).await?;
    let name = stack.topology.name("emails");
    all.as_array().and_then(|all| all.iter().find(|row| row["name"] == name)).cloned().context("no row")
}

#[tokio::test]
async fn operator_sees_within_seconds_what_mails_wait_for() -> Result<()> {
    let mut stack = StackBuilder::new().start().await?;
    let console = TestConsole::start(&stack).await?;
    let operator = console.sign_in(&stack, Role::Staff, "Olga", &["pvt-montreal"]).await?;
    let well = || async {
        let is_running = row(&console, &operator).await?.contains(">running<");
        Ok((is_running && !console.get(&operator, "/").await?.text.contains(WAITS)).then_some(()))
    };
    eventually("the worker of mails is shown as running", SHORT_TIMEOUT, well).await?;

    stack.program("mail-sink")?.stop().await?;
    let booked = stack.book("one", &booking_body(DORM, days_from_now(10), 1, 1)).await?;
    ensure!(stack.client.wait_for_decision(&booked).await?["status"] == "confirmed");
    let decided = Instant::now();
    let named = || async {
        let (row, overview) = (row(&console, &operator).await?, console.get(&operator, "/").await?.text);
        let is_on_queues = row.contains(WAITS) && row.contains(" in hand<");
        let is_on_overview = overview.contains("queues that wait") && overview.contains(&format!("emails {WAITS}"));
        Ok((is_on_queues && is_on_overview).then_some(()))
    };
    eventually("both pages name the mail server, and how long the mail has waited", NOTICED_WITHIN, named).await?;
    let emails = listed(&stack).await?;
    ensure!(decided.elapsed() < NOTICED_WITHIN, "{:?}", decided.elapsed());
    let outage = &emails["waits_for"];
    ensure!(outage["dependency"] == "the SMTP server" && outage["since"].is_string(), "{emails}");
    let sent_at: DateTime<Utc> = outage["oldest_sent_at"].as_str().context("when the mail was sent")?.parse()?;
    ensure!((Utc::now() - sent_at).num_seconds() <= i64::try_from(decided.elapsed().as_secs())? + 2, "{emails}");
    let table = stack.pvt(&["queues", "list"]).await?;
    ensure!(String::from_utf8_lossy(&table.stdout).contains(WAITS), "{table:?}");
    let doctor = stack.pvt(&["doctor"]).await?;
    ensure!(String::from_utf8_lossy(&doctor.stdout).contains("WARN   queues that wait"), "{doctor:?}");
    // What the alert WorkerPaused looks at; its rule has tests of its own.
    let (http, metrics) = (stack.client.http().clone(), stack.metrics_url("workers")?);
    let metrics = http.get(metrics).send().await?.text().await?;
    ensure!(metrics.lines().any(|line| line == "pvt_worker_paused{worker=\"emails\"} 1"), "{metrics}");

    stack.restart("mail-sink").await?;
    eventually("the mails are sent, and nothing waits any more", SHORT_TIMEOUT, well).await?;
    let emails = listed(&stack).await?;
    ensure!(emails.get("waits_for") == Some(&Value::Null), "nothing, which is known: {emails}");
    named_in_the_terminal(&stack, &operator).await?;
    console.end().await?;
    stack.end(Expectations::clean()).await
}

/// Staff who paused a queue are named by the commands, too; the JSON has their id.
async fn named_in_the_terminal(stack: &Stack, operator: &Session) -> Result<()> {
    let (user, queue) = (&operator.user, "analytics");
    let actor = Actor::staff(user.id);
    queue_pauses::pause(&stack.mongo, &stack.topology, queue, &actor, "it moves").await?;
    let by = format!("by Olga ({}): it moves", user.email.as_str());
    let table = stack.pvt(&["queues", "list"]).await?;
    ensure!(String::from_utf8_lossy(&table.stdout).contains(&by), "{table:?}");
    let all = stack.pvt_json(&["queues", "list", "--json"]).await?;
    let paused = all.as_array().and_then(|all| all.iter().find(|row| row["name"] == stack.topology.name(queue)));
    ensure!(paused.context("no row")?["paused"]["actor"] == actor.as_str(), "{all}");
    let resumed = stack.pvt(&["queues", "resume", queue]).await?;
    ensure!(String::from_utf8_lossy(&resumed.stderr).contains(&by), "{resumed:?}");
    Ok(())
}
