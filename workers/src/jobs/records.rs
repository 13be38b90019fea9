//! Consumer of the `records` queue: payments and refunds that staff make themselves, in cash for example, and that
//! Stripe does not see. It needs MongoDB only, so that a payment at the front desk never waits for Stripe.

use crate::clock::Clock;
use crate::ledgers::{ChangeCause, Ledgers};
use crate::payment_replies::{done, refused, reply};
use crate::probes;
use pvt_domain::QueueHop;
use pvt_domain::failure::Failure;
use pvt_domain::ledger::{Ledger, Record};
use pvt_domain::messages::{PaymentRefusal, RecordCommand, RecordPayment};
use pvt_domain::people::text::normal;
use pvt_messaging::{Queue, RetryDelay, Topology};
use pvt_stores::mongo::Mongo;
use pvt_worker_runtime::{Job, Shape, Spec, Worker};
use std::time::Duration;

/// Messages handled at the same time.
const CONCURRENCY: u16 = 16;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Delay of a record whose booking is not stored yet: its request is still in a queue.
const NOT_YET_DELAY: Duration = Duration::from_secs(5);

/// The worker of the `records` queue.
pub struct Records {
    ledgers: Ledgers,
}

impl Records {
    /// A worker on this database.
    pub fn new(mongo: Mongo, topology: Topology, clock: Clock) -> Self {
        Self { ledgers: Ledgers::new(mongo, topology, clock) }
    }
}

impl Worker for Records {
    const SPEC: Spec = Spec {
        name: "records",
        queue: Queue::One(RecordCommand::QUEUE),
        retry_schedule: &[RetryDelay::S5, RetryDelay::M1, RetryDelay::M10, RetryDelay::H1],
        timeout: TIMEOUT,
        shape: Shape::Single { concurrency: CONCURRENCY },
    };
    type Message = RecordCommand;

    async fn handle(&self, job: &mut Job<RecordCommand>) -> Result<(), Failure> {
        let RecordCommand::Record(command) = job.message.clone();
        record(&self.ledgers, job, &command).await
    }

    async fn probe(&self, class: &'static str) -> Option<bool> {
        probes::mongodb(class, &self.ledgers.mongo).await
    }
}

/// Adds a record to the ledger of its booking. A redelivery finds it there.
pub(crate) async fn record<M>(ledgers: &Ledgers, job: &mut Job<M>, command: &RecordPayment) -> Result<(), Failure> {
    let hop = job.hop();
    let saved = ledgers.change(command.booking_id, |ledger, _| add(ledger, &command.record, &hop)).await?;
    let Some(saved) = saved else { return Err(Failure::Defer(NOT_YET_DELAY)) };
    if let Err(refusal) = saved.answer {
        return reply(job, refused(command.booking_id, refusal));
    }
    ledgers.emit_follow_ups_of(job, &saved, &ChangeCause::record(&command.record)).await?;
    reply(job, done(command.booking_id, command.record.id.to_string()))
}

/// Whether it is the same record, recorded again. Notes of earlier versions were stored as typed.
fn is_same(known: &Record, record: &Record) -> bool {
    let note = |record: &Record| record.note.as_deref().map(|note| normal(note).into_owned());
    let meant = |of: &Record| Record { at: record.at, note: note(of), ..of.clone() };
    meant(known) == meant(record)
}

/// Adds a record, unless it refunds more than is left after instructed refunds.
fn add(ledger: &mut Ledger, record: &Record, hop: &QueueHop) -> Result<(), PaymentRefusal> {
    match ledger.records.iter().find(|known| known.id == record.id) {
        Some(known) if is_same(known, record) => Ok(()),
        Some(_) => Err(PaymentRefusal::KeyReused),
        None if record.amount < 0 && ledger.returnable() + record.amount < 0 => Err(PaymentRefusal::TooMuch),
        None => {
            ledger.record(record.clone());
            ledger.note_hop(record.id, hop);
            Ok(())
        }
    }
}
