//! Collection of dead letters: each is stored, and only then acknowledged. What cannot be stored stays in its queue,
//! and holds up nothing behind it.

use super::identity::Arrivals;
use crate::scheduler::Leader;
use chrono::Utc;
use pvt_messaging::{ConsumeError, Delivery, HeldMessages, QueueReader, QueueRole, Subscriber, Topology};
use pvt_service::periodic::Turns;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::dead_letters::{Arrival, Stored};
use pvt_worker_runtime::failpoint;
use std::collections::HashMap;
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// From one pass to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// Messages held on one connection while they are small.
const MAX_HELD: u16 = 200;
/// Messages held on one connection at first, and while they are large: a body may have 16 MiB.
const FEW_HELD: u16 = 10;
/// Together, so many messages as are held at first are small up to this.
const SMALL_BYTES: usize = 1024 * 1024;
/// Larger bodies do not fit into a document beside what is noted of them.
const MAX_BODY_BYTES: usize = 14 * 1024 * 1024;
/// Rounds without a message that could be read after which the rest of a queue is left to a later pass.
const MAX_ROUNDS: u32 = 3;
/// Queues that keep what cannot be stored are read again after this, or when something is added.
const READ_AGAIN: Duration = Duration::from_secs(60);
/// Equal messages without an id that may be stored after they were read before: each could be one that is stored.
const MAX_UNPROVEN: u32 = 100;
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

#[derive(Debug, Error)]
enum CollectError {
    #[error(transparent)]
    Broker(#[from] ConsumeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The outcome of reading a queue.
struct Collected {
    stored: u32,
    /// Whether something cannot be stored.
    is_rest_left: bool,
}

/// The dead-letter queues and the store.
struct Collector {
    mongo: Mongo,
    subscriber: Subscriber,
    reader: QueueReader,
    /// Each work queue: without the broker's prefix, and the full name of its dead-letter queue.
    queues: Vec<(String, String)>,
    /// Queues with messages that cannot be stored: how many, and when they were last read.
    left: HashMap<String, (u32, Instant)>,
    leader: Leader,
    shutdown: CancellationToken,
}

/// Runs until `shutdown`; nothing is done while another process leads.
pub async fn collect_periodically(
    mongo: Mongo,
    amqp_url: String,
    topology: Topology,
    leader: Leader,
    shutdown: CancellationToken,
) {
    let prefix = topology.prefix().to_owned();
    let queue = |name: String| {
        let dead_queue = topology.dead_queue(&name);
        (name.strip_prefix(&prefix).unwrap_or(&name).to_owned(), dead_queue)
    };
    let work = topology.queues().into_iter().filter(|queue| matches!(queue.role, QueueRole::Work { .. }));
    let queues = work.map(|work| queue(work.name)).collect();
    let mut collector = Collector {
        mongo,
        subscriber: Subscriber::start(&amqp_url, topology.clone(), "dead letters"),
        reader: QueueReader::new(&amqp_url, topology, "dead letters reader"),
        queues,
        left: HashMap::new(),
        leader,
        shutdown: shutdown.clone(),
    };
    let mut turns = Turns::new(INTERVAL, &shutdown);
    let mut is_failing = false;
    // A pass is not interrupted: what was stored is acknowledged.
    while turns.next().await {
        if !collector.leader.leads() {
            continue;
        }
        match collector.pass().await {
            Ok(()) => is_failing = false,
            Err(error) if !is_failing => {
                is_failing = true;
                warn!(%error, "dead letters cannot be stored and stay in their queues");
            }
            Err(_) => {}
        }
    }
    collector.subscriber.close(CLOSE_LIMIT).await;
}

impl Collector {
    /// Reads every queue that has something to read. A queue that fails does not keep the others from being read.
    async fn pass(&mut self) -> Result<(), CollectError> {
        let names: Vec<String> = self.queues.iter().map(|(_, dead_queue)| dead_queue.clone()).collect();
        let depths = self.subscriber.queue_depths(&names).await?;
        let mut failure = None;
        for ((queue, dead_queue), depth) in self.queues.clone().into_iter().zip(depths) {
            let ready = depth.map_or(0, |depth| depth.ready);
            let is_left = |(left, read): &(u32, Instant)| *left == ready && read.elapsed() < READ_AGAIN;
            if ready == 0 || self.left.get(&queue).is_some_and(is_left) || !self.may_go_on() {
                continue;
            }
            let mut kept = Vec::new();
            let collected = self.collect(&queue, &dead_queue, ready, &mut kept).await;
            for held in kept {
                held.release().await;
            }
            match collected {
                Ok(Collected { stored, is_rest_left }) => {
                    if stored > 0 {
                        info!(queue, stored, "dead letters were stored");
                    }
                    let left = ready.saturating_sub(stored);
                    if is_rest_left && left > 0 {
                        warn!(queue, left, "dead letters cannot be stored: `pvt dead list` shows them");
                        self.left.insert(queue, (left, Instant::now()));
                    } else {
                        self.left.remove(&queue);
                    }
                }
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn may_go_on(&self) -> bool {
        self.leader.leads() && !self.shutdown.is_cancelled()
    }

    /// Stores the messages of one queue. Those that cannot be stored are held in `kept`, so that the broker
    /// delivers what comes after them.
    async fn collect(
        &self,
        queue: &str,
        dead_queue: &str,
        ready: u32,
        kept: &mut Vec<HeldMessages>,
    ) -> Result<Collected, CollectError> {
        let mut arrivals = Arrivals::after(self.mongo.dead_letters().last_position(queue).await?, queue, dead_queue);
        let (mut stored, mut unread, mut rounds, mut is_rest_left) = (0, ready, 0, false);
        let mut most = FEW_HELD;
        while unread > 0 && rounds < MAX_ROUNDS && self.may_go_on() {
            let limit = u16::try_from(unread).unwrap_or(most).min(most);
            let read = self.reader.read(dead_queue, limit).await?;
            is_rest_left |= read.met_unreadable;
            let Some(mut held) = read.held else {
                rounds += 1;
                continue;
            };
            let deliveries = std::mem::take(&mut held.deliveries);
            let count = u32::try_from(deliveries.len()).unwrap_or(u32::MAX);
            let bytes: usize = deliveries.iter().map(|delivery| delivery.body.len()).sum();
            most = if bytes <= SMALL_BYTES { MAX_HELD } else { FEW_HELD };
            let settled = self.settle(&held, &deliveries, &mut arrivals, is_rest_left).await;
            if matches!(settled, Ok(of_these) if of_these == count) {
                held.release().await;
            } else {
                is_rest_left = true;
                kept.push(held);
            }
            (stored, unread, rounds) = (stored + settled?, unread.saturating_sub(count), 0);
            if count < u32::from(limit) && !read.met_unreadable {
                break;
            }
        }
        Ok(Collected { stored, is_rest_left })
    }

    /// Stores these messages and acknowledges those that the store has; how many. `beside_unreadable`: they may have
    /// been returned with one that ends each connection, so that a further delivery says nothing about them.
    async fn settle(
        &self,
        held: &HeldMessages,
        deliveries: &[Delivery],
        arrivals: &mut Arrivals,
        beside_unreadable: bool,
    ) -> Result<u32, CollectError> {
        let now = Utc::now();
        let fits = |delivery: &&Delivery| delivery.body.len() <= MAX_BODY_BYTES;
        let fitting: Vec<&Delivery> = deliveries.iter().filter(fits).collect();
        let documents: Vec<Arrival> = fitting.iter().map(|delivery| arrivals.next(delivery, now)).collect();
        let mut outcomes = self.mongo.dead_letters().store(&documents).await?;
        for ((delivery, document), outcome) in fitting.iter().zip(documents).zip(&mut outcomes) {
            if *outcome == Stored::Known && delivery.envelope.id.is_nil() {
                let is_new = is_delivered_first(delivery) || beside_unreadable;
                let limit = if is_new { u32::MAX } else { MAX_UNPROVEN };
                *outcome = self.store_another(arrivals, delivery, document, limit).await?;
            }
        }
        if outcomes.iter().any(Stored::is_kept) {
            failpoint::hit("after_store_before_ack");
        }
        let mut stored = 0;
        for (delivery, outcome) in fitting.iter().zip(&outcomes) {
            match outcome {
                Stored::Refused(reason) => {
                    warn!(message_id = %delivery.envelope.id, kind = %delivery.envelope.kind, reason,
                        "a dead letter cannot be stored");
                }
                Stored::New | Stored::Known => {
                    held.remove(delivery).await?;
                    stored += 1;
                }
            }
        }
        Ok(stored)
    }

    /// A message without an id that is equal to one in the store is another one, also where it was read before: that
    /// it is the same cannot be proven, and one stored twice is less harm than one lost. Those that were read before
    /// are bounded, so that a broker that takes no acknowledgement does not fill the store.
    async fn store_another(
        &self,
        arrivals: &mut Arrivals,
        delivery: &Delivery,
        mut document: Arrival,
        limit: u32,
    ) -> Result<Stored, CollectError> {
        for _ in 0..limit {
            document = arrivals.renamed(delivery, document);
            let outcomes = self.mongo.dead_letters().store(std::slice::from_ref(&document)).await?;
            match outcomes.into_iter().next() {
                Some(Stored::Known) => {}
                Some(outcome) => return Ok(outcome),
                None => return Ok(Stored::Refused("no outcome".to_owned())),
            }
        }
        Ok(Stored::Refused(format!("it has no id, and {limit} messages that are equal to it are stored")))
    }
}

/// Nothing can have stored it before.
fn is_delivered_first(delivery: &Delivery) -> bool {
    !delivery.redelivered && delivery.delivery_count == 0
}
