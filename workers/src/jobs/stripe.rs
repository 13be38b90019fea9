//! Whatever needs an answer from Stripe: sending guests to pay, closing their pages, giving money back, reading what
//! was told in part; and what staff note of money that Stripe does not see.
//!
//! What is to be done is written into the booking's ledger before Stripe is asked, and Stripe is asked under a key that
//! is a function of it: whoever does it again does the same thing. No bed waits for any of this.

mod close;
mod expire;
mod open;
mod refresh;
mod refund;
mod sweep;

use crate::clock::Clock;
use crate::ledgers::{Ledgers, SavedLedger};
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::facts::Observation;
use pvt_domain::ledger::{Ledger, Record};
use pvt_domain::messages::{PaymentRefusal, PaymentReply, RecordPayment, StripeCommand};
use pvt_messaging::{Outgoing, Queue, RetryDelay, Topology};
use pvt_stores::mongo::Mongo;
use pvt_stripe::StripeClient;
use pvt_worker_runtime::{Job, Shape, Spec, Worker};
use std::time::Duration;

/// Calls of Stripe at the same time.
const CONCURRENCY: u16 = 16;
/// Longest handling of a message: a few calls, each tried again within its own bounds.
const TIMEOUT: Duration = Duration::from_secs(120);
/// A booking that is not stored yet comes back after this: its request is still on the way.
const NOT_YET_DELAY: Duration = Duration::from_secs(5);

/// The worker of the `stripe` queue.
pub struct StripeCalls {
    ledgers: Ledgers,
    client: Option<StripeClient>,
}

impl StripeCalls {
    /// A worker on this database that asks this Stripe; without one it only notes what staff take.
    pub fn new(mongo: Mongo, topology: Topology, client: Option<StripeClient>, clock: Clock) -> Self {
        Self { ledgers: Ledgers::new(mongo, topology, clock), client }
    }

    /// Stripe, for what cannot be put off.
    fn client(&self) -> Result<&StripeClient, Failure> {
        self.client.as_ref().ok_or_else(|| Failure::unavailable("stripe_unconfigured", "set STRIPE_SECRET_KEY"))
    }

    /// By whom an object is told that was read at this moment.
    fn observation(&self, operation: &str) -> Observation {
        Observation { at: self.ledgers.now().as_datetime().timestamp(), by: format!("read:{operation}") }
    }

    /// Queues what follows from a ledger as it is stored: all that there is to tell of it, and what it asks for. Not
    /// only what this delivery changed, so that nothing is lost when an earlier one died between storing and telling.
    async fn emit_follow_ups<T>(&self, job: &mut Job<StripeCommand>, kept: &SavedLedger<T>) -> Result<(), Failure> {
        let events = self.ledgers.payment_events(&kept.after, kept.after.changes())?;
        let asked = self.ledgers.follow_ups(&kept.after, &kept.head).await?;
        events.into_iter().chain(asked).for_each(|message| job.emit(message));
        Ok(())
    }

    /// Notes what staff took or gave back.
    async fn record(&self, job: &mut Job<StripeCommand>, command: &RecordPayment) -> Result<(), Failure> {
        let kept = self.ledgers.change(command.booking_id, |ledger, _| note(ledger, &command.record)).await?;
        let Some(kept) = kept else { return Err(Failure::Defer(NOT_YET_DELAY)) };
        if let Err(refusal) = kept.answer {
            return answer(job, refused(command.booking_id, refusal));
        }
        self.emit_follow_ups(job, &kept).await?;
        answer(job, done(command.booking_id, command.record.id.to_string()))
    }
}

/// Notes a record, unless more would have gone than came.
fn note(ledger: &mut Ledger, record: &Record) -> Result<(), PaymentRefusal> {
    match ledger.records.iter().find(|known| known.id == record.id) {
        Some(known) if Record { at: record.at, ..known.clone() } == *record => Ok(()),
        Some(_) => Err(PaymentRefusal::KeyReused),
        None if record.amount < 0 && ledger.summary().kept() - ledger.instructed() + record.amount < 0 => {
            Err(PaymentRefusal::TooMuch)
        }
        None => {
            ledger.record(record.clone());
            Ok(())
        }
    }
}

/// The answer that something was done about a payment.
fn done(booking_id: BookingId, payment_id: String) -> PaymentReply {
    PaymentReply { booking_id, payment_id: Some(payment_id), url: None, client_secret: None, refusal: None }
}

fn refused(booking_id: BookingId, refusal: PaymentRefusal) -> PaymentReply {
    tracing::warn!(booking = %booking_id, ?refusal, "a command about money was refused");
    PaymentReply { booking_id, payment_id: None, url: None, client_secret: None, refusal: Some(refusal) }
}

/// Answers whoever waits.
fn answer(job: &mut Job<StripeCommand>, reply: PaymentReply) -> Result<(), Failure> {
    if let Some(queue) = job.meta.reply_to.clone() {
        let reply = Outgoing::reply(queue, job.meta.id, &reply)?.with_correlation_id(reply.booking_id.as_uuid());
        job.emit(reply);
    }
    Ok(())
}

impl Worker for StripeCalls {
    const SPEC: Spec = Spec {
        name: "stripe",
        queue: Queue::One("stripe"),
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
        }
    }
}
