//! Worker `stripe`: everything that needs Stripe, one module for each command. It opens and expires checkout sessions,
//! refunds, fetches what events carried only in part, and reconciles.
//!
//! Each step is written into the booking's ledger before Stripe is called, under an idempotency key derived from the
//! ledger, so that a redelivery repeats the same call. No bed waits for any of this.

mod close;
mod compare;
mod expire;
mod open;
mod refresh;
mod refund;
mod sweep;

use crate::clock::Clock;
use crate::jobs::records::record;
use crate::ledgers::Ledgers;
use crate::probes;
use chrono::{DateTime, TimeDelta, Utc};
use pvt_domain::failure::Failure;
use pvt_domain::ledger::facts::Observation;
use pvt_domain::messages::StripeCommand;
use pvt_messaging::{Queue, RetryDelay, Topology};
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
    /// A worker with this client. Without one there is nothing to reconcile, and what else needs Stripe waits or is
    /// refused.
    pub fn new(mongo: Mongo, topology: Topology, client: Option<StripeClient>, clock: Clock) -> Self {
        sweep::begin_counters();
        Self { ledgers: Ledgers::new(mongo, topology, clock), client, grace: GRACE }
    }

    /// The same, with another age from which the sweep replays events.
    #[must_use]
    pub fn with_grace(self, grace: TimeDelta) -> Self {
        Self { grace, ..self }
    }

    /// The client, for calls that cannot be skipped.
    fn client(&self) -> Result<&StripeClient, Failure> {
        self.client.as_ref().ok_or_else(|| {
            Failure::unavailable_operation("stripe_unconfigured", "configuration", "set STRIPE_SECRET_KEY")
        })
    }

    /// The source and time of an object that is read from Stripe now, by Stripe's clock.
    fn observation(&self, operation: &str) -> Observation {
        let ours = || self.ledgers.now().as_datetime().timestamp();
        Observation { at: self.client.as_ref().map_or_else(ours, StripeClient::time), by: format!("read:{operation}") }
    }
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
            StripeCommand::Record(command) => record(&self.ledgers, job, &command).await,
            StripeCommand::Refresh(command) => self.refresh(job, &command).await,
            StripeCommand::Reconcile(command) => self.sweep(job, &command).await,
            StripeCommand::CompareBalance(command) => self.compare_balance(job, &command).await,
        }
    }

    async fn probe(&self, class: &'static str) -> Option<bool> {
        probes::mongodb(class, &self.ledgers.mongo).await
    }

    fn answered_since(&self, operation: &'static str, since: DateTime<Utc>) -> bool {
        self.client.as_ref().is_some_and(|client| client.answered_since(operation, since))
    }
}
