//! Queues with their history, worker processes, schedules and their runs on request.

use super::harness::{FOLLOW_LIMIT, HERE, Harness, Session, THERE};
use anyhow::{Context, Result};
use chrono::{TimeDelta, Utc};
use pvt_domain::accounts::Role;
use pvt_domain::duration_counts::DurationCounts;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::queue_samples::{QueueCounts, QueueSample};
use pvt_stores::mongo::schedules::SchedulePlan;
use pvt_stores::mongo::worker_processes::{ConsumedQueue, ReportedError, WorkerProcess, WorkerReport};
use pvt_testkit::{Broker, eventually, properties};
use reqwest::StatusCode;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How many messages a queue may hold without slowing down the page.
const MANY: usize = 100_000;
/// For a page, also on a slow machine that does other things.
const FAST: Duration = Duration::from_secs(1);

/// Samples of one queue, one a minute, the last one a moment ago.
async fn sample(mongo: &Mongo, queue: &str, counts: &[u64]) -> Result<()> {
    for (ready, ago) in counts.iter().zip((0..counts.len()).rev()) {
        let at = Utc::now() - TimeDelta::minutes(i64::try_from(ago)?) - TimeDelta::seconds(1);
        let counts = QueueCounts { queue: queue.to_owned(), ready: *ready, ..QueueCounts::default() };
        mongo.queue_samples().record(QueueSample { at: at.into(), queues: vec![counts] }).await?;
    }
    Ok(())
}

/// The part of the page about one queue.
fn row<'p>(page: &'p str, queue: &str) -> Result<&'p str> {
    let begin = page.find(&format!("<th scope=\"row\">{queue}</th>")).context("no such row")?;
    page[begin..].split("</tr>").next().context("no end of the row")
}

/// What a sparkline shows, read from its points as a browser draws them.
fn drawn(row: &str, highest: u64) -> Vec<u64> {
    let points = row.split("<polyline points=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    let heights = points.split(' ').filter_map(|point| point.split_once(',')?.1.parse::<f64>().ok());
    heights.map(|y| ((23.0 - y) / 22.0 * highest as f64).round() as u64).collect()
}

#[tokio::test]
async fn sparkline_shows_what_was_counted_and_says_it_in_words() -> Result<()> {
    let harness = Harness::start().await?;
    let counts = [0, 4, 20, 20, 11, 3];
    sample(&harness.mongo, "emails", &counts).await?;
    let mut times = DurationCounts::default();
    (1..=100).for_each(|it| times.add(Duration::from_millis(it * 10)));
    harness.mongo.decision_times().record("one", Utc::now().timestamp() / 60, &times).await?;
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let shown = async || {
        let page = harness.get(&staff, "/queues").await?.1;
        let is_complete = drawn(row(&page, "emails")?, 20).len() == counts.len() && page.contains("Of 100 bookings");
        Ok(is_complete.then_some(page))
    };
    let page = eventually("the samples are shown", FOLLOW_LIMIT, shown).await?;
    let row = row(&page, "emails")?;
    assert_eq!(drawn(row, 20), counts);
    assert!(row.contains("aria-label=\"last 6 hours: 3 at last, 20 at most"), "{row}");
    assert!(!page.contains("style="), "the policy allows no style in a page");
    assert!(
        page.contains("Of 100 bookings held or confirmed in the last 15 minutes, half waited for that at most 5"),
        "{page}"
    );
    assert!(page.contains("99 % at most 1.0 s"), "{page}");
    Ok(())
}

#[tokio::test]
async fn page_is_fast_with_many_messages_and_says_how_long_the_first_has_waited() -> Result<()> {
    let harness = Harness::start().await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let broker = Broker::connect(&harness.namespace).await?;
    broker.flood("emails", properties("carrier.pigeon.v1").1, b"{}", MANY).await?;
    let shown = async || {
        let page = harness.get(&admin, "/queues").await?.1;
        let row = row(&page, "emails")?.to_owned();
        Ok((row.contains(&format!(">{MANY}<")) && row.contains(" s</td>")).then_some(page))
    };
    let page = eventually("all of them are counted", Duration::from_secs(60), shown).await?;
    let first = page.split("<th scope=\"row\">").nth(1).context("no row")?;
    assert!(first.starts_with("emails<"), "the queue with the oldest message comes first: {first}");
    let begun = Instant::now();
    assert_eq!(harness.get(&admin, "/queues").await?.0, StatusCode::OK);
    assert!(begun.elapsed() < FAST, "{:?}", begun.elapsed());
    Ok(())
}

fn process(id: &str, tag: &str) -> WorkerProcess {
    let worker = WorkerReport {
        name: "emails".to_owned(),
        state: "running".to_owned(),
        in_flight: 2,
        queues: vec![ConsumedQueue { name: "emails".to_owned(), consumer_tag: tag.to_owned() }],
        paused: Vec::new(),
        last_error: Some(ReportedError { at: Utc::now().into(), text: "smtp_unavailable: refused".to_owned() }),
    };
    WorkerProcess {
        id: id.to_owned(),
        host: format!("host-{id}"),
        pid: 7,
        version: "1.2.3".to_owned(),
        started_at: Utc::now().into(),
        leads: None,
        workers: vec![worker],
    }
}

#[tokio::test]
async fn processes_are_listed_and_those_without_a_heartbeat_are_stale() -> Result<()> {
    let harness = Harness::start().await?;
    for id in ["gone", "here"] {
        harness.mongo.worker_processes().renew(&process(id, "none")).await?;
    }
    let old = mongodb::bson::DateTime::from_millis((Utc::now() - TimeDelta::minutes(2)).timestamp_millis());
    let rows = harness.database().await?.collection::<mongodb::bson::Document>("worker_processes");
    let update = mongodb::bson::doc! { "$set": { "seen_at": old } };
    rows.update_one(mongodb::bson::doc! { "_id": "gone" }, update).await?;
    let (admin, staff) = (harness.sign_in(Role::Admin, &[]).await?, harness.sign_in(Role::Staff, &[HERE]).await?);
    let listed = async || {
        let page = harness.get(&admin, "/workers").await?.1;
        Ok((page.contains("host-here") && page.contains(">stale<")).then_some(page))
    };
    let page = eventually("the processes are listed", FOLLOW_LIMIT, listed).await?;
    let (gone, here) = (row(&page, "host-gone (7)")?, row(&page, "host-here (7)")?);
    assert!(gone.contains(">stale<") && gone.contains("2 min ago") && gone.contains("was running"), "{gone}");
    assert!(!here.contains(">stale<") && here.contains("standing by for emails") && here.contains("1.2.3"), "{here}");
    assert!(here.contains("smtp_unavailable: refused"), "{here}");
    let page = harness.get(&staff, "/workers").await?.1;
    assert!(page.contains("host-here") && !page.contains("smtp_unavailable"), "errors are for administrators");
    Ok(())
}

/// A schedule as a leader records it.
async fn schedule(mongo: &Mongo, name: &str, by_property: bool) -> Result<()> {
    let now = Utc::now();
    mongo.schedules().record_fire(name, now.into(), true, 1).await?;
    let next_fire = Some((now + TimeDelta::hours(1)).into());
    let (cron, time_zone) = ("0 0 * * * *".to_owned(), "UTC".to_owned());
    let plan = SchedulePlan { cron, time_zone, dry_run: false, by_property, waits_for_maintenance: false, next_fire };
    Ok(mongo.schedules().record_plan(name, &plan, 1).await?)
}

/// The key of the form that runs a schedule.
fn key(page: &str, name: &str) -> Result<String> {
    let form = page.split(&format!("name=\"schedule\" value=\"{name}\"")).nth(1).context("no form")?;
    let rest = form.split("name=\"key\" value=\"").nth(1).context("no key")?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

async fn run_now(harness: &Harness, session: &Session, changes: &[(&str, &str)]) -> Result<StatusCode> {
    let usual = [("csrf", session.csrf.as_str()), ("reason", "a <test>"), ("schedule", "night_audit")];
    let usual = usual.into_iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    let fields: Vec<(&str, &str)> = usual.chain(changes.iter().copied()).collect();
    Ok(harness.post(session, "/schedules/run", &fields).await?.status())
}

#[tokio::test]
async fn administrator_runs_a_schedule_once_however_often_the_form_is_sent() -> Result<()> {
    let harness = Harness::start().await?;
    schedule(&harness.mongo, "night_audit", true).await?;
    schedule(&harness.mongo, "expire_holds", false).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let page = harness.get(&admin, "/schedules").await?.1;
    assert!(page.contains("No scheduler leads") && page.contains("0 0 * * * * (UTC)"), "{page}");
    let key = key(&page, "night_audit")?;
    let send = |changes: Vec<(&'static str, String)>| {
        let (harness, admin) = (&harness, &admin);
        async move {
            let changes: Vec<(&str, &str)> = changes.iter().map(|(name, value)| (*name, value.as_str())).collect();
            run_now(harness, admin, &changes).await
        }
    };
    let with_key = |name: &'static str, value: &str| vec![("key", key.clone()), (name, value.to_owned())];
    assert_eq!(send(with_key("reason", " ")).await?, StatusCode::BAD_REQUEST, "without a reason");
    assert_eq!(send(vec![("key", "nonsense".to_owned())]).await?, StatusCode::BAD_REQUEST);
    assert_eq!(send(with_key("schedule", "carrier_pigeons")).await?, StatusCode::NOT_FOUND);
    assert_eq!(send(with_key("property", "atlantis")).await?, StatusCode::NOT_FOUND);
    let holds = vec![("key", key.clone()), ("schedule", "expire_holds".to_owned()), ("property", HERE.to_owned())];
    assert_eq!(send(holds).await?, StatusCode::CONFLICT, "it knows no properties");
    assert!(harness.mongo.schedule_runs().open().await?.is_empty());
    let (one, two) = tokio::join!(send(with_key("property", THERE)), send(with_key("property", THERE)));
    assert_eq!((one?, two?), (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER), "a double click");
    assert_eq!(harness.mongo.schedule_runs().open().await?.len(), 1);
    assert_eq!(send(with_key("property", HERE)).await?, StatusCode::CONFLICT, "the same form with another property");
    let again = vec![("key", Uuid::new_v4().to_string())];
    assert_eq!(send(again).await?, StatusCode::CONFLICT, "another request, while this one is not over");
    let audit = harness.mongo.audit_log().list(Some("night_audit"), None, 10).await?;
    let recorded: Vec<_> =
        audit.iter().map(|entry| (entry.action.as_str(), entry.actor.as_str(), entry.detail.as_str())).collect();
    let actor = format!("staff:{}", admin.user);
    assert_eq!(recorded, [("schedule.run", actor.as_str(), "at there: a <test>")]);
    let page = harness.get(&admin, "/schedules").await?.1;
    assert!(page.contains(&format!("by {actor} at there: a &#60;test&#62;")), "{page}");

    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let page = harness.get(&staff, "/schedules").await?.1;
    assert!(page.contains("night_audit") && !page.contains("/schedules/run") && !page.contains("at there"), "{page}");
    assert_eq!(run_now(&harness, &staff, &[("key", &key)]).await?, StatusCode::FORBIDDEN);
    assert_eq!(run_now(&harness, &admin, &[("key", &key), ("csrf", "nonsense")]).await?, StatusCode::FORBIDDEN);
    Ok(())
}
