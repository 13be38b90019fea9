//! Replay operations: what operators have requested is sent to the queues again, message by message.
//!
//! One operation after the other, each in the order of the deaths, and each message confirmed before the next: the
//! messages of a booking keep their order. Everything that must survive the process is in the store.

use super::identity;
use crate::scheduler::Leader;
use chrono::Utc;
use pvt_messaging::{ConsumeError, QueueRole, QueueSender, SendOutcome, Subscriber, Topology};
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::dead_letters::{DeadLetter, OperationState, Replay, ReplayOperation};
use pvt_worker_runtime::failpoint;
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

/// How often new operations are looked for.
const INTERVAL: Duration = Duration::from_millis(500);
/// Between two attempts while the broker or the store fails.
const PAUSE: Duration = Duration::from_secs(1);
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Reasons for which a dead letter stays dead.
const NO_QUEUE: &str = "no_queue";
const INVALID: &str = "invalid";

#[derive(Debug, Error)]
enum ReplayError {
    #[error(transparent)]
    Broker(#[from] ConsumeError),
    #[error("the queue `{0}` is full")]
    Full(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

struct Replayer {
    mongo: Mongo,
    subscriber: Subscriber,
    topology: Topology,
    sender: Option<QueueSender>,
    leader: Leader,
    shutdown: CancellationToken,
}

/// Runs until `shutdown`; nothing is done while another process leads.
pub async fn replay_periodically(
    mongo: Mongo,
    amqp_url: String,
    topology: Topology,
    leader: Leader,
    shutdown: CancellationToken,
) {
    let subscriber = Subscriber::start(&amqp_url, topology.clone(), "replays");
    let mut replayer = Replayer { mongo, subscriber, topology, sender: None, leader, shutdown: shutdown.clone() };
    // A message under way is not interrupted: what was sent is recorded.
    while shutdown.run_until_cancelled(sleep(INTERVAL)).await.is_some() {
        if !replayer.leader.leads() {
            continue;
        }
        match replayer.mongo.dead_letters().open_operation().await {
            Ok(Some(operation)) => replayer.carry_out(operation).await,
            Ok(None) => {}
            Err(error) => warn!(%error, "replay operations cannot be read"),
        }
    }
    replayer.subscriber.close(CLOSE_LIMIT).await;
}

impl Replayer {
    fn may_go_on(&self) -> bool {
        self.leader.leads() && !self.shutdown.is_cancelled()
    }

    /// Carries an operation out to its end, however long the broker or the store is down meanwhile.
    async fn carry_out(&mut self, begun: ReplayOperation) {
        let (id, gap) = (begun.id, Duration::from_secs(1) / begun.rate.max(1));
        info!(operation = %id, actor = %begun.actor, "replaying dead letters");
        let mut waits = begun.waits_for.is_some();
        while self.may_go_on() {
            let next = Instant::now() + gap;
            match self.step(&begun).await {
                Ok(true) => {
                    if waits {
                        waits = self.note_wait(id, None).await;
                    }
                    self.shutdown.run_until_cancelled(sleep_until(next)).await;
                }
                Ok(false) => {
                    info!(operation = %id, "the replay of dead letters has ended");
                    return;
                }
                Err(error) => {
                    self.sender = None;
                    if !waits {
                        warn!(operation = %id, %error, "the replay of dead letters waits");
                        waits = !self.note_wait(id, Some(&error.to_string())).await;
                    }
                    self.shutdown.run_until_cancelled(sleep(PAUSE)).await;
                }
            }
        }
    }

    /// Whether it could not be noted. Only operators read it.
    async fn note_wait(&self, operation: Uuid, waits_for: Option<&str>) -> bool {
        self.mongo.dead_letters().note_wait(operation, waits_for).await.is_err()
    }

    /// One message of an operation, or its end; whether the operation goes on.
    async fn step(&mut self, begun: &ReplayOperation) -> Result<bool, ReplayError> {
        let mongo = self.mongo.clone();
        let Some(state) = mongo.dead_letters().operation_state(begun.id).await? else { return Ok(false) };
        let next = match state {
            OperationState::Running => mongo.dead_letters().next_held(begun.id).await?,
            OperationState::Cancelling => None,
            OperationState::Cancelled | OperationState::Done => return Ok(false),
        };
        match next {
            Some(dead_letter) => self.replay(&dead_letter, begun).await?,
            None => mongo.dead_letters().end_operation(begun.id, state, Utc::now().into()).await?,
        }
        Ok(true)
    }

    async fn replay(&mut self, dead_letter: &DeadLetter, operation: &ReplayOperation) -> Result<(), ReplayError> {
        let mongo = self.mongo.clone();
        let queue = self.topology.name(&dead_letter.queue);
        let is_work =
            self.topology.queues().iter().any(|spec| spec.name == queue && matches!(spec.role, QueueRole::Work { .. }));
        let Some(message) = dead_letter.message.as_ref().filter(|_| is_work) else {
            return Ok(mongo.dead_letters().keep(dead_letter, operation.id, NO_QUEUE).await?);
        };
        let outgoing = identity::replay(dead_letter, message, queue, operation.id);
        match self.sender().await?.send(&outgoing).await {
            Ok(SendOutcome::Sent) => {}
            Ok(SendOutcome::NoQueue) => {
                return Ok(mongo.dead_letters().keep(dead_letter, operation.id, NO_QUEUE).await?);
            }
            Ok(SendOutcome::Refused) => return Err(ReplayError::Full(dead_letter.queue.clone())),
            Err(ConsumeError::Name(error)) => {
                warn!(dead_letter = %dead_letter.id, error, "a dead letter cannot be sent");
                return Ok(mongo.dead_letters().keep(dead_letter, operation.id, INVALID).await?);
            }
            Err(error) => return Err(error.into()),
        }
        failpoint::hit("after_replay_before_record");
        let replay = Replay { operation: operation.id, at: Utc::now().into(), actor: operation.actor.clone() };
        Ok(mongo.dead_letters().record_replay(dead_letter, &replay).await?)
    }

    async fn sender(&mut self) -> Result<&QueueSender, ConsumeError> {
        let sender = match self.sender.take() {
            Some(sender) => sender,
            None => self.subscriber.queue_sender().await?,
        };
        Ok(self.sender.insert(sender))
    }
}
