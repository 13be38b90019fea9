//! Queues with their history, worker processes, schedules and their runs on request.

use super::harness::{FOLLOW_LIMIT, HERE, Harness, Session, THERE};
use anyhow::{Context, Result};
use chrono::{TimeDelta, Utc};
use pvt_domain::accounts::Role;
use pvt_domain::duration_counts::DurationCounts;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::queue_samples::{QueueCounts, QueueSample};
use pvt_stores::mongo::schedule_runs::RunEnd;
use pvt_stores::mongo::schedules::SchedulePlan;
use pvt_stores::mongo::worker_processes::{ConsumedQueue, ReportedError, ReportedOutage, WorkerProcess, WorkerReport};
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
    assert!(row.contains("aria-label=\"last 6 hours: now 3, highest 20 (at ") && row.contains(">peak 20 at "), "{row}");
    let without = self::row(&page, "payments")?;
    assert!(without.contains("no sample of the last 6 hours"), "{without}");
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
        outages: Vec::new(),
        in_flight: 2,
        queues: vec![ConsumedQueue { name: "emails".to_owned(), consumer_tag: tag.to_owned(), oldest_in_hand: None }],
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
pub(crate) async fn schedule(mongo: &Mongo, name: &str, by_property: bool) -> Result<()> {
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
    let by = format!("by Test admin ({}@example.com) at there: a &#60;test&#62;", admin.user.as_uuid().simple());
    assert!(page.contains(&by) && !page.contains(&actor), "accounts are shown by name: {page}");
    let requested = page.split("id=\"requested\"").nth(1).and_then(|rest| rest.split("</section>").next());
    let requested = requested.context("no requested runs")?;
    assert!(requested.contains("night_audit requested; messages 0") && requested.contains(&by), "{requested}");

    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let page = harness.get(&staff, "/schedules").await?.1;
    assert!(page.contains("night_audit") && !page.contains("/schedules/run") && !page.contains("at there"), "{page}");
    assert_eq!(run_now(&harness, &staff, &[("key", &key)]).await?, StatusCode::FORBIDDEN);
    assert_eq!(run_now(&harness, &admin, &[("key", &key), ("csrf", "nonsense")]).await?, StatusCode::FORBIDDEN);
    Ok(())
}

#[tokio::test]
async fn run_that_was_accepted_is_shown_with_its_state_until_it_is_over() -> Result<()> {
    let harness = Harness::start().await?;
    schedule(&harness.mongo, "night_audit", true).await?;
    let admin = harness.sign_in(Role::Admin, &[]).await?;
    let page = harness.get(&admin, "/schedules").await?.1;
    assert!(!page.contains("was accepted") && !page.contains("Requested runs"), "{page}");
    let key = key(&page, "night_audit")?;
    let fields = [("csrf", admin.csrf.as_str()), ("reason", "why"), ("schedule", "night_audit"), ("key", key.as_str())];
    assert_eq!(harness.get(&admin, "/schedules?requested=nonsense").await?.0, StatusCode::OK);
    let answer = harness.post(&admin, "/schedules/run", &fields).await?;
    let accepted = answer.headers()["location"].to_str()?.to_owned();
    let page = harness.get(&admin, &accepted).await?.1;
    assert!(page.contains("Your request to run night_audit was accepted"), "{page}");
    assert!(page.contains("<strong>Yours: </strong>night_audit requested; messages 0"), "{page}");
    let digest = |page: &str| {
        let rest = page.split("data-refetch=\"digest.requested_runs\" data-seen=\"").nth(1)?;
        rest.split('"').next().map(str::to_owned)
    };
    let requested = digest(&page).context("no digest")?;
    let run = harness.mongo.schedule_runs().open().await?.pop().context("the run")?;
    let runs = harness.mongo.schedule_runs();
    assert!(runs.begin(run.id, Utc::now().into(), 1).await?);
    let end = RunEnd { at: Utc::now().into(), outcome: Ok(3), dry_run: false, behind: 0 };
    assert!(runs.finish(run.id, 1, end).await?);
    // Many fires of the same schedule push it nowhere.
    for fire in 0..30 {
        let at = (Utc::now() - TimeDelta::seconds(fire)).into();
        let end = RunEnd { at, outcome: Ok(0), dry_run: false, behind: 0 };
        runs.record(Uuid::new_v4(), "night_audit", at, at, end).await?;
    }
    let page = harness.get(&admin, &accepted).await?.1;
    assert!(page.contains("<strong>Yours: </strong>night_audit succeeded; messages 3"), "{page}");
    let followed = async || {
        let seen = digest(&harness.get(&admin, &accepted).await?.1).context("no digest")?;
        Ok((seen != requested).then_some(()))
    };
    eventually("pages that are open learn of it", FOLLOW_LIMIT, followed).await
}

#[tokio::test]
async fn waiting_queue_says_what_it_waits_for_and_for_how_long() -> Result<()> {
    let harness = Harness::start().await?;
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let mut process = process("here", "tag");
    let now = Utc::now();
    let worker = process.workers.first_mut().context("its worker")?;
    let class = "smtp_unavailable".to_owned();
    let since = (now - TimeDelta::minutes(3)).into();
    worker.outages = vec![ReportedOutage { class, operation: None, since }];
    let queue = worker.queues.first_mut().context("its queue")?;
    queue.name = harness.namespace.topology().name("emails");
    queue.oldest_in_hand = Some((now - TimeDelta::minutes(7)).into());
    harness.mongo.worker_processes().renew(&process).await?;
    let shown = async || {
        let (page, overview) = (harness.get(&staff, "/queues").await?.1, harness.get(&staff, "/").await?.1);
        let row = row(&page, "emails")?.to_owned();
        let is_shown = row
            .contains(&format!(">waits for the SMTP server since {}", clock(now - TimeDelta::minutes(3))))
            && row.contains(">7 min in hand<")
            && page.split("<th scope=\"row\">").nth(1).is_some_and(|first| first.starts_with("emails<"));
        let sent = format!("the oldest message in hand was sent at {}", clock(now - TimeDelta::minutes(7)));
        let is_wrong = overview.contains("queues that wait")
            && overview.contains(&sent)
            && overview.contains("href=\"/queues\">Queues<");
        Ok((is_shown && is_wrong).then_some(()))
    };
    eventually("queues and overview say what it waits for", FOLLOW_LIMIT, shown).await?;
    harness.mongo.worker_processes().remove("here").await?;
    let gone = async || {
        let (page, overview) = (harness.get(&staff, "/queues").await?.1, harness.get(&staff, "/").await?.1);
        Ok((!page.contains("waits for the SMTP") && !overview.contains("waits for the SMTP")).then_some(()))
    };
    eventually("a process that has ended waits for nothing", FOLLOW_LIMIT, gone).await
}

fn clock(at: chrono::DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
