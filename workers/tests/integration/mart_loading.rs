//! Events and Stripe webhooks through the broker, each more than once.

use crate::harness::Harness;
use anyhow::Result;
use pvt_domain::events::BookingEvent;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::{RECONCILE_PROPERTY, ReconcileProperty, STRIPE_EVENT, StripeEvent};
use pvt_messaging::{Outgoing, Publisher};
use pvt_stores::POSTGRES_LOCKED;
use pvt_testkit::eventually;
use pvt_worker_runtime::Engine;
use pvt_workers::clock;
use pvt_workers::jobs::analytics::Analytics;
use pvt_workers::jobs::payments::Payments;
use pvt_workers::jobs::reconciliation::Reconciliation;
use sqlx::{Connection, PgConnection};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn lost_events_reach_the_mart_through_the_broker() -> Result<()> {
    let harness = Harness::open().await?;
    let topology = harness.namespace.topology();
    let publisher = Publisher::start(harness.namespace.amqp_url(), topology.clone(), "tests");
    let stop = CancellationToken::new();
    let engine = Engine::new(harness.namespace.amqp_url(), topology.clone(), publisher.clone())
        .register_batch(Analytics::new(harness.mart.clone()))?
        .register_batch(Payments::new(harness.mongo.clone(), topology.clone(), clock::system))?
        .register(
            Reconciliation::new(harness.mongo.clone(), harness.mart.clone(), &topology, clock::system)
                .with_grace(Duration::ZERO),
        )?;
    let running = tokio::spawn(engine.run(stop.clone()));

    // The first booking's event twice: one row. The second one's never: reconciliation republishes it.
    let (one, events) = harness.book("one", 10).await?;
    let (two, _) = harness.book("two", 10).await?;
    publisher.publish_all([events.clone(), events].concat()).await?;
    eventually("the first booking is in the mart", LIMIT, async || {
        Ok(harness.mart.behind(&[(one.id, 1)]).await?.is_empty().then_some(()))
    })
    .await?;
    let run_id = Uuid::new_v4();
    let command = ReconcileProperty {
        run_id,
        property_id: Harness::property(),
        dry_run: false,
        actor: "tests".into(),
        requested_at: clock::system(),
    };
    let key = topology.command_key(RECONCILE_PROPERTY, Harness::property().as_str());
    publisher.publish(Outgoing::command(key, run_id, &command)?).await?;
    eventually("the second booking is in the mart", LIMIT, async || {
        Ok(harness.mart.behind(&[(two.id, 1)]).await?.is_empty().then_some(()))
    })
    .await?;
    let report =
        eventually("the report", LIMIT, async || Ok(harness.mongo.reconciliations().find(run_id).await?)).await?;
    assert_eq!((report.found, report.repaired), (1, 1), "{report}");

    let event = StripeEvent {
        event_id: "evt_1".into(),
        event_type: "invoice.paid".into(),
        payload: serde_json::json!({ "id": "evt_1", "type": "invoice.paid", "created": 1_800_000_000,
            "data": { "object": { "amount": 15_000, "metadata": { "a.b": "$c", "": null } } } }),
        received_at: clock::system(),
    };
    let key = topology.command_key(STRIPE_EVENT, "");
    let push = Outgoing::command(key, Uuid::new_v4(), &event)?;
    publisher.publish_all([push.clone(), push.clone(), push]).await?;
    let stored =
        eventually("the event is stored", LIMIT, async || Ok(harness.mongo.stripe_events().find("evt_1").await?))
            .await?;
    assert_eq!(serde_json::to_value(&stored.payload)?, event.payload);
    assert_eq!(stored.event_type, event.event_type);

    stop.cancel();
    running.await??;
    publisher.close(Duration::from_secs(2)).await;
    Ok(())
}

/// The event of another booking that differs in nothing but its ids.
fn of_another_booking(event: &Outgoing, number: u32) -> Result<(BookingId, Outgoing)> {
    let mut event: BookingEvent = serde_json::from_slice(&event.body)?;
    event.booking_id = BookingId::derive(Some("tests"), &number.to_string(), "free");
    event.event_id = event.booking_id.event_id(event.rev, "test");
    Ok((event.booking_id, Outgoing::event(event.event_id, &event)?))
}

/// For the events of other bookings while one row is locked. In one batch they wait for the lock once, and for the
/// locked event once more: 2 s each.
const BESIDE_A_LOCK: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread")]
async fn locked_row_of_the_mart_holds_its_own_events_only() -> Result<()> {
    let harness = Harness::open().await?;
    let topology = harness.namespace.topology();
    let publisher = Publisher::start(harness.namespace.amqp_url(), topology.clone(), "tests");
    let (stop, analytics) = (CancellationToken::new(), Analytics::new(harness.mart.clone()));
    let engine = Engine::new(harness.namespace.amqp_url(), topology, publisher.clone()).register_batch(analytics)?;
    let health = engine.health();
    let running = tokio::spawn(engine.run(stop.clone()));

    let (locked, requested) = harness.book("locked", 10).await?;
    harness.load(&requested).await?;
    let cancelled = harness.cancel(&locked).await?;
    let mut forgotten = PgConnection::connect(&harness.namespace.database_url()).await?;
    let mut session = forgotten.begin().await?;
    let row = sqlx::query("SELECT * FROM fact_booking WHERE booking_id = $1 FOR UPDATE");
    assert_eq!(row.bind(locked.id.as_uuid()).execute(&mut *session).await?.rows_affected(), 1);
    let others = (0..100).map(|number| of_another_booking(&requested[0], number)).collect::<Result<Vec<_>>>()?;
    let (ids, events): (Vec<BookingId>, Vec<Outgoing>) = others.into_iter().unzip();
    let ids: Vec<(BookingId, u32)> = ids.into_iter().map(|id| (id, 1)).collect();

    let begun = Instant::now();
    publisher.publish_all([cancelled, events].concat()).await?;
    eventually("the other bookings are in the mart", LIMIT, async || {
        Ok(harness.mart.behind(&ids).await?.is_empty().then_some(()))
    })
    .await?;
    assert!(begun.elapsed() < BESIDE_A_LOCK, "other bookings waited {:?} for the lock", begun.elapsed());
    eventually("the locked event is retried later", LIMIT, async || {
        let last_error = health.snapshot().swap_remove(0).last_error;
        Ok(last_error.filter(|error| error.text.starts_with(POSTGRES_LOCKED)).map(drop))
    })
    .await?;
    assert_eq!(harness.mart.behind(&[(locked.id, 2)]).await?, [locked.id].into());
    session.rollback().await?;
    eventually("the locked booking is in the mart", LIMIT, async || {
        Ok(harness.mart.behind(&[(locked.id, 2)]).await?.is_empty().then_some(()))
    })
    .await?;

    stop.cancel();
    running.await??;
    publisher.close(Duration::from_secs(2)).await;
    Ok(())
}
