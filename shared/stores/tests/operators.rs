//! Records that operators look back on: samples of queues, times to confirmation, heartbeats, runs of schedules.

#![allow(clippy::unwrap_used)]

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use mongodb::Client;
use mongodb::bson::{Document, deserialize_from_document, doc};
use pvt_domain::actor::Actor;
use pvt_domain::duration_counts::DurationCounts;
use pvt_domain::ids::PropertyId;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::queue_samples::{QueueCounts, QueueSample};
use pvt_stores::mongo::schedule_runs::{RequestOutcome, RunEnd, RunRequest, RunState, ScheduleRun};
use pvt_stores::mongo::schedules::SchedulePlan;
use pvt_stores::mongo::worker_processes::{ConsumedQueue, ReportedOutage, WorkerProcess, WorkerReport};
use pvt_testkit::Namespace;
use std::time::Duration;
use uuid::Uuid;

fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(1_900_000_020 + seconds, 0).unwrap().into()
}

#[tokio::test]
async fn one_sample_of_a_minute_is_kept_with_all_its_counts() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let sample = |seconds, ready| {
        let counts = QueueCounts {
            queue: "bookings.0".to_owned(),
            ready,
            unacknowledged: 2,
            acknowledged: 1 << 40,
            consumers: 1,
            oldest_seconds: Some(7),
            oldest_is_at_least: true,
            dead: Some(0),
        };
        let idle = QueueCounts { queue: "retry.5s".to_owned(), ..QueueCounts::default() };
        QueueSample { at: at(seconds), queues: vec![counts, idle] }
    };
    for (seconds, ready) in [(0, 1), (5, 2), (60, 3)] {
        mongo.queue_samples().record(sample(seconds, ready)).await?;
    }
    assert_eq!(mongo.queue_samples().after(at(-1)).await?, [sample(5, 2), sample(60, 3)]);
    assert_eq!(mongo.queue_samples().after(at(5)).await?, [sample(60, 3)]);
    Ok(())
}

#[tokio::test]
async fn times_of_several_processes_add_up_by_minute() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let counts = |milliseconds: &[u64]| {
        let mut counts = DurationCounts::default();
        milliseconds.iter().for_each(|it| counts.add(Duration::from_millis(*it)));
        counts
    };
    let minute = at(0).as_datetime().timestamp() / 60;
    mongo.decision_times().record("one", minute, &counts(&[5])).await?;
    mongo.decision_times().record("one", minute, &counts(&[5, 6])).await?;
    mongo.decision_times().record("one", minute, &counts(&[5])).await?;
    mongo.decision_times().record("other", minute, &counts(&[7_000])).await?;
    mongo.decision_times().record("one", minute + 1, &counts(&[8])).await?;
    let read = mongo.decision_times().since(at(59)).await?;
    let totals: Vec<u64> = read.values().map(DurationCounts::total).collect();
    assert_eq!(totals, [3, 1], "what a process writes again replaces what it wrote, unless it is late");
    Ok(())
}

#[tokio::test]
async fn heartbeat_is_as_old_as_the_server_says() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let worker = WorkerReport {
        name: "emails".to_owned(),
        state: "$running".to_owned(),
        outages: vec![ReportedOutage { class: "smtp_unavailable".to_owned(), operation: None, since: at(5) }],
        in_flight: 3,
        queues: vec![ConsumedQueue {
            name: "x.emails".to_owned(),
            consumer_tag: "amq.ctag-1".to_owned(),
            oldest_in_hand: Some(at(7)),
        }],
        paused: Vec::new(),
        last_error: None,
    };
    let process = |id: &str| WorkerProcess {
        id: id.to_owned(),
        host: "$host".to_owned(),
        pid: u32::MAX,
        version: "1".to_owned(),
        started_at: at(0),
        leads: Some(true),
        workers: vec![worker.clone()],
    };
    for id in ["one", "other", "one"] {
        mongo.worker_processes().renew(&process(id)).await?;
    }
    let seen = mongo.worker_processes().list().await?;
    let found: Vec<_> = seen.iter().map(|seen| (seen.process.clone(), seen.is_stale())).collect();
    assert_eq!(found, [(process("one"), false), (process("other"), false)]);
    assert!(seen.iter().all(|seen| (0..10_000).contains(&seen.age_ms)), "{seen:?}");
    mongo.worker_processes().remove("one").await?;
    mongo.worker_processes().renew(&process("one")).await?;
    let left: Vec<String> = mongo.worker_processes().list().await?.into_iter().map(|seen| seen.process.id).collect();
    assert_eq!(left, ["other"], "a heartbeat that comes late does not list an ended process again");
    // The version before reads every document, knows no mark, and requires all of these members.
    let client = Client::with_uri_str(namespace.mongodb_uri()).await?;
    let rows = client.database(namespace.name()).collection::<Document>("worker_processes");
    let mut ended = rows.find_one(doc! { "_id": "one" }).await?.context("its document")?;
    assert!(ended.remove("ended").is_some() && ended.remove("seen_at").is_some(), "{ended}");
    assert_eq!(deserialize_from_document::<WorkerProcess>(ended)?, process("one"));
    mongo.worker_processes().remove("unknown").await?;
    assert_eq!(rows.count_documents(doc! {}).await?, 2, "what was never there leaves no mark");
    Ok(())
}

fn request(schedule: &str, key: u128) -> (ScheduleRun, AuditEntry) {
    let (id, now) = (Uuid::from_u128(key), Utc::now().into());
    let request = RunRequest {
        actor: Actor::from("operator"),
        reason: "a test".to_owned(),
        property_id: Some("here".into()),
        dry_run: false,
    };
    let run = ScheduleRun::requested(id, schedule, now, request);
    let entry = AuditEntry::new(id, now, "operator", "schedule.run".to_owned(), schedule, "a test");
    (run, entry)
}

#[tokio::test]
async fn request_is_one_run_however_often_it_is_sent_and_the_only_open_one() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let runs = mongo.schedule_runs();
    let ((run, entry), (another, of_another)) = (request("audit", 1), request("audit", 2));
    assert_eq!(runs.request(&run, &entry).await?, RequestOutcome::Requested);
    assert_eq!(runs.request(&run, &entry).await?, RequestOutcome::RequestedBefore(Box::new(run.clone())));
    assert_eq!(runs.request(&another, &of_another).await?, RequestOutcome::Another(Box::new(run.clone())));
    let (elsewhere, of_elsewhere) = request("reminders", 3);
    assert_eq!(runs.request(&elsewhere, &of_elsewhere).await?, RequestOutcome::Requested);
    let audited = mongo.audit_log().list(Some("audit"), None, 10).await?;
    assert_eq!(audited, [entry], "what was refused is not recorded");

    assert!(runs.begin(run.id, at(1), 5).await?);
    assert!(!runs.begin(run.id, at(2), 4).await?, "a former leader");
    assert!(runs.begin(run.id, at(3), 6).await?, "the next leader begins again");
    let end = |seconds, messages| RunEnd { at: at(seconds), outcome: Ok(messages), dry_run: true, behind: 0 };
    assert!(!runs.finish(run.id, 5, end(4, 1)).await?, "the former one does not end it");
    assert!(runs.finish(run.id, 6, end(5, 2)).await?);
    assert!(!runs.begin(run.id, at(6), 7).await?, "it is over");
    let ended = runs.find(run.id).await?.context("the run")?;
    assert_eq!((ended.state, ended.messages, ended.attempts), (RunState::Succeeded, 2, 2));
    assert!(ended.dry_run, "as the scheduler says, not only the request");
    assert_eq!((ended.started_at, ended.ended_at), (Some(at(1)), Some(at(5))));
    assert_eq!(runs.request(&run, &of_another).await?, RequestOutcome::RequestedBefore(Box::new(ended)));
    assert_eq!(runs.request(&another, &of_another).await?, RequestOutcome::Requested, "the other one may run now");
    Ok(())
}

#[tokio::test]
async fn requested_runs_of_other_properties_take_no_place() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let runs = mongo.schedule_runs();
    for (number, property) in [Some("here"), None, Some("there"), Some("there")].into_iter().enumerate() {
        let id = Uuid::from_u128(u128::try_from(number)?);
        let (mut run, entry) = request(&format!("schedule {number}"), id.as_u128());
        run.fire = at(i64::try_from(number)?);
        run.request.as_mut().context("its request")?.property_id = property.map(Into::into);
        assert_eq!(runs.request(&run, &entry).await?, RequestOutcome::Requested);
    }
    let newest = async |properties: Option<&[PropertyId]>, limit| {
        let found = runs.newest_requested(properties, limit).await?;
        anyhow::Ok(found.iter().map(|run| run.id.as_u128()).collect::<Vec<_>>())
    };
    assert_eq!(newest(Some(&["here".into()]), 2).await?, [1, 0], "its own and one at no property");
    assert_eq!(newest(Some(&[]), 2).await?, [1]);
    assert_eq!(newest(None, 2).await?, [3, 2]);
    Ok(())
}

#[tokio::test]
async fn fire_that_fails_and_is_repeated_is_one_run() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let (runs, id) = (mongo.schedule_runs(), Uuid::from_u128(1));
    let record = async |started, outcome| {
        let end = RunEnd { at: at(9), outcome, dry_run: false, behind: 1 };
        runs.record(id, "audit", at(0), at(started), end).await
    };
    record(1, Err("no answer")).await?;
    let failed = runs.newest("audit", 5).await?.pop().context("the run")?;
    assert_eq!((failed.state, failed.error.as_deref(), failed.attempts), (RunState::Failed, Some("no answer"), 1));
    record(7, Ok(3)).await?;
    let ended = runs.newest("audit", 5).await?;
    assert_eq!((ended.len(), ended[0].behind, ended[0].dry_run), (1, 1, false));
    assert_eq!((ended[0].state, &ended[0].error, ended[0].messages), (RunState::Succeeded, &None, 3));
    assert_eq!((ended[0].attempts, ended[0].started_at), (2, Some(at(1))), "since the first attempt");
    Ok(())
}

async fn plan_of(mongo: &Mongo, name: &str) -> Result<Option<SchedulePlan>> {
    Ok(mongo.schedules().find(name).await?.context("the schedule")?.plan)
}

#[tokio::test]
async fn plans_are_those_of_the_newest_leader() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let plan = |cron: &str| SchedulePlan {
        cron: cron.to_owned(),
        time_zone: "UTC".to_owned(),
        dry_run: false,
        by_property: true,
        waits_for_maintenance: false,
        next_fire: Some(at(TimeDelta::days(1).num_seconds())),
    };
    for name in ["audit", "reminders"] {
        mongo.schedules().record_fire(name, at(0), true, 3).await?;
        mongo.schedules().record_plan(name, &plan("old"), 3).await?;
    }
    mongo.schedules().record_plan("audit", &plan("new"), 4).await?;
    let late = mongo.schedules().record_plan("audit", &plan("late"), 3).await;
    assert!(matches!(late, Err(StoreError::Stale(_))), "{late:?}");
    mongo.schedules().disable_others(&["reminders"], 3).await?;
    assert_eq!(plan_of(&mongo, "audit").await?, Some(plan("new")), "a former leader disables nothing");
    mongo.schedules().disable_others(&["audit"], 4).await?;
    assert_eq!((plan_of(&mongo, "audit").await?, plan_of(&mongo, "reminders").await?), (Some(plan("new")), None));
    Ok(())
}
