//! One test's corner of the broker, and the few things tests do with it.

use pvt_local_engines::{EngineKind, Instance, PortPlan, Urls};
use pvt_messaging::management::Management;
use pvt_messaging::{Outgoing, Publisher, Subscriber, Target, Topology};
use pvt_worker_runtime::{Engine, EngineError, Health};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};

/// For anything that happens at once, with room for a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The broker's addresses: from the environment, else of the instance that all tests share.
async fn broker_urls() -> &'static (String, String) {
    static URLS: OnceCell<(String, String)> = OnceCell::const_new();
    URLS.get_or_init(|| async {
        let env = Urls::from_env();
        let instance = Instance::open("test", PortPlan::Free).unwrap();
        let kinds: Vec<_> = env.missing().into_iter().filter(|kind| *kind == EngineKind::RabbitMq).collect();
        let urls = instance.ensure(&kinds, &|line| tracing::info!(line)).await.unwrap().overridden_by(env);
        (urls.amqp, urls.management)
    })
    .await
}

/// A topology of one's own, a publisher and a channel to look with.
pub(crate) struct TestBroker {
    pub(crate) url: String,
    pub(crate) topology: Topology,
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
    /// Tells it to stop, without waiting.
    pub(crate) fn signal(&self) {
        self.shutdown.cancel();
    }

    /// Tells it to stop and waits for the end.
    pub(crate) async fn stop(self) -> Result<(), EngineError> {
        self.shutdown.cancel();
        self.task.await.unwrap()
    }
}

impl TestBroker {
    pub(crate) async fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (url, management) = broker_urls().await;
        let prefix = format!("rt{}-{}.", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // 5 s become 50 ms, 1 min becomes 600 ms.
        let topology = Topology::new(&prefix, 1).with_retry_divisor(100);
        let connection = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        topology.declare(&channel).await.unwrap();
        let publisher = Publisher::start(url, topology.clone(), &prefix);
        let management = Management::new(management, "/").unwrap();
        Self { url: url.clone(), topology, publisher, management, connection, channel }
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::new(&self.url, self.topology.clone(), self.publisher.clone())
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

    /// How many messages of a queue wait for a consumer.
    pub(crate) async fn ready(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let queue = self
            .channel
            .queue_declare(self.topology.name(queue).as_str().into(), options, FieldTable::default())
            .await
            .unwrap();
        queue.message_count()
    }

    /// Takes one message from a queue: its id and its text headers.
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

    /// Takes the messages of a queue as soon as there are `count`.
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

    /// Fetches the head of a queue and gives it back, `times` times, as a process does that is killed while it handles
    /// it.
    pub(crate) async fn bounce(&self, queue: &str, times: u32) {
        let subscriber = Subscriber::start(&self.url, self.topology.clone(), "bounce");
        let mut subscription = subscriber.subscribe(&self.topology.name(queue), 1).await.unwrap();
        for seen in 0..times {
            let delivery = subscription.next().await.unwrap();
            assert_eq!(delivery.delivery_count, seen, "the broker counts what comes back");
            subscription.acker().requeue(delivery.tag).await.unwrap();
        }
        // The one more delivery that this closes on counts as well.
        subscriber.close(SOON).await;
    }

    /// A queue that refuses every publish, as long as this bench is connected.
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

    /// Ends politely; dropping it deletes the topology, also after a failure.
    pub(crate) async fn close(self) {
        self.publisher.close(Duration::from_secs(2)).await;
        self.connection.close(200, "done".into()).await.unwrap();
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        let (url, topology) = (self.url.clone(), self.topology.clone());
        // A destructor cannot await, and the test's own runtime is about to end: a thread of its own does the deleting.
        let deleting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let connection = lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await?;
                let channel = connection.create_channel().await?;
                topology.delete(&channel).await?;
                connection.close(200, "done".into()).await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            })
        });
        let deleted = deleting.join();
        if !std::thread::panicking() {
            deleted.expect("no panic").expect("the topology is deleted");
        }
    }
}

/// Looks until there is something to see.
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
