//! Dead letters from their queues to the store and back: in order, each once, and never endlessly.

use anyhow::{Context, Result};
use pvt_domain::failure::Failure;
use pvt_domain::messages::{ReconcileCommand, ReconcileProperty};
use pvt_messaging::management::Management;
use pvt_messaging::{Outgoing, Publisher, Queue};
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::dead_letters::{DeadLetter, DeadLetterFilter, DeadLetterState, OperationState, ReplayOperation};
use pvt_testkit::{BasicProperties, Broker, Namespace, eventually, properties, properties_that_fill_a_frame};
use pvt_worker_runtime::{Engine, Job, Shape, Spec, Worker};
use pvt_workers::clock;
use pvt_workers::dead_letters::{collect_periodically, replay_periodically};
use pvt_workers::scheduler::Scheduler;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const QUEUE: &str = "reconciliation";
/// As long as that of the scheduler: one that seems longer than it may be counts as expired.
const LEASE: Duration = Duration::from_secs(15);
const ALL: [DeadLetterState; 4] = DeadLetterState::ALL;

/// Fails until it is repaired; then it records what it handles.
#[derive(Clone, Default)]
struct Repairable {
    is_repaired: Arc<AtomicBool>,
    handled: Arc<Mutex<Vec<Uuid>>>,
}

impl Worker for Repairable {
    const SPEC: Spec = Spec {
        name: "repairable",
        queue: Queue::One(QUEUE),
        retry_schedule: &[],
        timeout: Duration::from_secs(5),
        shape: Shape::Single { concurrency: 1 },
    };
    type Message = ReconcileCommand;

    async fn handle(&self, job: &mut Job<ReconcileCommand>) -> Result<(), Failure> {
        if !self.is_repaired.load(Ordering::Relaxed) {
            return Err(Failure::reject("broken", format!("item {} cannot be handled", job.meta.id)));
        }
        self.handled.lock().unwrap().push(job.meta.id);
        Ok(())
    }
}

/// A worker, and what the scheduler's process does with dead letters.
pub(crate) struct Trial {
    pub(crate) mongo: Mongo,
    publisher: Publisher,
    pub(crate) broker: Broker,
    worker: Repairable,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    pub(crate) namespace: Namespace,
}

impl Trial {
    pub(crate) async fn start() -> Result<Self> {
        let mut trial = Self::prepare().await?;
        trial.run()?;
        Ok(trial)
    }

    /// Nothing runs yet.
    async fn prepare() -> Result<Self> {
        let namespace = Namespace::new().await?;
        let (mongo, topology) = (namespace.mongo().await?, namespace.topology());
        let publisher = Publisher::start(namespace.amqp_url(), topology.clone(), "tests");
        publisher.connected().await?;
        let (worker, stop, tasks) = (Repairable::default(), CancellationToken::new(), Vec::new());
        Ok(Self { broker: Broker::connect(&namespace).await?, mongo, publisher, worker, stop, tasks, namespace })
    }

    fn run(&mut self) -> Result<()> {
        let (mongo, topology, stop) = (self.mongo.clone(), self.namespace.topology(), self.stop.clone());
        let url = self.namespace.amqp_url().to_owned();
        let engine = Engine::new(&url, topology.clone(), self.publisher.clone()).register(self.worker.clone())?;
        let scheduler = Scheduler::new(mongo.clone(), self.publisher.clone(), topology.clone());
        let scheduler = scheduler.with_schedules(Vec::new());
        let leader = scheduler.leader();
        let (engine_stop, scheduler_stop) = (stop.clone(), stop.clone());
        self.tasks = vec![
            tokio::spawn(async move { engine.run(engine_stop).await.unwrap() }),
            tokio::spawn(async move {
                let Ok(()) = scheduler.run(scheduler_stop).await;
            }),
            tokio::spawn(collect_periodically(
                mongo.clone(),
                url.clone(),
                topology.clone(),
                leader.clone(),
                stop.clone(),
            )),
            tokio::spawn(replay_periodically(mongo, url, topology, leader, stop)),
        ];
        Ok(())
    }

    /// Sends commands with these ids.
    async fn send(&self, ids: impl IntoIterator<Item = u128>) -> Result<()> {
        for id in ids {
            let id = Uuid::from_u128(id);
            let command = ReconcileProperty {
                run_id: id,
                property_id: "here".into(),
                dry_run: false,
                actor: "tests".into(),
                requested_at: clock::system(),
            };
            self.publisher.publish(Outgoing::command("reconcile.property", id, &command)?).await?;
        }
        Ok(())
    }

    /// All dead letters, once as many are stored and nothing is left in the queues.
    pub(crate) async fn stored(&self, count: usize) -> Result<Vec<DeadLetter>> {
        let all = || async {
            let stored = self.mongo.dead_letters().list(&DeadLetterFilter::default(), &ALL, 0, 0).await?;
            let is_empty = self.broker.depths().await?.values().all(|depth| *depth == 0);
            Ok((stored.len() == count && is_empty).then_some(stored))
        };
        eventually(&format!("{count} dead letters are stored"), LIMIT, all).await
    }

    /// The same, whatever is left in work queues.
    pub(crate) async fn stored_in_any_state(&self, count: usize) -> Result<()> {
        let all = || async {
            let stored = self.mongo.dead_letters().count(&DeadLetterFilter::default(), &ALL).await?;
            Ok((stored == u64::try_from(count)?).then_some(()))
        };
        eventually(&format!("{count} dead letters are stored"), LIMIT, all).await
    }

    pub(crate) async fn replay_all(&self, rate: u32) -> Result<ReplayOperation> {
        let (reason, selection) = ("repaired".to_owned(), "all".to_owned());
        let operation = ReplayOperation::new("operator", reason, selection, rate, clock::system());
        let begun = self.mongo.dead_letters().begin_replay(&operation, &DeadLetterFilter::default()).await?;
        begun.context("something is dead")
    }

    pub(crate) async fn ended(&self, operation: Uuid) -> Result<ReplayOperation> {
        let ended = || async {
            let now = self.mongo.dead_letters().operation(operation).await?.context("it exists")?;
            Ok(now.state.has_ended().then_some(now))
        };
        eventually("the replay ends", LIMIT, ended).await
    }

    fn handled(&self) -> Vec<u128> {
        self.worker.handled.lock().unwrap().iter().map(Uuid::as_u128).collect()
    }

    /// Ends what runs; [`Self::run`] begins it anew.
    async fn stop(&mut self) -> Result<()> {
        std::mem::take(&mut self.stop).cancel();
        for task in std::mem::take(&mut self.tasks) {
            task.await?;
        }
        Ok(())
    }

    pub(crate) async fn end(mut self) -> Result<()> {
        self.stop().await?;
        self.publisher.close(Duration::from_secs(2)).await;
        drop(self.namespace);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_keeps_the_order_and_a_cause_that_persists_comes_back_once() -> Result<()> {
    let trial = Trial::start().await?;
    trial.send(1..=30).await?;
    let stored = trial.stored(30).await?;
    let positions: Vec<i64> = stored.iter().map(|stored| stored.last.position).collect();
    assert_eq!(positions, (1..=30).collect::<Vec<_>>());
    assert_eq!(
        stored.iter().map(|stored| stored.message_id.as_u128()).collect::<Vec<_>>(),
        (1..=30).collect::<Vec<_>>()
    );
    let groups = trial.mongo.dead_letters().groups().await?;
    assert_eq!((groups.len(), groups[0].dead, groups[0].new_since_replay), (1, 30, 0), "{groups:?}");

    // The cause is still there: each dies once more, and that is all.
    let operation = trial.replay_all(1_000).await?;
    let ended = trial.ended(operation.id).await?;
    assert_eq!((ended.state, ended.total, ended.replayed()), (OperationState::Done, 30, 30));
    let again = || async {
        let groups = trial.mongo.dead_letters().groups().await?;
        Ok(groups.first().filter(|group| group.new_since_replay == 30).cloned())
    };
    let group = eventually("all are dead again", LIMIT, again).await?;
    assert_eq!((group.dead, group.example.deaths, group.example.replays.len()), (30, 2, 1));
    assert!(trial.mongo.dead_letters().open_operations().await?.is_empty(), "it is not replayed endlessly");

    trial.worker.is_repaired.store(true, Ordering::Relaxed);
    let operation = trial.replay_all(1_000).await?;
    trial.ended(operation.id).await?;
    eventually("all are handled", LIMIT, || async { Ok((trial.handled().len() == 30).then_some(())) }).await?;
    assert_eq!(trial.handled(), (1..=30).collect::<Vec<_>>(), "in the order of their deaths, each once");
    assert!(trial.stored(30).await?.iter().all(|stored| stored.state == DeadLetterState::Replayed));
    trial.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_replay_stops_between_two_messages() -> Result<()> {
    let trial = Trial::start().await?;
    trial.send(1..=20).await?;
    trial.stored(20).await?;
    trial.worker.is_repaired.store(true, Ordering::Relaxed);
    let operation = trial.replay_all(2).await?;
    eventually("the first is handled", LIMIT, || async { Ok((!trial.handled().is_empty()).then_some(())) }).await?;
    let action = "dead_letter.cancel_replay".to_owned();
    let entry = AuditEntry::new(Uuid::now_v7(), clock::system(), "operator", action, "x", "a test");
    assert!(trial.mongo.dead_letters().cancel_replay(operation.id, &entry).await?);
    let ended = trial.ended(operation.id).await?;
    let replayed = usize::try_from(ended.replayed())?;
    assert_eq!((ended.state, ended.kept["cancelled"]), (OperationState::Cancelled, 20 - ended.replayed()));
    eventually("those are handled", LIMIT, || async { Ok((trial.handled().len() == replayed).then_some(())) }).await?;
    let dead = trial.mongo.dead_letters().count(&DeadLetterFilter::default(), &[DeadLetterState::Dead]).await?;
    assert_eq!(usize::try_from(dead)?, 20 - replayed);
    assert!(!trial.mongo.dead_letters().cancel_replay(operation.id, &entry).await?, "it has ended");
    trial.end().await
}

/// Two messages without an id that are equal to the last bit are two, and one that cannot be read holds up none.
#[tokio::test(flavor = "multi_thread")]
async fn odd_messages_are_stored_each_and_one_that_cannot_be_read_stays() -> Result<()> {
    let mut trial = Trial::prepare().await?;
    let dead_queue = format!("{QUEUE}.dead");
    let (_, full) = properties_that_fill_a_frame("notification.send.v1");
    trial.broker.send(&dead_queue, full, b"{}").await?;
    // Returned once, it cannot be read any more.
    let management = Management::new(trial.namespace.management_url(), "/")?;
    assert_eq!(management.peek(&trial.namespace.topology().name(&dead_queue), 10).await?.len(), 1);
    trial.run()?;
    let nameless = || BasicProperties::default().with_type("carrier.pigeon.v1".into());
    for count in 1..=2 {
        trial.broker.send(&dead_queue, nameless(), b"{}").await?;
        let stored = || async {
            let stored = trial.mongo.dead_letters().list(&DeadLetterFilter::default(), &ALL, 0, 0).await?;
            anyhow::ensure!(stored.len() == count, "{:?} {stored:?}", trial.broker.depths().await?);
            Ok(Some(()))
        };
        eventually("messages without an id are stored", LIMIT, stored).await?;
    }
    let (behind, properties) = properties("carrier.pigeon.v1");
    trial.broker.send(&dead_queue, properties, b"not JSON").await?;
    let behind_it = || async { Ok(trial.mongo.dead_letters().find(behind).await?.into_iter().next()) };
    let found = eventually("what is behind it is stored", LIMIT, behind_it).await?;
    let message = found.message.context("its message")?;
    assert_eq!((found.last.class.as_str(), message.body.as_slice()), ("delivery_limit", &b"not JSON"[..]));
    trial.end().await
}

/// Equal to a stored one in every bit, and read before, it may still be another message: it is stored and not deleted.
#[tokio::test(flavor = "multi_thread")]
async fn message_without_an_id_is_never_deleted_for_being_equal() -> Result<()> {
    let mut trial = Trial::start().await?;
    let dead_queue = format!("{QUEUE}.dead");
    let nameless = || BasicProperties::default().with_type("carrier.pigeon.v1".into());
    trial.broker.send(&dead_queue, nameless(), b"{}").await?;
    trial.stored(1).await?;
    trial.stop().await?;
    trial.broker.send(&dead_queue, nameless(), b"{}").await?;
    // Another operator looks at it: it is delivered, and returned.
    let management = Management::new(trial.namespace.management_url(), "/")?;
    assert_eq!(management.peek(&trial.namespace.topology().name(&dead_queue), 10).await?.len(), 1);
    trial.run()?;
    trial.stored(2).await?;
    trial.end().await
}

/// A limit of a queue's length, as an operator may set one; without a length it is removed.
async fn limit_length(trial: &Trial, queue: &str, max_length: Option<u32>) -> Result<()> {
    let name = trial.namespace.topology().name(queue);
    let url = format!("{}/api/policies/%2f/{name}-full", trial.namespace.management_url().trim_end_matches('/'));
    let http = reqwest::Client::new();
    let definition = |length: u32| {
        format!(
            r#"{{ "pattern": "^{}$", "priority": 100, "apply-to": "queues",
            "definition": {{ "max-length": {length}, "overflow": "reject-publish" }} }}"#,
            name.replace('.', r"\\.")
        )
    };
    let request = match max_length {
        Some(length) => http.put(&url).header("content-type", "application/json").body(definition(length)),
        None => http.delete(&url),
    };
    request.send().await?.error_for_status()?;
    Ok(())
}

/// A full queue delays what is for it and nothing else, neither in its operation nor in later ones; and an operation
/// never overtakes an earlier one in a queue.
#[tokio::test(flavor = "multi_thread")]
async fn full_queue_delays_only_what_is_for_it() -> Result<()> {
    let trial = Trial::start().await?;
    trial.worker.is_repaired.store(true, Ordering::Relaxed);
    let send = async |queue: &str, id: u128, kind: &str, body: &[u8]| {
        let properties = BasicProperties::default().with_type(kind.into()).with_delivery_mode(2);
        let properties = properties.with_message_id(Uuid::from_u128(id).to_string().into());
        trial.broker.send(queue, properties, body).await
    };
    let command = |id: u128| {
        format!(
            r#"{{ "run_id": "{}", "property_id": "here", "dry_run": false, "actor": "tests",
            "requested_at": "2027-01-01T00:00:00.000Z" }}"#,
            Uuid::from_u128(id)
        )
    };
    limit_length(&trial, "emails", Some(1)).await?;
    let is_full = || async { Ok(send("emails", 99, "carrier.pigeon.v1", b"{}").await.is_err().then_some(())) };
    eventually("the queue is full", LIMIT, is_full).await?;
    let begin = async |stored: usize| {
        trial.stored_in_any_state(stored).await?;
        trial.replay_all(1_000).await
    };
    send("emails.dead", 1, "carrier.pigeon.v1", b"{}").await?;
    send("reconciliation.dead", 2, "reconcile.property.v1", command(2).as_bytes()).await?;
    let first = begin(2).await?;
    send("emails.dead", 3, "carrier.pigeon.v1", b"{}").await?;
    let second = begin(3).await?;
    send("reconciliation.dead", 4, "reconcile.property.v1", command(4).as_bytes()).await?;
    let third = begin(4).await?;
    assert_eq!(trial.ended(third.id).await?.replayed(), 1);
    assert_eq!(trial.handled(), [2, 4], "also of the first operation, which is not done");
    let waits = || async {
        let first = trial.mongo.dead_letters().operation(first.id).await?.context("it exists")?;
        Ok((first.remaining == 1).then_some(first.waits_for).flatten())
    };
    assert_eq!(eventually("the first one waits", LIMIT, waits).await?, "the queue `emails` is full");

    let management = Management::new(trial.namespace.management_url(), "/")?;
    management.purge(&trial.namespace.topology().name("emails")).await?;
    limit_length(&trial, "emails", None).await?;
    for operation in [first.id, second.id] {
        let ended = trial.ended(operation).await?;
        assert_eq!((ended.remaining, ended.kept.len()), (0, 0), "{ended:?}");
    }
    let sent = trial.broker.peek("emails", 10).await?;
    let ids: Vec<String> = sent.into_iter().map(|message| message.id).collect();
    assert_eq!(ids, [Uuid::from_u128(1).to_string(), Uuid::from_u128(3).to_string()], "the earlier one first");
    trial.end().await
}

/// Another process that leads would read the same queues at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn leader_steps_down_only_after_its_work_has_ended() -> Result<()> {
    let trial = Trial::prepare().await?;
    let scheduler = Scheduler::new(trial.mongo.clone(), trial.publisher.clone(), trial.namespace.topology());
    let scheduler = scheduler.with_schedules(Vec::new());
    let leader = scheduler.leader();
    let (stop, mongo) = (CancellationToken::new(), trial.mongo.clone());
    let work_stop = stop.clone();
    let work = async move {
        work_stop.cancelled().await;
        for _ in 0..20 {
            let other = mongo.schedules().lead("another", LEASE).await.unwrap();
            assert!(other.is_none(), "another process leads before the work has ended");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let running_stop = stop.clone();
    let running = tokio::spawn(async move {
        let Ok(()) = scheduler.run_beside(work, running_stop).await;
    });
    eventually("it leads", LIMIT, || async { Ok(leader.leads().then_some(())) }).await?;
    stop.cancel();
    running.await?;
    let other = trial.mongo.schedules().lead("another", LEASE).await?;
    assert!(other.is_some(), "it has stepped down then");
    trial.end().await
}
