//! Messaging against a real broker and against unreachable ones. Every test has a topology of its own and deletes it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use pvt_messaging::management::Management;
use pvt_messaging::{
    CONFIRM_TIMEOUT, Outgoing, PublishError, Publisher, RetryDelay, Subscriber, Target, Topology, UnroutableMessages,
    UnroutablePass,
};
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

async fn pass_over(unroutable: &UnroutableMessages) -> UnroutablePass {
    let mut pass = UnroutablePass::default();
    unroutable.route(&mut pass).await.unwrap();
    pass
}

#[tokio::test]
async fn unroutable_messages_follow_once_all_their_queues_exist() {
    let topology = topology().await;
    let url = &topology.urls().amqp;
    let publisher = Publisher::start(url, Topology::clone(&topology), "test");
    let subscriber = Subscriber::start(url, Topology::clone(&topology), "test");
    let unroutable = UnroutableMessages::start(url, Topology::clone(&topology), "test");
    let connection = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let event = topology
        .queues()
        .into_iter()
        .flat_map(|queue| queue.bindings)
        .find(|binding| binding.exchange == topology.events_exchange() && binding.key != "#")
        .unwrap()
        .key;
    let both = topology.destinations(&topology.events_exchange(), &event);
    assert_eq!(both.len(), 2, "the event goes to a queue of its own and to `analytics`");
    publisher.publish(note(Target::Commands, "no.such.key", Uuid::from_u128(1))).await.unwrap();
    for queue in both.iter().chain([&topology.name("stripe")]) {
        channel.queue_delete(queue.as_str().into(), lapin::options::QueueDeleteOptions::default()).await.unwrap();
    }
    publisher.publish(note(Target::Events, event, Uuid::from_u128(2)).with_actor("user:1")).await.unwrap();
    publisher.publish(note(Target::Commands, "payment.refund", Uuid::from_u128(3))).await.unwrap();
    let pass = |returned, left| UnroutablePass { returned, left };
    // What a pass leaves returns to the queue some time after its channel was closed.
    let route = async |left: u32| {
        let names = [topology.unroutable_queue()];
        pvt_testkit::eventually("the messages are back", SOON, async || {
            let depth = pvt_messaging::queue_depths(url, "test", &names).await?;
            Ok((depth[0].is_some_and(|depth| depth.ready == left)).then_some(()))
        })
        .await
        .unwrap();
        pass_over(&unroutable).await
    };
    assert_eq!(route(3).await, pass(0, 3), "nothing is routable yet");

    let declare = async |queue: &str| {
        let options = lapin::options::QueueDeclareOptions { durable: true, ..Default::default() };
        let mut arguments = lapin::types::FieldTable::default();
        arguments.insert("x-queue-type".into(), lapin::types::AMQPValue::LongString("quorum".into()));
        channel.queue_declare(queue.into(), options, arguments).await.unwrap();
    };
    declare(&both[0]).await;
    assert_eq!(route(3).await, pass(0, 3), "one of two queues: no copy is made");
    assert_eq!(channel.queue_purge(both[0].as_str().into(), Default::default()).await.unwrap(), 0);
    topology.declare(&channel).await.unwrap();
    assert_eq!(route(3).await, pass(2, 1), "a key that no queue is bound to stays");
    assert_eq!(route(1).await, pass(0, 1), "nothing went in a circle");
    for (queue, id) in both.iter().map(|queue| (queue.clone(), 2)).chain([(topology.name("stripe"), 3)]) {
        let mut subscription = subscriber.subscribe(&queue, 10).await.unwrap();
        let delivery = tokio::time::timeout(SOON, subscription.next()).await.unwrap().unwrap();
        assert_eq!((delivery.envelope.id, delivery.routing_key), (Uuid::from_u128(id), queue.clone()));
        assert_eq!(delivery.envelope.actor.as_deref(), (id == 2).then_some("user:1"));
        assert!(subscription.try_next().unwrap().is_none(), "{queue} has one copy");
    }
    connection.close(200, "done".into()).await.unwrap();
    unroutable.close(SOON).await;
    subscriber.close(SOON).await;
    publisher.close(SOON).await;
}

/// More than one connection holds at once: those that have no queue hide none behind them.
#[tokio::test]
async fn unroutable_message_behind_many_without_a_queue_follows() {
    let topology = topology().await;
    let url = &topology.urls().amqp;
    let publisher = Publisher::start(url, Topology::clone(&topology), "test");
    let unroutable = UnroutableMessages::start(url, Topology::clone(&topology), "test");
    let stuck: Vec<Outgoing> =
        (0..10_001).map(|number| note(Target::Commands, "no.such.key", Uuid::from_u128(number))).collect();
    publisher.publish_all(&stuck).await.unwrap();
    publisher.publish(note(Target::Queue, topology.unroutable_queue(), Uuid::from_u128(20_000))).await.unwrap();
    let connection = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let queue = topology.name("stripe");
    channel.queue_delete(queue.as_str().into(), lapin::options::QueueDeleteOptions::default()).await.unwrap();
    publisher.publish(note(Target::Commands, "payment.refund", Uuid::from_u128(20_001))).await.unwrap();
    topology.declare(&channel).await.unwrap();
    assert_eq!(pass_over(&unroutable).await, UnroutablePass { returned: 1, left: 10_002 });
    let depths = pvt_messaging::queue_depths(url, "test", &[queue]).await.unwrap();
    assert_eq!(depths[0].map(|depth| depth.ready), Some(1));
    connection.close(200, "done".into()).await.unwrap();
    unroutable.close(SOON).await;
    publisher.close(SOON).await;
}

/// What is in front of a message that cannot be read follows, once; what is behind it may take more passes.
#[tokio::test]
async fn unroutable_messages_beside_an_unreadable_one_follow_once() {
    let topology = topology().await;
    let url = &topology.urls().amqp;
    let publisher = Publisher::start(url, Topology::clone(&topology), "test");
    let unroutable = UnroutableMessages::start(url, Topology::clone(&topology), "test");
    let connection = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let queue = topology.name("stripe");
    let delete = async || {
        let options = lapin::options::QueueDeleteOptions::default();
        channel.queue_delete(queue.as_str().into(), options).await.unwrap();
    };
    let publish = async |id| {
        publisher.publish(note(Target::Commands, "payment.refund", Uuid::from_u128(id))).await.unwrap();
    };
    // The first declaration is the publisher's.
    publish(0).await;
    delete().await;
    publish(1).await;
    publish(2).await;
    let (_, full) = pvt_testkit::properties_that_fill_a_frame("note.take.v1");
    let exchange = topology.commands_exchange();
    let options = lapin::options::BasicPublishOptions::default();
    channel.basic_publish(exchange.as_str().into(), "payment.refund".into(), options, b"{}", full).await.unwrap();
    publish(3).await;
    // Read once, it is too large from then on.
    let management = Management::new(&topology.urls().management, "/").unwrap();
    assert_eq!(management.peek(&topology.unroutable_queue(), 10).await.unwrap().len(), 4);
    topology.declare(&channel).await.unwrap();
    assert!(pass_over(&unroutable).await.returned >= 2, "those in front, at once");
    // The broker returns what a lost connection held in an order of its own.
    pvt_testkit::eventually("the one behind follows", SOON, async || {
        Ok((pass_over(&unroutable).await.left == 1).then_some(()))
    })
    .await
    .unwrap();
    // A pass right after the one that lost its connection may find the message not returned yet.
    let unreadable_counted = UnroutablePass { returned: 0, left: 1 };
    pvt_testkit::eventually("health counts it", SOON, async || {
        Ok((pass_over(&unroutable).await == unreadable_counted).then_some(()))
    })
    .await
    .unwrap();
    let depths = pvt_messaging::queue_depths(url, "test", std::slice::from_ref(&queue)).await.unwrap();
    assert_eq!(depths[0].map(|depth| depth.ready), Some(3), "one copy of each");
    connection.close(200, "done".into()).await.unwrap();
    unroutable.close(SOON).await;
    publisher.close(SOON).await;
}

#[tokio::test]
async fn deleted_queue_is_declared_again_by_its_consumer() {
    let topology = topology().await;
    let url = &topology.urls().amqp;
    let subscriber = Subscriber::start(url, Topology::clone(&topology), "test");
    let publisher = Publisher::start(url, Topology::clone(&topology), "test");
    let queue = topology.name("stripe");
    let mut first = subscriber.subscribe(&queue, 10).await.unwrap();
    let connection = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.queue_delete(queue.as_str().into(), lapin::options::QueueDeleteOptions::default()).await.unwrap();
    assert!(tokio::time::timeout(SOON, first.next()).await.unwrap().is_err(), "the stream ends with its queue");
    let mut again = subscriber.subscribe(&queue, 10).await.unwrap();
    publisher.publish(note(Target::Commands, "payment.refund", Uuid::from_u128(1))).await.unwrap();
    let delivery = tokio::time::timeout(SOON, again.next()).await.unwrap().unwrap();
    assert_eq!(delivery.envelope.id, Uuid::from_u128(1), "its bindings are back, too");
    connection.close(200, "done".into()).await.unwrap();
    subscriber.close(SOON).await;
    publisher.close(SOON).await;
}
