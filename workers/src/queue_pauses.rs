//! Pauses of queues as operators store them in MongoDB, read again and again for the engine of this process.

use crate::store_calls::within;
use pvt_messaging::Topology;
use pvt_service::periodic::Turns;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::queue_pauses::QueuePause as StoredPause;
use pvt_worker_runtime::{PAUSES_READ_EVERY, QueuePause, QueuePauses};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// For one reading. One that takes longer is left to its end.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// Runs until `shutdown`. While MongoDB cannot be read, the pauses that were read last stand.
pub(crate) async fn read_periodically(
    mongo: Mongo,
    topology: Topology,
    pauses: watch::Sender<Option<QueuePauses>>,
    shutdown: CancellationToken,
) {
    let readings = async {
        let mut turns = Turns::new(PAUSES_READ_EVERY, &shutdown);
        let mut was_readable = true;
        while turns.next().await {
            match read(&mongo).await {
                Ok(stored) => {
                    was_readable = true;
                    let read = Some(by_queue(&topology, &stored));
                    pauses.send_if_modified(|known| {
                        let is_new = *known != read;
                        *known = read;
                        is_new
                    });
                }
                Err(error) if was_readable => {
                    was_readable = false;
                    let is_known = pauses.borrow().is_some();
                    let effect =
                        if is_known { "those known stand" } else { "no queue is consumed until they are read" };
                    warn!(%error, effect, "pauses of queues cannot be read");
                }
                Err(_) => {}
            }
        }
    };
    shutdown.run_until_cancelled(readings).await;
}

async fn read(mongo: &Mongo) -> Result<Vec<StoredPause>, String> {
    let mongo = mongo.clone();
    within(READ_LIMIT, async move { mongo.queue_pauses().list().await }).await
}

/// The paused queues by full name. Where a queue and its whole family are paused, the earlier pause counts.
fn by_queue(topology: &Topology, stored: &[StoredPause]) -> QueuePauses {
    let counts = |pauses: Vec<&StoredPause>| {
        let StoredPause { since, actor, reason, .. } = pauses.first()?;
        Some(QueuePause { since: since.as_datetime(), actor: actor.to_string(), reason: reason.clone() })
    };
    let concerned = topology.by_work_queue(stored, |pause| (pause.queue.as_str(), pause.since));
    concerned.into_iter().filter_map(|(queue, pauses)| Some((queue, counts(pauses)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;
    use pvt_domain::actor::Actor;
    use pvt_domain::timestamp::Timestamp;
    use pvt_stores::mongo::audit::AuditEntry;
    use pvt_testkit::{Namespace, eventually};
    use uuid::Uuid;

    const SOON: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn last_known_pauses_stand_while_mongodb_cannot_be_read() -> Result<()> {
        let namespace = Namespace::new().await?;
        let (mongo, topology) = (namespace.mongo().await?, namespace.topology());
        let (slow, link) = namespace.slow_mongo(Duration::ZERO).await?;
        let (sender, pauses) = watch::channel(None);
        let shutdown = CancellationToken::new();
        let reading = tokio::spawn(read_periodically(slow.clone(), topology.clone(), sender, shutdown.clone()));
        let reads = |expected: Option<bool>| {
            let (pauses, queue) = (pauses.clone(), topology.name("emails"));
            async move {
                let known = pauses.borrow().as_ref().map(|known| known.contains_key(&queue));
                Ok((known == expected).then_some(()))
            }
        };
        eventually("the pauses are read", SOON, || reads(Some(false))).await?;
        let since = Timestamp::from(chrono::Utc::now());
        let actor = Actor::from("operator");
        let entry = AuditEntry::new(Uuid::now_v7(), since, &actor, "queue.pause".to_owned(), "emails", "a test");
        let pause = StoredPause { queue: "emails".to_owned(), since, actor, reason: "a test".to_owned() };
        assert!(mongo.queue_pauses().insert(&pause, &entry).await?);
        assert!(!mongo.queue_pauses().insert(&pause, &entry).await?, "it is paused already");
        eventually("the pause is read", SOON, || reads(Some(true))).await?;

        drop(link);
        let entry = AuditEntry::new(Uuid::now_v7(), since, "operator", "queue.resume".to_owned(), "emails", "a test");
        let of_before =
            StoredPause { since: (since.as_datetime() - chrono::TimeDelta::seconds(1)).into(), ..pause.clone() };
        assert!(!mongo.queue_pauses().remove(&[(of_before, entry.clone())]).await?, "another pause of the same queue");
        assert!(mongo.queue_pauses().remove(&[(pause, entry)]).await?);
        eventually("MongoDB is unreachable", SOON, || async { Ok(slow.ping().await.is_err().then_some(())) }).await?;
        assert_eq!(reads(Some(true)).await?, Some(()), "what was read last stands");
        shutdown.cancel();
        reading.await?;
        Ok(())
    }

    #[test]
    fn family_is_paused_with_all_its_partitions_and_the_earlier_pause_counts() {
        let topology = Topology::new("x.", 2);
        let pause = |queue: &str, since: &str, reason: &str| StoredPause {
            queue: queue.to_owned(),
            since: since.parse::<chrono::DateTime<chrono::Utc>>().unwrap().into(),
            actor: Actor::from("operator"),
            reason: reason.to_owned(),
        };
        let stored = [
            pause("bookings", "2027-01-01T12:00:00Z", "all"),
            pause("bookings.1", "2027-01-01T11:00:00Z", "one"),
            pause("emails", "2027-01-01T10:00:00Z", "mails"),
            pause("bookings.7", "2027-01-01T10:00:00Z", "no such partition"),
            pause("emails.dead", "2027-01-01T10:00:00Z", "no work queue"),
        ];
        let paused = by_queue(&topology, &stored);
        let reasons: Vec<_> = paused.iter().map(|(queue, pause)| (queue.as_str(), pause.reason.as_str())).collect();
        assert_eq!(reasons, [("x.bookings.0", "all"), ("x.bookings.1", "one"), ("x.emails", "mails")]);
    }
}
