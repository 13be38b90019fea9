//! Webhooks of Stripe: the rate of intake, the rate at which events are applied, and the latency from a payment to the
//! confirmed booking.
//!
//! Stripe itself is not called: nothing is refunded here.

use super::booking_flow::{ANALYTICS, CONFIRMATIONS, EMAILS};
use super::{BenchmarkRun, CONCURRENT_WRITES, SCENARIO_TIMEOUT};
use crate::confirmation_watch::ConfirmationWatch;
use crate::figures::ratio;
use crate::load_generator::Pace;
use crate::namespace::BOOKINGS;
use crate::stripe::{PendingPayment, StripeEventKind, WebhookWorkload};
use crate::worker_probe::{self, ThroughputWindow};
use crate::workload::{self, BookingSeries, PREPAID};
use anyhow::{Result, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::bson::{Document, doc};
use pvt_domain::booking::Status;
use pvt_operations::terminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PAYMENTS: &str = "payments";
/// The rate at which latency is measured.
const STEADY_PER_S: u32 = 100;
/// Ledgers read or written in one query.
const LEDGERS_AT_ONCE: usize = 1_000;
const POLL_INTERVAL: Duration = Duration::from_millis(50);

impl BenchmarkRun<'_> {
    /// Held bookings are paid: most in one burst, the others at a steady rate.
    pub(super) async fn webhooks(&mut self) -> Result<()> {
        let steady = u64::from(STEADY_PER_S) * self.scale.steady.as_secs();
        let payments = self.create_held_bookings(self.scale.paid_at_once() + steady).await?;
        let (at_once, steadily) = payments.split_at(usize::try_from(self.scale.paid_at_once())?.min(payments.len()));
        let workload = WebhookWorkload::of(at_once, &StripeEventKind::ALL)?;
        self.bare_webhooks(&workload).await?;
        self.ingest(&workload).await?;
        self.apply(workload.count(), steadily.len()).await?;
        self.measure_payment_latency(steadily).await?;
        self.verify_payments(&payments, workload.count() + steady).await
    }

    /// Creates held bookings, each with the ledger of an open checkout. No worker runs afterwards.
    async fn create_held_bookings(&mut self, count: u64) -> Result<Vec<PendingPayment>> {
        terminal::note(format_args!("  webhooks: holding {count} bookings"));
        // Their work on these bookings is measured elsewhere.
        self.process_group.stop(ANALYTICS).await?;
        self.process_group.stop(EMAILS).await?;
        let (properties, beds, mongo) = (self.scale.properties, self.scale.beds, &self.namespace.mongo);
        let saved = stream::iter(0..properties).map(|number| async move {
            mongo.inventories().save(&workload::dorm_property(PREPAID, number, beds)).await
        });
        saved.buffer_unordered(CONCURRENT_WRITES).try_collect::<()>().await?;
        let address = self.process_group.api().await?;
        let workload = BookingSeries::new(format!("{}-{PREPAID}", self.namespace.name()), PREPAID, properties);
        self.post(address, workload, count, Pace::ClosedLoop, 202).await?;
        self.wait_until_decided().await?;
        self.process_group.stop(CONFIRMATIONS).await?;
        let payments: Vec<PendingPayment> =
            self.namespace.database().collection(BOOKINGS).find(held()).await?.try_collect().await?;
        self.expect_equal("bookings held", u64::try_from(payments.len())?, count);
        for some in payments.chunks(LEDGERS_AT_ONCE) {
            let ledgers: Vec<_> = some.iter().map(PendingPayment::ledger).collect();
            if !self.namespace.mongo.ledgers().save(&ledgers).await? {
                bail!("some held bookings had ledgers already");
            }
        }
        Ok(payments)
    }

    /// The same requests to a handler that only publishes. Its messages lack the envelope of some 100 bytes, so the
    /// limit is rather too high than too low.
    async fn bare_webhooks(&mut self, workload: &WebhookWorkload) -> Result<()> {
        terminal::note("  bare limit: a handler that only publishes bodies of the length of an event");
        let address = self.process_group.bare_intake(workload.mean_body_bytes()).await?;
        let before = self.process_group.snapshot().await?;
        let answers =
            self.load(address, workload.count(), Pace::ClosedLoop).run(Arc::new(workload.expecting(202))).await?;
        let after = self.process_group.snapshot().await?;
        self.figures.record("bare webhooks", &before, &after, answers.expected());
        self.figures.bare_webhooks_per_s = Some(answers.per_second());
        self.stop_bare_intake().await
    }

    /// Nothing runs but the API: events pile up in the queue of payments.
    async fn ingest(&mut self, workload: &WebhookWorkload) -> Result<()> {
        terminal::note(format_args!(
            "  webhooks: {} events over {} connections",
            workload.count(),
            self.scale.connections
        ));
        let address = self.process_group.api().await?;
        let before = self.process_group.snapshot().await?;
        let answers = self.load(address, workload.count(), Pace::ClosedLoop).run(Arc::new(workload.clone())).await?;
        let after = self.process_group.snapshot().await?;
        let figures = &mut self.figures;
        figures.record("webhooks", &before, &after, answers.expected());
        figures.webhooks_per_s = Some(answers.per_second());
        figures.webhooks_ratio = ratio(answers.per_second(), figures.bare_webhooks_per_s);
        self.expect_equal("events accepted", answers.expected(), workload.count());
        Ok(())
    }

    /// From the first event that the worker handles until all are in their ledgers and only `left` bookings wait for
    /// payment.
    async fn apply(&mut self, events: u64, left: usize) -> Result<()> {
        terminal::note(format_args!("  webhooks: {events} events to apply"));
        self.process_group.worker(CONFIRMATIONS).await?;
        let before = self.process_group.snapshot().await?;
        let begun = Instant::now();
        let payments = self.process_group.worker(PAYMENTS).await?;
        let applied = worker_probe::wait_for(payments, PAYMENTS, events, SCENARIO_TIMEOUT).await?;
        let mut waiting = self.waiting().await?;
        while waiting > u64::try_from(left)? {
            if begun.elapsed() > SCENARIO_TIMEOUT {
                bail!("{waiting} bookings still wait for payment after {SCENARIO_TIMEOUT:?}, expected {left}");
            }
            tokio::time::sleep(POLL_INTERVAL).await;
            waiting = self.waiting().await?;
        }
        let window = ThroughputWindow { last: (Instant::now(), events), ..applied };
        let after = self.process_group.snapshot().await?;
        self.figures.record("webhooks applied", &before, &after, events);
        self.figures.webhook_events_applied_per_s = Some(window.per_second(begun));
        Ok(())
    }

    async fn waiting(&self) -> Result<u64> {
        Ok(self.namespace.database().collection::<Document>(BOOKINGS).count_documents(held()).await?)
    }

    /// Payments at a steady rate, each from the scheduled time of its event until its booking is confirmed.
    async fn measure_payment_latency(&mut self, payments: &[PendingPayment]) -> Result<()> {
        terminal::note(format_args!(
            "  webhooks: {STEADY_PER_S} payments/s for {:?}, each until its booking is confirmed",
            self.scale.steady
        ));
        let address = self.process_group.api().await?;
        let workload = WebhookWorkload::of(payments, &[StripeEventKind::IntentSucceeded])?;
        let listener = ConfirmationWatch::start(self.namespace).await?;
        let awaited = (0..).zip(payments).map(|(number, due)| (due.id.to_string(), number)).collect();
        let before = self.process_group.snapshot().await?;
        let sending = self.load(address, workload.count(), Pace::OpenLoop(STEADY_PER_S)).run(Arc::new(workload));
        let (answers, confirmed) = tokio::try_join!(sending, listener.all(awaited, SCENARIO_TIMEOUT))?;
        let after = self.process_group.snapshot().await?;
        self.figures.record("webhooks steady", &before, &after, answers.expected());
        let due = |number: u64| answers.begun + Duration::from_secs(number) / STEADY_PER_S;
        let mut waits: Vec<Duration> =
            confirmed.into_iter().map(|(number, at)| at.saturating_duration_since(due(number))).collect();
        waits.sort_unstable();
        self.figures.webhook_p50_ms = percentile_ms(&waits, 500);
        self.figures.webhook_p99_ms = percentile_ms(&waits, 990);
        Ok(())
    }

    /// Checks that every booking is confirmed, and that ledger and booking have exactly the amount that was paid, once.
    async fn verify_payments(&mut self, payments: &[PendingPayment], events: u64) -> Result<()> {
        let kept = self.namespace.database().collection::<Document>("stripe_events").count_documents(doc! {}).await?;
        self.expect_equal("events kept", kept, events);
        let (mut confirmed, mut agreeing) = (0, 0);
        for some in payments.chunks(LEDGERS_AT_ONCE) {
            let ids = || some.iter().map(|due| due.id);
            let (heads, ledgers) = tokio::try_join!(
                self.namespace.mongo.ledgers().booking_heads(ids()),
                self.namespace.mongo.ledgers().find_by_ids(ids())
            )?;
            for due in some {
                let head = heads.get(&due.id);
                confirmed += u64::from(head.is_some_and(|head| head.status == Status::Confirmed));
                let sums =
                    [head.map(|head| head.payment.ledger()), ledgers.get(&due.id).map(|ledger| ledger.summary())];
                agreeing += u64::from(sums.iter().all(|sum| {
                    sum.as_ref().is_some_and(|sum| (sum.captured, sum.kept()) == (due.amount(), due.amount()))
                }));
            }
        }
        let all = u64::try_from(payments.len())?;
        self.expect_equal("paid bookings confirmed", confirmed, all);
        self.expect_equal("bookings and ledgers with the paid amount", agreeing, all);
        Ok(())
    }
}

/// Filter of the held bookings of prepaid properties.
fn held() -> Document {
    doc! { "property_id": { "$gte": format!("{PREPAID}-"), "$lt": format!("{PREPAID}.") },
    "status": Status::Held.as_str() }
}

/// The wait at this quantile (in thousandths), in milliseconds; absent without waits.
fn percentile_ms(ascending: &[Duration], per_mille: usize) -> Option<f64> {
    let place = (ascending.len() * per_mille).div_ceil(1_000).saturating_sub(1);
    ascending.get(place).map(|wait| wait.as_secs_f64() * 1_000.0)
}
