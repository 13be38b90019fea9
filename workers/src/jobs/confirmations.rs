//! Worker `confirmations`: decides the bookings of a partition, a batch in one transaction.
//!
//! It decides in memory, commits, and leaves publishing and acknowledging to the runtime. It never calls an outside
//! service and never publishes before the transaction is committed. A redelivered command is recognised by the
//! booking's own history.

mod grid_cache;
mod group_commit;

use crate::clock::{self, Clock};
use crate::decision_times::DecisionTimes;
use crate::declaration::{Start, WorkerDeclaration};
use crate::probes;
use futures_util::FutureExt;
use grid_cache::GridCache;
use group_commit::{CommitQueue, PendingBatch};
use pvt_domain::QueueHop;
use pvt_domain::actor::Actor;
use pvt_domain::block::Block;
use pvt_domain::booking::{Action, Booking, Status};
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
use pvt_traces::{Span, Store, names};
use pvt_worker_runtime::{Batch, BatchWorker, Job, Shape, Spec, failpoint};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use uuid::Uuid;

/// Most commands of a batch.
const BATCH_MAX: u16 = 100;
/// How long a batch waits for more commands after its first. Short: a guest is waiting.
const LINGER: Duration = Duration::from_millis(2);
/// Longest handling of a batch, elections included.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Delay of a command whose booking is not stored yet: its request is still in a queue.
const NOT_YET_DELAY: Duration = Duration::from_secs(5);
/// How often a conflicting decision is repeated before the message is retried.
const DECISION_ATTEMPTS: u32 = 8;
/// The same for several commands, which can still be decided one by one.
const GROUP_ATTEMPTS: u32 = 3;

/// Most rounds of reads for one decision: grids, the stays around a night, those further off and all others, for a few
/// properties of a batch.
const MAX_READ_ROUNDS: u32 = 32;

/// Counter, label `status`: bookings by the status that was decided.
const DECIDED: &str = "pvt_bookings_decided_total";
/// Histogram, seconds: from the acceptance of a booking request to the decision on it.
const DECISION_SECONDS: &str = "pvt_booking_decision_duration_seconds";

/// A command with its message id.
#[derive(Clone)]
struct ReceivedCommand {
    id: Uuid,
    command: Arc<BookingCommand>,
    /// How it came here.
    hop: Arc<QueueHop>,
}

impl ReceivedCommand {
    fn of(job: &Job<Arc<BookingCommand>>) -> Self {
        let requested_at = job.message.header().map(|header| header.requested_at);
        let hop = Arc::new(QueueHop { requested_at, ..job.hop() });
        Self { id: job.meta.id, command: job.message.clone(), hop }
    }
}

/// The decision on a command, with the events of the bookings that it reassigned.
type CommandOutcome = (Decision, Vec<BookingEvent>);

/// The worker of the partitioned booking queues.
pub struct Confirmations {
    mongo: Mongo,
    clock: Clock,
    /// The grids of this process's partitions. The lock also makes transactions one after another.
    grids: Mutex<GridCache>,
    commit_queue: CommitQueue,
    times: DecisionTimes,
}

impl Confirmations {
    /// A worker on this database.
    pub fn new(mongo: Mongo, clock: Clock) -> Self {
        let (grids, commit_queue) = (Mutex::default(), CommitQueue::default());
        Self { mongo, clock, grids, commit_queue, times: DecisionTimes::default() }
    }

    /// The same, which counts there how long bookings waited for their confirmation.
    #[must_use]
    pub fn with_times(self, times: DecisionTimes) -> Self {
        Self { times, ..self }
    }

    /// Counts a request that was decided.
    fn count_time(&self, event: &BookingEvent) {
        if event.action != Some(Action::Request) {
            return;
        }
        let (decided_at, created_at) = (event.occurred_at.as_datetime(), event.created_at.as_datetime());
        let waited = (decided_at - created_at).to_std().unwrap_or_default();
        metrics::histogram!(DECISION_SECONDS).record(waited.as_secs_f64());
        if event.status == Status::Confirmed {
            self.times.add(waited, decided_at);
        }
    }

    /// Decides and stores a batch, together with those that other partitions enqueued meanwhile: a transaction costs
    /// the store much more than a booking in it.
    async fn commit_batch(&self, commands: Arc<[ReceivedCommand]>) -> Result<Vec<CommandOutcome>, Failure> {
        let mut result = self.commit_queue.enqueue(commands.clone());
        let mut grids = self.grids.lock().await;
        // The previous holder of the lock may have committed this batch with its own.
        if let Ok(result) = result.try_recv() {
            return result;
        }
        for group in self.commit_queue.drain() {
            self.commit_group(&mut grids, group).await;
        }
        match result.try_recv() {
            Ok(result) => result,
            // The group failed, or the task that took this batch was cancelled: another batch may be the cause.
            Err(_) => Ok(self.commit_alone(&mut grids, &commands).await?),
        }
    }

    /// Commits several batches in one transaction. If that fails they are dropped, and each owner commits its own.
    async fn commit_group(&self, grids: &mut GridCache, group: Vec<PendingBatch>) {
        if group.len() < 2 {
            return;
        }
        let commands: Vec<ReceivedCommand> =
            group.iter().flat_map(|pending| pending.commands.iter().cloned()).collect();
        match AssertUnwindSafe(self.commit_with_retries(grids, &commands, GROUP_ATTEMPTS)).catch_unwind().await {
            Ok(Ok(outcomes)) => {
                let mut outcomes = outcomes.into_iter();
                for pending in group {
                    let own = outcomes.by_ref().take(pending.commands.len()).collect();
                    pending.complete(Ok(own));
                }
            }
            // All batches depend on the same store.
            Ok(Err(error @ StoreError::Unavailable { .. })) => {
                let failure = Failure::from(error);
                group.into_iter().for_each(|pending| pending.complete(Err(failure.clone())));
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, batches = group.len(), "group commit failed, committing each batch separately")
            }
            Err(_) => {
                grids.invalidate(commands.iter().map(|one| one.command.property_id()));
                tracing::error!(batches = group.len(), "a decision panicked, committing each batch separately");
            }
        }
    }

    /// Decides and stores one batch, in as many transactions as its size needs.
    async fn commit_alone(
        &self,
        grids: &mut GridCache,
        commands: &[ReceivedCommand],
    ) -> Result<Vec<CommandOutcome>, StoreError> {
        let mut outcomes = Vec::with_capacity(commands.len());
        for run in group_commit::transaction_runs(commands) {
            outcomes.extend(self.commit_run(grids, run).await?);
        }
        Ok(outcomes)
    }

    /// Decides and stores commands in one transaction; after repeated conflicts one by one, so that a contended
    /// property does not hold up the others.
    async fn commit_run(
        &self,
        grids: &mut GridCache,
        commands: &[ReceivedCommand],
    ) -> Result<Vec<CommandOutcome>, StoreError> {
        match self
            .commit_with_retries(grids, commands, if commands.len() > 1 { GROUP_ATTEMPTS } else { DECISION_ATTEMPTS })
            .await
        {
            Err(StoreError::Duplicate(_) | StoreError::BookingExists(_) | StoreError::Stale(_))
                if commands.len() > 1 =>
            {
                let mut outcomes = Vec::with_capacity(commands.len());
                for command in commands {
                    outcomes.extend(
                        self.commit_with_retries(grids, std::slice::from_ref(command), DECISION_ATTEMPTS).await?,
                    );
                }
                Ok(outcomes)
            }
            result => result,
        }
    }

    async fn commit_with_retries(
        &self,
        grids: &mut GridCache,
        commands: &[ReceivedCommand],
        attempts: u32,
    ) -> Result<Vec<CommandOutcome>, StoreError> {
        let mut conflict = None;
        let mut lookup = Lookup::AllButRequests;
        grids.begin_batch();
        for _ in 0..attempts {
            let error = match self.try_commit(grids, commands, lookup).await {
                // A repeated request does not contradict the grids.
                Err(error @ StoreError::BookingExists(_)) if lookup == Lookup::AllButRequests => error,
                Err(error @ (StoreError::Duplicate(_) | StoreError::BookingExists(_) | StoreError::Stale(_))) => {
                    // The index or a revision contradicts the cache: read the properties of this batch again.
                    metrics::counter!("pvt_claim_conflicts_total").increment(1);
                    grids.invalidate(commands.iter().map(|one| one.command.property_id()));
                    error
                }
                Err(error) => {
                    // Whether the commit happened is unknown, so the cache may be outdated.
                    grids.invalidate(commands.iter().map(|one| one.command.property_id()));
                    return Err(error);
                }
                result => return result,
            };
            lookup = Lookup::All;
            conflict = Some(error);
        }
        Err(conflict.unwrap_or_else(|| StoreError::Stale("no attempt was allowed".to_owned())))
    }

    async fn try_commit(
        &self,
        grids: &mut GridCache,
        commands: &[ReceivedCommand],
        lookup: Lookup,
    ) -> Result<Vec<CommandOutcome>, StoreError> {
        let now = (self.clock)();
        let read = || commands.iter().filter(|one| lookup.covers(&one.command));
        let (bookings, blocks, loaded) = tokio::join!(
            self.mongo.bookings().find_by_ids(read().filter_map(|one| one.command.booking_id())),
            self.mongo.blocks().find_by_ids(read().filter_map(|one| one.command.block_id())),
            grids.load(&self.mongo, commands.iter().map(|one| one.command.property_id()), now),
        );
        let (bookings, blocks) = (bookings?, blocks?);
        loaded?;
        let mut outcome = self.decide_with_reads(grids, commands, now, bookings, blocks).await?;
        let hop = |one: &ReceivedCommand| Some((one.id, (one.command.booking_id()?, one.hop.clone())));
        outcome.note_hops(&commands.iter().filter_map(hop).collect());
        failpoint::hit("before_commit");
        let span = Span::store(Store::MongoDb, "commit", "bookings");
        let committed = self.mongo.claims().commit(&outcome).await;
        span.end_with(committed.as_ref().err().map(StoreError::class));
        committed?;
        failpoint::hit("after_commit_before_publish");
        let BatchOutcome { decisions, consequences, grids: changed_grids, .. } = outcome;
        grids.replace(changed_grids);
        let mut outcomes: Vec<CommandOutcome> = decisions.into_iter().map(|decision| (decision, Vec::new())).collect();
        for (index, event) in consequences {
            if let Some((_, moved)) = outcomes.get_mut(index) {
                moved.push(event);
            }
        }
        Ok(outcomes)
    }

    /// Decides, reading what the decision turns out to need.
    async fn decide_with_reads(
        &self,
        grids: &mut GridCache,
        commands: &[ReceivedCommand],
        now: Timestamp,
        mut bookings: HashMap<BookingId, Booking>,
        blocks: HashMap<BlockId, Block>,
    ) -> Result<BatchOutcome, StoreError> {
        let commands: Vec<(Uuid, &BookingCommand)> =
            commands.iter().map(|one| (one.id, one.command.as_ref())).collect();
        let mut occupied = HashMap::new();
        for _ in 0..MAX_READ_ROUNDS {
            let known = KnownState {
                grids: grids.known(),
                fresh: grids.fresh(),
                bookings: &bookings,
                blocks: &blocks,
                occupied: &occupied,
            };
            let missing = match decide(known, &commands, now) {
                Ok(outcome) => return Ok(outcome),
                Err(missing) => *missing,
            };
            grids.invalidate(&missing.grids);
            grids.load(&self.mongo, &missing.grids, now).await?;
            bookings.extend(self.mongo.bookings().find_by_ids(missing.bookings).await?);
            for (property, nights) in missing.occupants {
                bookings.extend(self.mongo.bookings().occupants(&property, nights).await?);
                occupied.insert(property, nights);
            }
        }
        Err(StoreError::Stale(format!("{MAX_READ_ROUNDS} rounds of reads were not enough for a decision")))
    }
}

/// The worker `confirmations`.
pub(crate) const WORKER: WorkerDeclaration = WorkerDeclaration {
    name: Confirmations::SPEC.name,
    about: "decides commands about bookings and inventory",
    health_port: 8081,
    queues: &[Confirmations::SPEC.queue],
    start: Start::Consumers(|engine, dependencies| {
        begin_counters();
        let worker = Confirmations::new(dependencies.mongo.clone(), clock::system);
        Ok(engine.register_batch(worker.with_times(dependencies.decision_times.clone()))?)
    }),
};

/// An alert compares with the scrape before, so counters begin at 0, not with their first event.
fn begin_counters() {
    for (_, status) in Status::ALL.into_iter().filter(|(_, status)| *status != Status::Requested) {
        metrics::counter!(DECIDED, "status" => status.as_str()).increment(0);
    }
}

impl BatchWorker for Confirmations {
    const SPEC: Spec = Spec {
        name: "confirmations",
        queue: Queue::Partitioned(BookingCommand::QUEUE),
        retry_schedule: &[RetryDelay::S5, RetryDelay::S5, RetryDelay::M1, RetryDelay::M10, RetryDelay::H1],
        timeout: TIMEOUT,
        shape: Shape::Batch { max: BATCH_MAX, linger: LINGER },
    };
    type Message = Arc<BookingCommand>;

    async fn handle(&self, batch: &mut Batch<Arc<BookingCommand>>) -> Result<(), Failure> {
        let spans = decision_spans(&batch.items);
        let outcomes = self.commit_batch(batch.items.iter().map(ReceivedCommand::of).collect()).await?;
        for (span, (decision, _)) in spans.iter().zip(&outcomes) {
            span.set(names::OUTCOME, outcome_name(decision));
            span.end();
        }
        for (job, (decision, moved)) in batch.items.iter_mut().zip(outcomes) {
            for event in moved {
                job.emit(Outgoing::event(event.event_id, &event)?.with_correlation_id(event.booking_id.as_uuid()));
            }
            if let Decision::Decided(event) = &decision {
                self.count_time(event);
            }
            emit_outcome(job, decision)?;
        }
        Ok(())
    }

    async fn probe(&self, class: &'static str) -> Option<bool> {
        probes::mongodb(class, &self.mongo).await
    }
}

/// The bookings that are read before deciding.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lookup {
    /// A requested booking almost never exists. If it does, the store refuses the insert, and then all are read.
    AllButRequests,
    All,
}

impl Lookup {
    fn covers(self, command: &BookingCommand) -> bool {
        self == Self::All || !matches!(command, BookingCommand::Request(_))
    }
}

/// A span for each command, from here to its commit; none at all while spans are not recorded.
fn decision_spans(jobs: &[Job<Arc<BookingCommand>>]) -> Vec<Span> {
    if !pvt_traces::is_recording() {
        return Vec::new();
    }
    jobs.iter().map(|job| Span::decide(job.meta.traceparent.as_deref())).collect()
}

fn outcome_name(decision: &Decision) -> &'static str {
    match decision {
        Decision::Decided(event) => event.status.as_str(),
        Decision::Changed(_) => "changed",
        Decision::Refused(outcome, _) => outcome.as_str(),
        Decision::NotYet => "deferred",
    }
}

/// Queues what follows from a decision: its event, follow-up commands, and the reply to a waiting caller.
fn emit_outcome(job: &mut Job<Arc<BookingCommand>>, decision: Decision) -> Result<(), Failure> {
    let subject = job.message.subject();
    let (outcome, detail) = match decision {
        Decision::Decided(event) => {
            metrics::counter!(DECIDED, "status" => event.status.as_str()).increment(1);
            job.emit(Outgoing::event(event.event_id, event.as_ref())?.with_correlation_id(subject));
            follow_up_commands(&event)?.into_iter().for_each(|command| job.emit(command));
            (ReplyOutcome::Decided, None)
        }
        Decision::Changed(event) => {
            job.emit(Outgoing::event(event.event_id, event.as_ref())?.with_correlation_id(subject));
            (ReplyOutcome::Decided, None)
        }
        Decision::Refused(outcome, detail) => {
            // By rule: the caller is informed, and there is nothing for operators to mend.
            tracing::info!(%subject, ?outcome, code = ?detail.as_ref().map(|detail| detail.code), "command refused");
            (outcome, detail)
        }
        Decision::NotYet => {
            job.fail(Failure::Defer(NOT_YET_DELAY));
            return Ok(());
        }
    };
    if let Some(queue) = job.meta.reply_to.clone() {
        let reply = Reply { booking_id: BookingId::from_uuid(subject), outcome, detail };
        job.emit(Outgoing::reply(queue, job.meta.id, &reply)?.with_correlation_id(subject));
    }
    Ok(())
}

/// Whether less than before may be owed to the guest, so that the ledger must know.
fn may_owe_less(event: &BookingEvent) -> bool {
    let Some(ledger) = event.payment.ledger.as_ref().filter(|ledger| ledger.captured > 0) else { return false };
    match event.action {
        Some(Action::Modify | Action::HoldChange | Action::Reinstate) => true,
        Some(Action::RecordPayment) => ledger.charged_back > 0,
        // A late payment got beds after all.
        Some(Action::Confirm) => event.payment.expires_at.is_some_and(|expires_at| expires_at <= event.occurred_at),
        _ => false,
    }
}

/// The commands to the `stripe` worker that follow from the payments of a booking; the same whenever the event is
/// emitted again.
fn follow_up_commands(event: &BookingEvent) -> Result<Vec<Outgoing>, EncodeError> {
    let (booking_id, property_id, requested_at) = (event.booking_id, event.property_id.clone(), event.occurred_at);
    let command_id = |name: &str| Uuid::new_v5(&event.event_id, name.as_bytes());
    let mut commands = Vec::new();
    if event.payment.refund_due() > 0 || may_owe_less(event) {
        let command =
            Refund { booking_id, property_id: property_id.clone(), request: None, actor: Actor::SYSTEM, requested_at };
        commands.push(
            Outgoing::command(unversioned(PAYMENT_REFUND), command_id("refund"), &command)?.with_actor(Actor::SYSTEM),
        );
    }
    // A checkout session that a guest still has open must not be paid any more.
    let has_ended = matches!(event.action, Some(Action::Cancel | Action::NoShow)) && !event.status.holds_beds();
    // Where another change takes its place, opening the payment of that one closes what is superseded.
    let is_dropped = event.change_released && event.action != Some(Action::HoldChange);
    if (has_ended || is_dropped) && event.price.is_some() {
        let (release, rev) = (false, Some(event.rev));
        let command = ExpireCheckout { booking_id, property_id, release, rev, actor: Actor::SYSTEM, requested_at };
        commands.push(
            Outgoing::command(unversioned(PAYMENT_EXPIRE_CHECKOUT), command_id("expire_checkout"), &command)?
                .with_actor(Actor::SYSTEM),
        );
    }
    Ok(commands)
}

#[cfg(test)]
mod tests {
    //! Commands that follow from a decision.
    use super::{PAYMENT_EXPIRE_CHECKOUT, follow_up_commands};
    use crate::mail::fixtures::{next_revision, with_pending_change};
    use pvt_domain::booking::{Action, Booking};
    use pvt_domain::events::BookingEvent;
    use pvt_domain::messages::ExpireCheckout;

    /// Whether the latest revision closes what was opened before it.
    fn closes_checkout(booking: &Booking) -> bool {
        let event = BookingEvent::of(booking, booking.history.last().unwrap());
        let commands = follow_up_commands(&event).unwrap();
        let closes = commands.iter().find(|command| command.envelope.kind == PAYMENT_EXPIRE_CHECKOUT);
        let closes = closes.map(|command| serde_json::from_slice::<ExpireCheckout>(&command.body).unwrap());
        assert!(closes.iter().all(|command| command.rev == Some(booking.rev) && !command.release));
        closes.is_some()
    }

    #[test]
    fn checkout_of_a_dropped_change_is_closed() {
        let pending = with_pending_change();
        assert!(!closes_checkout(&pending));
        let dropped = Booking { pending_change: None, ..pending.clone() };
        assert!(closes_checkout(&next_revision(&pending, dropped, Action::Assign, pending.status)));
        let mut applied = pending.clone();
        applied.apply_pending();
        assert!(!closes_checkout(&next_revision(&pending, applied, Action::Modify, pending.status)));
    }
}
