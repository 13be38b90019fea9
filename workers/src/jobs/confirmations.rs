//! Decides bookings: takes a batch from its partition, decides it in memory, stores it in one transaction, then lets
//! the runtime publish the events and acknowledge.
//!
//! It never calls an outside service and never publishes before the transaction is committed. Whether a command was
//! handled before is read from the booking itself.

mod together;
mod views;

use crate::clock::Clock;
use futures_util::FutureExt;
use pvt_domain::block::Block;
use pvt_domain::booking::{Action, Booking};
use pvt_domain::decide::{Decisions, Known, Verdict, decide};
use pvt_domain::events::BookingEvent;
use pvt_domain::failure::Failure;
use pvt_domain::ids::{BlockId, BookingId};
use pvt_domain::messages::{
    BookingCommand, ExpireCheckout, PAYMENT_EXPIRE_CHECKOUT, PAYMENT_REFUND, Refund, Reply, ReplyOutcome,
};
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::{EncodeError, Outgoing, Queue, Rung, unversioned};
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_worker_runtime::{Batch, BatchWorker, Job, Shape, Spec, fault};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use together::{Portion, Waiting};
use tokio::sync::Mutex;
use uuid::Uuid;
use views::Views;

/// Most commands that one partition brings to a transaction.
const BATCH_MAX: u16 = 100;
/// How long a batch waits for company after its first command. Short: a guest is waiting.
const LINGER: Duration = Duration::from_millis(2);
/// Longest handling of a batch, elections included.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A command for a booking that is not there yet comes back after this: its request is still on the way.
const NOT_YET_DELAY: Duration = Duration::from_secs(5);
/// How often a decision is made anew because the store had moved on, before the message climbs the ladder.
const DECISION_ATTEMPTS: u32 = 8;
/// The same for commands that are decided together and can still be decided apart.
const TOGETHER_ATTEMPTS: u32 = 3;

/// Most readings for one decision: views, the stays around a night, those further off, everybody, for a few properties
/// of a batch.
const READING_ROUNDS: u32 = 32;

/// Who asks for what follows from a decision.
const ACTOR: &str = "system";

/// A command with its message id.
type Addressed = (Uuid, Arc<BookingCommand>);

/// What became of a command, with the events of the bookings that it moved.
type Settled = (Verdict, Vec<BookingEvent>);

/// The worker of the partitioned booking queues.
pub struct Confirmations {
    mongo: Mongo,
    clock: Clock,
    /// What is remembered of the properties of this process's partitions; whoever holds it writes.
    views: Mutex<Views>,
    waiting: Waiting,
}

impl Confirmations {
    /// A worker on this database.
    pub fn new(mongo: Mongo, clock: Clock) -> Self {
        Self { mongo, clock, views: Mutex::default(), waiting: Waiting::default() }
    }

    /// Decides and stores a partition's commands, together with what other partitions brought meanwhile: a transaction
    /// costs the store much more than a booking in it.
    async fn settle(&self, commands: Arc<[Addressed]>) -> Result<Vec<Settled>, Failure> {
        let mut answer = self.waiting.join(commands.clone());
        let mut views = self.views.lock().await;
        // Whoever had the turn before may have taken these along.
        if let Ok(answered) = answer.try_recv() {
            return answered;
        }
        for load in self.waiting.take() {
            self.settle_load(&mut views, load).await;
        }
        match answer.try_recv() {
            Ok(answered) => answered,
            // Given up together, or taken along by somebody who was ended: these must not suffer from what the others
            // brought.
            Err(_) => Ok(self.settle_alone(&mut views, &commands).await?),
        }
    }

    /// One transaction for several portions. Portions that could not be settled together are dropped, and their owners
    /// settle them alone.
    async fn settle_load(&self, views: &mut Views, load: Vec<Portion>) {
        if load.len() < 2 {
            return;
        }
        let commands: Vec<Addressed> = load.iter().flat_map(|portion| portion.commands.iter().cloned()).collect();
        match AssertUnwindSafe(self.settle_together(views, &commands, TOGETHER_ATTEMPTS)).catch_unwind().await {
            Ok(Ok(settled)) => {
                let mut settled = settled.into_iter();
                for portion in load {
                    let own = settled.by_ref().take(portion.commands.len()).collect();
                    portion.answer(Ok(own));
                }
            }
            // Everybody waits for the same store.
            Ok(Err(error @ StoreError::Unavailable { .. })) => {
                let failure = Failure::from(error);
                load.into_iter().for_each(|portion| portion.answer(Err(failure.clone())));
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, portions = load.len(), "batches could not be stored together: each by itself")
            }
            Err(_) => {
                views.forget(commands.iter().map(|(_, command)| command.property_id()));
                tracing::error!(portions = load.len(), "a decision panicked: each batch by itself");
            }
        }
    }

    /// Decides and stores one portion, in transactions that the store can take.
    async fn settle_alone(&self, views: &mut Views, commands: &[Addressed]) -> Result<Vec<Settled>, StoreError> {
        let mut settled = Vec::with_capacity(commands.len());
        for run in together::runs(commands) {
            settled.extend(self.settle_run(views, run).await?);
        }
        Ok(settled)
    }

    /// Decides and stores commands in one transaction; when the store keeps objecting, command by command, so that one
    /// contended property does not hold up the others.
    async fn settle_run(&self, views: &mut Views, commands: &[Addressed]) -> Result<Vec<Settled>, StoreError> {
        match self
            .settle_together(views, commands, if commands.len() > 1 { TOGETHER_ATTEMPTS } else { DECISION_ATTEMPTS })
            .await
        {
            Err(StoreError::Duplicate(_) | StoreError::BookingExists(_) | StoreError::Stale(_))
                if commands.len() > 1 =>
            {
                let mut settled = Vec::with_capacity(commands.len());
                for command in commands {
                    settled
                        .extend(self.settle_together(views, std::slice::from_ref(command), DECISION_ATTEMPTS).await?);
                }
                Ok(settled)
            }
            settled => settled,
        }
    }

    async fn settle_together(
        &self,
        views: &mut Views,
        commands: &[Addressed],
        attempts: u32,
    ) -> Result<Vec<Settled>, StoreError> {
        let mut objection = None;
        let mut look_up = LookUp::AllButRequests;
        views.begin_batch();
        for _ in 0..attempts {
            let error = match self.settle_once(views, commands, look_up).await {
                // A repeated request says nothing against the views.
                Err(error @ StoreError::BookingExists(_)) if look_up == LookUp::AllButRequests => error,
                Err(error @ (StoreError::Duplicate(_) | StoreError::BookingExists(_) | StoreError::Stale(_))) => {
                    // The index or a revision disagrees with memory: read again what this batch is about.
                    metrics::counter!("pvt_claims_conflicts_total").increment(1);
                    views.forget(commands.iter().map(|(_, command)| command.property_id()));
                    error
                }
                Err(error) => {
                    // Whether the commit happened is unknown, so memory is no hint any more.
                    views.forget(commands.iter().map(|(_, command)| command.property_id()));
                    return Err(error);
                }
                settled => return settled,
            };
            look_up = LookUp::All;
            objection = Some(error);
        }
        Err(objection.unwrap_or_else(|| StoreError::Stale("no attempt was allowed".to_owned())))
    }

    async fn settle_once(
        &self,
        views: &mut Views,
        commands: &[Addressed],
        look_up: LookUp,
    ) -> Result<Vec<Settled>, StoreError> {
        let now = (self.clock)();
        let read = || commands.iter().filter(|(_, command)| look_up.covers(command));
        let (bookings, blocks, loaded) = tokio::join!(
            self.mongo.bookings(read().filter_map(|(_, command)| command.booking_id())),
            self.mongo.blocks(read().filter_map(|(_, command)| command.block_id())),
            views.load(&self.mongo, commands.iter().map(|(_, command)| command.property_id()), now),
        );
        let (bookings, blocks) = (bookings?, blocks?);
        loaded?;
        let decisions = self.decide_reading(views, commands, now, bookings, blocks).await?;
        fault::point("before_commit");
        self.mongo.commit(&decisions).await?;
        fault::point("after_commit_before_publish");
        let Decisions { verdicts, consequences, views: changed, .. } = decisions;
        views.replace(changed);
        let mut settled: Vec<Settled> = verdicts.into_iter().map(|verdict| (verdict, Vec::new())).collect();
        for (index, event) in consequences {
            if let Some((_, moved)) = settled.get_mut(index) {
                moved.push(event);
            }
        }
        Ok(settled)
    }

    /// Decides, reading what a decision turns out to lack.
    async fn decide_reading(
        &self,
        views: &mut Views,
        commands: &[Addressed],
        now: Timestamp,
        mut bookings: HashMap<BookingId, Booking>,
        blocks: HashMap<BlockId, Block>,
    ) -> Result<Decisions, StoreError> {
        let commands: Vec<(Uuid, &BookingCommand)> =
            commands.iter().map(|(id, command)| (*id, command.as_ref())).collect();
        let mut occupied = HashMap::new();
        for _ in 0..READING_ROUNDS {
            let known = Known {
                views: views.known(),
                fresh: views.fresh(),
                bookings: &bookings,
                blocks: &blocks,
                occupied: &occupied,
            };
            let missing = match decide(known, &commands, now) {
                Ok(decisions) => return Ok(decisions),
                Err(missing) => *missing,
            };
            views.forget(&missing.views);
            views.load(&self.mongo, &missing.views, now).await?;
            bookings.extend(self.mongo.bookings(missing.bookings).await?);
            for (property, nights) in missing.occupants {
                bookings.extend(self.mongo.occupants(&property, nights).await?);
                occupied.insert(property, nights);
            }
        }
        Err(StoreError::Stale(format!("{READING_ROUNDS} readings were not enough to decide upon")))
    }
}

impl BatchWorker for Confirmations {
    const SPEC: Spec = Spec {
        name: "confirmations",
        queue: Queue::Partitioned("bookings"),
        ladder: &[Rung::S5, Rung::S5, Rung::M1, Rung::M10, Rung::H1],
        timeout: TIMEOUT,
        shape: Shape::Batch { max: BATCH_MAX, linger: LINGER },
    };
    type Message = Arc<BookingCommand>;

    async fn handle(&self, batch: &mut Batch<Arc<BookingCommand>>) -> Result<(), Failure> {
        let verdicts = self.settle(batch.items.iter().map(|job| (job.meta.id, job.message.clone())).collect()).await?;
        for (job, (verdict, moved)) in batch.items.iter_mut().zip(verdicts) {
            for event in moved {
                job.emit(Outgoing::event(event.event_id, &event)?.correlated(event.booking_id.as_uuid()));
            }
            conclude(job, verdict)?;
        }
        Ok(())
    }
}

/// Which bookings are read before deciding.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LookUp {
    /// A request's booking almost never exists. If it does, the store refuses the new one, and then everything is read.
    AllButRequests,
    All,
}

impl LookUp {
    fn covers(self, command: &BookingCommand) -> bool {
        self == Self::All || !matches!(command, BookingCommand::Request(_))
    }
}

/// Queues what follows from a verdict: the event that tells of it, and the answer to whoever waits.
fn conclude(job: &mut Job<Arc<BookingCommand>>, verdict: Verdict) -> Result<(), Failure> {
    let subject = job.message.subject();
    let (outcome, why) = match verdict {
        Verdict::Decided(event) => {
            metrics::counter!("pvt_bookings_decided_total", "status" => event.status.as_str()).increment(1);
            job.emit(Outgoing::event(event.event_id, event.as_ref())?.correlated(subject));
            aftermath(&event)?.into_iter().for_each(|command| job.emit(command));
            (ReplyOutcome::Decided, None)
        }
        Verdict::Changed(event) => {
            job.emit(Outgoing::event(event.event_id, event.as_ref())?.correlated(subject));
            (ReplyOutcome::Decided, None)
        }
        Verdict::Refused(outcome, why) => {
            tracing::warn!(%subject, ?outcome, code = ?why.as_ref().map(|why| why.code), "the command was refused");
            (outcome, why)
        }
        Verdict::NotYet => {
            job.fail(Failure::Defer(NOT_YET_DELAY));
            return Ok(());
        }
    };
    if let Some(queue) = job.meta.reply_to.clone() {
        let reply = Reply { booking_id: BookingId::from_uuid(subject), outcome, why };
        job.emit(Outgoing::reply(queue, job.meta.id, &reply)?.correlated(subject));
    }
    Ok(())
}

/// What follows from where a booking stands with its money, and is done by who talks to Stripe: the same commands
/// whenever the decision is told of again.
fn aftermath(event: &BookingEvent) -> Result<Vec<Outgoing>, EncodeError> {
    let (booking_id, property_id, requested_at) = (event.booking_id, event.property_id.clone(), event.occurred_at);
    let command_id = |what: &str| Uuid::new_v5(&event.event_id, what.as_bytes());
    let mut commands = Vec::new();
    if event.payment.return_due() > 0 {
        let command =
            Refund { booking_id, property_id: property_id.clone(), wish: None, actor: ACTOR.to_owned(), requested_at };
        commands.push(Outgoing::command(unversioned(PAYMENT_REFUND), command_id("refund"), &command)?.by(ACTOR));
    }
    // Pages that a guest may still have open must not be paid for nothing.
    let is_off = matches!(event.action, Some(Action::Cancel | Action::NoShow)) && !event.status.holds_beds();
    if is_off && event.price.is_some() {
        let command = ExpireCheckout { booking_id, property_id, release: false, actor: ACTOR.to_owned(), requested_at };
        commands.push(
            Outgoing::command(unversioned(PAYMENT_EXPIRE_CHECKOUT), command_id("expire_checkout"), &command)?.by(ACTOR),
        );
    }
    Ok(commands)
}
