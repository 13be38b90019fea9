//! The night audit and the reminders, from the schedule to the booking, after an outage of a day.

use crate::hostel::{Hostel, asks};
use anyhow::Result;
use chrono::{Days, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use mongodb::bson::doc;
use pvt_domain::booking::Status;
use pvt_domain::business_day::business_date;
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::{EmailCommand, NotificationKind};
use pvt_messaging::{Publisher, Queue};
use pvt_testkit::{dormitory, eventually};
use pvt_worker_runtime::{Engine, Job, Shape, Spec, Worker};
use pvt_workers::clock;
use pvt_workers::jobs::confirmations::Confirmations;
use pvt_workers::scheduler::{Plan, Scheduler, Work};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(30);
const EVERY_SECOND: &str = "* * * * * *";

/// Remembers whom a mail was asked for, duplicates included.
#[derive(Clone, Default)]
struct Wishes(Arc<Mutex<Vec<(BookingId, NotificationKind)>>>);

impl Worker for Wishes {
    const SPEC: Spec = Spec {
        name: "wishes",
        queue: Queue::One("emails"),
        ladder: &[],
        timeout: Duration::from_secs(5),
        shape: Shape::Single { concurrency: 1 },
    };
    type Message = EmailCommand;

    async fn handle(&self, job: &mut Job<EmailCommand>) -> Result<(), Failure> {
        if let EmailCommand::Send(wish) = &job.message {
            assert_eq!(wish.notification_id, job.meta.id);
            self.0.lock().unwrap().push((wish.booking_id, wish.kind));
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_due_during_an_outage_is_made_up_for_once() -> Result<()> {
    let mut inventory = dormitory("pvt-montreal", 6);
    inventory.property.business_day_cutoff = NaiveTime::MIN;
    let property = inventory.property.clone();
    let hostel = Hostel::selling(inventory).await?;
    let today = business_date(&property, clock::system());
    let book = async |key: &str, arrival, nights| {
        let (id, request) = asks(key, arrival, arrival + Days::new(nights));
        hostel.decide(id.request_command_id(), request).await?;
        anyhow::Ok(id)
    };
    let (missed, expected_again) =
        (book("missed", today - Days::new(1), 4).await?, book("expected again", today - Days::new(1), 4).await?);
    let before = (Utc::now() - TimeDelta::days(2)).format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    hostel
        .bookings()
        .update_one(doc! { "_id": missed.to_string() }, doc! { "$set": { "history.0.at": before } })
        .await?;
    // Since the outage began, nine o'clock on the wall came today, or else only yesterday.
    let local = Utc::now().with_timezone(&property.time_zone);
    let reminded = if local.time() >= NaiveTime::from_hms_opt(9, 0, 0).expect("a time") {
        local.date_naive()
    } else {
        local.date_naive() - Days::new(1)
    };
    let (soon, later) =
        (book("soon", reminded + Days::new(3), 1).await?, book("later", reminded + Days::new(4), 1).await?);

    let topology = hostel.namespace.topology();
    let publisher = Publisher::start(hostel.namespace.amqp_url(), topology.clone(), "tests");
    let stop = CancellationToken::new();
    let wishes = Wishes::default();
    let engine = Engine::new(hostel.namespace.amqp_url(), topology.clone(), publisher.clone())
        .register(wishes.clone())?
        .register_batch(Confirmations::new(hostel.mongo.clone(), clock::system))?;
    let running = tokio::spawn(engine.run(stop.clone()));
    let mut plans = Vec::new();
    for (name, work) in [("audit", Work::NightAudit), ("soon", Work::RemindSoon)] {
        hostel.mongo.settle_schedule(name, (Utc::now() - TimeDelta::hours(24)).into(), false, 0).await?;
        plans.push(Plan::new(name, EVERY_SECOND, Tz::UTC)?.doing(work));
    }
    let scheduler = tokio::spawn(
        Scheduler::new(hostel.mongo.clone(), publisher.clone(), topology).with_plans(plans).run(stop.clone()),
    );

    eventually("who did not come is a no-show", LIMIT, async || {
        Ok((hostel.stored(missed).await?.status == Status::NoShow).then_some(()))
    })
    .await?;
    eventually("who comes soon is reminded", LIMIT, async || {
        Ok(wishes.0.lock().unwrap().contains(&(soon, NotificationKind::ArrivalSoon)).then_some(()))
    })
    .await?;
    let fired = hostel.mongo.schedule("soon").await?.expect("it is recorded").last_fire;
    eventually("it fires again", LIMIT, async || {
        Ok((hostel.mongo.schedule("soon").await?.and_then(|state| state.last_fire) > fired).then_some(()))
    })
    .await?;
    let wishes = wishes.0.lock().unwrap().clone();
    assert_eq!(wishes.iter().filter(|(id, _)| *id == soon).count(), 1, "and asks for nothing twice");
    assert!(!wishes.iter().any(|(id, _)| *id == later));
    assert_eq!(hostel.stored(expected_again).await?.status, Status::Confirmed, "confirmed on this very day");
    let entry = hostel.stored(missed).await?.history.pop().expect("a history");
    assert_eq!((entry.actor.as_str(), entry.reason.as_deref()), ("system", Some("night audit")));

    stop.cancel();
    let Ok(()) = scheduler.await?;
    running.await??;
    publisher.close(Duration::from_secs(2)).await;
    Ok(())
}
