//! Unroutable messages on their way to their queues: what was confirmed while its queue did not exist follows as soon
//! as the queue is there again.
//!
//! A message cannot be published to its exchange again: while the route is missing, the alternate exchange would take
//! it once more and acknowledge it, `mandatory` or not. So it goes through the default exchange, which has no
//! alternate, straight to the queues that the topology binds to its key. It is removed only once all of them have it;
//! until then no copy is made.

use crate::consumer::{ConsumeError, Subscriber};
use crate::delivery::Delivery;
use crate::held_messages::{HeldMessages, QueueReader, ReadMessages};
use crate::metrics::{UNROUTABLE_MESSAGES, UNROUTABLE_RETURNED};
use crate::outgoing::Target;
use crate::queue_depths::read_depths;
use crate::queue_sender::{QueueSender, SendOutcome};
use crate::topology::Topology;
use std::collections::HashSet;
use std::time::Duration;
use tracing::warn;

/// Most messages held on one connection.
const MAX_HELD: u16 = 10_000;

/// What passes over the unroutable messages did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnroutablePass {
    /// Messages that the last pass moved to their queues.
    pub returned: u32,
    /// Messages that stay: their queues do not exist, or they have not been reached.
    pub left: u32,
}

/// Moves unroutable messages to their queues, one after the other.
pub struct UnroutableRouter {
    sender: QueueSender,
    topology: Topology,
    existing: HashSet<String>,
}

impl UnroutableRouter {
    /// Copies a message to all queues that its key is bound to. `false`: it has no queue, or not all of them exist; a
    /// queue that is deleted meanwhile is the only case in which another has its copy already.
    ///
    /// # Errors
    /// When the broker does not confirm it.
    pub async fn route(&self, message: &Delivery) -> Result<bool, ConsumeError> {
        let queues = self.topology.destinations(&message.exchange, &message.routing_key);
        if queues.is_empty() || !queues.iter().all(|queue| self.existing.contains(queue)) {
            return Ok(false);
        }
        for queue in queues {
            if self.sender.send(&message.republish(Target::Queue, queue)).await? != SendOutcome::Sent {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Subscriber {
    /// A router on a channel of its own. It knows the queues that exist now.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`].
    pub async fn unroutable_router(&self) -> Result<UnroutableRouter, ConsumeError> {
        let existing = async {
            let names: Vec<String> = self.topology.queues().into_iter().map(|queue| queue.name).collect();
            let depths = read_depths(&self.session().await?.connection, &names).await?;
            Ok(names.into_iter().zip(depths).filter_map(|(name, depth)| depth.map(|_| name)).collect())
        };
        let existing = self.within_timeout(existing).await?;
        Ok(UnroutableRouter { sender: self.queue_sender().await?, topology: self.topology.clone(), existing })
    }

    async fn unroutable_ready(&self) -> Result<u32, ConsumeError> {
        let depths = self.queue_depths(&[self.topology.unroutable_queue()]).await?;
        Ok(depths.first().copied().flatten().map_or(0, |depth| depth.ready))
    }
}

/// The unroutable messages of a topology.
pub struct UnroutableMessages {
    subscriber: Subscriber,
    reader: QueueReader,
}

impl UnroutableMessages {
    /// Starts connecting and returns at once. The broker lists the connections as `name` and, while
    /// messages are read, `name reader`. Must be called within a tokio
    /// runtime.
    pub fn start(amqp_url: &str, topology: Topology, name: &str) -> Self {
        let subscriber = Subscriber::start(amqp_url, topology.clone(), name);
        Self { subscriber, reader: QueueReader::new(amqp_url, topology, &format!("{name} reader")) }
    }

    /// Moves the messages whose queues exist again to them. Safe to repeat and to run in several processes. `pass` says
    /// what was done, also when it fails.
    ///
    /// # Errors
    /// When the broker is unreachable or refuses.
    pub async fn route(&self, pass: &mut UnroutablePass) -> Result<(), ConsumeError> {
        pass.returned = 0;
        let counted = self.subscriber.unroutable_ready().await;
        pass.left = counted.inspect_err(|_| metrics::gauge!(UNROUTABLE_MESSAGES).set(f64::NAN))?;
        let mut kept = Vec::new();
        let routed = self.route_all(pass, &mut kept).await;
        for held in kept {
            held.release().await;
        }
        metrics::gauge!(UNROUTABLE_MESSAGES).set(f64::from(pass.left));
        metrics::counter!(UNROUTABLE_RETURNED).increment(u64::from(pass.returned));
        routed
    }

    /// Those that stay are held in `kept` until the end, so that the broker delivers what comes after them.
    async fn route_all(&self, pass: &mut UnroutablePass, kept: &mut Vec<HeldMessages>) -> Result<(), ConsumeError> {
        let mut unread = pass.left;
        if unread == 0 {
            return Ok(());
        }
        let name = self.subscriber.topology.unroutable_queue();
        let router = self.subscriber.unroutable_router().await?;
        while unread > 0 {
            let limit = u16::try_from(unread).unwrap_or(MAX_HELD).min(MAX_HELD);
            let ReadMessages { held, met_unreadable } = self.reader.read(&name, limit).await?;
            let Some(mut held) = held else {
                warn!("an unroutable message cannot be read and delays those behind it: `pvt dead discard`");
                return Ok(());
            };
            let deliveries = std::mem::take(&mut held.deliveries);
            let read = u32::try_from(deliveries.len()).unwrap_or(u32::MAX);
            for delivery in deliveries {
                if router.route(&delivery).await? {
                    held.remove(&delivery).await?;
                    pass.returned += 1;
                    pass.left = pass.left.saturating_sub(1);
                }
            }
            kept.push(held);
            // Another reader may hold the rest.
            if read < u32::from(limit) && !met_unreadable {
                return Ok(());
            }
            unread = unread.saturating_sub(read);
        }
        Ok(())
    }

    /// Closes the connection in an orderly way.
    pub async fn close(&self, limit: Duration) {
        self.subscriber.close(limit).await;
    }
}
