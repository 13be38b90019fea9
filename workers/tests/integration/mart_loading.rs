//! Events and Stripe webhooks through the broker, each more than once.

use crate::harness::Harness;
use anyhow::Result;
use pvt_domain::messages::{RECONCILE_PROPERTY, ReconcileProperty, STRIPE_EVENT, StripeEvent};
use pvt_messaging::{Outgoing, Publisher};
use pvt_testkit::eventually;
use pvt_worker_runtime::Engine;
use pvt_workers::clock;
use pvt_workers::jobs::analytics::Analytics;
use pvt_workers::jobs::payments::Payments;
use pvt_workers::jobs::reconciliation::Reconciliation;
use std::time::Duration;
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
