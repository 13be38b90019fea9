//! The scheduler under failure: fires that outlast the lease, unreadable documents, interruptions, a wrong clock.

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use pvt_domain::actor::Actor;
use pvt_domain::demo;
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::inventory::Inventory;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::Publisher;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::maintenance::Maintenance;
use pvt_stores::mongo::schedules::ScheduleState;
use pvt_testkit::{Broker, Namespace, Stores, doc, eventually};
use pvt_workers::scheduler::{Schedule, Scheduler, Task};
use std::collections::HashSet;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const AUDIT: &str = "night_audit";
const LIMIT: Duration = Duration::from_secs(60);
/// A slow fire: two reads per property, some of them at the same time, take longer than the lease of 15 s.
const SLOW: Duration = Duration::from_millis(80);
const MANY: usize = 500;

struct Fixture {
    namespace: Namespace,
    mongo: Mongo,
    stores: Stores,
    broker: Broker,
    publisher: Publisher,
}

impl Fixture {
    /// Properties with one guest each who was expected days ago, and an audit that was last made a day ago.
    async fn with_no_shows(properties: usize) -> Result<Self> {
        let namespace = Namespace::new().await?;
        let (mongo, stores) = (namespace.mongo().await?, Stores::connect(&namespace).await?);
        let publisher = Publisher::start(namespace.amqp_url(), namespace.topology(), "tests");
        let broker = Broker::connect(&namespace).await?;
        let fixture = Self { namespace, mongo, stores, broker, publisher };
        for number in 0..properties {
            fixture.mongo.inventories().save(&inventory(number)).await?;
            fixture.expect_arrival(number).await?;
        }
        let yesterday = Utc::now() - TimeDelta::hours(25);
        fixture.mongo.schedules().record_fire(AUDIT, yesterday.into(), false, 0).await?;
        Ok(fixture)
    }

    async fn expect_arrival(&self, number: usize) -> Result<()> {
        let day = |days: i64| (Utc::now() - TimeDelta::days(days)).date_naive().to_string();
        let booking = doc! {
            "_id": Uuid::new_v4().to_string(),
            "property_id": property(number).as_str(),
            "status": "confirmed",
            "stays": [{ "arrival": day(5), "departure": day(3) }],
            "history": [{ "at": "2026-01-01T00:00:00.000Z", "from": "requested", "to": "confirmed" }],
        };
        self.stores.insert("bookings", booking).await
    }

    fn start(&self, mongo: &Mongo, schedules: Vec<Schedule>) -> (CancellationToken, JoinHandle<()>) {
        let stop = CancellationToken::new();
        let scheduler = Scheduler::new(mongo.clone(), self.publisher.clone(), self.namespace.topology());
        let running = scheduler.with_schedules(schedules).run(stop.clone());
        (
            stop,
            tokio::spawn(async move {
                let Ok(()) = running.await;
            }),
        )
    }

    async fn state(&self, schedule: &str) -> Result<ScheduleState> {
        self.mongo.schedules().find(schedule).await?.context("the schedule is recorded")
    }

    /// Ids of all commands in the queues of bookings, repetitions included.
    async fn commands(&self) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        for queue in ["bookings.0", "bookings.1"] {
            ids.extend(self.broker.peek_partition(queue).await?.into_iter().map(|message| message.id));
        }
        Ok(ids)
    }

    async fn audited(&self, since: DateTime<Utc>) -> Result<()> {
        eventually("the audit is settled", LIMIT, async || {
            Ok((self.state(AUDIT).await?.settled_until.as_datetime() > since - TimeDelta::hours(2)).then_some(()))
        })
        .await
    }
}

fn property(number: usize) -> PropertyId {
    format!("property-{number:03}").as_str().into()
}

fn inventory(number: usize) -> Inventory {
    let mut inventory = demo::inventory();
    inventory.property.id = property(number);
    inventory
}

fn audit() -> Result<Schedule> {
    Ok(Schedule::new(AUDIT, "0 0 * * * *", Tz::UTC)?.with_task(Task::NightAudit))
}

fn distinct(ids: &[String]) -> usize {
    ids.iter().collect::<HashSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn fire_longer_than_the_lease_completes_under_one_leader() -> Result<()> {
    let fixture = Fixture::with_no_shows(MANY).await?;
    let (slow, _link) = fixture.namespace.slow_mongo(SLOW).await?;
    let begun = Utc::now();
    let (stop_first, first) = fixture.start(&slow, vec![audit()?]);
    let (stop_second, second) = fixture.start(&slow, vec![audit()?]);
    fixture.audited(begun).await?;
    assert!(Utc::now() - begun > TimeDelta::seconds(15), "the fire was shorter than the lease: nothing was tested");
    assert_eq!(fixture.state(AUDIT).await?.token, 1, "the leadership changed during the fire");
    let commands = fixture.commands().await?;
    assert_eq!((commands.len(), distinct(&commands)), (MANY, MANY));
    for (stop, running) in [(stop_first, first), (stop_second, second)] {
        stop.cancel();
        running.await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_fire_continues_at_the_recorded_property() -> Result<()> {
    let fixture = Fixture::with_no_shows(MANY).await?;
    let (slow, _link) = fixture.namespace.slow_mongo(SLOW / 4).await?;
    let begun = Utc::now();
    let (stop, first) = fixture.start(&slow, vec![audit()?]);
    let reached =
        eventually("the fire is under way", LIMIT, async || Ok(fixture.state(AUDIT).await?.under_way)).await?;
    stop.cancel();
    first.await?;
    assert!(reached.property_id < property(MANY - 1), "{reached:?}");
    let (stop, second) = fixture.start(&fixture.mongo, vec![audit()?]);
    fixture.audited(begun).await?;
    let commands = fixture.commands().await?;
    assert_eq!((commands.len(), distinct(&commands)), (MANY, MANY), "what was sent before is not sent again");
    assert_eq!(fixture.state(AUDIT).await?.under_way, None);
    stop.cancel();
    Ok(second.await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_property_delays_no_other_and_is_caught_up() -> Result<()> {
    let fixture = Fixture::with_no_shows(3).await?;
    fixture.stores.set("properties", property(1).as_str(), doc! { "inventory.rooms": 5 }).await?;
    let begun = Utc::now();
    let (stop, running) = fixture.start(&fixture.mongo, vec![audit()?]);
    fixture.audited(begun).await?;
    let state = fixture.state(AUDIT).await?;
    assert_eq!(state.behind.iter().map(|behind| behind.property_id.clone()).collect::<Vec<_>>(), [property(1)]);
    assert_eq!(fixture.commands().await?.len(), 2);
    fixture.mongo.inventories().save(&inventory(1)).await?;
    eventually("the property is caught up", LIMIT, async || {
        Ok(fixture.state(AUDIT).await?.behind.is_empty().then_some(()))
    })
    .await?;
    assert_eq!(distinct(&fixture.commands().await?), 3);
    stop.cancel();
    Ok(running.await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_waits_for_the_end_of_maintenance_and_of_its_deferral() -> Result<()> {
    let fixture = Fixture::with_no_shows(1).await?;
    let (begun, actor) = (Utc::now(), Actor::from("operator"));
    let entry = |at: DateTime<Utc>, action: &str| {
        AuditEntry::new(Uuid::now_v7(), at.into(), &actor, action.to_owned(), "maintenance", "a test")
    };
    let on = Maintenance { since: begun.into(), until: None, actor: actor.clone(), reason: "a test".to_owned() };
    fixture.mongo.maintenance().store(&on, &entry(begun, "maintenance.on")).await?;
    let other = Schedule::new("every_second", "* * * * * *", Tz::UTC)?;
    let (stop, running) = fixture.start(&fixture.mongo, vec![audit()?, other]);
    let fires = eventually("another schedule fires", LIMIT, async || {
        Ok(fixture.mongo.schedules().find("every_second").await?.and_then(|state| state.last_fire))
    });
    let first = fires.await?;
    eventually("and again", LIMIT, async || {
        Ok((fixture.state("every_second").await?.last_fire > Some(first)).then_some(()))
    })
    .await?;
    let state = fixture.state(AUDIT).await?;
    assert_eq!((state.last_fire, fixture.commands().await?.len()), (None, 0), "the audit waits");
    assert!(state.plan.context("a plan")?.waits_for_maintenance);

    let ended = Utc::now();
    fixture.mongo.maintenance().remove(&on, &entry(ended, "maintenance.off")).await?;
    fixture.audited(begun).await?;
    assert_eq!(fixture.commands().await?.len(), 1);
    let run = fixture.mongo.schedule_runs().newest(AUDIT, 1).await?.pop().context("a run")?;
    let deferred_until = ended + (ended - begun);
    assert!(run.started_at >= Some(deferred_until.into()), "{run:?} is before {deferred_until}");
    stop.cancel();
    Ok(running.await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_schedule_delays_no_other() -> Result<()> {
    let fixture = Fixture::with_no_shows(1).await?;
    // Progress that another leader has written cannot be advanced.
    let overdue = Utc::now() - TimeDelta::hours(1);
    fixture.mongo.schedules().record_fire("expire_holds", overdue.into(), false, i64::MAX).await?;
    let holds = Schedule::new("expire_holds", "0 * * * * *", Tz::UTC)?.with_task(Task::ExpireHolds);
    let begun = Utc::now();
    let (stop, running) = fixture.start(&fixture.mongo, vec![holds, audit()?]);
    fixture.audited(begun).await?;
    assert_eq!(fixture.commands().await?.len(), 1);
    let failed = fixture.state("expire_holds").await?;
    assert_eq!(failed.settled_until.to_string(), Timestamp::from(overdue).to_string());
    stop.cancel();
    Ok(running.await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_ahead_of_the_server_clock_counts_as_now() -> Result<()> {
    let fixture = Fixture::with_no_shows(1).await?;
    let every_second = Schedule::new("every_second", "* * * * * *", Tz::UTC)?;
    let ahead = Utc::now() + TimeDelta::days(30);
    assert_eq!(fixture.mongo.schedules().ahead_of_clock().await?, None);
    fixture.mongo.schedules().record_fire("every_second", ahead.into(), true, 0).await?;
    let stored = fixture.mongo.schedules().ahead_of_clock().await?.context("a warning")?;
    let until = Timestamp::from(ahead);
    assert_eq!(stored, format!("every_second has fired until {until}, which is in the future"));
    let (stop, running) = fixture.start(&fixture.mongo, vec![every_second]);
    eventually("it fires all the same", LIMIT, async || {
        Ok((!fixture.broker.peek("reconciliation", 1).await?.is_empty()).then_some(()))
    })
    .await?;
    let state = fixture.state("every_second").await?;
    assert!(state.settled_until.as_datetime() < ahead);
    let set_back = state.set_back.context("it is recorded")?;
    assert_eq!(set_back.from, until);
    let reported = fixture.mongo.schedules().ahead_of_clock().await?.context("a warning")?;
    let at = set_back.at;
    assert_eq!(reported, format!("every_second had fired until {until} and continued from {at}"));
    stop.cancel();
    running.await?;
    // The clock is wrong once more, and nothing has continued since.
    let again = Timestamp::from(ahead + TimeDelta::days(1));
    fixture.mongo.schedules().record_fire("every_second", again, true, i64::MAX).await?;
    let reported = fixture.mongo.schedules().ahead_of_clock().await?.context("a warning")?;
    assert_eq!(reported, format!("every_second has fired until {again}, which is in the future"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn end_of_a_hold_is_requested_once_until_it_is_answered() -> Result<()> {
    const HOLDS: usize = 40;
    let fixture = Fixture::with_no_shows(0).await?;
    let ids: Vec<BookingId> = (0..HOLDS).map(|_| BookingId::from_uuid(Uuid::new_v4())).collect();
    for id in &ids {
        let held = doc! {
            "_id": id.to_string(), "status": "held", "property_id": property(0).as_str(),
            "payment": { "expires_at": "2026-01-01T00:00:00.000Z" },
        };
        fixture.stores.insert("bookings", held).await?;
    }
    fixture.stores.insert("payments", doc! { "_id": ids[1].to_string(), "rev": 7_i64 }).await?;
    let unreadable = doc! {
        "_id": Uuid::new_v4().to_string(), "status": "held", "property_id": 5,
        "payment": { "expires_at": "2025-01-01T00:00:00.000Z" },
    };
    fixture.stores.insert("bookings", unreadable).await?;
    let holds = Schedule::new("expire_holds", "* * * * * *", Tz::UTC)?.with_task(Task::ExpireHolds);
    let (stop, running) = fixture.start(&fixture.mongo, vec![holds]);
    let requests = async || -> Result<Vec<String>> {
        Ok(fixture.broker.peek("stripe", 10 * HOLDS).await?.into_iter().map(|message| message.id).collect())
    };
    let fires = async |count: i64| {
        let begun = Utc::now() + TimeDelta::seconds(count);
        eventually("further fires", LIMIT, async || {
            let state = fixture.mongo.schedules().find("expire_holds").await?;
            Ok(state.filter(|state| state.settled_until.as_datetime() > begun))
        })
        .await
    };
    fires(5).await?;
    let before = requests().await?;
    assert_eq!((before.len(), distinct(&before)), (HOLDS, HOLDS), "the outage of a minute per fire");

    // Three were answered without ending the hold: one is due again, one has money in it, one was recorded by a clock
    // that is a month ahead.
    let past: Timestamp = (Utc::now() - TimeDelta::minutes(1)).into();
    fixture.mongo.hold_expiries().carried_out(ids[0], past, None).await?;
    fixture.mongo.hold_expiries().carried_out(ids[1], past, Some(7)).await?;
    let ahead: Timestamp = (Utc::now() + TimeDelta::days(30)).into();
    fixture.mongo.hold_expiries().carried_out(ids[2], ahead, None).await?;
    fires(3).await?;
    let after = requests().await?;
    assert_eq!((after.len(), distinct(&after)), (HOLDS + 2, HOLDS + 2), "two more requests, under their own ids");
    assert_eq!(fixture.mongo.hold_expiries().requests(ids[0]).await?, 2);

    // Its ledger changes: a bank debit that failed, for instance.
    fixture.stores.set("payments", &ids[1].to_string(), doc! { "rev": 8_i64 }).await?;
    fires(3).await?;
    assert_eq!(requests().await?.len(), HOLDS + 3);
    stop.cancel();
    Ok(running.await?)
}
