//! Failures of Stripe for one message, or for one operation, beside a thousand healthy messages: those finish at their
//! usual speed, and the failure is shown.

use crate::harness::MEASURED;
use crate::payments::{StripeHarness, opens_payment};
use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use pvt_domain::failure::Failure;
use pvt_domain::ledger::PaymentChannel;
use pvt_domain::messages::{
    ExpireCheckout, MessageType, PAYMENT_EXPIRE_CHECKOUT, PAYMENT_REFRESH, RefreshPayment, StripeCommand,
};
use pvt_messaging::{Outgoing, Publisher, Subscriber, Topology};
use pvt_stripe_simulator::{FaultInjection, RequestFault, RequestFaultKind};
use pvt_testkit::{TestTopology, eventually};
use pvt_worker_runtime::{Engine, HEADER_ERROR_CLASS, Health, Job, Spec, Worker, WorkerState};
use pvt_workers::clock;
use pvt_workers::jobs::stripe::StripeCalls;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(60);
const HEALTHY: usize = 1_000;
/// A pause of the queue would take many times as long; the machine is shared by other tests.
const USUAL: f64 = 3.0;
/// A retry schedule of four hours passes within seconds.
const RETRY_DIVISOR: u32 = 4_000;
const BAD: &str = "pi_bad";

/// The worker `stripe`, which counts the messages that it has handled.
struct Counted {
    worker: StripeCalls,
    healthy: Arc<AtomicUsize>,
    expired: Arc<AtomicUsize>,
}

impl Worker for Counted {
    const SPEC: Spec = StripeCalls::SPEC;
    type Message = StripeCommand;

    async fn handle(&self, job: &mut Job<StripeCommand>) -> Result<(), Failure> {
        self.worker.handle(job).await?;
        match &job.message {
            StripeCommand::Expire(_) => self.expired.fetch_add(1, Ordering::Relaxed),
            _ => self.healthy.fetch_add(1, Ordering::Relaxed),
        };
        Ok(())
    }

    async fn probe(&self, class: &'static str) -> Option<bool> {
        self.worker.probe(class).await
    }

    fn answered_since(&self, operation: &'static str, since: DateTime<Utc>) -> bool {
        self.worker.answered_since(operation, since)
    }
}

/// A running worker on a topology of its own.
struct Trial {
    stripe: StripeHarness,
    topology: TestTopology,
    publisher: Publisher,
    health: Health,
    healthy: Arc<AtomicUsize>,
    expired: Arc<AtomicUsize>,
    stop: CancellationToken,
    running: JoinHandle<Result<(), pvt_worker_runtime::EngineError>>,
}

impl Trial {
    async fn start() -> Result<Self> {
        let (stripe, topology) = (StripeHarness::open().await?, TestTopology::new("if", RETRY_DIVISOR).await?);
        let (url, own) = (topology.urls().amqp.as_str(), Topology::clone(&topology));
        let publisher = Publisher::start(url, own.clone(), "tests");
        let (healthy, expired) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let worker =
            StripeCalls::new(stripe.harness.mongo.clone(), own.clone(), Some(stripe.client.clone()), clock::system);
        let counted = Counted { worker, healthy: healthy.clone(), expired: expired.clone() };
        let (engine, stop) = (Engine::new(url, own, publisher.clone()).register(counted)?, CancellationToken::new());
        let (health, running) = (engine.health(), tokio::spawn(engine.run(stop.clone())));
        Ok(Self { stripe, topology, publisher, health, healthy, expired, stop, running })
    }

    fn command(&self, kind: &str, command: &impl MessageType) -> Result<Outgoing> {
        Ok(Outgoing::command(self.topology.command_key(kind, ""), Uuid::new_v4(), command)?)
    }

    fn refresh(&self, intent: &str) -> Result<Outgoing> {
        let command = RefreshPayment {
            intent: Some(intent.to_owned()),
            charge: None,
            event_id: "evt_1".into(),
            joined: false,
            requested_at: clock::system(),
        };
        self.command(PAYMENT_REFRESH, &command)
    }

    /// How long a thousand payments that are not ours take, sent after these messages.
    async fn healthy_beside(&self, bad: Vec<Outgoing>) -> Result<Duration> {
        self.healthy.store(0, Ordering::Relaxed);
        let mut messages = bad;
        for number in 0..HEALTHY {
            messages.push(self.refresh(&format!("pi_{number}"))?);
        }
        let begun = Instant::now();
        self.publisher.publish_all(messages).await?;
        eventually("the healthy messages", LIMIT, async || {
            Ok((self.healthy.load(Ordering::Relaxed) >= HEALTHY).then_some(()))
        })
        .await?;
        Ok(begun.elapsed())
    }

    /// Ends the trial, in which messages took `usual` before and `beside` among bad ones.
    async fn end(self, usual: Duration, beside: Duration) -> Result<()> {
        // The slower of before and after, because other tests begin and end meanwhile.
        let usual = usual.max(self.healthy_beside(Vec::new()).await?);
        let ratio = beside.as_secs_f64() / usual.as_secs_f64();
        ensure!(ratio < USUAL, "{beside:?} instead of {usual:?}");
        self.stop.cancel();
        self.running.await??;
        self.publisher.close(Duration::from_secs(2)).await;
        Ok(())
    }
}

/// One payment whose reading always fails ends in the dead letters, whatever others wait for the same operation.
async fn one_bad_payment(kind: RequestFaultKind, class: &str) -> Result<()> {
    let _measured = MEASURED.lock().await;
    let trial = Trial::start().await?;
    let usual = trial.healthy_beside(Vec::new()).await?;
    let fault = RequestFault::new(kind).at(&format!("/v1/payment_intents/{BAD}"));
    trial.stripe.control.set_faults(FaultInjection::of_requests(fault));
    let bad = trial.refresh(BAD)?;
    let id = bad.envelope.id;
    let beside = trial.healthy_beside(vec![bad]).await?;

    let subscriber = Subscriber::start(&trial.topology.urls().amqp, Topology::clone(&trial.topology), "tests");
    let dead = trial.topology.dead_queue(&trial.topology.name(StripeCommand::QUEUE));
    let mut letters = subscriber.subscribe(&dead, 1).await?;
    // Others go on meanwhile: that they are answered distinguishes this failure from an outage.
    let mut later = tokio::time::interval(Duration::from_millis(20));
    let letter = loop {
        tokio::select! {
            letter = letters.next() => break letter?,
            _ = later.tick() => {}
        }
        trial.publisher.publish(trial.refresh("pi_later")?).await?;
    };
    assert_eq!((letter.envelope.id, letter.envelope.header(HEADER_ERROR_CLASS)), (id, Some(class)));
    let health = trial.health.snapshot().remove(0);
    assert_eq!(health.state, WorkerState::Running);
    assert!(health.last_error.as_ref().is_some_and(|error| error.text.contains(class)), "{health:?}");
    subscriber.close(LIMIT).await;
    trial.end(usual, beside).await
}

#[tokio::test(flavor = "multi_thread")]
async fn payment_that_stripe_always_answers_with_500_is_isolated() -> Result<()> {
    one_bad_payment(RequestFaultKind::ServerError, "stripe_unavailable").await
}

#[tokio::test(flavor = "multi_thread")]
async fn payment_that_the_key_may_not_read_is_isolated() -> Result<()> {
    one_bad_payment(RequestFaultKind::Forbidden, "stripe_forbidden").await
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_cannot_be_expired_hold_up_nothing_else() -> Result<()> {
    let _measured = MEASURED.lock().await;
    let trial = Trial::start().await?;
    let mut expires = Vec::new();
    for number in 0..18 {
        let (booking, _) = trial.stripe.harness.book(&number.to_string(), 10 + 3 * number).await?;
        let open = opens_payment(&booking, u128::from(number), PaymentChannel::Checkout);
        trial.stripe.deliver_with(&open, clock::system, &[]).await?;
        let command = ExpireCheckout {
            booking_id: booking.id,
            property_id: booking.property_id,
            release: false,
            rev: None,
            actor: "system".into(),
            requested_at: clock::system(),
        };
        expires.push(trial.command(PAYMENT_EXPIRE_CHECKOUT, &command)?);
    }
    let usual = trial.healthy_beside(Vec::new()).await?;
    let fault = RequestFault::new(RequestFaultKind::ServerError).at("/v1/checkout/sessions/*/expire");
    trial.stripe.control.set_faults(FaultInjection::of_requests(fault));
    let beside = trial.healthy_beside(expires).await?;
    let unavailable = eventually("health says what waits", LIMIT, async || {
        Ok(trial.health.snapshot().remove(0).unavailable.first().copied())
    })
    .await?;
    assert_eq!((unavailable.operation, unavailable.class), ("expire_session", "stripe_unavailable"));
    assert_eq!(trial.expired.load(Ordering::Relaxed), 0);

    trial.stripe.control.set_faults(FaultInjection::default());
    eventually("all sessions are expired", LIMIT, async || {
        Ok((trial.expired.load(Ordering::Relaxed) == 18).then_some(()))
    })
    .await?;
    eventually("health is as before", LIMIT, async || {
        Ok(trial.health.snapshot().remove(0).unavailable.is_empty().then_some(()))
    })
    .await
    .context("no message was lost to the retry schedule")?;
    trial.end(usual, beside).await
}
