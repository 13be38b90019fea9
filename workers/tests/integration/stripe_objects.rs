//! Stripe's objects that name only their charge are joined or read, and those of the other mode have no effect.

use crate::payments::{Emitted, StripeHarness};
use anyhow::{Context, Result};
use pvt_domain::ledger::Attention;
use pvt_domain::messages::*;
use pvt_messaging::Outgoing;
use pvt_worker_runtime::{Batch, BatchWorker, Job, Meta};
use pvt_workers::clock;
use pvt_workers::jobs::payments::Payments;
use serde_json::{Value, json};
use std::sync::Arc;

/// What the worker emits for one event about an object.
async fn push(stripe: &StripeHarness, id: &str, kind: &str, object: Value, livemode: bool) -> Result<Vec<Outgoing>> {
    let payload = json!({ "id": id, "object": "event", "type": kind, "created": 1_900_000_000, "livemode": livemode,
        "data": { "object": object } });
    let event =
        StripeEvent { event_id: id.to_owned(), event_type: kind.to_owned(), payload, received_at: clock::system() };
    let topology = stripe.harness.namespace.topology();
    let worker = Payments::new(stripe.harness.mongo.clone(), topology, clock::system).of_mode(Some(false));
    let job = Job::new(PaymentCommand::Event(Box::new(event)), Meta::default());
    let mut batch = Batch { queue: Arc::from("payments"), partition: None, items: vec![job] };
    worker.handle(&mut batch).await.map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let job = batch.items.first().context("the job")?;
    anyhow::ensure!(job.failed().is_none(), "{:?}", job.failed());
    Ok(job.emitted().to_vec())
}

/// The command to read a payment that was emitted.
fn refresh(messages: &[Outgoing]) -> Result<RefreshPayment> {
    let message = messages.iter().find(|message| message.envelope.kind == PAYMENT_REFRESH).context("a refresh")?;
    Ok(serde_json::from_slice(&message.body)?)
}

#[tokio::test]
async fn dispute_that_names_only_its_charge_is_joined() -> Result<()> {
    let stripe = StripeHarness::open().await?;
    let (booking, _) = stripe.harness.book("a", 30).await?;
    let intent = stripe.pay(&booking, 1).await?;
    let dispute = stripe.control.dispute(&intent, "fraudulent")?;
    let named = || {
        let mut object = stripe.control.object(&dispute).context("the dispute")?;
        object["payment_intent"] = Value::Null;
        anyhow::Ok(object)
    };

    // No ledger knows the charge: the payment is read by it.
    let command = refresh(&push(&stripe, "evt_1", "charge.dispute.created", named()?, false).await?)?;
    assert_eq!((command.intent.as_deref(), command.joined), (None, false));
    assert_eq!(command.charge.as_deref(), named()?["charge"].as_str());
    let emitted = stripe.redeliver(&StripeCommand::Refresh(command)).await?;
    assert!(emitted.events.contains(&("disputed", intent.clone())), "{emitted:?}");
    let ledger = stripe.harness.mongo.ledgers().find(booking.id).await?.context("a ledger")?;
    assert!(ledger.attention().contains(&Attention::DisputeOpen) && ledger.is_frozen(&intent));
    assert_eq!(ledger.summary().captured, booking.price.as_ref().context("a price")?.total);

    // Now it is known.
    stripe.control.close_dispute(&dispute, false)?;
    let messages = push(&stripe, "evt_2", "charge.dispute.closed", named()?, false).await?;
    assert!(Emitted::of(&messages)?.events.contains(&("disputed", intent.clone())) && refresh(&messages).is_err());
    let ledger = stripe.harness.mongo.ledgers().find(booking.id).await?.context("a ledger")?;
    assert!(ledger.attention().contains(&Attention::DisputeLost), "{:?}", ledger.disputes);

    // A charge that is not ours is read, and then counted.
    let stranger = json!({ "id": "du_9", "charge": "ch_elsewhere", "amount": 5, "currency": "cad", "status": "lost" });
    let command = refresh(&push(&stripe, "evt_3", "charge.dispute.closed", stranger, false).await?)?;
    assert!(stripe.deliver_with(&StripeCommand::Refresh(command), clock::system, &[]).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn event_of_the_other_mode_has_no_effect() -> Result<()> {
    let stripe = StripeHarness::open().await?;
    let (booking, _) = stripe.harness.book("a", 30).await?;
    let total = booking.price.as_ref().context("a price")?.total;
    let paid = json!({ "id": "pi_1", "status": "succeeded", "amount": total, "amount_received": total,
        "currency": "cad", "metadata": { "booking_id": booking.id.to_string() } });
    assert!(push(&stripe, "evt_1", "payment_intent.succeeded", paid.clone(), true).await?.is_empty());
    assert_eq!(stripe.harness.mongo.ledgers().find(booking.id).await?, None);
    assert!(Emitted::of(&push(&stripe, "evt_2", "payment_intent.succeeded", paid, false).await?)?.settles);
    Ok(())
}
