//! Dead letters of other producers, and of queues that are gone: replayed as they were, or kept with the reason.

use super::dead_letters::{LIMIT, Trial};
use anyhow::{Context, Result};
use pvt_stores::mongo::dead_letters::{Arrival, DeadLetter, DeadLetterFilter, DeadLetterState};
use pvt_testkit::{AMQPValue, BasicProperties, FieldTable, eventually};
use std::collections::BTreeSet;
use uuid::Uuid;

const KIND: &str = "carrier.pigeon.v1";

fn named(id: u128) -> BasicProperties {
    BasicProperties::default().with_message_id(Uuid::from_u128(id).to_string().into()).with_type(KIND.into())
}

/// What a broker of another installation may have noted.
fn foreign_headers() -> FieldTable {
    let mut death = FieldTable::default();
    death.insert("queue".into(), AMQPValue::LongString("elsewhere".into()));
    death.insert("reason".into(), AMQPValue::LongString("expired".into()));
    let mut headers = FieldTable::default();
    headers.insert("x-death".into(), AMQPValue::FieldArray(vec![AMQPValue::FieldTable(death)].into()));
    headers.insert("attempt".into(), AMQPValue::LongString("many".into()));
    headers.insert("colour".into(), AMQPValue::LongString("grey".into()));
    headers
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_headers_of_other_producers_are_replayed_as_they_were() -> Result<()> {
    let trial = Trial::start().await?;
    let large = [b"\"".as_slice(), &vec![b'x'; 600 * 1024], b"\""].concat();
    let bodies = [large, vec![0xff, 0xfe, 0, b'A'], Vec::new(), b"{\"a\": 1}".to_vec()];
    for (id, body) in (1..).zip(&bodies) {
        let properties = if id == 4 { named(id).with_headers(foreign_headers()) } else { named(id) };
        trial.broker.send("emails.dead", properties, body).await?;
    }
    let stored = trial.stored(bodies.len()).await?;
    assert!(stored.iter().all(|one| one.last.class == "delivery_limit" && one.deaths == 1), "{stored:?}");
    let operation = trial.replay_all(1_000).await?;
    assert_eq!(trial.ended(operation.id).await?.replayed(), 4);
    let sent = trial.broker.peek("emails", 10).await?;
    let ids: Vec<String> = sent.iter().map(|message| message.id.clone()).collect();
    assert_eq!(ids, (1..=4).map(|id| Uuid::from_u128(id).to_string()).collect::<Vec<_>>());
    for (message, body) in sent.iter().zip(&bodies) {
        assert!(message.body == *body && message.kind == KIND, "{} bytes of {}", message.body.len(), message.id);
    }
    let headers = &sent.last().context("the last")?.headers;
    assert_eq!(headers.get("colour").map(String::as_str), Some("grey"), "{headers:?}");
    assert!(
        !headers.contains_key("attempt") && !headers.contains_key("x-death"),
        "its retries begin anew: {headers:?}"
    );
    trial.end().await
}

/// Of a partition that is no longer counted, and of a queue that was deleted.
#[tokio::test(flavor = "multi_thread")]
async fn message_without_a_queue_stays_dead_and_holds_up_nothing() -> Result<()> {
    let trial = Trial::start().await?;
    for (id, queue) in [(1, "emails.dead"), (2, "payments.dead"), (3, "emails.dead")] {
        trial.broker.send(queue, named(id), b"{}").await?;
    }
    let stored = trial.stored(3).await?;
    let DeadLetter { message_id, kind, booking_id, mut last, .. } = stored[0].clone();
    let of_partition = Uuid::from_u128(9);
    let message = trial.mongo.dead_letters().with_messages([stored[0].id]).await?[0].message.clone();
    (last.id, last.position) = (of_partition, 1);
    let gone = Arrival {
        id: of_partition,
        queue: "bookings.77".to_owned(),
        message_id,
        kind,
        booking_id,
        death: last,
        message: message.context("a message")?,
    };
    assert!(trial.mongo.dead_letters().store(&[gone]).await?.iter().all(|stored| stored.is_kept()));
    let payments = trial.namespace.topology().name("payments");
    trial.broker.channel().await?.queue_delete(payments.as_str().into(), Default::default()).await?;
    let operation = trial.replay_all(1_000).await?;
    let ended = trial.ended(operation.id).await?;
    assert_eq!((ended.replayed(), ended.kept.get("no_queue")), (2, Some(&2)), "{ended:?}");
    let dead = trial.mongo.dead_letters().list(&DeadLetterFilter::default(), &[DeadLetterState::Dead], 0, 0).await?;
    let queues: BTreeSet<&str> = dead.iter().map(|one| one.queue.as_str()).collect();
    assert_eq!((dead.len(), queues), (2, BTreeSet::from(["bookings.77", "payments"])), "{dead:?}");
    assert!(dead.iter().all(|one| one.operation.is_none() && one.replays.is_empty()), "{dead:?}");
    let sent = || async { Ok((trial.broker.peek("emails", 10).await?.len() == 2).then_some(())) };
    eventually("the others are sent", LIMIT, sent).await?;
    trial.end().await
}
