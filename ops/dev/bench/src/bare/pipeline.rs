//! Bare pipeline: consume, publish with confirms, acknowledge, which every worker does at least.

use crate::namespace::Namespace;
use anyhow::{Result, bail};
use bytes::Bytes;
use pvt_messaging::{Ack, Delivery, Outgoing, Publisher, Subscriber, Subscription, Target};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use uuid::Uuid;

/// The batch size and prefetch of the workers.
const BATCH: usize = 200;
const PREFETCH: u16 = 600;
/// For the whole measurement.
const LIMIT: Duration = Duration::from_secs(120);
const READY_LIMIT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Messages per second through all booking queues into one queue of events.
#[allow(clippy::cast_precision_loss)] // far below 2^52
pub(crate) async fn measure(namespace: &Namespace, messages: u64, body_bytes: usize) -> Result<f64> {
    let topology = namespace.topology();
    let publisher = Publisher::start(&namespace.urls().amqp, topology.clone(), "bare pipeline");
    let subscriber = Subscriber::start(&namespace.urls().amqp, topology.clone(), "bare pipeline");
    wait_for(&publisher).await?;
    fill(&publisher, messages, body_bytes, topology.partitions()).await?;
    let mut consumers = JoinSet::new();
    let left = Arc::new(AtomicU64::new(messages));
    let begun = Instant::now();
    for partition in 0..topology.partitions() {
        let subscription = subscriber.subscribe(&topology.name(&format!("bookings.{partition}")), PREFETCH).await?;
        consumers.spawn(forward(subscription, publisher.clone(), Arc::clone(&left)));
    }
    let all = async {
        while let Some(ended) = consumers.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    match tokio::time::timeout(LIMIT, all).await {
        Ok(done) => done?,
        Err(_) => bail!("the bare pipeline did not pass {messages} messages within {LIMIT:?}"),
    }
    let rate = messages as f64 / begun.elapsed().as_secs_f64();
    subscriber.close(CLOSE_LIMIT).await;
    publisher.close(CLOSE_LIMIT).await;
    namespace.purge("analytics").await?;
    Ok(rate)
}

async fn wait_for(publisher: &Publisher) -> Result<()> {
    let deadline = Instant::now() + READY_LIMIT;
    while !publisher.is_ready() {
        if Instant::now() > deadline {
            bail!("the broker does not answer");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

async fn fill(publisher: &Publisher, messages: u64, body_bytes: usize, partitions: u16) -> Result<()> {
    let body = Bytes::from(vec![b' '; body_bytes]);
    let message = |number: u64| {
        let key = format!("bookings.{}", number % u64::from(partitions));
        Outgoing::raw(Target::Commands, key, Uuid::from_u64_pair(number, 1), "bench.bare.v1", body.clone())
    };
    for begin in (0..messages).step_by(BATCH) {
        let end = messages.min(begin + BATCH as u64);
        publisher.publish_all((begin..end).map(message).collect::<Vec<_>>()).await?;
    }
    Ok(())
}

/// Forwards the messages of one queue until no queue holds any.
async fn forward(mut subscription: Subscription, publisher: Publisher, left: Arc<AtomicU64>) -> Result<()> {
    let acker = subscription.acker();
    while left.load(Ordering::Acquire) > 0 {
        // The last messages may be in another queue.
        let Ok(first) = tokio::time::timeout(POLL_INTERVAL, subscription.next()).await else { continue };
        let mut batch = vec![first?];
        while batch.len() < BATCH {
            match subscription.try_next()? {
                Some(delivery) => batch.push(delivery),
                None => break,
            }
        }
        let events: Vec<Outgoing> = batch.iter().map(event).collect();
        publisher.publish_all(&events).await?;
        let tag = batch.last().map_or(0, |delivery| delivery.tag);
        acker.send(&[Ack { tag, multiple: true }]).await?;
        left.fetch_sub(u64::try_from(batch.len())?, Ordering::AcqRel);
    }
    Ok(())
}

fn event(delivery: &Delivery) -> Outgoing {
    Outgoing::raw(Target::Events, "bench.bare", delivery.envelope.id, "bench.bare.v1", delivery.body.clone())
}
