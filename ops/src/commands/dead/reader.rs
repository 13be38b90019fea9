//! Reader of the dead-letter queues, which nothing consumes. It takes their messages and returns those that are kept.

use anyhow::{Context, Result};
use pvt_messaging::{
    Ack, Delivery, FIRST_ATTEMPT, Publisher, QueueRole, Subscriber, Subscription, Target, Topology, queue_depths,
};
use pvt_operations::{OperationError, broker};
use pvt_service::config::Config;
use pvt_worker_runtime::{
    HEADER_DEFERRALS, HEADER_ERROR_CLASS, HEADER_ERROR_MESSAGE, HEADER_FIRST_FAILED_AT, HEADER_WORKER,
};
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// Most messages of one queue that one command reads.
const MAX_MESSAGES: u16 = 10_000;
/// More than were counted, for those that arrive meanwhile.
const SPARE: u32 = 100;
/// When the broker has delivered nothing for this long, everything that was there has been read.
const QUIET_PERIOD: Duration = Duration::from_millis(700);
/// Headers of earlier attempts: a replayed message starts anew. The time of the first failure stays, so that a message
/// that fails again can be seen to have failed before.
const RETRY_HEADERS: [&str; 4] = [HEADER_DEFERRALS, HEADER_ERROR_CLASS, HEADER_ERROR_MESSAGE, HEADER_WORKER];
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// A queue of messages that nothing consumes.
#[derive(Debug, Clone)]
pub(super) struct DeadLetterQueue {
    /// Full name.
    pub(super) name: String,
    /// The work queue that its messages were rejected from; `None` for messages without a route.
    pub(super) work_queue: Option<String>,
}

impl DeadLetterQueue {
    /// The name that commands show and take.
    pub(super) fn label(&self) -> &str {
        self.work_queue.as_deref().unwrap_or(&self.name)
    }
}

/// The queues that a command is about.
pub(super) fn queues(topology: &Topology, only: Option<&str>, unroutable: bool) -> Result<Vec<DeadLetterQueue>> {
    if unroutable {
        return Ok(vec![unroutable_queue(topology)]);
    }
    let work_queues = topology
        .queues()
        .into_iter()
        .filter(|queue| matches!(queue.role, QueueRole::Work { .. }))
        .map(|queue| queue.name);
    let all: Vec<DeadLetterQueue> = work_queues
        .map(|work_queue| DeadLetterQueue { name: topology.dead_queue(&work_queue), work_queue: Some(work_queue) })
        .collect();
    let Some(only) = only else { return Ok(all) };
    let wanted = topology.name(only);
    let known = all.iter().map(DeadLetterQueue::label).collect::<Vec<_>>().join(", ");
    let found: Vec<DeadLetterQueue> =
        all.into_iter().filter(|queue| queue.label() == wanted || queue.label() == only).collect();
    if found.is_empty() {
        Err(OperationError::NotFound(format!("no queue `{only}`; there are {known}")).into())
    } else {
        Ok(found)
    }
}

/// The queue of messages without a route.
pub(super) fn unroutable_queue(topology: &Topology) -> DeadLetterQueue {
    DeadLetterQueue { name: topology.unroutable_queue(), work_queue: None }
}

/// A message with the id that commands know it by.
pub(super) struct DeadLetter {
    /// Its message id; for a message without one, derived from its content and queue.
    pub(super) id: Uuid,
    pub(super) delivery: Delivery,
}

/// What is done with a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    /// It stays where it is.
    Keep,
    /// It returns to its original queue.
    Replay,
    /// It is removed for good.
    Discard,
}

/// The broker connections of one command.
pub(super) struct DeadLetterReader {
    subscriber: Subscriber,
    publisher: Publisher,
    counts: HashMap<String, u32>,
}

impl DeadLetterReader {
    /// Connects and counts the messages of each queue.
    pub(super) async fn open(config: &Config, queues: &[DeadLetterQueue]) -> Result<Self> {
        let names: Vec<String> = queues.iter().map(|queue| queue.name.clone()).collect();
        let url = config.amqp_url.expose_secret();
        let counted = queue_depths(url, "pvt dead", &names).await?;
        let counts = names.into_iter().zip(counted).filter_map(|(name, count)| Some((name, count?.ready))).collect();
        let topology = broker::topology(config);
        let (publisher, subscriber) =
            (Publisher::start(url, topology.clone(), "pvt dead"), Subscriber::start(url, topology, "pvt dead"));
        Ok(Self { subscriber, publisher, counts })
    }

    /// Reads every message of these queues and does with each what `decide` returns. A queue is read whole before the
    /// first message is replayed: one that fails again at once must not be met a second time.
    pub(super) async fn visit(
        &self,
        queues: &[DeadLetterQueue],
        mut decide: impl FnMut(&DeadLetterQueue, &DeadLetter) -> Disposition,
    ) -> Result<()> {
        for queue in queues {
            let ready = self.counts.get(&queue.name).copied().unwrap_or_default();
            if ready == 0 {
                continue;
            }
            let prefetch = u16::try_from(ready.saturating_add(SPARE)).unwrap_or(MAX_MESSAGES).min(MAX_MESSAGES);
            let mut subscription = self.subscriber.subscribe(&queue.name, prefetch).await?;
            let done = self.visit_queue(&mut subscription, queue, usize::from(prefetch), &mut decide).await;
            // Closing the channel returns the messages that are kept.
            let closed = subscription.close().await;
            done.with_context(|| queue.name.clone())?;
            closed?;
        }
        Ok(())
    }

    async fn visit_queue(
        &self,
        subscription: &mut Subscription,
        queue: &DeadLetterQueue,
        limit: usize,
        decide: &mut impl FnMut(&DeadLetterQueue, &DeadLetter) -> Disposition,
    ) -> Result<()> {
        for dead_letter in read(subscription, queue, limit).await? {
            match (decide(queue, &dead_letter), &queue.work_queue) {
                (Disposition::Keep, _) | (Disposition::Replay, None) => continue,
                (Disposition::Replay, Some(work_queue)) => {
                    let mut copy = dead_letter.delivery.republish(Target::Queue, work_queue);
                    copy.envelope.attempt = FIRST_ATTEMPT;
                    copy.envelope.headers.retain(|(name, _)| !RETRY_HEADERS.contains(&name.as_ref()));
                    self.publisher.publish(copy).await?;
                }
                (Disposition::Discard, _) => {}
            }
            subscription.acker().send(&[Ack { tag: dead_letter.delivery.tag, multiple: false }]).await?;
        }
        Ok(())
    }

    /// Closes the connections in an orderly way.
    pub(super) async fn close(self) {
        self.subscriber.close(CLOSE_LIMIT).await;
        self.publisher.close(CLOSE_LIMIT).await;
    }
}

async fn read(subscription: &mut Subscription, queue: &DeadLetterQueue, limit: usize) -> Result<Vec<DeadLetter>> {
    let mut dead_letters: Vec<DeadLetter> = Vec::new();
    let mut identical: HashMap<Uuid, u32> = HashMap::new();
    while dead_letters.len() < limit {
        let Ok(delivery) = timeout(QUIET_PERIOD, subscription.next()).await else { break };
        let delivery = delivery?;
        let id = delivery.envelope.id;
        let id = if id.is_nil() { derived_id(queue, &delivery, &mut identical) } else { id };
        dead_letters.push(DeadLetter { id, delivery });
    }
    Ok(dead_letters)
}

/// An id for a message that has none: the same at every reading, and distinct for each of several identical messages.
fn derived_id(queue: &DeadLetterQueue, delivery: &Delivery, identical: &mut HashMap<Uuid, u32>) -> Uuid {
    let envelope = &delivery.envelope;
    let failed = envelope.header(HEADER_FIRST_FAILED_AT).unwrap_or_default();
    let sent = envelope.timestamp.map(|time| time.timestamp()).unwrap_or_default();
    let about = format!("{}\n{}\n{failed}\n{sent}\n", queue.name, envelope.kind);
    let content = Uuid::new_v5(&Uuid::nil(), &[about.as_bytes(), &delivery.body].concat());
    let earlier = identical.entry(content).or_default();
    *earlier += 1;
    Uuid::new_v5(&content, earlier.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_id(body: &'static str) -> Delivery {
        Delivery { body: body.into(), ..Delivery::default() }
    }

    #[test]
    fn messages_without_id_get_distinct_stable_ids() {
        let queue = DeadLetterQueue { name: "emails.dead".to_owned(), work_queue: Some("emails".to_owned()) };
        let ids = || {
            let mut identical = HashMap::new();
            ["{}", "{}", "[]"].map(|body| derived_id(&queue, &without_id(body), &mut identical))
        };
        let [first, second, third] = ids();
        assert!(first != second && second != third && first != third);
        assert_eq!(ids(), [first, second, third]);
    }

    #[test]
    fn queues_are_found_by_short_and_full_name() {
        let topology = Topology::new("t.", 2);
        let name = |only| queues(&topology, Some(only), false).unwrap()[0].name.clone();
        assert_eq!(
            (name("emails"), name("t.bookings.1")),
            ("t.emails.dead".to_owned(), "t.bookings.1.dead".to_owned())
        );
        assert!(queues(&topology, Some("nosuch"), false).is_err());
        assert_eq!(queues(&topology, None, true).unwrap().len(), 1);
    }
}
