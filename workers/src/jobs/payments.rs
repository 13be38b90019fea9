//! Stores what Stripe pushed, each event once. It does not yet act on any of them.
//!
//! Stripe sends an event again until it is answered with success, and again when it feels like it: the event's id decides.

use pvt_domain::failure::Failure;
use pvt_domain::messages::PaymentCommand;
use pvt_messaging::{Queue, Rung};
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::stripe_events::StoredStripeEvent;
use pvt_worker_runtime::{Batch, BatchWorker, Shape, Spec};
use std::time::Duration;

/// Most events of one insert.
const BATCH_MAX: u16 = 100;
const LINGER: Duration = Duration::from_millis(5);
const TIMEOUT: Duration = Duration::from_secs(30);

/// The worker of the `payments` queue.
pub struct Payments {
    mongo: Mongo,
}

impl Payments {
    /// A worker on this database.
    pub fn new(mongo: Mongo) -> Self {
        Self { mongo }
    }
}

impl BatchWorker for Payments {
    const SPEC: Spec = Spec {
        name: "payments",
        queue: Queue::One("payments"),
        ladder: &[Rung::S5, Rung::M1, Rung::M10, Rung::H1],
        timeout: TIMEOUT,
        shape: Shape::Batch { max: BATCH_MAX, linger: LINGER },
    };
    type Message = PaymentCommand;

    async fn handle(&self, batch: &mut Batch<PaymentCommand>) -> Result<(), Failure> {
        let mut events = Vec::with_capacity(batch.items.len());
        for job in &mut batch.items {
            let PaymentCommand::Event(event) = &job.message;
            match StoredStripeEvent::of(event) {
                Ok(event) => events.push(event),
                // It would never fit, however often it is tried.
                Err(error) => job.fail(Failure::reject("stripe_event_unstorable", error)),
            }
        }
        let new = self.mongo.store_stripe_events(&events).await?;
        let known = events.len().saturating_sub(new);
        metrics::counter!("pvt_stripe_events_total", "outcome" => "stored").increment(u64::try_from(new).unwrap_or(u64::MAX));
        metrics::counter!("pvt_stripe_events_total", "outcome" => "known").increment(u64::try_from(known).unwrap_or(u64::MAX));
        Ok(())
    }
}
