//! The night audit and the reminders, from the schedule to the booking, after an outage of one day.

use crate::harness::{Harness, booking_request};
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
use pvt_workers::scheduler::{Schedule, Scheduler, Task};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(30);
const EVERY_SECOND: &str = "* * * * * *";

/// Records the requested mails, duplicates included.
#[derive(Clone, Default)]
struct MailRequests(Arc<Mutex<Vec<(BookingId, NotificationKind)>>>);

impl Worker for MailRequests {
    const SPEC: Spec = Spec {
        name: "mail_requests",
        queue: Queue::One("emails"),
        retry_schedule: &[],
        timeout: Duration::from_secs(5),
        shape: Shape::Single { concurrency: 1 },
    };
    type Message = EmailCommand;

    async fn handle(&self, job: &mut Job<EmailCommand>) -> Result<(), Failure> {
        if let EmailCommand::Send(request) = &job.message {
            assert_eq!(request.notification_id, job.meta.id);
            self.0.lock().unwrap().push((request.booking_id, request.kind));
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_audit_and_reminders_are_caught_up_once() -> Result<()> {
    let mut inventory = dormitory("pvt-montreal", 6);
    inventory.property.business_day_cutoff = NaiveTime::MIN;
    let property = inventory.property.clone();
    let harness = Harness::with_inventory(inventory).await?;
    let today = business_date(&property, clock::system());
    let book = async |key: &str, arrival, nights| {
        let (id, request) = booking_request(key, arrival, arrival + Days::new(nights));
        harness.decide(id.request_command_id(), request).await?;
        anyhow::Ok(id)
    };
    let (missed, expected_again) =
        (book("missed", today - Days::new(1), 4).await?, book("expected again", today - Days::new(1), 4).await?);
    let before = (Utc::now() - TimeDelta::days(2)).format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    harness
        .bookings()
        .update_one(doc! { "_id": missed.to_string() }, doc! { "$set": { "history.0.at": before } })
        .await?;
    // Nine o'clock local time during the outage: today, or else yesterday.
    let local = Utc::now().with_timezone(&property.time_zone);
    let reminded = if local.time() >= NaiveTime::from_hms_opt(9, 0, 0).expect("a time") {
        local.date_naive()
    } else {
        local.date_naive() - Days::new(1)
    };
    let (days_from_now, later) =
        (book("soon", reminded + Days::new(3), 1).await?, book("later", reminded + Days::new(4), 1).await?);

    let topology = harness.namespace.topology();
    let publisher = Publisher::start(harness.namespace.amqp_url(), topology.clone(), "tests");
    let stop = CancellationToken::new();
    let requests = MailRequests::default();
    let engine = Engine::new(harness.namespace.amqp_url(), topology.clone(), publisher.clone())
        .register(requests.clone())?
        .register_batch(Confirmations::new(harness.mongo.clone(), clock::system))?;
    let running = tokio::spawn(engine.run(stop.clone()));
    let mut schedules = Vec::new();
    for (name, work) in [("audit", Task::NightAudit), ("soon", Task::RemindArrivalSoon)] {
        harness.mongo.schedules().record_fire(name, (Utc::now() - TimeDelta::hours(24)).into(), false, 0).await?;
        schedules.push(Schedule::new(name, EVERY_SECOND, Tz::UTC)?.with_task(work));
    }
    let scheduler = tokio::spawn(
        Scheduler::new(harness.mongo.clone(), publisher.clone(), topology).with_schedules(schedules).run(stop.clone()),
    );

    eventually("the missed booking is a no-show", LIMIT, async || {
        Ok((harness.stored(missed).await?.status == Status::NoShow).then_some(()))
    })
    .await?;
    eventually("the guest arriving soon is reminded", LIMIT, async || {
        Ok(requests.0.lock().unwrap().contains(&(days_from_now, NotificationKind::ArrivalSoon)).then_some(()))
    })
    .await?;
    let fired = harness.mongo.schedules().find("soon").await?.expect("it is recorded").last_fire;
    eventually("it fires again", LIMIT, async || {
        Ok((harness.mongo.schedules().find("soon").await?.and_then(|state| state.last_fire) > fired).then_some(()))
    })
    .await?;
    let requests = requests.0.lock().unwrap().clone();
    assert_eq!(requests.iter().filter(|(id, _)| *id == days_from_now).count(), 1, "and requests nothing twice");
    assert!(!requests.iter().any(|(id, _)| *id == later));
    assert_eq!(harness.stored(expected_again).await?.status, Status::Confirmed, "confirmed today");
    let entry = harness.stored(missed).await?.history.pop().expect("a history");
    assert_eq!((entry.actor.as_str(), entry.reason.as_deref()), ("system", Some("night audit")));

    stop.cancel();
    let Ok(()) = scheduler.await?;
    running.await??;
    publisher.close(Duration::from_secs(2)).await;
    Ok(())
}
