//! Worker `stripe`: everything that needs Stripe, one module for each command. It opens and expires checkout sessions,
//! refunds, fetches what events carried only in part, and reconciles; it also records payments that staff take.
//!
//! Each step is written into the booking's ledger before Stripe is called, under an idempotency key derived from the
//! ledger, so that a redelivery repeats the same call. No bed waits for any of this.

mod close;
mod compare;
mod expire;
mod open;
mod record;
mod refresh;
mod refund;
mod sweep;

use crate::clock::Clock;
use crate::ledgers::{Ledgers, SavedLedger};
use crate::probes;
use chrono::TimeDelta;
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::facts::Observation;
use pvt_domain::messages::{PaymentRefusal, PaymentReply, StripeCommand};
use pvt_messaging::{Outgoing, Queue, RetryDelay, Topology};
use pvt_stores::mongo::Mongo;
use pvt_stripe::StripeClient;
use pvt_worker_runtime::{Job, Shape, Spec, Worker};
use std::time::Duration;

/// Messages handled at the same time.
const CONCURRENCY: u16 = 16;
/// Longest handling of a message: a few calls, each with retries and a timeout of its own.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Age from which the sweep replays an event: a younger one may still be in flight.
const GRACE: TimeDelta = TimeDelta::seconds(60);
/// Delay of a command whose booking is not stored yet: its request is still in a queue.
const NOT_YET_DELAY: Duration = Duration::from_secs(5);

/// The worker of the `stripe` queue.
pub struct StripeCalls {
    ledgers: Ledgers,
    client: Option<StripeClient>,
    grace: TimeDelta,
}

impl StripeCalls {
    /// A worker with this client; without one it only records what staff take.
    pub fn new(mongo: Mongo, topology: Topology, client: Option<StripeClient>, clock: Clock) -> Self {
        Self { ledgers: Ledgers::new(mongo, topology, clock), client, grace: GRACE }
    }

    /// The same, with another age from which the sweep replays events.
    #[must_use]
    pub fn with_grace(self, grace: TimeDelta) -> Self {
        Self { grace, ..self }
    }

    /// The client, for calls that cannot be skipped.
    fn client(&self) -> Result<&StripeClient, Failure> {
        self.client.as_ref().ok_or_else(|| Failure::unavailable("stripe_unconfigured", "set STRIPE_SECRET_KEY"))
    }

    /// The source and time of an object that is read from Stripe now, by Stripe's clock.
    fn observation(&self, operation: &str) -> Observation {
        let ours = || self.ledgers.now().as_datetime().timestamp();
        Observation { at: self.client.as_ref().map_or_else(ours, StripeClient::time), by: format!("read:{operation}") }
    }

    /// Queues all events and follow-ups of a stored ledger, not only those of this delivery: an earlier one may have
    /// crashed between storing and publishing.
    async fn emit_follow_ups<T>(&self, job: &mut Job<StripeCommand>, saved: &SavedLedger<T>) -> Result<(), Failure> {
        let events = self.ledgers.payment_events(&saved.after, saved.after.changes())?;
        let follow_ups = self.ledgers.follow_ups(&saved.after, &saved.head).await?;
        events.into_iter().chain(follow_ups).for_each(|message| job.emit(message));
        Ok(())
    }
}

/// The reply of success.
fn done(booking_id: BookingId, payment_id: String) -> PaymentReply {
    PaymentReply { booking_id, payment_id: Some(payment_id), url: None, client_secret: None, refusal: None }
}

fn refused(booking_id: BookingId, refusal: PaymentRefusal) -> PaymentReply {
    tracing::warn!(booking = %booking_id, ?refusal, "payment command refused");
    PaymentReply { booking_id, payment_id: None, url: None, client_secret: None, refusal: Some(refusal) }
}

/// Replies to a waiting caller.
fn reply(job: &mut Job<StripeCommand>, reply: PaymentReply) -> Result<(), Failure> {
    if let Some(queue) = job.meta.reply_to.clone() {
        let reply = Outgoing::reply(queue, job.meta.id, &reply)?.with_correlation_id(reply.booking_id.as_uuid());
        job.emit(reply);
    }
    Ok(())
}

impl Worker for StripeCalls {
    const SPEC: Spec = Spec {
        name: "stripe",
        queue: Queue::One(StripeCommand::QUEUE),
        retry_schedule: &[
            RetryDelay::S5,
            RetryDelay::M1,
            RetryDelay::M10,
            RetryDelay::H1,
            RetryDelay::H1,
            RetryDelay::H1,
        ],
        timeout: TIMEOUT,
        shape: Shape::Single { concurrency: CONCURRENCY },
    };
    type Message = StripeCommand;

    async fn handle(&self, job: &mut Job<StripeCommand>) -> Result<(), Failure> {
        match job.message.clone() {
            StripeCommand::Open(command) => self.open(job, &command).await,
            StripeCommand::Expire(command) => self.expire(job, &command).await,
            StripeCommand::Refund(command) => self.refund(job, &command).await,
            StripeCommand::Record(command) => self.record(job, &command).await,
            StripeCommand::Refresh(command) => self.refresh(job, &command).await,
            StripeCommand::Reconcile(command) => self.sweep(job, &command).await,
            StripeCommand::CompareBalance(command) => self.compare_balance(job, &command).await,
        }
    }

    async fn probe(&self, class: &'static str) -> Option<bool> {
        // Not for Stripe: while it serves reads and fails writes, refunds must wait and not use up their schedule.
        probes::mongodb(class, &self.ledgers.mongo).await
    }
}
