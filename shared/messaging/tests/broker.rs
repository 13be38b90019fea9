//! Messaging against a real broker and against unreachable ones. Every test has a topology of its own and deletes it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use pvt_messaging::management::Management;
use pvt_messaging::{CONFIRM_TIMEOUT, Outgoing, PublishError, Publisher, RetryDelay, Subscriber, Target, Topology};
use pvt_testkit::TestTopology;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Timeout of what happens at once, with room for a busy machine.
const SOON: Duration = Duration::from_secs(20);

async fn topology() -> TestTopology {
    TestTopology::new("ms", 50).await.unwrap()
}

fn note(target: Target, key: impl Into<String>, id: Uuid) -> Outgoing {
    Outgoing::raw(target, key.into(), id, "note.take.v1", "{}")
}

#[tokio::test]
async fn unreachable_broker_fails_in_time_then_at_once() {
    // A port that was free a moment ago has no listener.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let publisher =
        Publisher::start(&format!("amqp://guest:guest@127.0.0.1:{port}/%2f"), Topology::new("unreachable.", 1), "test");
    let begun = Instant::now();
    let first = publisher.publish(note(Target::Events, "a.b", Uuid::nil())).await;
    assert!(matches!(first, Err(PublishError::Unreachable(_) | PublishError::Timeout)), "{first:?}");
    assert!(begun.elapsed() <= CONFIRM_TIMEOUT + Duration::from_secs(1));
    let begun = Instant::now();
    let second = publisher.publish(note(Target::Events, "a.b", Uuid::nil())).await;
    assert!(matches!(second, Err(PublishError::Unreachable(_))), "{second:?}");
    assert!(begun.elapsed() < Duration::from_millis(500), "known to be unreachable: no wait");
    assert!(!publisher.is_ready());
    publisher.close(Duration::from_secs(1)).await;
    assert!(matches!(publisher.publish(note(Target::Events, "a.b", Uuid::nil())).await, Err(PublishError::Closed)));
}

#[tokio::test]
async fn silent_peer_times_out() {
    // Accepts connections into its backlog and sends nothing, like a host behind a broken network.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let publisher =
        Publisher::start(&format!("amqp://guest:guest@127.0.0.1:{port}/%2f"), Topology::new("unreachable.", 1), "test");
    let begun = Instant::now();
    let result = publisher.publish(note(Target::Events, "a.b", Uuid::nil())).await;
    assert!(matches!(result, Err(PublishError::Timeout)), "{result:?}");
    assert!(begun.elapsed() <= CONFIRM_TIMEOUT + Duration::from_secs(1));
    publisher.close(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn publisher_waits_for_its_connection() {
    let topology = topology().await;
    let url = &topology.urls().amqp;
    let publisher = Publisher::start(url, Topology::clone(&topology), "test");
    publisher.publish(note(Target::Commands, "stripe.event", Uuid::from_u128(1))).await.unwrap();
    assert!(publisher.is_ready());
    publisher.close(SOON).await;
}

#[tokio::test]
async fn published_messages_arrive_once_with_their_envelope() {
    let topology = topology().await;
    let url = &topology.urls().amqp;
    let publisher = Publisher::start(url, Topology::clone(&topology), "test");
    let sent: Vec<_> = (1..=3_000).map(Uuid::from_u128).collect();
    let messages: Vec<_> = sent
        .iter()
        .map(|id| {
            let key = topology.command_key("booking.request.v1", "pvt-montreal");
            note(Target::Commands, key, *id)
                .with_correlation_id(*id)
                .with_actor("user:1")
                .with_reply_to(Some("r".into()))
                .with_traceparent(Some("00-x".into()))
                .with_header("k", "v")
        })
        .collect();
    publisher.publish_all(&messages).await.unwrap();

    let subscriber = Subscriber::start(url, Topology::clone(&topology), "test");
    let mut subscription = subscriber.subscribe(&topology.name("bookings.0"), 300).await.unwrap();
    let mut seen = BTreeSet::new();
    while seen.len() < sent.len() {
        let delivery = tokio::time::timeout(SOON, subscription.next()).await.unwrap().unwrap();
        let envelope = &delivery.envelope;
        assert!(seen.insert(envelope.id), "delivered twice: {}", envelope.id);
        assert_eq!((envelope.correlation_id, envelope.attempt), (Some(envelope.id), 1));
        assert_eq!(
            (envelope.actor.as_deref(), envelope.reply_to.as_deref(), envelope.header("k")),
            (Some("user:1"), Some("r"), Some("v"))
        );
        assert!(envelope.timestamp.is_some() && envelope.traceparent.as_deref() == Some("00-x"));
        subscription.acker().send(&[pvt_messaging::Ack { tag: delivery.tag, multiple: false }]).await.unwrap();
    }
    assert_eq!(seen, sent.into_iter().collect());
    subscriber.close(SOON).await;
    publisher.close(SOON).await;
}

#[tokio::test]
async fn delayed_messages_return_to_their_queue_and_unroutable_ones_are_kept() {
    let topology = topology().await;
    let url = &topology.urls().amqp;
    let publisher = Publisher::start(url, Topology::clone(&topology), "test");
    let home = topology.name("emails");
    let begun = Instant::now();
    for n in 1..=100 {
        publisher.publish(note(Target::Retry(RetryDelay::S5), home.clone(), Uuid::from_u128(n))).await.unwrap();
    }
    publisher.publish(note(Target::Commands, "no.consumer", Uuid::from_u128(7))).await.unwrap();

    let subscriber = Subscriber::start(url, Topology::clone(&topology), "test");
    let mut lost = subscriber.subscribe(&topology.unroutable_queue(), 1).await.unwrap();
    let kept = tokio::time::timeout(SOON, lost.next()).await.unwrap().unwrap();
    assert_eq!(kept.envelope.id, Uuid::from_u128(7));
    let mut returned = subscriber.subscribe(&home, 300).await.unwrap();
    let mut seen = BTreeSet::new();
    while seen.len() < 100 {
        seen.insert(tokio::time::timeout(SOON, returned.next()).await.unwrap().unwrap().envelope.id);
    }
    assert!(begun.elapsed() >= Duration::from_millis(100), "the delay queue holds its messages");
    subscriber.close(SOON).await;
    publisher.close(SOON).await;
}

#[tokio::test]
async fn policies_are_applied_to_the_queues() {
    let topology = topology().await;
    let (url, management) = (&topology.urls().amqp, &topology.urls().management);
    let publisher = Publisher::start(url, Topology::clone(&topology), "test");
    let id = Uuid::from_u128(1);
    publisher.publish(note(Target::Commands, "stripe.event", id)).await.unwrap();
    let management = Management::new(management, "/").unwrap();
    management.apply_policies(&topology).await.unwrap();
    let listed = management.queues(topology.prefix()).await.unwrap();
    assert_eq!(listed.len(), topology.queues().len());
    let in_force = async {
        loop {
            let queues = management.queues(&topology.name("payments")).await.unwrap();
            if queues.iter().any(|queue| queue.policy.as_deref() == Some(&topology.name("payments"))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, in_force).await.expect("the policy is in force");
    management.purge(&topology.name("payments")).await.unwrap();
    management.delete_policies(&topology).await.unwrap();
    publisher.close(SOON).await;
}

#[tokio::test]
async fn full_queue_nacks_publishes() {
    let topology = topology().await;
    let url = &topology.urls().amqp;
    let publisher = Publisher::start(url, Topology::clone(&topology), "test");
    let connection = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
    let queue = channel.queue_declare("".into(), options, arguments).await.unwrap().name().as_str().to_owned();
    publisher.publish(note(Target::Queue, queue.clone(), Uuid::from_u128(1))).await.unwrap();
    let second = publisher.publish(note(Target::Queue, queue.clone(), Uuid::from_u128(2))).await;
    assert!(matches!(second, Err(PublishError::Nacked)), "{second:?}");
    let many: Vec<_> = (3..10).map(|n| note(Target::Queue, queue.clone(), Uuid::from_u128(n))).collect();
    assert!(matches!(publisher.publish_all(many).await, Err(PublishError::Nacked)));
    publisher.close(SOON).await;
}

#[tokio::test]
async fn replies_arrive_in_the_reply_queue() {
    let topology = topology().await;
    let url = &topology.urls().amqp;
    let publisher = Publisher::start(url, Topology::clone(&topology), "test");
    let subscriber = Subscriber::start(url, Topology::clone(&topology), "test");
    let (queue, mut replies) = subscriber.subscribe_replies(100).await.unwrap();
    publisher.publish(note(Target::Queue, queue, Uuid::from_u128(5))).await.unwrap();
    let reply = tokio::time::timeout(SOON, replies.next()).await.unwrap().unwrap();
    assert_eq!(reply.envelope.id, Uuid::from_u128(5));
    // A reply to a queue that is gone is not an error.
    subscriber.close(SOON).await;
    publisher.publish(note(Target::Queue, "amq.gen-gone", Uuid::from_u128(6))).await.unwrap();
    publisher.close(SOON).await;
}

#[tokio::test]
async fn binding_of_an_earlier_version_is_removed() {
    let topology = topology().await;
    let url = &topology.urls().amqp;
    let connection = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    topology.declare(&channel).await.unwrap();
    let [(queue, binding)] = topology.obsolete_bindings().try_into().unwrap();
    let (queue, exchange, key) = (queue.as_str(), binding.exchange.as_str(), binding.key.as_str());
    channel
        .queue_bind(queue.into(), exchange.into(), key.into(), QueueBindOptions::default(), FieldTable::default())
        .await
        .unwrap();
    topology.declare(&channel).await.unwrap();
    let publisher = Publisher::start(url, Topology::clone(&topology), "test");
    publisher.publish(note(Target::Commands, key, Uuid::from_u128(1))).await.unwrap();
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    for (name, expected) in [("records", 1), ("stripe", 0)] {
        let name = topology.name(name);
        let found = channel.queue_declare(name.as_str().into(), passive, FieldTable::default()).await.unwrap();
        assert_eq!(found.message_count(), expected, "{name}");
    }
    publisher.close(SOON).await;
    connection.close(200, "done".into()).await.unwrap();
}
