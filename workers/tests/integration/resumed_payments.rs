//! Refunds and totals whose commands were lost are requested again by the scheduler.

use crate::harness::Harness;
use anyhow::{Context, Result};
use chrono::{TimeDelta, Utc};
use chrono_tz::Tz;
use pvt_domain::booking::Booking;
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::{Ledger, Record, RecordMethod};
use pvt_domain::messages::StripeCommand;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::{Publisher, Queue};
use pvt_testkit::eventually;
use pvt_worker_runtime::{Engine, Job, Shape, Spec, Worker};
use pvt_workers::clock;
use pvt_workers::jobs::confirmations::Confirmations;
use pvt_workers::scheduler::{Schedule, Scheduler, Task};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(30);

/// Records for which bookings refunds are requested.
#[derive(Clone, Default)]
struct Refunds(Arc<Mutex<BTreeSet<BookingId>>>);

impl Worker for Refunds {
    const SPEC: Spec = Spec {
        name: "refunds",
        queue: Queue::One(StripeCommand::QUEUE),
        retry_schedule: &[],
        timeout: Duration::from_secs(5),
        shape: Shape::Single { concurrency: 1 },
    };
    type Message = StripeCommand;

    async fn handle(&self, job: &mut Job<StripeCommand>) -> Result<(), Failure> {
        if let StripeCommand::Refund(refund) = &job.message {
            self.0.lock().unwrap().insert(refund.booking_id);
        }
        Ok(())
    }
}

fn ledger(booking: &Booking, at: Timestamp) -> Result<Ledger> {
    let currency = booking.price.as_ref().context("a price")?.currency;
    Ok(Ledger::new(booking.id, booking.property_id.clone(), currency, at))
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_refunds_and_totals_are_requested_again() -> Result<()> {
    let harness = Harness::open().await?;
    let hour_ago: Timestamp = (Utc::now() - TimeDelta::hours(1)).into();
    // The command of its refund is a dead letter. A refund is owed however long ago it was promised.
    let month_ago: Timestamp = (Utc::now() - TimeDelta::days(30)).into();
    let (refunded, _) = harness.book("refund", 30).await?;
    let before = ledger(&refunded, month_ago)?;
    let mut open = before.clone();
    open.instruct_requested_refund(Uuid::from_u128(1), "pi_1", 1_000, "staff:1", "the shower was cold", month_ago);
    open.advance_rev(&before, month_ago);
    // The command that would have brought its totals is one.
    let (paid, _) = harness.book("totals", 40).await?;
    let before = ledger(&paid, hour_ago)?;
    let mut ahead = before.clone();
    ahead.record(Record {
        id: Uuid::from_u128(2),
        method: RecordMethod::Cash,
        amount: 1_000,
        actor: "staff:1".into(),
        note: Some("at the door".to_owned()),
        at: hour_ago,
    });
    ahead.advance_rev(&before, hour_ago);
    assert!(harness.mongo.ledgers().save(&[open, ahead]).await?);

    let topology = harness.namespace.topology();
    let publisher = Publisher::start(harness.namespace.amqp_url(), topology.clone(), "tests");
    let (stop, refunds) = (CancellationToken::new(), Refunds::default());
    let engine = Engine::new(harness.namespace.amqp_url(), topology.clone(), publisher.clone())
        .register(refunds.clone())?
        .register_batch(Confirmations::new(harness.mongo.clone(), clock::system))?;
    let running = tokio::spawn(engine.run(stop.clone()));
    let schedule = Schedule::new("resume", "* * * * * *", Tz::UTC)?.with_task(Task::ResumePayments);
    let scheduler = Scheduler::new(harness.mongo.clone(), publisher.clone(), topology).with_schedules(vec![schedule]);
    let scheduler = tokio::spawn(scheduler.run(stop.clone()));

    eventually("the booking knows its totals", LIMIT, async || {
        let ledger = harness.stored(paid.id).await?.payment.ledger;
        Ok(ledger.is_some_and(|ledger| ledger.captured == 1_000).then_some(()))
    })
    .await?;
    eventually("the refund is requested again", LIMIT, async || {
        Ok(refunds.0.lock().unwrap().contains(&refunded.id).then_some(()))
    })
    .await?;
    assert_eq!(refunds.0.lock().unwrap().len(), 1, "and no other");
    let settled = harness.stored(paid.id).await?;
    let entry = settled.history.last().context("a revision")?;
    assert_eq!((entry.actor.as_str(), entry.reason.as_deref()), ("staff:1", Some("at the door")), "it was cash");
    let hop = entry.hop.as_deref().context("the way of its command")?;
    assert!(hop.published_at.is_some_and(|published| published <= hop.delivered_at) && hop.delivered_at <= entry.at);
    assert_eq!((hop.attempt, hop.redeliveries, hop.first_failed_at), (1, 0, None));

    stop.cancel();
    let Ok(()) = scheduler.await?;
    running.await??;
    publisher.close(Duration::from_secs(2)).await;
    Ok(())
}
