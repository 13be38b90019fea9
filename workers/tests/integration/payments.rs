//! The `stripe` worker against the simulator: a redelivery emits what a crashed delivery stored and did not publish.

use crate::harness::Harness;
use anyhow::{Context, Result};
use pvt_domain::actor::Actor;
use pvt_domain::booking::Booking;
use pvt_domain::events::PaymentEvent;
use pvt_domain::ledger::{PaymentChannel, Record, RecordMethod};
use pvt_domain::messages::*;
use pvt_messaging::{Outgoing, Target};
use pvt_stripe::{NewIntent, StripeClient, StripeConfig};
use pvt_stripe_simulator::{
    Control, FaultInjection, PayOutcome, RequestFault, RequestFaultKind, Simulator, SimulatorOptions,
};
use pvt_worker_runtime::{HEADER_DEFERRALS, Job, Meta, Worker};
use pvt_workers::clock::{self, Clock};
use pvt_workers::jobs::stripe::StripeCalls;
use std::collections::BTreeSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A property with a Stripe simulator that pushes no events.
pub(crate) struct StripeHarness {
    pub(crate) harness: Harness,
    pub(crate) control: Control,
    pub(crate) client: StripeClient,
    stop: CancellationToken,
}

impl StripeHarness {
    pub(crate) async fn open() -> Result<Self> {
        let simulator = Simulator::bind(SimulatorOptions::default()).await?;
        let api_base = format!("http://{}", simulator.addr()).parse()?;
        let config = StripeConfig {
            secret_key: "sk_test_of_the_tests".into(),
            api_base,
            api_version: "2025-09-30.clover".into(),
            call_timeout: StripeConfig::CALL_TIMEOUT,
        };
        let (control, client, stop) = (simulator.handle(), StripeClient::new(config)?, CancellationToken::new());
        tokio::spawn(simulator.run(stop.clone()));
        Ok(Self { harness: Harness::open().await?, control, client, stop })
    }

    /// Delivers a command once, with these additional headers; the emitted messages. Sweeps replay also events of this
    /// moment.
    pub(crate) async fn deliver_with(
        &self,
        command: &StripeCommand,
        clock: Clock,
        headers: &[(&str, &str)],
    ) -> Result<Vec<Outgoing>> {
        let headers = headers.iter().map(|(key, value)| ((*key).to_owned().into(), (*value).to_owned())).collect();
        self.handle(command, clock, Meta { headers, ..Meta::default() }).await
    }

    /// Delivers the command of a caller who waits for the reply.
    pub(crate) async fn deliver_to_caller(&self, command: &StripeCommand, clock: Clock) -> Result<Vec<Outgoing>> {
        self.handle(command, clock, Meta { reply_to: Some("replies".into()), ..Meta::default() }).await
    }

    async fn handle(&self, command: &StripeCommand, clock: Clock, meta: Meta) -> Result<Vec<Outgoing>> {
        let worker = StripeCalls::new(
            self.harness.mongo.clone(),
            self.harness.namespace.topology(),
            Some(self.client.clone()),
            clock,
        )
        .with_grace(chrono::TimeDelta::zero());
        let mut job = Job::new(command.clone(), Meta { id: Uuid::from_u128(1), attempt: 1, ..meta });
        worker.handle(&mut job).await.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        Ok(job.emitted().to_vec())
    }

    /// Delivers a command twice, as if the first delivery crashed after storing; what the second one emits.
    pub(crate) async fn redeliver(&self, command: &StripeCommand) -> Result<Emitted> {
        self.deliver_with(command, clock::system, &[]).await?;
        Emitted::of(&self.deliver_with(command, clock::system, &[]).await?)
    }

    /// Opens and pays a payment under this id; its id at Stripe.
    pub(crate) async fn pay(&self, booking: &Booking, payment: u128) -> Result<String> {
        let emitted = self.redeliver(&opens(booking, payment)).await?;
        assert!(emitted.events.contains(&("opened", Uuid::from_u128(payment).to_string())), "{emitted:?}");
        let session = self.session(booking, payment).await?;
        self.control.pay(&session, PayOutcome::Success)?;
        let paid = self.control.object(&session).context("the session")?;
        Ok(paid["payment_intent"].as_str().context("a payment")?.to_owned())
    }

    /// Creates a payment of a booking at Stripe with this description, as another program might.
    pub(crate) async fn create_intent(&self, booking: &Booking, title: &str) -> Result<String> {
        let intent = NewIntent {
            amount: 100,
            currency: booking.price.as_ref().context("a price")?.currency,
            title: title.to_owned(),
            metadata: [("booking_id".to_owned(), booking.id.to_string())].into(),
        };
        Ok(self.client.create_intent(&intent, "of the tests").await?.id)
    }

    pub(crate) async fn session(&self, booking: &Booking, payment: u128) -> Result<String> {
        let ledger = self.harness.mongo.ledgers().find(booking.id).await?.context("a ledger")?;
        let attempt =
            ledger.attempts.iter().find(|attempt| attempt.id == Uuid::from_u128(payment)).context("an attempt")?;
        attempt.object.clone().context("a session")
    }
}

impl Drop for StripeHarness {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The messages of a delivery.
#[derive(Debug)]
pub(crate) struct Emitted {
    /// Payment events, by kind and payment.
    pub(crate) events: BTreeSet<(&'static str, String)>,
    /// Whether the booking gets new totals.
    pub(crate) settles: bool,
}

impl Emitted {
    pub(crate) fn of(messages: &[Outgoing]) -> Result<Self> {
        let events = messages.iter().filter(|message| message.target == Target::Events).map(|message| {
            let event: PaymentEvent = serde_json::from_slice(&message.body)?;
            anyhow::Ok((event.change.as_str(), event.payment))
        });
        Ok(Self {
            events: events.collect::<Result<_>>()?,
            settles: messages.iter().any(|message| message.envelope.kind == BOOKING_SETTLE_PAYMENT),
        })
    }
}

fn opens(booking: &Booking, payment: u128) -> StripeCommand {
    opens_payment(booking, payment, PaymentChannel::Checkout)
}

/// The command to open a payment in this channel under this id.
pub(crate) fn opens_payment(booking: &Booking, payment: u128, channel: PaymentChannel) -> StripeCommand {
    StripeCommand::Open(OpenPayment {
        payment_id: Uuid::from_u128(payment),
        booking_id: booking.id,
        property_id: booking.property_id.clone(),
        channel,
        success_url: "http://127.0.0.1/paid".into(),
        cancel_url: "http://127.0.0.1/not-paid".into(),
        actor: "guest".into(),
        requested_at: clock::system(),
    })
}

#[tokio::test]
async fn redelivery_emits_what_the_crashed_delivery_stored() -> Result<()> {
    let stripe = StripeHarness::open().await?;
    let (booking, _) = stripe.harness.book("a", 30).await?;
    let (booking_id, property_id, requested_at) = (booking.id, booking.property_id.clone(), clock::system());
    let total = booking.price.as_ref().context("a price")?.total;

    // Fetched, because its event named no booking.
    let intent = stripe.pay(&booking, 1).await?;
    let refresh = StripeCommand::Refresh(RefreshPayment {
        intent: Some(intent.clone()),
        charge: None,
        event_id: "evt_1".into(),
        joined: true,
        requested_at,
    });
    stripe.deliver_with(&refresh, clock::system, &[]).await?;
    let emitted = Emitted::of(&stripe.deliver_with(&refresh, clock::system, &[(HEADER_DEFERRALS, "1")]).await?)?;
    assert!(emitted.settles && emitted.events.contains(&("captured", intent.clone())), "{emitted:?}");

    // Refunded by staff, and a payment taken in cash.
    let request = RefundRequest {
        refund_id: Uuid::from_u128(5),
        payment_id: intent.clone(),
        amount: Some(total / 2),
        note: "the shower was cold".into(),
    };
    let refund = Refund {
        booking_id,
        property_id: property_id.clone(),
        request: Some(request),
        actor: "staff:1".into(),
        requested_at,
    };
    let emitted = stripe.redeliver(&StripeCommand::Refund(refund)).await?;
    assert!(emitted.settles && emitted.events.contains(&("refunded", intent)), "{emitted:?}");
    assert_eq!(stripe.control.total().refunds, 1);
    let record = Record {
        id: Uuid::from_u128(6),
        method: RecordMethod::Cash,
        amount: 100,
        actor: "staff:1".into(),
        note: None,
        at: requested_at,
    };
    let emitted = stripe
        .redeliver(&StripeCommand::Record(RecordPayment { booking_id, property_id: property_id.clone(), record }))
        .await?;
    assert!(emitted.settles && emitted.events.contains(&("captured", Uuid::from_u128(6).to_string())), "{emitted:?}");
    let ledger = stripe.harness.mongo.ledgers().find(booking_id).await?.context("a ledger")?;
    assert!(ledger.hop_of(Uuid::from_u128(6)).is_some(), "its way through the queue is kept with it");

    // A refund in progress cannot be paid out in cash as well.
    let all: i64 = stripe.harness.mongo.ledgers().find(booking_id).await?.context("a ledger")?.summary().kept();
    let out = |amount| Record {
        id: Uuid::new_v4(),
        method: RecordMethod::Cash,
        amount,
        actor: "staff:1".into(),
        note: None,
        at: requested_at,
    };
    let slip = RecordPayment { booking_id, property_id: property_id.clone(), record: out(-all - 1) };
    stripe.deliver_with(&StripeCommand::Record(slip), clock::system, &[]).await?;
    let mut ledger = stripe.harness.mongo.ledgers().find(booking_id).await?.context("a ledger")?;
    assert_eq!(ledger.summary().kept(), all, "more than was paid");
    let before = ledger.clone();
    let paid = before.intents.iter().next().context("the payment")?.id.as_str();
    ledger.instruct_requested_refund(Uuid::from_u128(8), paid, all, "staff:1", "on its way", requested_at);
    ledger.advance_rev(&before, requested_at);
    assert!(stripe.harness.mongo.ledgers().save(&[ledger]).await?);
    let twice = RecordPayment { booking_id, property_id: property_id.clone(), record: out(-1) };
    stripe.deliver_with(&StripeCommand::Record(twice), clock::system, &[]).await?;
    assert_eq!(
        stripe.harness.mongo.ledgers().find(booking_id).await?.context("a ledger")?.summary().kept(),
        all,
        "it is instructed already"
    );

    // Expired, and found paid.
    let (late, _) = stripe.harness.book("b", 40).await?;
    let intent = stripe.pay(&late, 7).await?;
    let expire = ExpireCheckout {
        booking_id: late.id,
        property_id,
        release: false,
        rev: None,
        actor: "system".into(),
        requested_at,
    };
    let emitted = stripe.redeliver(&StripeCommand::Expire(expire)).await?;
    assert!(emitted.settles && emitted.events.contains(&("captured", intent)), "{emitted:?}");
    Ok(())
}

/// The schedule requests it every hour: while Stripe makes no refunds, its commands do not pile up.
#[tokio::test]
async fn refund_that_a_schedule_requests_does_not_wait_for_stripe() -> Result<()> {
    let stripe = StripeHarness::open().await?;
    let (booking, _) = stripe.harness.book("a", 30).await?;
    let payment_id = stripe.pay(&booking, 1).await?;
    let refresh = StripeCommand::Refresh(RefreshPayment {
        intent: Some(payment_id.clone()),
        charge: None,
        event_id: "evt_1".into(),
        joined: true,
        requested_at: clock::system(),
    });
    stripe.deliver_with(&refresh, clock::system, &[(HEADER_DEFERRALS, "1")]).await?;
    let fault = RequestFault::new(RequestFaultKind::ServerError).at("/v1/refunds");
    stripe.control.set_faults(FaultInjection::of_requests(fault));
    let request = RefundRequest { refund_id: Uuid::from_u128(5), payment_id, amount: Some(100), note: "cold".into() };
    let by_staff = Refund {
        booking_id: booking.id,
        property_id: booking.property_id,
        request: Some(request),
        actor: "staff:1".into(),
        requested_at: clock::system(),
    };
    let by_schedule = Refund { request: None, actor: Actor::schedule("resume_payments"), ..by_staff.clone() };
    let deliver =
        async |refund: &Refund| stripe.deliver_with(&StripeCommand::Refund(refund.clone()), clock::system, &[]).await;
    let waits = deliver(&by_staff).await.unwrap_err();
    assert!(waits.to_string().starts_with("unavailable (stripe_unavailable"), "{waits}");
    deliver(&by_schedule).await?;
    assert_eq!(stripe.control.total().refunds, 0);
    stripe.control.set_faults(FaultInjection::default());
    deliver(&by_schedule).await?;
    assert_eq!(stripe.control.total().refunds, 1, "its next fire makes it");
    Ok(())
}
