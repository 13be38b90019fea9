//! Reader of the dead-letter queues, which nothing consumes. It takes their messages and returns those that are kept.
//!
//! A message whose headers are larger than a frame ends the connection that reads it. The messages that can be read are
//! held on connections of their own meanwhile, so that it becomes the first one, which the management API shows and
//! takes.

use anyhow::{Context, Result};
use pvt_domain::dead_letters::queue_family;
use pvt_domain::messages::queues::PARTITIONED;
use pvt_messaging::management::Management;
use pvt_messaging::{
    Delivery, HeldMessages, Publisher, QueueReader, QueueRole, Subscriber, Target, Topology, UnroutableRouter,
    queue_depths,
};
use pvt_operations::{OperationError, broker};
use pvt_service::config::Config;
use pvt_worker_runtime::begin_anew;
use pvt_workers::dead_letters::nameless_id;
use secrecy::ExposeSecret;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use uuid::Uuid;

/// The broker lists the connections as this.
const CONNECTION: &str = "pvt dead";
/// Most messages of one queue that one command reads.
const MAX_MESSAGES: u16 = 10_000;
/// More than were counted, for those that arrive meanwhile.
const SPARE: u32 = 100;
/// Length from which on headers may be too large for a frame in their binary form; ours are a tenth of it.
const LARGE_PROPERTIES: usize = 16_384;
/// Rounds without a message that could be read after which those that remain are shown only.
const MAX_ROUNDS: u32 = 3;
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
    let wanted = topology.name(only.strip_prefix(topology.prefix()).unwrap_or(only));
    let known = all.iter().map(DeadLetterQueue::label).collect::<Vec<_>>().join(", ");
    let found: Vec<DeadLetterQueue> = all.into_iter().filter(|queue| queue.label() == wanted).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    if is_partition(wanted.strip_prefix(topology.prefix()).unwrap_or(&wanted)) {
        return Ok(vec![DeadLetterQueue { name: topology.dead_queue(&wanted), work_queue: Some(wanted) }]);
    }
    Err(OperationError::NotFound(format!("no queue `{only}`; there are {known}")).into())
}

/// A partition that is counted no more may have left dead letters.
fn is_partition(queue: &str) -> bool {
    let family = queue_family(queue);
    family != queue && PARTITIONED.contains(&family)
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
    /// The AMQP client cannot read it, because its headers are larger than a frame. It can be discarded only.
    pub(super) unreadable: bool,
}

/// What is done with a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    /// It stays where it is.
    Keep,
    /// It goes to its original queue, and stays if that does not exist.
    Replay,
    /// It is removed for good.
    Discard,
}

/// A message that stays although it was to be replayed or discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) id: Uuid,
    pub(super) why: KeptBecause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeptBecause {
    /// No queue for it exists.
    NoRoute,
    /// It cannot be read.
    Unreadable,
    /// Messages that cannot be read are in front of it.
    Behind,
    /// The queue changed while it was read.
    Moved,
}

/// The broker connections of one command.
pub(super) struct DeadLetterReader {
    reader: QueueReader,
    topology: Topology,
    publisher: Publisher,
    management: Management,
    router: Option<(Subscriber, UnroutableRouter)>,
    counts: HashMap<String, u32>,
}

impl DeadLetterReader {
    /// Connects and counts the messages of each queue.
    pub(super) async fn open(config: &Config, queues: &[DeadLetterQueue]) -> Result<Self> {
        let names: Vec<String> = queues.iter().map(|queue| queue.name.clone()).collect();
        let amqp_url = config.amqp_url.expose_secret().to_owned();
        let counted = queue_depths(&amqp_url, CONNECTION, &names).await?;
        let counts = names.into_iter().zip(counted).filter_map(|(name, count)| Some((name, count?.ready))).collect();
        let (topology, management) = (broker::topology(config), broker::management(config)?);
        let publisher = Publisher::start(&amqp_url, topology.clone(), CONNECTION);
        let router = if queues.iter().any(|queue| queue.work_queue.is_none()) {
            // Queues that are missing are declared with it.
            publisher.connected().await?;
            let subscriber = Subscriber::start(&amqp_url, topology.clone(), CONNECTION);
            let router = subscriber.unroutable_router().await?;
            Some((subscriber, router))
        } else {
            None
        };
        let reader = QueueReader::new(&amqp_url, topology.clone(), CONNECTION);
        Ok(Self { reader, topology, publisher, management, router, counts })
    }

    /// Reads every message of these queues and does with each what `decide` returns; those that it could not replay or
    /// discard. A queue is read whole before the first message is replayed: one that fails again at once must not be
    /// met a second time.
    pub(super) async fn visit(
        &self,
        queues: &[DeadLetterQueue],
        mut decide: impl FnMut(&DeadLetterQueue, &DeadLetter) -> Disposition,
    ) -> Result<Vec<Kept>> {
        let mut kept = Vec::new();
        for queue in queues {
            let ready = self.counts.get(&queue.name).copied().unwrap_or_default();
            if ready == 0 {
                continue;
            }
            let limit = u16::try_from(ready.saturating_add(SPARE)).unwrap_or(MAX_MESSAGES).min(MAX_MESSAGES);
            let mut held = Vec::new();
            let visited = self.visit_queue(queue, limit, &mut held, &mut decide).await;
            for messages in held {
                messages.release().await;
            }
            kept.extend(visited.with_context(|| queue.name.clone())?);
        }
        Ok(kept)
    }

    /// Messages that can be read are held until the end, so that the broker delivers what comes after them. One that
    /// cannot be read returns to its queue behind those that were returned before, so the others are reached in later
    /// rounds.
    async fn visit_queue(
        &self,
        queue: &DeadLetterQueue,
        limit: u16,
        held: &mut Vec<HeldMessages>,
        decide: &mut impl FnMut(&DeadLetterQueue, &DeadLetter) -> Disposition,
    ) -> Result<Vec<Kept>> {
        let (mut kept, mut identical, mut unreadable) = (Vec::new(), HashMap::new(), HashSet::new());
        let (mut left, mut rounds) = (limit, 0);
        while left > 0 && rounds < MAX_ROUNDS {
            let read = self.reader.read(&queue.name, left).await?;
            if let Some(mut messages) = read.held {
                let deliveries = std::mem::take(&mut messages.deliveries);
                (left, rounds) = (left.saturating_sub(u16::try_from(deliveries.len()).unwrap_or(u16::MAX)), 0);
                let dead_letters: Vec<DeadLetter> = deliveries
                    .into_iter()
                    .map(|delivery| dead_letter(queue, delivery, &mut identical, false))
                    .collect();
                for dead_letter in &dead_letters {
                    kept.extend(self.settle(queue, dead_letter, &messages, decide(queue, dead_letter)).await?);
                }
                held.push(messages);
            }
            if !read.met_unreadable {
                return Ok(kept);
            }
            rounds += 1;
            // All of them, because those that were shown return to the queue in their order, behind the others.
            let shown = self.management.peek(&queue.name, u32::from(left)).await?;
            let Some(first) = shown.into_iter().next() else { return Ok(kept) };
            if first.properties_len < LARGE_PROPERTIES {
                continue;
            }
            let first = dead_letter(queue, first.delivery, &mut HashMap::new(), true);
            if !unreadable.insert(first.id) {
                continue;
            }
            match decide(queue, &first) {
                Disposition::Discard if self.discard_first(queue, first.id).await? => {
                    (left, rounds) = (left.saturating_sub(1), 0);
                }
                Disposition::Discard => kept.push(Kept { id: first.id, why: KeptBecause::Moved }),
                Disposition::Replay => kept.push(Kept { id: first.id, why: KeptBecause::Unreadable }),
                Disposition::Keep => {}
            }
        }
        for peeked in self.management.peek(&queue.name, u32::from(left)).await? {
            let is_large = peeked.properties_len >= LARGE_PROPERTIES;
            let dead_letter = match is_large {
                true => dead_letter(queue, peeked.delivery, &mut HashMap::new(), true),
                false => dead_letter(queue, peeked.delivery, &mut identical, false),
            };
            if !unreadable.contains(&dead_letter.id) && decide(queue, &dead_letter) != Disposition::Keep {
                kept.push(Kept { id: dead_letter.id, why: KeptBecause::Behind });
            }
        }
        Ok(kept)
    }

    /// Does as decided with a message that could be read.
    async fn settle(
        &self,
        queue: &DeadLetterQueue,
        dead_letter: &DeadLetter,
        messages: &HeldMessages,
        disposition: Disposition,
    ) -> Result<Option<Kept>> {
        match (disposition, &queue.work_queue) {
            (Disposition::Keep, _) => return Ok(None),
            (Disposition::Replay, None) => {
                let routed = match &self.router {
                    Some((_, router)) => router.route(&dead_letter.delivery).await?,
                    None => false,
                };
                if !routed {
                    return Ok(Some(Kept { id: dead_letter.id, why: KeptBecause::NoRoute }));
                }
            }
            (Disposition::Replay, Some(work_queue)) => {
                let mut copy = dead_letter.delivery.republish(Target::Queue, work_queue);
                begin_anew(&mut copy.envelope);
                self.publisher.publish(copy).await?;
            }
            (Disposition::Discard, _) => {}
        }
        messages.remove(&dead_letter.delivery).await?;
        Ok(None)
    }

    /// Removes the first ready message, which the AMQP client cannot read; `false` if it is another one by now, which
    /// returns to its queue.
    async fn discard_first(&self, queue: &DeadLetterQueue, id: Uuid) -> Result<bool> {
        let Some(taken) = self.management.take_first(&queue.name).await? else { return Ok(false) };
        if dead_letter(queue, taken.delivery.clone(), &mut HashMap::new(), true).id == id {
            return Ok(true);
        }
        let Delivery { exchange, routing_key, .. } = &taken.delivery;
        // An unroutable message keeps its route.
        let (target, key) = match &queue.work_queue {
            Some(_) => (Target::Queue, &queue.name),
            None if *exchange == self.topology.events_exchange() => (Target::Events, routing_key),
            None => (Target::Commands, routing_key),
        };
        self.publisher.publish(taken.delivery.republish(target, key)).await.with_context(|| {
            let (envelope, body) = (&taken.delivery.envelope, String::from_utf8_lossy(&taken.delivery.body));
            format!(
                "message {} of type `{}` was taken from {} and could not be returned: publish it again to exchange \
                 `{exchange}` with key `{routing_key}`: {body}",
                envelope.id, envelope.kind, queue.name
            )
        })?;
        Ok(false)
    }

    /// Closes the connections in an orderly way.
    pub(super) async fn close(self) {
        if let Some((subscriber, _)) = self.router {
            subscriber.close(CLOSE_LIMIT).await;
        }
        self.publisher.close(CLOSE_LIMIT).await;
    }
}

fn dead_letter(
    queue: &DeadLetterQueue,
    delivery: Delivery,
    identical: &mut HashMap<Uuid, u32>,
    unreadable: bool,
) -> DeadLetter {
    let id = delivery.envelope.id;
    let id = if id.is_nil() { nameless_id(&queue.name, &delivery, identical) } else { id };
    DeadLetter { id, delivery, unreadable }
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
            ["{}", "{}", "[]"].map(|body| nameless_id(&queue.name, &without_id(body), &mut identical))
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
        assert_eq!(name("bookings.7"), "t.bookings.7.dead", "a partition that is gone");
        for unknown in ["nosuch", "emails.1", "bookings", "bookings.x"] {
            assert!(queues(&topology, Some(unknown), false).is_err(), "{unknown}");
        }
        assert_eq!(queues(&topology, None, true).unwrap().len(), 1);
    }
}
