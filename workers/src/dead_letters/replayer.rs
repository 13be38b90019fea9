//! Replay operations: what operators have requested is sent to the queues again, message by message.
//!
//! In each queue one operation after the other, each in the order of the deaths, and each message confirmed before the
//! next: the messages of a booking keep their order. A full queue delays what is for it and nothing else. Everything
//! that must survive the process is in the store.

use super::identity;
use crate::scheduler::Leader;
use chrono::Utc;
use pvt_messaging::{ConsumeError, QueueRole, QueueSender, SendOutcome, Subscriber, Topology};
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::dead_letters::{DeadLetter, OperationState, Replay, ReplayOperation};
use pvt_worker_runtime::failpoint;
use std::collections::HashMap;
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

/// How often new operations are looked for.
const INTERVAL: Duration = Duration::from_millis(500);
/// Between two attempts while the broker or the store fails, or a queue is full.
const PAUSE: Duration = Duration::from_secs(1);
/// Before a queue is tried again that has not answered: each attempt holds up all others. Doubled with each repetition.
const SILENCE_PAUSE: Duration = Duration::from_secs(20);
/// The pause is doubled so many times at most.
const MAX_DOUBLINGS: u32 = 4;
const SILENT: &str = "does not answer";
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Reasons for which a dead letter stays dead.
const NO_QUEUE: &str = "no_queue";
const INVALID: &str = "invalid";

#[derive(Debug, Error)]
enum ReplayError {
    #[error(transparent)]
    Broker(#[from] ConsumeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The outcome of a step.
enum Step {
    /// A message was sent or kept, or the operation has ended.
    Done,
    /// Nothing can be sent at present, for this reason.
    Waits(String),
}

struct Replayer {
    mongo: Mongo,
    subscriber: Subscriber,
    topology: Topology,
    sender: Option<QueueSender>,
    /// When each open operation may send its next message.
    due: HashMap<Uuid, Instant>,
    /// Queues that have not taken a message, without the broker's prefix: until when nothing is sent to them, and why.
    blocked: HashMap<String, (Instant, &'static str)>,
    /// How often in succession each has not answered.
    silences: HashMap<String, u32>,
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
    let (due, blocked, silences) = (HashMap::new(), HashMap::new(), HashMap::new());
    let stop = shutdown.clone();
    let mut replayer = Replayer { mongo, subscriber, topology, sender: None, due, blocked, silences, leader, shutdown };
    let mut next = Instant::now();
    // A message under way is not interrupted: what was sent is recorded.
    while stop.run_until_cancelled(sleep_until(next)).await.is_some() {
        next = if replayer.leader.leads() { replayer.turn().await } else { Instant::now() + INTERVAL };
    }
    replayer.subscriber.close(CLOSE_LIMIT).await;
}

impl Replayer {
    fn may_go_on(&self) -> bool {
        self.leader.leads() && !self.shutdown.is_cancelled()
    }

    /// One step of each open operation that is due; when the next one is. An operation never overtakes an earlier one
    /// in a queue, so that the messages of a booking keep their order; it waits for nothing else of it.
    async fn turn(&mut self) -> Instant {
        let mongo = self.mongo.clone();
        let (now, mut next) = (Instant::now(), Instant::now() + INTERVAL);
        let open = match mongo.dead_letters().open_operations().await {
            Ok(open) => open,
            Err(error) => {
                warn!(%error, "replay operations cannot be read");
                return now + PAUSE;
            }
        };
        self.due.retain(|id, _| open.iter().any(|operation| operation.id == *id));
        self.blocked.retain(|_, (until, _)| *until > now);
        let mut of_earlier = Vec::new();
        for (index, operation) in open.iter().enumerate() {
            if !self.may_go_on() {
                break;
            }
            let due = *self.due.entry(operation.id).or_insert_with(|| {
                info!(operation = %operation.id, actor = %operation.actor, "replaying dead letters");
                now
            });
            let (due, is_connected) = if due <= now { self.advance(operation, &of_earlier).await } else { (due, true) };
            self.due.insert(operation.id, due);
            next = next.min(due);
            if !is_connected {
                break;
            }
            if index + 1 < open.len() {
                match mongo.dead_letters().queues_held(operation.id).await {
                    Ok(queues) => of_earlier.extend(queues),
                    // What the later ones may not send to is not known.
                    Err(_) => break,
                }
            }
        }
        next
    }

    /// A step of an operation: when the next one is due, and whether the broker can be reached.
    async fn advance(&mut self, operation: &ReplayOperation, of_earlier: &[String]) -> (Instant, bool) {
        let begun = Instant::now();
        match self.step(operation, of_earlier).await {
            Ok(Step::Done) => {
                self.note_wait(operation, None).await;
                (begun + Duration::from_secs(1) / operation.rate.max(1), true)
            }
            Ok(Step::Waits(why)) => {
                self.note_wait(operation, Some(&why)).await;
                (begun + PAUSE, true)
            }
            Err(error) => {
                self.sender = None;
                self.note_wait(operation, Some(&error.to_string())).await;
                (Instant::now() + PAUSE, !matches!(error, ReplayError::Broker(_)))
            }
        }
    }

    /// Only operators read it: that it cannot be noted stops nothing.
    async fn note_wait(&self, operation: &ReplayOperation, waits_for: Option<&str>) {
        if operation.waits_for.as_deref() == waits_for {
            return;
        }
        if let Some(why) = waits_for {
            warn!(operation = %operation.id, why, "the replay of dead letters waits");
        }
        if let Err(error) = self.mongo.dead_letters().note_wait(operation.id, waits_for).await {
            warn!(operation = %operation.id, %error, "what a replay waits for cannot be noted");
        }
    }

    /// One message of an operation, or its end.
    async fn step(&mut self, operation: &ReplayOperation, of_earlier: &[String]) -> Result<Step, ReplayError> {
        let mongo = self.mongo.clone();
        if operation.state == OperationState::Cancelling {
            return self.end(operation).await;
        }
        loop {
            let except: Vec<String> = of_earlier.iter().chain(self.blocked.keys()).cloned().collect();
            let Some(dead_letter) = mongo.dead_letters().next_held(operation.id, &except).await? else { break };
            if self.replay(&dead_letter, operation).await? {
                return Ok(Step::Done);
            }
            // Whatever else may be silent, too, is left to later steps: other operations are due, or the end.
            let is_silent = self.blocked.get(&dead_letter.queue).is_some_and(|(_, why)| *why == SILENT);
            if is_silent || !self.may_go_on() {
                break;
            }
        }
        match mongo.dead_letters().next_held(operation.id, &[]).await? {
            None => self.end(operation).await,
            Some(DeadLetter { queue, .. }) => Ok(Step::Waits(match self.blocked.get(&queue) {
                Some((_, why)) => format!("the queue `{queue}` {why}"),
                None => format!("an earlier replay sends to `{queue}`"),
            })),
        }
    }

    async fn end(&self, operation: &ReplayOperation) -> Result<Step, ReplayError> {
        self.mongo.dead_letters().end_operation(operation.id, operation.state, Utc::now().into()).await?;
        info!(operation = %operation.id, "the replay of dead letters has ended");
        Ok(Step::Done)
    }

    /// Sends a dead letter to its queue, or notes why it stays dead; `false` while its queue takes none.
    async fn replay(&mut self, dead_letter: &DeadLetter, operation: &ReplayOperation) -> Result<bool, ReplayError> {
        let mongo = self.mongo.clone();
        let queue = self.topology.name(&dead_letter.queue);
        let is_work =
            self.topology.queues().iter().any(|spec| spec.name == queue && matches!(spec.role, QueueRole::Work { .. }));
        let keep = async |why| mongo.dead_letters().keep(dead_letter, operation.id, why).await.map(|()| true);
        let Some(message) = dead_letter.message.as_ref().filter(|_| is_work) else {
            return Ok(keep(NO_QUEUE).await?);
        };
        let outgoing = identity::replay(dead_letter, message, queue, operation.id);
        match self.sender().await?.send(&outgoing).await {
            Ok(SendOutcome::Sent) => {
                self.silences.remove(&dead_letter.queue);
            }
            Ok(SendOutcome::NoQueue) => return Ok(keep(NO_QUEUE).await?),
            Ok(SendOutcome::Refused) => return Ok(self.block(&dead_letter.queue, "is full", PAUSE)),
            // Perhaps of one queue alone, which has lost the majority of its replicas. If it has the message after all,
            // it gets it twice, under one id.
            Err(ConsumeError::Timeout) => {
                self.sender = None;
                let earlier = self.silences.entry(dead_letter.queue.clone()).or_default();
                let pause = silence_pause(*earlier);
                *earlier += 1;
                return Ok(self.block(&dead_letter.queue, SILENT, pause));
            }
            Err(ConsumeError::Name(error)) => {
                warn!(dead_letter = %dead_letter.shown_id(), error, "a dead letter cannot be sent");
                return Ok(keep(INVALID).await?);
            }
            Err(error) => return Err(error.into()),
        }
        failpoint::hit("after_replay_before_record");
        let replay = Replay { operation: operation.id, at: Utc::now().into(), actor: operation.actor.clone() };
        mongo.dead_letters().record_replay(dead_letter, &replay).await?;
        failpoint::hit("after_replay_record");
        Ok(true)
    }

    /// Passes over a queue for a while: `false`, nothing was sent.
    fn block(&mut self, queue: &str, why: &'static str, pause: Duration) -> bool {
        self.blocked.insert(queue.to_owned(), (Instant::now() + pause, why));
        false
    }

    async fn sender(&mut self) -> Result<&QueueSender, ConsumeError> {
        let sender = match self.sender.take() {
            Some(sender) => sender,
            None => self.subscriber.queue_sender().await?,
        };
        Ok(self.sender.insert(sender))
    }
}

/// The pause after a silence that follows so many.
fn silence_pause(earlier: u32) -> Duration {
    SILENCE_PAUSE * 2_u32.pow(earlier.min(MAX_DOUBLINGS))
}

#[cfg(test)]
mod tests {
    use super::silence_pause;

    #[test]
    fn queue_that_stays_silent_is_tried_ever_more_rarely() {
        let pauses = [0, 1, 2, 4, 5, 1_000].map(|earlier| silence_pause(earlier).as_secs());
        assert_eq!(pauses, [20, 40, 80, 320, 320, 320]);
    }
}
