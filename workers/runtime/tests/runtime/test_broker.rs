//! The broker of a test: a topology of its own and operations on its queues.

use pvt_messaging::management::Management;
use pvt_messaging::{Outgoing, Publisher, Subscriber, Target, Topology};
use pvt_testkit::TestTopology;
use pvt_worker_runtime::{Engine, EngineError, Health};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};

/// Timeout of what happens at once, with room for a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A topology, a publisher, and a channel for inspection.
pub(crate) struct TestBroker {
    pub(crate) url: String,
    pub(crate) topology: TestTopology,
    pub(crate) publisher: Publisher,
    pub(crate) management: Management,
    connection: lapin::Connection,
    channel: lapin::Channel,
}

/// An engine that runs in the background.
pub(crate) struct Running {
    pub(crate) health: Health,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), EngineError>>,
}

impl Running {
    /// Signals shutdown without waiting.
    pub(crate) fn signal(&self) {
        self.shutdown.cancel();
    }

    /// Ends it as a crash of its process would: what it holds is redelivered.
    pub(crate) async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    /// Signals shutdown and waits for the end.
    pub(crate) async fn stop(self) -> Result<(), EngineError> {
        self.shutdown.cancel();
        self.task.await.unwrap()
    }
}

impl TestBroker {
    pub(crate) async fn new() -> Self {
        // 5 s become 50 ms, 1 min becomes 600 ms.
        let topology = TestTopology::new("rt", 100).await.unwrap();
        let url = topology.urls().amqp.clone();
        let connection = lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        topology.declare(&channel).await.unwrap();
        let publisher = Publisher::start(&url, Topology::clone(&topology), topology.prefix());
        let management = Management::new(&topology.urls().management, "/").unwrap();
        Self { url, topology, publisher, management, connection, channel }
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::new(&self.url, Topology::clone(&self.topology), self.publisher.clone())
    }

    pub(crate) fn run(&self, engine: Engine) -> Running {
        let (health, shutdown) = (engine.health(), CancellationToken::new());
        Running { health, shutdown: shutdown.clone(), task: tokio::spawn(engine.run(shutdown)) }
    }

    /// Sends a note to a queue (name without the prefix) and returns its id.
    pub(crate) async fn send(&self, queue: &str, text: &str) -> Uuid {
        let id = Uuid::new_v4();
        self.send_raw(queue, id, "note.take.v1", format!(r#"{{"text":"{text}"}}"#)).await;
        id
    }

    pub(crate) async fn send_raw(&self, queue: &str, id: Uuid, kind: &'static str, body: impl Into<bytes::Bytes>) {
        let message = Outgoing::raw(Target::Queue, self.topology.name(queue), id, kind, body)
            .with_correlation_id(Uuid::from_u128(1));
        self.publisher.publish(message).await.unwrap();
    }

    /// The number of ready messages of a queue.
    pub(crate) async fn ready(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let queue = self
            .channel
            .queue_declare(self.topology.name(queue).as_str().into(), options, FieldTable::default())
            .await
            .unwrap();
        queue.message_count()
    }

    /// Takes one message from a queue; returns its id and text headers.
    pub(crate) async fn take(&self, queue: &str) -> Option<(Uuid, BTreeMap<String, String>)> {
        let options = BasicGetOptions::default();
        let got = self.channel.basic_get(self.topology.name(queue).as_str().into(), options).await.unwrap()?;
        got.delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
        let id = got.delivery.properties.message_id().as_ref().unwrap().as_str().parse().unwrap();
        let headers = got.delivery.properties.headers().clone().unwrap_or_default();
        let text = |value: &AMQPValue| match value {
            AMQPValue::LongString(text) => Some(text.to_string()),
            AMQPValue::LongLongInt(number) => Some(number.to_string()),
            _ => None,
        };
        Some((id, headers.inner().iter().filter_map(|(key, value)| Some((key.to_string(), text(value)?))).collect()))
    }

    /// Sends a note whose headers fill a frame, which cannot be read once it was returned; its id.
    pub(crate) async fn send_full_frame(&self, queue: &str) -> Uuid {
        let (id, properties) = pvt_testkit::properties_that_fill_a_frame("note.take.v1");
        let options = lapin::options::BasicPublishOptions::default();
        let queue = self.topology.name(queue);
        self.channel
            .basic_publish("".into(), queue.as_str().into(), options, br#"{"text":"full"}"#, properties)
            .await
            .unwrap();
        id
    }

    /// Moves one message to another queue as it is, like a shovel.
    pub(crate) async fn shovel(&self, from: &str, to: &str) {
        let from = self.topology.name(from);
        let got = self.channel.basic_get(from.as_str().into(), BasicGetOptions::default()).await.unwrap().unwrap();
        let (properties, body) = (got.delivery.properties.clone(), got.delivery.data.clone());
        let options = lapin::options::BasicPublishOptions::default();
        let to = self.topology.name(to);
        self.channel.basic_publish("".into(), to.as_str().into(), options, &body, properties).await.unwrap();
        got.delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
    }

    /// Takes all messages of a queue once there are `count`.
    pub(crate) async fn take_all(&self, queue: &str, count: u32) -> BTreeMap<Uuid, BTreeMap<String, String>> {
        eventually(&format!("{count} messages in {queue}"), || async {
            (self.ready(queue).await == count).then_some(())
        })
        .await;
        let mut all = BTreeMap::new();
        while let Some((id, headers)) = self.take(queue).await {
            all.insert(id, headers);
        }
        all
    }

    /// Receives the head of a queue and requeues it, `times` times, like a process that crashes while handling it.
    pub(crate) async fn bounce(&self, queue: &str, times: u32) {
        let subscriber = Subscriber::start(&self.url, Topology::clone(&self.topology), "bounce");
        let mut subscription = subscriber.subscribe(&self.topology.name(queue), 1).await.unwrap();
        for seen in 0..times {
            let delivery = subscription.next().await.unwrap();
            assert_eq!(delivery.delivery_count, seen, "the broker counts redeliveries");
            subscription.acker().requeue(delivery.tag).await.unwrap();
        }
        // The delivery pending at the close counts as well.
        subscriber.close(SOON).await;
    }

    /// A queue that refuses every publish; it lives as long as this connection.
    pub(crate) async fn full_queue(&self) -> String {
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
        let queue = self.channel.queue_declare("".into(), options, arguments).await.unwrap().name().as_str().to_owned();
        let message = Outgoing::raw(Target::Queue, queue.clone(), Uuid::new_v4(), "note.take.v1", "{}");
        self.publisher.publish(message).await.unwrap();
        queue
    }

    /// Closes the connections. Dropping it deletes the topology, also after a failure.
    pub(crate) async fn close(self) {
        self.publisher.close(Duration::from_secs(2)).await;
        self.connection.close(200, "done".into()).await.unwrap();
    }
}

/// Polls until the probe returns a value.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    let looking = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, looking).await.unwrap_or_else(|_| panic!("{what}: not within {SOON:?}"))
}
