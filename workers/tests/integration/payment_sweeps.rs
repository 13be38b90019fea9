//! The sweep of Stripe's events and the comparison of its balance transactions, command by command.

use crate::harness::Harness;
use crate::payments::StripeHarness;
use anyhow::{Context, Result, ensure};
use chrono::{TimeDelta, Utc};
use pvt_domain::events::PaymentEvent;
use pvt_domain::messages::*;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::{Outgoing, Target};
use pvt_stores::mongo::payment_sweeps::PaymentSweep;
use pvt_stripe_simulator::{FaultInjection, RequestFault, RequestFaultKind};
use pvt_worker_runtime::{Job, Meta, Worker};
use pvt_workers::clock::{self, Clock};
use pvt_workers::jobs::stripe::StripeCalls;
use std::collections::BTreeSet;
use uuid::Uuid;

fn sweep(run: u128) -> StripeCommand {
    StripeCommand::Reconcile(ReconcilePayments {
        run_id: Uuid::from_u128(run),
        dry_run: false,
        actor: "schedule:reconcile_payments".into(),
        requested_at: clock::system(),
        span: None,
    })
}

/// Everything that a run emits, its own commands included, each of which is delivered this many times.
async fn run(stripe: &StripeHarness, run: u128, clock: Clock, deliveries: usize) -> Result<Vec<Outgoing>> {
    let (mut emitted, mut todo) = (Vec::new(), vec![sweep(run)]);
    while let Some(command) = todo.pop() {
        let mut next = Vec::new();
        for _ in 0..deliveries {
            next = stripe.deliver_with(&command, clock, &[]).await?;
        }
        for message in &next {
            match &*message.envelope.kind {
                RECONCILE_PAYMENTS => todo.push(StripeCommand::Reconcile(serde_json::from_slice(&message.body)?)),
                RECONCILE_BALANCE => todo.push(StripeCommand::CompareBalance(serde_json::from_slice(&message.body)?)),
                _ => {}
            }
        }
        emitted.extend(next);
        ensure!(emitted.len() < 2_000, "the run does not end");
    }
    Ok(emitted)
}

/// Ids of replayed events.
fn replayed(messages: &[Outgoing]) -> BTreeSet<Uuid> {
    let events = messages.iter().filter(|message| message.envelope.kind == STRIPE_EVENT);
    events.map(|message| message.envelope.id).collect()
}

async fn report(stripe: &StripeHarness, run: u128) -> Result<PaymentSweep> {
    stripe.harness.mongo.payment_sweeps().find(Uuid::from_u128(run)).await?.context("the report")
}

#[tokio::test]
async fn redelivered_spans_replay_the_same_events() -> Result<()> {
    let stripe = StripeHarness::open().await?;
    run(&stripe, 1, clock::system, 1).await?;
    let (booking, _) = stripe.harness.book("a", 30).await?;
    stripe.pay(&booking, 1).await?;
    let first = replayed(&run(&stripe, 2, clock::system, 1).await?);
    assert!(first.len() >= 4, "{first:?}");
    // The report of a crashed run must not move the start of the search.
    assert_eq!(first, replayed(&run(&stripe, 2, clock::system, 2).await?));
    let report = report(&stripe, 2).await?;
    assert_eq!((usize::try_from(report.missing)?, report.complete), (first.len(), true), "{report:?}");
    assert!(report.until.as_datetime() > Utc::now() - TimeDelta::minutes(2));
    Ok(())
}

#[tokio::test]
async fn events_are_replayed_though_the_comparison_fails() -> Result<()> {
    let stripe = StripeHarness::open().await?;
    let (booking, _) = stripe.harness.book("a", 30).await?;
    stripe.pay(&booking, 1).await?;
    let fault = RequestFault::new(RequestFaultKind::ServerError).at("/v1/balance_transactions");
    stripe.control.set_faults(FaultInjection::of_requests(fault));
    let (mut command, mut found, mut spans) = (sweep(1), BTreeSet::new(), 0);
    // A month without a run: span by span, each of them saved.
    loop {
        let messages = stripe.deliver_with(&command, clock::system, &[]).await?;
        found.extend(replayed(&messages));
        spans += 1;
        let Some(next) = messages.iter().find(|message| message.envelope.kind == RECONCILE_PAYMENTS) else { break };
        let next: ReconcilePayments = serde_json::from_slice(&next.body)?;
        assert_eq!(Some(report(&stripe, 1).await?.until), next.span.map(|span| span.from));
        command = StripeCommand::Reconcile(next);
    }
    assert!(found.len() >= 4 && spans > 10, "{found:?} in {spans} spans");
    assert!(run(&stripe, 2, clock::system, 1).await.is_err(), "the comparison");
    let last = report(&stripe, 2).await?;
    assert!(last.complete && last.since > (Utc::now() - TimeDelta::hours(3)).into(), "the next run goes on: {last:?}");
    Ok(())
}

#[tokio::test]
async fn event_too_large_for_a_message_holds_up_no_other() -> Result<()> {
    let stripe = StripeHarness::open().await?;
    let (booking, _) = stripe.harness.book("a", 30).await?;
    let intent = stripe.create_intent(&booking, &"x".repeat(70_000)).await?;
    stripe.pay(&booking, 1).await?;
    let messages = run(&stripe, 1, clock::system, 1).await?;
    assert!(replayed(&messages).len() >= 4);
    let read = messages.iter().find(|message| message.envelope.kind == PAYMENT_REFRESH).context("a refresh")?;
    let read: RefreshPayment = serde_json::from_slice(&read.body)?;
    assert_eq!(read.intent.as_deref(), Some(intent.as_str()), "the payment is read instead");
    let report = report(&stripe, 1).await?;
    assert_eq!((report.oversize, report.missing - report.replayed), (1, 1), "{report:?}");
    stripe.deliver_with(&StripeCommand::Refresh(read), clock::system, &[]).await?;
    let ledger = stripe.harness.mongo.ledgers().find(booking.id).await?.context("a ledger")?;
    assert!(ledger.intents.get(&intent).is_some());
    // It is stored, so that the next run does not find it again.
    let again = run(&stripe, 2, clock::system, 1).await?;
    assert!(again.iter().all(|message| message.envelope.kind != PAYMENT_REFRESH));
    Ok(())
}

#[tokio::test]
async fn fees_are_recorded_together_and_published() -> Result<()> {
    let stripe = StripeHarness::open().await?;
    let mut intents = BTreeSet::new();
    for (number, key) in ["a", "b", "c"].into_iter().enumerate() {
        let (booking, _) = stripe.harness.book(key, 30).await?;
        let intent = stripe.pay(&booking, u128::try_from(number)? + 1).await?;
        let refresh = RefreshPayment {
            intent: Some(intent.clone()),
            charge: None,
            event_id: "evt_1".into(),
            joined: false,
            requested_at: clock::system(),
        };
        stripe.deliver_with(&StripeCommand::Refresh(refresh), clock::system, &[]).await?;
        intents.insert(intent);
    }
    let with_fee = |messages: &[Outgoing]| -> Result<BTreeSet<String>> {
        let events = messages.iter().filter(|message| message.target == Target::Events);
        let events: Vec<PaymentEvent> =
            events.map(|message| serde_json::from_slice(&message.body)).collect::<Result<_, _>>()?;
        let fee = |event: &PaymentEvent| event.entry.as_ref().is_some_and(|entry| entry.fee > 0);
        Ok(events.into_iter().filter(fee).map(|event| event.payment).collect())
    };
    // Delivered again after a crash, the same is published.
    assert_eq!(with_fee(&run(&stripe, 1, clock::system, 2).await?)?, intents);
    let report = report(&stripe, 1).await?;
    assert_eq!((report.fees, report.differences.as_slice()), (3, [].as_slice()), "{report:?}");
    Ok(())
}

/// A clock that is a day ahead.
fn ahead() -> Timestamp {
    (Utc::now() + TimeDelta::days(1)).into()
}

#[tokio::test]
async fn wrong_clock_skips_no_events() -> Result<()> {
    let stripe = StripeHarness::open().await?;
    run(&stripe, 1, ahead, 1).await?;
    let first = report(&stripe, 1).await?;
    assert!(first.complete && first.until <= (Utc::now() + TimeDelta::minutes(1)).into(), "{first:?}");
    // What the version before saved with such a clock.
    let wrong = PaymentSweep { run_id: Uuid::from_u128(2), until: ahead(), ..first };
    stripe.harness.mongo.payment_sweeps().save(&wrong).await?;
    let (booking, _) = stripe.harness.book("a", 30).await?;
    stripe.pay(&booking, 1).await?;
    assert!(replayed(&run(&stripe, 3, clock::system, 1).await?).len() >= 4);
    Ok(())
}

#[tokio::test]
async fn property_without_a_key_has_nothing_to_reconcile() -> Result<()> {
    let harness = Harness::open().await?;
    let worker = StripeCalls::new(harness.mongo.clone(), harness.namespace.topology(), None, clock::system);
    let today = Utc::now().date_naive();
    let compare = StripeCommand::CompareBalance(CompareBalance {
        run_id: Uuid::from_u128(1),
        day: today,
        last_day: today,
        dry_run: false,
        actor: "schedule:reconcile_payments".into(),
        requested_at: clock::system(),
    });
    for command in [sweep(1), compare] {
        let mut job = Job::new(command, Meta::default());
        worker.handle(&mut job).await.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        assert!(job.emitted().is_empty());
    }
    Ok(())
}
