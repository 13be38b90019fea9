//! One leader fires; another takes over; nothing is sent twice and nothing is missed.

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use chrono_tz::Tz;
use mongodb::bson::{DateTime, doc};
use pvt_domain::demo;
use pvt_domain::failure::Failure;
use pvt_domain::messages::ReconcileCommand;
use pvt_messaging::{Publisher, Queue};
use pvt_stores::StoreError;
use pvt_testkit::{Namespace, Stores, eventually};
use pvt_worker_runtime::{Engine, Job, Shape, Spec, Worker};
use pvt_workers::clock;
use pvt_workers::scheduler::{CatchUp, Schedule, Scheduler};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(30);
const LEASE: Duration = Duration::from_secs(15);

/// Records what was sent, duplicates included.
#[derive(Clone, Default)]
struct Inbox(Arc<Mutex<Vec<Uuid>>>);

impl Worker for Inbox {
    const SPEC: Spec = Spec {
        name: "inbox",
        queue: Queue::One("reconciliation"),
        retry_schedule: &[],
        timeout: Duration::from_secs(5),
        shape: Shape::Single { concurrency: 1 },
    };
    type Message = ReconcileCommand;

    async fn handle(&self, job: &mut Job<ReconcileCommand>) -> Result<(), Failure> {
        let ReconcileCommand::Property(command) = &job.message;
        assert_eq!((command.run_id, command.property_id.as_str()), (job.meta.id, demo::PROPERTY_ID));
        assert_eq!(command.actor, "schedule:every_second");
        self.0.lock().unwrap().push(job.meta.id);
        Ok(())
    }
}

impl Inbox {
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leader_fires_and_standby_takes_over() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    mongo.inventories().save(&demo::inventory()).await?;
    let publisher = Publisher::start(namespace.amqp_url(), namespace.topology(), "tests");
    let stop = CancellationToken::new();
    let inbox = Inbox::default();
    let engine = Engine::new(namespace.amqp_url(), namespace.topology(), publisher.clone()).register(inbox.clone())?;
    let receiving = tokio::spawn(engine.run(stop.clone()));

    let schedule = Schedule { catch_up: CatchUp::All, ..Schedule::new("every_second", "* * * * * *", Tz::UTC)? };
    let start = |stop: CancellationToken| {
        let scheduler = Scheduler::new(mongo.clone(), publisher.clone(), namespace.topology())
            .with_schedules(vec![schedule.clone()]);
        tokio::spawn(scheduler.run(stop))
    };
    let (stop_first, stop_second) = (CancellationToken::new(), CancellationToken::new());
    let first = start(stop_first.clone());
    eventually("the first leader fires", LIMIT, async || Ok((inbox.len() >= 2).then_some(()))).await?;
    let second = start(stop_second.clone());
    eventually("only one of two fires", LIMIT, async || Ok((inbox.len() >= 4).then_some(()))).await?;
    let token_of_first = mongo.schedules().find("every_second").await?.expect("it is recorded").token;
    stop_first.cancel();
    let Ok(()) = first.await?;
    let before = inbox.len();
    eventually("the second takes over", LIMIT, async || Ok((inbox.len() >= before + 4).then_some(()))).await?;
    stop_second.cancel();
    let Ok(()) = second.await?;

    let state = mongo.schedules().find("every_second").await?.expect("it is recorded");
    assert!(state.token > token_of_first, "a new leader has a newer token");
    let late = mongo.schedules().record_fire("every_second", clock::system(), true, token_of_first).await;
    assert!(matches!(late, Err(StoreError::Stale(_))), "a former leader's write is refused: {late:?}");
    let received = inbox.0.lock().unwrap().clone();
    assert_eq!(received.iter().collect::<HashSet<_>>().len(), received.len(), "nothing was sent twice");

    stop.cancel();
    receiving.await??;
    publisher.close(Duration::from_secs(2)).await;
    Ok(())
}

#[tokio::test]
async fn lease_has_one_holder_and_rising_token() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let first = mongo.schedules().lead("a", LEASE).await?.expect("the lease is free");
    assert_eq!(mongo.schedules().lead("b", LEASE).await?, None);
    let renewed = mongo.schedules().lead("a", LEASE).await?.expect("it holds the lease");
    assert_eq!(renewed.token, first.token, "renewing keeps the token");
    mongo.schedules().step_down("b", first.token).await?;
    assert_eq!(mongo.schedules().lead("b", LEASE).await?, None, "only the leader can step down");
    mongo.schedules().step_down("a", first.token).await?;
    let second = mongo.schedules().lead("b", Duration::ZERO).await?.expect("the lease is free");
    assert_eq!(second.token, first.token + 1);
    // After an expired lease even the same holder gets a new token: another process may have led in between.
    let third = mongo.schedules().lead("b", LEASE).await?.expect("the lease had expired");
    assert_eq!(third.token, second.token + 1);
    // The server's clock is set back by an hour, and the holder has ended.
    let in_an_hour = DateTime::from_millis((Utc::now() + TimeDelta::hours(1)).timestamp_millis());
    Stores::connect(&namespace).await?.set("schedules", "leader", doc! { "expires_at": in_an_hour }).await?;
    let fourth = mongo.schedules().lead("a", LEASE).await?.expect("no lease is an hour long");
    assert_eq!(fourth.token, third.token + 1);
    Ok(())
}

#[tokio::test]
async fn racing_for_the_lease_has_one_winner() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let racers: Vec<String> = (0..8).map(|number| format!("racer {number}")).collect();
    let results = futures_util::future::join_all(racers.iter().map(|racer| mongo.schedules().lead(racer, LEASE))).await;
    let mut winners = 0;
    for result in results {
        match result {
            Ok(won) => winners += usize::from(won.is_some()),
            // Two upserts of a missing document may collide; the loser retries at the next tick.
            Err(StoreError::Duplicate(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    assert_eq!(winners, 1);
    Ok(())
}

#[tokio::test]
async fn schedule_progress_never_goes_back() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let (early, late) = (chrono::DateTime::UNIX_EPOCH.into(), clock::system());
    mongo.schedules().record_fire("s", late, true, 3).await?;
    mongo.schedules().record_fire("s", early, false, 3).await?;
    let state = mongo.schedules().find("s").await?.expect("it is recorded");
    assert_eq!((state.settled_until, state.last_fire, state.token), (late, Some(late), 3));
    assert!(matches!(mongo.schedules().record_fire("s", late, true, 2).await, Err(StoreError::Stale(_))));
    assert_eq!(mongo.schedules().list().await?.len(), 1);
    Ok(())
}
