//! Worker `confirmations`: decides the bookings of a partition, a batch in one transaction.
//!
//! It decides in memory, commits, and leaves publishing and acknowledging to the runtime. It never calls an outside
//! service and never publishes before the transaction is committed. A redelivered command is recognised by the
//! booking's own history.

mod follow_up;
mod grid_cache;
mod group_commit;

use crate::clock::{self, Clock};
use crate::decision_times::DecisionTimes;
use crate::declaration::{Start, WorkerDeclaration};
use crate::probes;
use follow_up::{emit_outcome, outcome_name};
use futures_util::FutureExt;
use grid_cache::GridCache;
use group_commit::{CommitQueue, PendingBatch};
use pvt_domain::QueueHop;
use pvt_domain::block::Block;
use pvt_domain::booking::{Action, Booking, Status};
use pvt_domain::decide::{BatchOutcome, Decision, KnownState, decide};
use pvt_domain::events::BookingEvent;
use pvt_domain::failure::Failure;
use pvt_domain::ids::{BlockId, BookingId};
use pvt_domain::messages::BookingCommand;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::{Outgoing, Queue, RetryDelay};
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_traces::{Span, Store, names};
use pvt_worker_runtime::{Batch, BatchWorker, Job, Shape, Spec, cause, failpoint};
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
        // A hold waits for the guest's payment, the request itself is decided.
        if matches!(event.status, Status::Held | Status::Confirmed) {
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
        let hop = |one: &ReceivedCommand| Some((one.id, one.command.booking_id()?, one.hop.clone()));
        outcome.note_hops(commands.iter().filter_map(hop));
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
        let commands = batch.items.iter().map(ReceivedCommand::of).collect();
        let outcomes = self.commit_batch(commands).await.inspect_err(|failure| {
            let class = cause(failure).map(|cause| cause.class);
            spans.iter().for_each(|span| span.end_with(class));
        })?;
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
