//! Worker `analytics`: loads every event into the mart, a batch in one transaction.
//!
//! It never reads MongoDB: events carry all that the mart needs. Loading an event again is harmless. While PostgreSQL
//! is down the runtime pauses this worker, and the events wait in its queue.

use crate::declaration::{Start, WorkerDeclaration};
use crate::probes;
use chrono::Utc;
use pvt_domain::failure::Failure;
use pvt_domain::messages::AnalyticsEvent;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::{Queue, RetryDelay};
use pvt_stores::StoreError;
use pvt_stores::mart::Mart;
use pvt_traces::{Span, Store};
use pvt_worker_runtime::{Batch, BatchWorker, Shape, Spec, failpoint};
use std::time::Duration;

/// Most events of one transaction.
const BATCH_MAX: u16 = 200;
/// How long a batch waits for more events: no caller waits for the mart, and a fuller batch costs less per event.
const LINGER: Duration = Duration::from_millis(20);
/// Longest load of a batch; the transaction's own timeouts are shorter.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The worker of the `analytics` queue.
pub struct Analytics {
    mart: Mart,
}

impl Analytics {
    /// A worker on this mart.
    pub fn new(mart: Mart) -> Self {
        Self { mart }
    }
}

/// The worker `analytics`.
pub(crate) const WORKER: WorkerDeclaration = WorkerDeclaration {
    name: Analytics::SPEC.name,
    about: "loads events into the data mart",
    health_port: 8084,
    queues: &[Analytics::SPEC.queue],
    start: Start::Consumers(|engine, dependencies| {
        Ok(engine.register_batch(Analytics::new(dependencies.mart.clone()))?)
    }),
};

impl BatchWorker for Analytics {
    const SPEC: Spec = Spec {
        name: "analytics",
        queue: Queue::One(AnalyticsEvent::QUEUE),
        retry_schedule: &[RetryDelay::S5, RetryDelay::M1, RetryDelay::M10, RetryDelay::H1],
        timeout: TIMEOUT,
        shape: Shape::Batch { max: BATCH_MAX, linger: LINGER },
    };
    type Message = AnalyticsEvent;

    async fn handle(&self, batch: &mut Batch<AnalyticsEvent>) -> Result<(), Failure> {
        let span = Span::store(Store::PostgreSql, "load", "mart");
        let loaded = self.mart.load(batch.items.iter().map(|job| &job.message)).await;
        span.end_with(loaded.as_ref().err().map(StoreError::class));
        let load = loaded?;
        failpoint::hit("after_load_before_ack");
        metrics::counter!("pvt_mart_events_total").increment(load.new_events);
        metrics::counter!("pvt_mart_bed_nights_total").increment(load.bed_nights);
        if let Some(oldest) = batch.items.iter().map(|job| occurred_at(&job.message)).min() {
            let lag = Utc::now() - oldest.as_datetime();
            metrics::histogram!("pvt_mart_lag_seconds").record(lag.as_seconds_f64().max(0.0));
        }
        Ok(())
    }

    async fn probe(&self, class: &'static str) -> Option<bool> {
        probes::postgres(class, &self.mart).await
    }
}

fn occurred_at(event: &AnalyticsEvent) -> Timestamp {
    match event {
        AnalyticsEvent::Booking(event) => event.occurred_at,
        AnalyticsEvent::Notification(event) => event.occurred_at,
        AnalyticsEvent::Inventory(event) => event.occurred_at,
        AnalyticsEvent::Payment(event) => event.occurred_at,
    }
}
