//! Queues, workers and schedules as operators see them on the command line, of the programs as shipped.

use crate::harness::{CONSUMERS, Expectations, LONG_TIMEOUT, SHORT_TIMEOUT, Stack, StackBuilder};
use crate::outages::{rabbitmqctl, with_own};
use anyhow::{Context, Result, ensure};
use pvt_messaging::management::Management;
use pvt_stores::mongo::worker_processes::SeenProcess;
use pvt_testkit::{DORM, EngineKind, EphemeralInstance, booking_body, days_from_now, eventually};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Output;

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The process that runs this worker.
async fn process(stack: &Stack, worker: &str) -> Result<Option<SeenProcess>> {
    let all = stack.mongo.worker_processes().list().await?;
    Ok(all.into_iter().find(|seen| seen.process.workers.iter().any(|one| one.name == worker)))
}

/// Books, so that something was confirmed, and waits until its time is stored.
async fn confirm_one(stack: &Stack) -> Result<()> {
    let booked = stack.book("one", &booking_body(DORM, days_from_now(10), 1, 1)).await?;
    ensure!(stack.client.wait_for_decision(&booked).await?["status"] == "confirmed");
    let counted = || async {
        let times = stack.mongo.decision_times().since(chrono::DateTime::UNIX_EPOCH.into()).await?;
        Ok((times.values().map(|counts| counts.total()).sum::<u64>() == 1).then_some(()))
    };
    eventually("its time to confirmation is stored", SHORT_TIMEOUT, counted).await
}

async fn schedules_are_listed_and_run(stack: &Stack) -> Result<()> {
    let planned = || async {
        let all = stack.pvt_json(&["schedules", "list", "--json"]).await?;
        let all = all.as_array().context("an array")?.clone();
        Ok((all.len() == 7 && all.iter().all(|it| it["next_fire"].is_string())).then_some(all))
    };
    let all = eventually("every schedule says when it fires next", SHORT_TIMEOUT, planned).await?;
    ensure!(all.iter().all(|it| it["enabled"] == true), "{all:?}");
    let table = stack.pvt(&["schedules", "list"]).await?;
    ensure!(text(&table).contains("night_audit") && text(&table).contains("0 */15 * * * *"), "{}", text(&table));
    let run =
        ["schedules", "run", "reconcile_properties", "--property", "pvt-montreal", "--reason", "a test", "--json"];
    let run = stack.pvt_json(&run).await?;
    ensure!(run["state"] == "succeeded" && run["messages"] == 1 && run["requested_by"] == "operator", "{run}");
    let reported = || async {
        let report = stack.pvt(&["reconcile", "report", "--property", "pvt-montreal", "--json"]).await?;
        Ok(report.status.success().then_some(report))
    };
    let report = eventually("its report is stored", SHORT_TIMEOUT, reported).await?;
    let report: Value = serde_json::from_slice(&report.stdout)?;
    let id = report[0]["_id"].as_str().context("the id of the run")?;
    ensure!(report[0]["found"] == 0, "{report}");
    let printed = stack.pvt(&["reconcile", "report", id]).await?;
    ensure!(printed.status.success() && text(&printed).contains("0 found"), "{}", text(&printed));
    for (arguments, code) in [
        (["reconcile", "report", "00000000-0000-4000-8000-000000000000"].as_slice(), 3),
        (&["reconcile", "report", "nonsense"], 2),
        (&["schedules", "run", "carrier_pigeons", "--reason", "a test"], 3),
        (&["schedules", "run", "expire_holds", "--property", "pvt-montreal", "--reason", "a test"], 5),
        (&["schedules", "run", "night_audit"], 2),
    ] {
        let refused = stack.pvt(arguments).await?;
        ensure!(refused.status.code() == Some(code), "pvt {arguments:?}: {}", text(&refused));
    }
    let dry = ["schedules", "run", "reconcile_payments", "--dry-run", "--reason", "how many?", "--json"];
    let dry = stack.pvt_json(&dry).await?;
    ensure!(dry["state"] == "succeeded" && dry["dry_run"] == true && dry["messages"] == 1, "{dry}");
    ensure!(run["dry_run"] == false, "{run}");
    Ok(())
}

#[tokio::test]
async fn operator_watches_queues_runs_schedules_and_sees_a_killed_worker() -> Result<()> {
    let workers = [("consumers", CONSUMERS), ("scheduler", &["scheduler"])];
    let mut stack = StackBuilder::new().workers(&workers).start().await?;
    confirm_one(&stack).await?;
    let consuming = || async {
        let found = process(&stack, "confirmations").await?;
        let consumes =
            |seen: &SeenProcess| seen.process.workers.iter().map(|worker| worker.queues.len()).sum::<usize>() == 8;
        Ok(found.filter(consumes))
    };
    let seen = eventually("its heartbeat names every queue", SHORT_TIMEOUT, consuming).await?;
    ensure!(!seen.is_stale() && seen.process.leads.is_none() && seen.process.host != "unknown", "{seen:?}");
    let tags: BTreeSet<&str> = seen
        .process
        .workers
        .iter()
        .flat_map(|worker| &worker.queues)
        .map(|queue| queue.consumer_tag.as_str())
        .collect();
    let management = Management::of_broker(stack.namespace.management_url(), stack.namespace.amqp_url())?;
    let known = || async {
        let all = management.consumers(stack.topology.prefix()).await?;
        let known: BTreeSet<&str> = all.iter().map(|consumer| consumer.consumer_tag.as_str()).collect();
        Ok(tags.is_subset(&known).then_some(()))
    };
    eventually("the broker knows the consumers of the heartbeat by the same tags", SHORT_TIMEOUT, known).await?;
    // Killed first, so that what follows passes the time until it is stale.
    stack.program("consumers")?.kill9()?;
    stack.run(&["consumers"]).await?;
    schedules_are_listed_and_run(&stack).await?;
    let lines = stack.pvt(&["queues", "watch", "--count", "2", "--interval", "1", "--json"]).await?;
    ensure!(lines.status.success(), "{}", text(&lines));
    let lines: Vec<Value> = lines
        .stdout
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(serde_json::from_slice)
        .collect::<Result<_, _>>()?;
    ensure!(lines.len() == 2, "one line for each reading");
    ensure!(lines[1]["queues"].as_array().map(Vec::len) == Some(stack.topology.queues().len()), "{}", lines[1]);
    let table = stack.pvt(&["queues", "watch", "--for", "1"]).await?;
    ensure!(table.status.success() && text(&table).contains("OLDEST"), "{}", text(&table));
    let leads = process(&stack, "scheduler").await?.context("the scheduler")?;
    ensure!(leads.process.leads == Some(true), "{leads:?}");
    let stale = || async {
        let all = stack.mongo.worker_processes().list().await?;
        let stale: Vec<_> = all.iter().filter(|seen| seen.is_stale()).map(|seen| seen.process.id.clone()).collect();
        Ok((stale == [seen.process.id.clone()] && all.len() == 3).then_some(()))
    };
    eventually("the killed process is stale and the others are not", LONG_TIMEOUT, stale).await?;
    let metrics = stack.metrics_url("scheduler")?;
    let metrics = stack.client.http().get(metrics).send().await?.text().await?;
    for name in ["pvt_queue_oldest_message_age_seconds{queue=", "pvt_broker_alarm{"] {
        ensure!(metrics.contains(name), "{name}");
    }
    // The killed process may have been sending the mail.
    stack.end(Expectations::clean().mail_copies(2)).await
}

/// Sets the memory above which this broker blocks publishers.
async fn limit_memory(broker: &EphemeralInstance, watermark: &[&str]) -> Result<()> {
    rabbitmqctl(broker, &[&["set_vm_memory_high_watermark"], watermark].concat()).await
}

#[tokio::test]
#[ignore = "runs a broker of its own: tests/long-journeys/run"]
async fn alarm_of_the_broker_is_shown_apart_from_other_faults() -> Result<()> {
    let (own, urls) = with_own(EngineKind::RabbitMq).await?;
    let workers = [("consumers", CONSUMERS), ("scheduler", &["scheduler"])];
    let mut stack = StackBuilder::new().on(urls).workers(&workers).start().await?;
    limit_memory(&own, &["absolute", "1"]).await?;
    let metrics = stack.metrics_url("scheduler")?;
    let (details, http) = (metrics.replace("/metrics", "/readyz?verbose"), stack.client.http().clone());
    let page = async |url: &str| anyhow::Ok(http.get(url).send().await?.text().await?);
    let shown = async || {
        let doctor = text(&stack.pvt(&["doctor"]).await?);
        let (metrics, details) = (page(&metrics).await?, page(&details).await?);
        let is_on = |line: &str| {
            line.starts_with("pvt_broker_alarm") && line.contains("alarm=\"memory\"") && line.ends_with(" 1")
        };
        let is_shown = doctor.contains("RabbitMQ alarm: on: memory of pvt-")
            && metrics.lines().any(is_on)
            && details.contains("the broker takes no messages: alarm about memory of pvt-");
        Ok(is_shown.then_some(doctor))
    };
    let doctor = eventually("doctor, metrics and health name the alarm", LONG_TIMEOUT, shown).await?;
    ensure!(doctor.contains("ok     RabbitMQ"), "RabbitMQ itself answers: {doctor}");
    let refused = stack.client.request_booking("meanwhile", &booking_body(DORM, days_from_now(9), 1, 1)).await?;
    ensure!(refused.status == reqwest::StatusCode::SERVICE_UNAVAILABLE, "{}", refused.status);
    limit_memory(&own, &["0.9"]).await?;
    let booked = stack.book_with_retries("after", &booking_body(DORM, days_from_now(10), 1, 1)).await?;
    ensure!(stack.client.wait_for_decision(&booked).await?["status"] == "confirmed");
    stack.end(Expectations::clean()).await?;
    Ok(own.close().await?)
}
