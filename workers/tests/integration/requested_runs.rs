//! Runs of schedules that operators request: each is carried out once, by the scheduler that leads.

use anyhow::{Context, Result};
use chrono::Utc;
use chrono_tz::Tz;
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use pvt_domain::actor::Actor;
use pvt_domain::demo;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::Publisher;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::schedule_runs::{RequestOutcome, RunRequest, RunState, ScheduleRun};
use pvt_testkit::{Broker, Namespace, eventually};
use pvt_workers::scheduler::{Schedule, Scheduler, Task};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(30);
const NAME: &str = "rarely";
/// On the first of January.
const RARELY: &str = "0 0 0 1 1 *";
const QUEUE: &str = "reconciliation";

struct Fixture {
    namespace: Namespace,
    mongo: Mongo,
    broker: Broker,
    publisher: Publisher,
}

impl Fixture {
    async fn open() -> Result<Self> {
        let namespace = Namespace::new().await?;
        let mongo = namespace.mongo().await?;
        for id in ["north", "south"] {
            let mut inventory = demo::inventory();
            inventory.property.id = id.into();
            mongo.inventories().save(&inventory).await?;
        }
        let publisher = Publisher::start(namespace.amqp_url(), namespace.topology(), "tests");
        let connected = || async { Ok(publisher.connected().await.is_ok().then_some(())) };
        eventually("the publisher is connected", LIMIT, connected).await?;
        let broker = Broker::connect(&namespace).await?;
        Ok(Self { namespace, mongo, broker, publisher })
    }

    fn start(&self, schedules: Vec<Schedule>) -> (CancellationToken, JoinHandle<()>) {
        let stop = CancellationToken::new();
        let scheduler = Scheduler::new(self.mongo.clone(), self.publisher.clone(), self.namespace.topology());
        let running = scheduler.with_schedules(schedules).run(stop.clone());
        let running = tokio::spawn(async move {
            let Ok(()) = running.await;
        });
        (stop, running)
    }

    /// Requests a run now; `key` makes it another one.
    async fn request(&self, key: u128, property: Option<&str>, dry_run: bool) -> Result<(Uuid, RequestOutcome)> {
        self.request_of(NAME, key, property, dry_run).await
    }

    async fn request_of(
        &self,
        schedule: &str,
        key: u128,
        property: Option<&str>,
        dry_run: bool,
    ) -> Result<(Uuid, RequestOutcome)> {
        let now: Timestamp = Utc::now().into();
        let id = Uuid::from_u128(key);
        let request = RunRequest {
            actor: Actor::from("operator"),
            reason: "a test".to_owned(),
            property_id: property.map(Into::into),
            dry_run,
        };
        let run = ScheduleRun::requested(id, schedule, now, request);
        let entry = AuditEntry::new(id, now, "operator", "schedule.run".to_owned(), schedule, "a test");
        Ok((id, self.mongo.schedule_runs().request(&run, &entry).await?))
    }

    async fn rows(&self, collection: &str) -> Result<Collection<Document>> {
        let client = mongodb::Client::with_uri_str(self.namespace.mongodb_uri()).await?;
        Ok(client.default_database().context("a database")?.collection(collection))
    }

    async fn ended(&self, id: Uuid) -> Result<ScheduleRun> {
        let ended = async || {
            let run = self.mongo.schedule_runs().find(id).await?.context("the run")?;
            Ok(run.ended_at.is_some().then_some(run))
        };
        eventually("the run is over", LIMIT, ended).await
    }

    /// Ids of the commands that were sent, in order.
    async fn sent(&self) -> Result<Vec<String>> {
        let mut ids: Vec<String> = self.broker.peek(QUEUE, 100).await?.into_iter().map(|message| message.id).collect();
        ids.sort_unstable();
        Ok(ids)
    }
}

fn schedule() -> Result<Schedule> {
    Ok(Schedule::new(NAME, RARELY, Tz::UTC)?)
}

#[tokio::test]
async fn request_that_is_sent_twice_runs_once_with_two_schedulers() -> Result<()> {
    let fixture = Fixture::open().await?;
    let schedulers = [fixture.start(vec![schedule()?]), fixture.start(vec![schedule()?])];
    let (one, two) = tokio::join!(fixture.request(1, None, false), fixture.request(1, None, false));
    let outcomes = [one?.1, two?.1];
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == RequestOutcome::Requested).count(), 1, "{outcomes:?}");
    let run = fixture.ended(Uuid::from_u128(1)).await?;
    assert_eq!((run.state, run.messages, run.attempts), (RunState::Succeeded, 2, 1));
    assert!(run.started_at >= Some(run.fire) && run.ended_at >= run.started_at, "{run:?}");
    // Whatever a second leader would have sent is there by the time that another run is over.
    let (other, _) = fixture.request(2, Some("south"), false).await?;
    assert_eq!(fixture.ended(other).await?.messages, 1, "at one property");
    assert_eq!(fixture.sent().await?.len(), 3);
    let state = fixture.mongo.schedules().find(NAME).await?.context("the schedule")?;
    assert_eq!(state.last_fire, None, "a request is no fire");
    assert_eq!(
        state.plan.and_then(|plan| plan.next_fire).map(|at| at.to_string()[4..].to_owned()).as_deref(),
        Some("-01-01T00:00:00.000Z")
    );
    for (stop, running) in schedulers {
        stop.cancel();
        running.await?;
    }
    Ok(())
}

#[tokio::test]
async fn run_of_a_killed_leader_is_begun_again_and_sends_the_same_messages() -> Result<()> {
    let fixture = Fixture::open().await?;
    let (id, _) = fixture.request(1, None, false).await?;
    let (stop, running) = fixture.start(vec![schedule()?]);
    fixture.ended(id).await?;
    let first = fixture.sent().await?;
    stop.cancel();
    running.await?;
    // As if it had died before it could record the end.
    let not_over = doc! { "$set": { "open": true, "state": "running" }, "$unset": { "ended_at": "" } };
    fixture.rows("schedule_runs").await?.update_one(doc! { "_id": id.to_string() }, not_over).await?;
    let (stop, running) = fixture.start(vec![schedule()?]);
    assert_eq!(fixture.ended(id).await?.attempts, 2);
    let mut both = fixture.sent().await?;
    assert_eq!(both.len(), 4, "each once more");
    both.dedup();
    assert_eq!(both, first, "under its own id");
    stop.cancel();
    running.await?;
    Ok(())
}

#[tokio::test]
async fn run_that_another_leader_began_and_left_is_carried_out_by_one_that_had_met_it_before() -> Result<()> {
    let fixture = Fixture::open().await?;
    let (id, _) = fixture.request(1, None, false).await?;
    let rows = fixture.rows("schedule_runs").await?;
    // As if a newer leader carried it out.
    rows.update_one(doc! { "_id": id.to_string() }, doc! { "$set": { "token": i64::MAX } }).await?;
    let (stop, running) = fixture.start(vec![schedule()?]);
    // Requests of a disabled schedule end where requests are read: after the second one this run has been met.
    for key in [2, 3] {
        let (other, _) = fixture.request_of("disabled", key, None, false).await?;
        fixture.ended(other).await?;
    }
    let met = fixture.mongo.schedule_runs().find(id).await?.context("the run")?;
    assert_eq!((met.state, met.attempts), (RunState::Requested, 0), "it is left to the newer leader");
    rows.update_one(doc! { "_id": id.to_string() }, doc! { "$set": { "token": 0_i64 } }).await?;
    assert_eq!(fixture.ended(id).await?.state, RunState::Succeeded);
    stop.cancel();
    running.await?;
    Ok(())
}

#[tokio::test]
async fn request_of_a_disabled_schedule_ends_and_a_dry_run_sends_nothing() -> Result<()> {
    let fixture = Fixture::open().await?;
    let (stop, running) = fixture.start(Vec::new());
    let (id, _) = fixture.request(1, None, false).await?;
    let run = fixture.ended(id).await?;
    assert_eq!((run.state, run.error.as_deref()), (RunState::Failed, Some("the schedule is disabled")));
    stop.cancel();
    running.await?;
    let held = doc! {
        "_id": Uuid::new_v4().to_string(), "status": "held", "property_id": "north",
        "payment": { "expires_at": "2026-01-01T00:00:00.000Z" },
    };
    fixture.rows("bookings").await?.insert_one(held).await?;
    let holds = schedule()?.with_task(Task::ExpireHolds);
    // By the request, then by the configuration.
    for (key, dry_run) in [(2, false), (3, true)] {
        let (stop, running) = fixture.start(vec![Schedule { dry_run, ..holds.clone() }]);
        let (id, _) = fixture.request(key, None, !dry_run).await?;
        let run = fixture.ended(id).await?;
        assert_eq!((run.state, run.messages, run.dry_run), (RunState::Succeeded, 1, true), "one would be sent");
        assert!(fixture.broker.peek("stripe", 1).await?.is_empty());
        stop.cancel();
        running.await?;
    }
    Ok(())
}

#[tokio::test]
async fn every_fire_is_recorded_with_its_outcome() -> Result<()> {
    let fixture = Fixture::open().await?;
    let often = Schedule::new("often", "* * * * * *", Tz::UTC)?;
    let (stop, running) = fixture.start(vec![often]);
    let recorded = async || {
        let runs = fixture.mongo.schedule_runs().newest("often", 10).await?;
        Ok((runs.len() >= 2).then_some(runs))
    };
    let runs = eventually("two fires are recorded", LIMIT, recorded).await?;
    for run in runs {
        assert_eq!((run.state, run.messages, run.attempts, run.request), (RunState::Succeeded, 2, 1, None));
        assert!(run.started_at >= Some(run.fire) && run.ended_at >= run.started_at);
    }
    stop.cancel();
    running.await?;
    Ok(())
}
