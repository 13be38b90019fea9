//! Takes set-aside messages from their queues to be looked at, and gives back what is not dealt with.

use crate::broker;
use crate::cli_error::CliError;
use anyhow::{Context, Result};
use pvt_messaging::{
    Ack, Delivery, FIRST_ATTEMPT, Publisher, QueueRole, Subscriber, Subscription, Target, Topology, queue_depths,
};
use pvt_service::config::Config;
use pvt_worker_runtime::{
    HEADER_DEFERRALS, HEADER_ERROR_CLASS, HEADER_ERROR_MESSAGE, HEADER_FIRST_FAILED_AT, HEADER_WORKER,
};
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// Most messages of one queue that one command looks at.
const MAX_MESSAGES: u16 = 10_000;
/// More than were counted, for those that arrive meanwhile.
const SPARE: u32 = 100;
/// After this silence of the broker everything that was there has been seen.
const QUIET_PERIOD: Duration = Duration::from_millis(700);
/// Headers that tell of earlier attempts; a replayed message starts anew. Since when it has been failing is kept: a
/// message that comes back a third time is an old acquaintance.
const RETRY_HEADERS: [&str; 4] = [HEADER_DEFERRALS, HEADER_ERROR_CLASS, HEADER_ERROR_MESSAGE, HEADER_WORKER];
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// A queue that holds messages nobody consumes.
#[derive(Debug, Clone)]
pub(super) struct DeadLetterQueue {
    /// Its full name.
    pub(super) queue: String,
    /// The work queue that gave up; `None` for what had no route.
    pub(super) work_queue: Option<String>,
}

impl DeadLetterQueue {
    /// What people call it.
    pub(super) fn label(&self) -> &str {
        self.work_queue.as_deref().unwrap_or(&self.queue)
    }
}

/// The places that a command is about.
pub(super) fn dead_letter_queues(
    topology: &Topology,
    only: Option<&str>,
    unroutable: bool,
) -> Result<Vec<DeadLetterQueue>> {
    if unroutable {
        return Ok(vec![unroutable_queue_of(topology)]);
    }
    let work = topology
        .queues()
        .into_iter()
        .filter(|queue| matches!(queue.role, QueueRole::Work { .. }))
        .map(|queue| queue.name);
    let all: Vec<DeadLetterQueue> = work
        .map(|work_queue| DeadLetterQueue { queue: topology.dead_queue(&work_queue), work_queue: Some(work_queue) })
        .collect();
    let Some(only) = only else { return Ok(all) };
    let wanted = topology.name(only);
    let known = all.iter().map(DeadLetterQueue::label).collect::<Vec<_>>().join(", ");
    let found: Vec<DeadLetterQueue> =
        all.into_iter().filter(|queue| queue.label() == wanted || queue.label() == only).collect();
    if found.is_empty() {
        Err(CliError::NotFound(format!("no queue `{only}`; there are {known}")).into())
    } else {
        Ok(found)
    }
}

/// Where messages without a route are.
pub(super) fn unroutable_queue_of(topology: &Topology) -> DeadLetterQueue {
    DeadLetterQueue { queue: topology.unroutable_queue(), work_queue: None }
}

/// A message with the id that commands know it by.
pub(super) struct DeadLetter {
    /// Its message id; for a message without one, derived from what it is and where.
    pub(super) id: Uuid,
    pub(super) delivery: Delivery,
}

/// What is to become of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    Keep,
    Replay,
    Discard,
}

/// The connections of one command.
pub(super) struct DeadLetterReader {
    subscriber: Subscriber,
    publisher: Publisher,
    counts: HashMap<String, u32>,
}

impl DeadLetterReader {
    /// Connects, and counts what there is.
    pub(super) async fn open(config: &Config, dead_letter_queues: &[DeadLetterQueue]) -> Result<Self> {
        let queues: Vec<String> = dead_letter_queues.iter().map(|queue| queue.queue.clone()).collect();
        let url = config.amqp_url.expose_secret();
        let counted = queue_depths(url, "pvt dead", &queues).await?;
        let counts = queues.into_iter().zip(counted).filter_map(|(queue, count)| Some((queue, count?.ready))).collect();
        let topology = broker::topology(config);
        let (publisher, subscriber) =
            (Publisher::start(url, topology.clone(), "pvt dead"), Subscriber::start(url, topology, "pvt dead"));
        Ok(Self { subscriber, publisher, counts })
    }

    /// Looks at every message of these places and does with each what `decide` says. All of a place are looked at before
    /// the first goes home: one that fails again at once must not be met a second time.
    pub(super) async fn visit(
        &self,
        dead_letter_queues: &[DeadLetterQueue],
        mut decide: impl FnMut(&DeadLetterQueue, &DeadLetter) -> Disposition,
    ) -> Result<()> {
        for queue in
            dead_letter_queues.iter().filter(|queue| self.counts.get(&queue.queue).is_some_and(|ready| *ready > 0))
        {
            let ready = self.counts.get(&queue.queue).copied().unwrap_or_default();
            let prefetch = u16::try_from(ready.saturating_add(SPARE)).unwrap_or(MAX_MESSAGES).min(MAX_MESSAGES);
            let mut subscription = self.subscriber.subscribe(&queue.queue, prefetch).await?;
            let done = self.visit_queue(&mut subscription, queue, usize::from(prefetch), &mut decide).await;
            // Closing the channel returns what was only looked at.
            let closed = subscription.close().await;
            done.with_context(|| queue.queue.clone())?;
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
                (Disposition::Keep, _) => continue,
                (Disposition::Replay, Some(work_queue)) => {
                    let mut copy = dead_letter.delivery.republish(Target::Queue, work_queue);
                    copy.attempt = FIRST_ATTEMPT;
                    copy.headers.retain(|(name, _)| !RETRY_HEADERS.contains(&name.as_ref()));
                    self.publisher.publish(copy).await?;
                }
                (Disposition::Replay, None) => continue,
                (Disposition::Discard, _) => {}
            }
            subscription.acker().send(&[Ack { tag: dead_letter.delivery.tag, multiple: false }]).await?;
        }
        Ok(())
    }

    /// Says goodbye to the broker, also after a failure.
    pub(super) async fn close(self) {
        self.subscriber.close(CLOSE_LIMIT).await;
        self.publisher.close(CLOSE_LIMIT).await;
    }
}

async fn read(subscription: &mut Subscription, queue: &DeadLetterQueue, limit: usize) -> Result<Vec<DeadLetter>> {
    let mut dead_letters: Vec<DeadLetter> = Vec::new();
    let mut duplicates: HashMap<Uuid, u32> = HashMap::new();
    while dead_letters.len() < limit {
        let Ok(delivery) = timeout(QUIET_PERIOD, subscription.next()).await else { break };
        let delivery = delivery?;
        let id = if delivery.envelope.id.is_nil() {
            derived_id(queue, &delivery, &mut duplicates)
        } else {
            delivery.envelope.id
        };
        dead_letters.push(DeadLetter { id, delivery });
    }
    Ok(dead_letters)
}

/// A name for a message without an id: the same at every look, and another one for each of several that are alike.
fn derived_id(queue: &DeadLetterQueue, delivery: &Delivery, duplicates: &mut HashMap<Uuid, u32>) -> Uuid {
    let envelope = &delivery.envelope;
    let failed = envelope.header(HEADER_FIRST_FAILED_AT).unwrap_or_default();
    let sent = envelope.timestamp.map(|time| time.timestamp()).unwrap_or_default();
    let about = format!("{}\n{}\n{failed}\n{sent}\n", queue.queue, envelope.kind);
    let content = Uuid::new_v5(&Uuid::nil(), &[about.as_bytes(), &delivery.body].concat());
    let earlier = duplicates.entry(content).or_default();
    *earlier += 1;
    Uuid::new_v5(&content, earlier.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvt_messaging::Envelope;
    use std::sync::Arc;

    fn nameless(body: &'static str) -> Delivery {
        Delivery {
            tag: 1,
            redelivered: false,
            delivery_count: 0,
            envelope: Arc::new(Envelope::default()),
            body: body.into(),
        }
    }

    #[test]
    fn messages_without_id_get_distinct_stable_ids() {
        let queue = DeadLetterQueue { queue: "emails.dead".to_owned(), work_queue: Some("emails".to_owned()) };
        let visit = || {
            let mut duplicates = HashMap::new();
            ["{}", "{}", "[]"].map(|body| derived_id(&queue, &nameless(body), &mut duplicates))
        };
        let [first, second, third] = visit();
        assert!(first != second && second != third && first != third);
        assert_eq!(visit(), [first, second, third]);
    }

    #[test]
    fn queues_are_found_by_short_and_full_name() {
        let topology = Topology::new("t.", 2);
        let queue = |only| dead_letter_queues(&topology, Some(only), false).unwrap()[0].queue.clone();
        assert_eq!(
            (queue("emails"), queue("t.bookings.1")),
            ("t.emails.dead".to_owned(), "t.bookings.1.dead".to_owned())
        );
        assert!(dead_letter_queues(&topology, Some("nosuch"), false).is_err());
        assert_eq!(dead_letter_queues(&topology, None, true).unwrap().len(), 1);
    }
}
