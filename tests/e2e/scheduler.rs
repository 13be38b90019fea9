//! Scheduler: one leader sends what is due, and a standby takes over when it dies.

use crate::harness::{CONSUMERS, Expectations, LONG_TIMEOUT, SHORT_TIMEOUT, Stack, StackBuilder};
use anyhow::{Context, Result, bail};
use chrono::{TimeDelta, Utc};
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::Publisher;
use pvt_stores::mongo::reconciliations::Report;
use pvt_testkit::{dormitory, eventually};
use pvt_workers::scheduler::{Schedule, Scheduler};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const EVERY_SECOND: &str = "* * * * * *";
const PROPERTIES: [&str; 2] = ["north", "south"];

fn start(stack: &Stack, publisher: &Publisher, stop: &CancellationToken) -> Result<JoinHandle<()>> {
    let schedule = Schedule::new("every_second", EVERY_SECOND, pvt_domain::demo::inventory().property.time_zone)?;
    let scheduler =
        Scheduler::new(stack.mongo.clone(), publisher.clone(), stack.topology.clone()).with_schedules(vec![schedule]);
    let stop = stop.clone();
    Ok(tokio::spawn(async move {
        let Ok(()) = scheduler.run(stop).await;
    }))
}

/// Number of reports by property.
async fn reports(stack: &Stack) -> Result<BTreeMap<String, usize>> {
    let mut count = BTreeMap::new();
    for report in stack.stores.all::<Report>("reconciliations").await? {
        assert_eq!(report.actor, "schedule:every_second");
        *count.entry(report.property_id.to_string()).or_default() += 1;
    }
    Ok(count)
}

async fn fires(stack: &Stack, more_than: usize) -> Result<usize> {
    let what = format!("more than {more_than} fires are reported for every property");
    eventually(&what, LONG_TIMEOUT, || async {
        let count = reports(stack).await?;
        Ok(PROPERTIES
            .iter()
            .map(|property| count.get(*property).copied().unwrap_or_default())
            .min()
            .filter(|fewest| *fewest > more_than))
    })
    .await
}

#[tokio::test]
async fn every_fire_runs_once_per_property() -> Result<()> {
    let plan = StackBuilder::new().selling(PROPERTIES.map(|property| dormitory(property, 1)));
    let stack = plan.workers(&[("reconciliation", &["reconciliation"])]).start().await?;
    let publisher = Publisher::start(stack.namespace.amqp_url(), stack.topology.clone(), "schedulers");
    let stop = CancellationToken::new();
    let first = start(&stack, &publisher, &stop)?;
    fires(&stack, 0).await?;
    let second = start(&stack, &publisher, &stop)?;
    let by_both = fires(&stack, 2).await?;
    // Killed without notice: its lease has to expire before the other one may lead.
    first.abort();
    fires(&stack, by_both + 2).await?;
    stop.cancel();
    second.await?;
    publisher.close(Duration::from_secs(5)).await;
    let expectations = Expectations::clean().without_mails().without_mart();
    stack.wait_until_quiet(&expectations).await?;
    // Commands of one fire have the same id in every process, so a fire sent twice would still be one report: what
    // counts is that every property has one per fire.
    let count = eventually("every property has a report of the last fire", LONG_TIMEOUT, || async {
        let count = reports(&stack).await?;
        Ok((count.len() == PROPERTIES.len() && count["north"] == count["south"]).then_some(count))
    })
    .await?;
    assert!(count["north"] >= 5, "{count:?}");
    stack.end(expectations).await
}

/// The process that leads, according to its metrics.
async fn leader(stack: &Stack, metrics: &[(&'static str, String)]) -> Result<Option<&'static str>> {
    let mut leaders = Vec::new();
    for (name, url) in metrics {
        let Ok(answer) = stack.client.http().get(url).send().await else { continue };
        if answer.text().await?.lines().any(|line| line.trim() == "pvt_scheduler_leader 1") {
            leaders.push(*name);
        }
    }
    assert!(leaders.len() <= 1, "two leaders: {leaders:?}");
    Ok(leaders.first().copied())
}

#[tokio::test]
async fn standby_takes_over_scheduling() -> Result<()> {
    let mut stack = StackBuilder::new()
        .workers(&[("s1", &["scheduler"]), ("s2", &["scheduler"]), ("others", CONSUMERS)])
        .start()
        .await?;
    let metrics = [("s1", stack.metrics_url("s1")?), ("s2", stack.metrics_url("s2")?)];
    let first = eventually("a process leads", LONG_TIMEOUT, || leader(&stack, &metrics)).await?;
    stack.program(first)?.kill9()?;
    let other = || async { Ok(leader(&stack, &metrics).await?.filter(|name| *name != first)) };
    let second = eventually("the other one takes over", LONG_TIMEOUT, other).await?;
    stack.restart(first).await?;
    // On SIGTERM it releases the lease, which therefore does not have to expire.
    stack.program(second)?.stop().await?;
    let begun = std::time::Instant::now();
    let back = || async { Ok(leader(&stack, &metrics).await?.filter(|name| *name == first)) };
    eventually("the first one leads again", LONG_TIMEOUT, back).await?;
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    let schedules: Vec<Value> = stack.stores.all("schedules").await?;
    let token =
        schedules.iter().find(|row| row["_id"] == "leader").map(|row| row["token"].clone()).context("the lease")?;
    assert!(
        token.as_i64().or_else(|| token["$numberLong"].as_str()?.parse().ok()) >= Some(3),
        "every leadership has a higher token: {token}"
    );
    stack.end(Expectations::clean().without_mails().without_mart()).await
}

#[tokio::test]
async fn schedule_ahead_of_the_clock_degrades_its_process() -> Result<()> {
    let mut stack = StackBuilder::new().prepare().await?;
    let ahead = Timestamp::from(Utc::now() + TimeDelta::days(30));
    stack.mongo.schedules().record_fire("night_audit", ahead, true, 0).await?;
    stack.run(&["mail-sink", "api", "workers"]).await?;
    let url = format!("{}?verbose", stack.program("workers")?.ready_url());
    let warning = format!("ahead of the server's clock: night_audit had fired until {ahead} and continued from ");
    eventually("its health says that it has continued", SHORT_TIMEOUT, || async {
        let answer = stack.client.http().get(&url).send().await?;
        let status = answer.status();
        let report: Value = serde_json::from_str(&answer.text().await?)?;
        let parts = report["components"].as_array().context("the parts")?;
        let part = parts.iter().find(|part| part["name"] == "schedules").context("the schedules")?;
        let warns = part["detail"].as_str().is_some_and(|detail| detail.starts_with(&warning));
        // A restart would not help: it stays ready.
        let is_degraded = status.is_success() && report["status"] == "degraded" && part["status"] == "degraded";
        if warns && is_degraded { Ok(Some(())) } else { bail!("{status}: {report}") }
    })
    .await?;
    stack.end(Expectations::clean().without_mails().without_mart()).await
}
