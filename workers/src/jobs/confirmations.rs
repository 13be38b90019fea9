//! Decides bookings: takes a batch from its partition, decides it in memory, stores it in one transaction, then lets
//! the runtime publish the events and acknowledge.
//!
//! It never calls an outside service and never publishes before the transaction is committed. Whether a command was
//! handled before is read from the booking itself.

mod grid_cache;
mod group_commit;

use crate::clock::{self, Clock};
use crate::declaration::{Start, WorkerDeclaration};
use futures_util::FutureExt;
use grid_cache::GridCache;
use group_commit::{CommitQueue, PendingBatch};
use pvt_domain::actor::Actor;
use pvt_domain::block::Block;
use pvt_domain::booking::{Action, Booking};
use pvt_domain::decide::{BatchOutcome, Decision, KnownState, decide};
use pvt_domain::events::BookingEvent;
use pvt_domain::failure::Failure;
use pvt_domain::ids::{BlockId, BookingId};
use pvt_domain::messages::{
    BookingCommand, ExpireCheckout, PAYMENT_EXPIRE_CHECKOUT, PAYMENT_REFUND, Refund, Reply, ReplyOutcome,
};
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::{EncodeError, Outgoing, Queue, RetryDelay, unversioned};
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_worker_runtime::{Batch, BatchWorker, Job, Shape, Spec, failpoint};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use uuid::Uuid;

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
const GROUP_ATTEMPTS: u32 = 3;

/// Most readings for one decision: views, the stays around a night, those further off, everybody, for a few properties
/// of a batch.
const MAX_READ_ROUNDS: u32 = 32;

/// Who asks for what follows from a decision.

/// A command with its message id.
type ReceivedCommand = (Uuid, Arc<BookingCommand>);

/// What became of a command, with the events of the bookings that it moved.
type CommandOutcome = (Decision, Vec<BookingEvent>);

/// The worker of the partitioned booking queues.
pub struct Confirmations {
    mongo: Mongo,
    clock: Clock,
    /// What is remembered of the properties of this process's partitions; whoever holds it writes.
    views: Mutex<GridCache>,
    commit_queue: CommitQueue,
}

impl Confirmations {
    /// A worker on this database.
    pub fn new(mongo: Mongo, clock: Clock) -> Self {
        Self { mongo, clock, views: Mutex::default(), commit_queue: CommitQueue::default() }
    }

    /// Decides and stores a partition's commands, together with what other partitions brought meanwhile: a transaction
    /// costs the store much more than a booking in it.
    async fn commit_batch(&self, commands: Arc<[ReceivedCommand]>) -> Result<Vec<CommandOutcome>, Failure> {
        let mut answer = self.commit_queue.enqueue(commands.clone());
        let mut views = self.views.lock().await;
        // Whoever had the turn before may have taken these along.
        if let Ok(answered) = answer.try_recv() {
            return answered;
        }
        for load in self.commit_queue.drain() {
            self.commit_group(&mut views, load).await;
        }
        match answer.try_recv() {
            Ok(answered) => answered,
            // Given up together, or taken along by somebody who was ended: these must not suffer from what the others
            // brought.
            Err(_) => Ok(self.commit_alone(&mut views, &commands).await?),
        }
    }

    /// One transaction for several portions. Portions that could not be settled together are dropped, and their owners
    /// settle them alone.
    async fn commit_group(&self, views: &mut GridCache, load: Vec<PendingBatch>) {
        if load.len() < 2 {
            return;
        }
        let commands: Vec<ReceivedCommand> = load.iter().flat_map(|pending| pending.commands.iter().cloned()).collect();
        match AssertUnwindSafe(self.commit_with_retries(views, &commands, GROUP_ATTEMPTS)).catch_unwind().await {
            Ok(Ok(settled)) => {
                let mut settled = settled.into_iter();
                for pending in load {
                    let own = settled.by_ref().take(pending.commands.len()).collect();
                    pending.complete(Ok(own));
                }
            }
            // Everybody waits for the same store.
            Ok(Err(error @ StoreError::Unavailable { .. })) => {
                let failure = Failure::from(error);
                load.into_iter().for_each(|pending| pending.complete(Err(failure.clone())));
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, pending_batches = load.len(), "batches could not be stored together: each by itself")
            }
            Err(_) => {
                views.invalidate(commands.iter().map(|(_, command)| command.property_id()));
                tracing::error!(pending_batches = load.len(), "a decision panicked: each batch by itself");
            }
        }
    }

    /// Decides and stores one portion, in transactions that the store can take.
    async fn commit_alone(
        &self,
        views: &mut GridCache,
        commands: &[ReceivedCommand],
    ) -> Result<Vec<CommandOutcome>, StoreError> {
        let mut settled = Vec::with_capacity(commands.len());
        for run in group_commit::transaction_runs(commands) {
            settled.extend(self.commit_run(views, run).await?);
        }
        Ok(settled)
    }

    /// Decides and stores commands in one transaction; when the store keeps objecting, command by command, so that one
    /// contended property does not hold up the others.
    async fn commit_run(
        &self,
        views: &mut GridCache,
        commands: &[ReceivedCommand],
    ) -> Result<Vec<CommandOutcome>, StoreError> {
        match self
            .commit_with_retries(views, commands, if commands.len() > 1 { GROUP_ATTEMPTS } else { DECISION_ATTEMPTS })
            .await
        {
            Err(StoreError::Duplicate(_) | StoreError::BookingExists(_) | StoreError::Stale(_))
                if commands.len() > 1 =>
            {
                let mut settled = Vec::with_capacity(commands.len());
                for command in commands {
                    settled.extend(
                        self.commit_with_retries(views, std::slice::from_ref(command), DECISION_ATTEMPTS).await?,
                    );
                }
                Ok(settled)
            }
            settled => settled,
        }
    }

    async fn commit_with_retries(
        &self,
        views: &mut GridCache,
        commands: &[ReceivedCommand],
        attempts: u32,
    ) -> Result<Vec<CommandOutcome>, StoreError> {
        let mut objection = None;
        let mut look_up = Lookup::AllButRequests;
        views.begin_batch();
        for _ in 0..attempts {
            let error = match self.try_commit(views, commands, look_up).await {
                // A repeated request says nothing against the views.
                Err(error @ StoreError::BookingExists(_)) if look_up == Lookup::AllButRequests => error,
                Err(error @ (StoreError::Duplicate(_) | StoreError::BookingExists(_) | StoreError::Stale(_))) => {
                    // The index or a revision disagrees with memory: read again what this batch is about.
                    metrics::counter!("pvt_claim_conflicts_total").increment(1);
                    views.invalidate(commands.iter().map(|(_, command)| command.property_id()));
                    error
                }
                Err(error) => {
                    // Whether the commit happened is unknown, so memory is no hint any more.
                    views.invalidate(commands.iter().map(|(_, command)| command.property_id()));
                    return Err(error);
                }
                settled => return settled,
            };
            look_up = Lookup::All;
            objection = Some(error);
        }
        Err(objection.unwrap_or_else(|| StoreError::Stale("no attempt was allowed".to_owned())))
    }

    async fn try_commit(
        &self,
        views: &mut GridCache,
        commands: &[ReceivedCommand],
        look_up: Lookup,
    ) -> Result<Vec<CommandOutcome>, StoreError> {
        let now = (self.clock)();
        let read = || commands.iter().filter(|(_, command)| look_up.covers(command));
        let (bookings, blocks, loaded) = tokio::join!(
            self.mongo.bookings().find_by_ids(read().filter_map(|(_, command)| command.booking_id())),
            self.mongo.blocks().find_by_ids(read().filter_map(|(_, command)| command.block_id())),
            views.load(&self.mongo, commands.iter().map(|(_, command)| command.property_id()), now),
        );
        let (bookings, blocks) = (bookings?, blocks?);
        loaded?;
        let decisions = self.decide_with_reads(views, commands, now, bookings, blocks).await?;
        failpoint::hit("before_commit");
        self.mongo.claims().commit(&decisions).await?;
        failpoint::hit("after_commit_before_publish");
        let BatchOutcome { decisions, consequences, grids: changed, .. } = decisions;
        views.replace(changed);
        let mut settled: Vec<CommandOutcome> = decisions.into_iter().map(|decision| (decision, Vec::new())).collect();
        for (index, event) in consequences {
            if let Some((_, moved)) = settled.get_mut(index) {
                moved.push(event);
            }
        }
        Ok(settled)
    }

    /// Decides, reading what a decision turns out to lack.
    async fn decide_with_reads(
        &self,
        views: &mut GridCache,
        commands: &[ReceivedCommand],
        now: Timestamp,
        mut bookings: HashMap<BookingId, Booking>,
        blocks: HashMap<BlockId, Block>,
    ) -> Result<BatchOutcome, StoreError> {
        let commands: Vec<(Uuid, &BookingCommand)> =
            commands.iter().map(|(id, command)| (*id, command.as_ref())).collect();
        let mut occupied = HashMap::new();
        for _ in 0..MAX_READ_ROUNDS {
            let known = KnownState {
                grids: views.known(),
                fresh: views.fresh(),
                bookings: &bookings,
                blocks: &blocks,
                occupied: &occupied,
            };
            let missing = match decide(known, &commands, now) {
                Ok(decisions) => return Ok(decisions),
                Err(missing) => *missing,
            };
            views.invalidate(&missing.grids);
            views.load(&self.mongo, &missing.grids, now).await?;
            bookings.extend(self.mongo.bookings().find_by_ids(missing.bookings).await?);
            for (property, nights) in missing.occupants {
                bookings.extend(self.mongo.bookings().occupants(&property, nights).await?);
                occupied.insert(property, nights);
            }
        }
        Err(StoreError::Stale(format!("{MAX_READ_ROUNDS} readings were not enough to decide upon")))
    }
}

/// The worker `confirmations`.
pub(crate) const WORKER: WorkerDeclaration = WorkerDeclaration {
    name: Confirmations::SPEC.name,
    about: "decides commands about bookings and inventory",
    health_port: 8081,
    queues: &[Confirmations::SPEC.queue],
    start: Start::Consumers(|engine, dependencies| {
        Ok(engine.register_batch(Confirmations::new(dependencies.mongo.clone(), clock::system))?)
    }),
};

impl BatchWorker for Confirmations {
    const SPEC: Spec = Spec {
        name: "confirmations",
        queue: Queue::Partitioned("bookings"),
        retry_schedule: &[RetryDelay::S5, RetryDelay::S5, RetryDelay::M1, RetryDelay::M10, RetryDelay::H1],
        timeout: TIMEOUT,
        shape: Shape::Batch { max: BATCH_MAX, linger: LINGER },
    };
    type Message = Arc<BookingCommand>;

    async fn handle(&self, batch: &mut Batch<Arc<BookingCommand>>) -> Result<(), Failure> {
        let decisions =
            self.commit_batch(batch.items.iter().map(|job| (job.meta.id, job.message.clone())).collect()).await?;
        for (job, (decision, moved)) in batch.items.iter_mut().zip(decisions) {
            for event in moved {
                job.emit(Outgoing::event(event.event_id, &event)?.with_correlation_id(event.booking_id.as_uuid()));
            }
            emit_outcome(job, decision)?;
        }
        Ok(())
    }
}

/// Which bookings are read before deciding.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lookup {
    /// A request's booking almost never exists. If it does, the store refuses the new one, and then everything is read.
    AllButRequests,
    All,
}

impl Lookup {
    fn covers(self, command: &BookingCommand) -> bool {
        self == Self::All || !matches!(command, BookingCommand::Request(_))
    }
}

/// Queues what follows from a verdict: the event that tells of it, and the answer to whoever waits.
fn emit_outcome(job: &mut Job<Arc<BookingCommand>>, decision: Decision) -> Result<(), Failure> {
    let subject = job.message.subject();
    let (outcome, why) = match decision {
        Decision::Decided(event) => {
            metrics::counter!("pvt_bookings_decided_total", "status" => event.status.as_str()).increment(1);
            job.emit(Outgoing::event(event.event_id, event.as_ref())?.with_correlation_id(subject));
            follow_up_commands(&event)?.into_iter().for_each(|command| job.emit(command));
            (ReplyOutcome::Decided, None)
        }
        Decision::Changed(event) => {
            job.emit(Outgoing::event(event.event_id, event.as_ref())?.with_correlation_id(subject));
            (ReplyOutcome::Decided, None)
        }
        Decision::Refused(outcome, why) => {
            tracing::warn!(%subject, ?outcome, code = ?why.as_ref().map(|why| why.code), "the command was refused");
            (outcome, why)
        }
        Decision::NotYet => {
            job.fail(Failure::Defer(NOT_YET_DELAY));
            return Ok(());
        }
    };
    if let Some(queue) = job.meta.reply_to.clone() {
        let reply = Reply { booking_id: BookingId::from_uuid(subject), outcome, detail: why };
        job.emit(Outgoing::reply(queue, job.meta.id, &reply)?.with_correlation_id(subject));
    }
    Ok(())
}

/// What follows from where a booking stands with its money, and is done by who talks to Stripe: the same commands
/// whenever the decision is told of again.
fn follow_up_commands(event: &BookingEvent) -> Result<Vec<Outgoing>, EncodeError> {
    let (booking_id, property_id, requested_at) = (event.booking_id, event.property_id.clone(), event.occurred_at);
    let command_id = |what: &str| Uuid::new_v5(&event.event_id, what.as_bytes());
    let mut commands = Vec::new();
    if event.payment.refund_due() > 0 {
        let command =
            Refund { booking_id, property_id: property_id.clone(), request: None, actor: Actor::SYSTEM, requested_at };
        commands.push(
            Outgoing::command(unversioned(PAYMENT_REFUND), command_id("refund"), &command)?.with_actor(Actor::SYSTEM),
        );
    }
    // Pages that a guest may still have open must not be paid for nothing.
    let is_off = matches!(event.action, Some(Action::Cancel | Action::NoShow)) && !event.status.holds_beds();
    if is_off && event.price.is_some() {
        let command = ExpireCheckout { booking_id, property_id, release: false, actor: Actor::SYSTEM, requested_at };
        commands.push(
            Outgoing::command(unversioned(PAYMENT_EXPIRE_CHECKOUT), command_id("expire_checkout"), &command)?
                .with_actor(Actor::SYSTEM),
        );
    }
    Ok(commands)
}
