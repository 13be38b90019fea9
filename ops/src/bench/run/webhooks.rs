//! Stripe's events: how many are taken in, how fast they are applied, and how long a guest who has paid waits for the
//! booking.
//!
//! Stripe itself is not called: nothing is given back here.

use super::super::confirmed::Listener;
use super::super::corner::BOOKINGS;
use super::super::figures::ratio;
use super::super::load::{Load, Pace};
use super::super::stripe::{Due, Pushes, Telling};
use super::super::traffic::{self, PREPAID, Traffic};
use super::super::worker_probe::{self, Stretch};
use super::parts::{ANALYTICS, CONFIRMATIONS, EMAILS};
use super::{PART_LIMIT, Run, SEEDERS};
use crate::output;
use anyhow::{Result, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::bson::{Document, doc};
use pvt_domain::booking::Status;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PAYMENTS: &str = "payments";
/// What the latency is promised at.
const STEADY_PER_S: u32 = 100;
/// Ledgers read or written at once.
const LEDGERS_AT_ONCE: usize = 1_000;
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Run<'_> {
    /// Held bookings are paid: most at once, the others at a steady rate.
    pub(super) async fn webhooks(&mut self) -> Result<()> {
        let steady = u64::from(STEADY_PER_S) * self.scale.steady.as_secs();
        let dues = self.hold(self.scale.paid_at_once() + steady).await?;
        let (at_once, steadily) = dues.split_at(usize::try_from(self.scale.paid_at_once())?.min(dues.len()));
        let pushes = Pushes::of(at_once, &Telling::ALL)?;
        self.bare_webhooks(&pushes).await?;
        self.take_in(&pushes).await?;
        self.apply(pushes.count(), steadily.len()).await?;
        self.pay_steadily(steadily).await?;
        self.all_is_paid(&dues, pushes.count() + steady).await
    }

    /// Bookings that wait for their money, each with the ledger of a guest who was sent to pay. No worker runs
    /// afterwards.
    async fn hold(&mut self, count: u64) -> Result<Vec<Due>> {
        output::note(format_args!("  webhooks: holding {count} bookings"));
        // What they would do with these bookings is measured elsewhere.
        self.stage.stop(ANALYTICS).await?;
        self.stage.stop(EMAILS).await?;
        let (properties, beds, mongo) = (self.scale.properties, self.scale.beds, &self.corner.mongo);
        let hostels = stream::iter(0..properties)
            .map(|number| async move { mongo.save_inventory(&traffic::hostel(PREPAID, number, beds)).await });
        hostels.buffer_unordered(SEEDERS).try_collect::<()>().await?;
        let address = self.stage.api().await?;
        let traffic = Traffic::new(format!("{}-{PREPAID}", self.corner.name()), PREPAID, properties);
        self.post(address, traffic, count, Pace::AsAnswered, 202).await?;
        self.decided().await?;
        self.stage.stop(CONFIRMATIONS).await?;
        let dues: Vec<Due> = self.corner.database().collection(BOOKINGS).find(held()).await?.try_collect().await?;
        self.expect_equal("bookings held", u64::try_from(dues.len())?, count);
        for some in dues.chunks(LEDGERS_AT_ONCE) {
            let ledgers: Vec<_> = some.iter().map(Due::ledger).collect();
            if !self.corner.mongo.save_ledgers(&ledgers).await? {
                bail!("some held bookings had ledgers already");
            }
        }
        Ok(dues)
    }

    fn load(&self, address: std::net::SocketAddr, count: u64, pace: Pace) -> Load {
        Load { address, connections: self.scale.connections, count, pace, limit: PART_LIMIT }
    }

    /// The same requests to a handler that only publishes. What it publishes lacks our envelope of some 100 bytes: the
    /// limit is rather too high than too low.
    async fn bare_webhooks(&mut self, pushes: &Pushes) -> Result<()> {
        output::note("  bare limit: a handler that only publishes what is as long as an event");
        let address = self.stage.bare_intake(pushes.mean_body_bytes()).await?;
        let before = self.stage.snapshot().await?;
        let answers = self.load(address, pushes.count(), Pace::AsAnswered).run(Arc::new(pushes.expecting(202))).await?;
        let after = self.stage.snapshot().await?;
        self.figures.note("bare webhooks", &before, &after, answers.expected());
        self.figures.bare_webhooks_per_s = Some(answers.per_second());
        self.stop_bare_intake().await
    }

    /// Nothing runs but the API: events pile up in the queue of payments.
    async fn take_in(&mut self, pushes: &Pushes) -> Result<()> {
        output::note(format_args!("  webhooks: {} events over {} connections", pushes.count(), self.scale.connections));
        let address = self.stage.api().await?;
        let before = self.stage.snapshot().await?;
        let answers = self.load(address, pushes.count(), Pace::AsAnswered).run(Arc::new(pushes.clone())).await?;
        let after = self.stage.snapshot().await?;
        let figures = &mut self.figures;
        figures.note("webhooks", &before, &after, answers.expected());
        figures.webhooks_per_s = Some(answers.per_second());
        figures.webhooks_ratio = ratio(answers.per_second(), figures.bare_webhooks_per_s);
        self.expect_equal("events taken in", answers.expected(), pushes.count());
        Ok(())
    }

    /// From the first event in the worker's hands until all are in their ledgers and no booking but `left` waits for
    /// money.
    async fn apply(&mut self, events: u64, left: usize) -> Result<()> {
        output::note(format_args!("  webhooks: {events} events to apply"));
        self.stage.worker(CONFIRMATIONS).await?;
        let before = self.stage.snapshot().await?;
        let begun = Instant::now();
        let payments = self.stage.worker(PAYMENTS).await?;
        let applied = worker_probe::wait_for(payments, PAYMENTS, events, PART_LIMIT).await?;
        let mut waiting = self.waiting().await?;
        while waiting > u64::try_from(left)? {
            if begun.elapsed() > PART_LIMIT {
                bail!("{waiting} bookings still wait for their money after {PART_LIMIT:?}, expected {left}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
            waiting = self.waiting().await?;
        }
        let stretch = Stretch { last: (Instant::now(), events), ..applied };
        let after = self.stage.snapshot().await?;
        self.figures.note("webhooks applied", &before, &after, events);
        self.figures.webhook_events_applied_per_s = Some(stretch.per_second(begun));
        Ok(())
    }

    async fn waiting(&self) -> Result<u64> {
        Ok(self.corner.database().collection::<Document>(BOOKINGS).count_documents(held()).await?)
    }

    /// One payment after the other, each from the moment at which its event is due until its booking is seen confirmed.
    async fn pay_steadily(&mut self, dues: &[Due]) -> Result<()> {
        output::note(format_args!(
            "  webhooks: {STEADY_PER_S} payments/s for {:?}, each until its booking is confirmed",
            self.scale.steady
        ));
        let address = self.stage.api().await?;
        let pushes = Pushes::of(dues, &[Telling::IntentSucceeded])?;
        let listener = Listener::start(self.corner).await?;
        let awaited = (0..).zip(dues).map(|(number, due)| (due.id.to_string(), number)).collect();
        let before = self.stage.snapshot().await?;
        let sending = self.load(address, pushes.count(), Pace::PerSecond(STEADY_PER_S)).run(Arc::new(pushes));
        let (answers, confirmed) = tokio::try_join!(sending, listener.all(awaited, PART_LIMIT))?;
        let after = self.stage.snapshot().await?;
        self.figures.note("webhooks steady", &before, &after, answers.expected());
        let due = |number: u64| answers.begun + Duration::from_secs(number) / STEADY_PER_S;
        let mut waits: Vec<Duration> =
            confirmed.into_iter().map(|(number, at)| at.saturating_duration_since(due(number))).collect();
        waits.sort_unstable();
        self.figures.webhook_p50_ms = percentile_ms(&waits, 500);
        self.figures.webhook_p99_ms = percentile_ms(&waits, 990);
        Ok(())
    }

    /// Every booking is confirmed, and every ledger has exactly what was sent: once, and in the booking, too.
    async fn all_is_paid(&mut self, dues: &[Due], events: u64) -> Result<()> {
        let kept = self.corner.database().collection::<Document>("stripe_events").count_documents(doc! {}).await?;
        self.expect_equal("events kept", kept, events);
        let (mut confirmed, mut agreeing) = (0, 0);
        for some in dues.chunks(LEDGERS_AT_ONCE) {
            let ids = || some.iter().map(|due| due.id);
            let (heads, ledgers) =
                tokio::try_join!(self.corner.mongo.booking_heads(ids()), self.corner.mongo.ledgers(ids()))?;
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
        let all = u64::try_from(dues.len())?;
        self.expect_equal("paid bookings confirmed", confirmed, all);
        self.expect_equal("bookings and ledgers with what was paid", agreeing, all);
        Ok(())
    }
}

/// Bookings of the houses that are paid at once, as long as they are not.
fn held() -> Document {
    doc! { "property_id": { "$gte": format!("{PREPAID}-"), "$lt": format!("{PREPAID}.") },
    "status": Status::Held.as_str() }
}

/// The wait that this share (in thousandths) did not exceed, in milliseconds; absent when nobody waited.
fn percentile_ms(ascending: &[Duration], per_mille: usize) -> Option<f64> {
    let place = (ascending.len() * per_mille).div_ceil(1_000).saturating_sub(1);
    ascending.get(place).map(|wait| wait.as_secs_f64() * 1_000.0)
}
