//! Pauses of queues: what is in hand is finished, nothing more is taken, and nothing is lost or handled twice.

use crate::scripted::{Action, BATCHED, SINGLE, ScriptedBatchWorker, ScriptedWorker};
use crate::test_broker::{Running, SOON, TestBroker, eventually};
use chrono::Utc;
use pvt_domain::failure::Failure;
use pvt_messaging::{Subscriber, Topology};
use pvt_worker_runtime::{PAUSES_READ_EVERY, QueuePause, QueuePauses, WorkerHealth, WorkerState};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};

type Pauses = watch::Sender<Option<QueuePauses>>;

/// A pause of this queue (name without the prefix) and of no other.
fn pause_of(broker: &TestBroker, queue: &str) -> Option<QueuePauses> {
    let pause = QueuePause { since: Utc::now(), actor: "operator".to_owned(), reason: "a test".to_owned() };
    Some(QueuePauses::from([(broker.topology.name(queue), pause)]))
}

fn resume(pauses: &Pauses) {
    pauses.send_replace(Some(QueuePauses::new()));
}

async fn wait_until_paused(running: &Running, queue: &str) {
    eventually("health shows the pause", || async {
        let workers = running.health.snapshot().into_iter();
        let found = |worker: WorkerHealth| {
            let pause = worker.paused_queues.iter().find(|(name, _)| name.ends_with(queue))?.1.clone();
            Some((worker, pause))
        };
        let (worker, pause) = workers.filter_map(found).next()?;
        assert_eq!((worker.state, pause.reason.as_str()), (WorkerState::Running, "a test"));
        Some(())
    })
    .await;
}

async fn consumers(broker: &TestBroker, queue: &str) -> u32 {
    let names = [broker.topology.name(queue)];
    pvt_messaging::queue_depths(&broker.url, "consumers", &names).await.unwrap()[0].unwrap().consumers
}

#[tokio::test]
async fn paused_queue_finishes_what_is_in_hand_and_the_rest_waits() {
    let broker = TestBroker::new().await;
    let release = Arc::new(Notify::new());
    let held = release.clone();
    let worker = ScriptedWorker::new(move |job| match job.message.text.as_str() {
        "in hand" => Action::WaitFor(held.clone()),
        _ => Action::Emit,
    });
    let (pauses, known) = watch::channel(Some(QueuePauses::new()));
    let log = worker.log.clone();
    let (batched, other_log) = {
        let worker = ScriptedBatchWorker::new(|_| Action::Succeed);
        let log = worker.log.clone();
        (worker, log)
    };
    let engine = broker.engine().register(worker).unwrap().register_batch(batched).unwrap();
    let running = broker.run(engine.with_queue_pauses(known.clone()));
    // Both slots are taken; two more are fetched and not begun.
    let mut sent = BTreeSet::new();
    for text in ["in hand", "in hand", "fetched", "fetched"] {
        sent.insert(broker.send(SINGLE, text).await);
    }
    eventually("two in hand", || async { (log.count() == 2).then_some(()) }).await;
    pauses.send_replace(pause_of(&broker, SINGLE));
    let waiting = broker.send(SINGLE, "arrived later").await;
    broker.send(BATCHED, "of another queue").await;
    eventually("the other queue is consumed", || async { (other_log.count() == 1).then_some(()) }).await;
    assert!(running.health.snapshot().iter().all(|worker| worker.paused_queues.is_empty()), "still finishing");
    for _ in 0..2 {
        release.notify_one();
    }
    wait_until_paused(&running, SINGLE).await;
    assert_eq!((log.count(), consumers(&broker, SINGLE).await), (2, 0));
    assert_eq!(broker.ready(SINGLE).await, 3, "what was fetched is back");
    assert!(running.health.is_ready());

    // Neither the end of this process nor a new one ends it.
    running.crash().await;
    let worker = ScriptedWorker::new(|_| Action::Emit);
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register(worker).unwrap().with_queue_pauses(known));
    wait_until_paused(&running, SINGLE).await;
    assert_eq!((log.count(), consumers(&broker, SINGLE).await, broker.ready(SINGLE).await), (0, 0, 3));

    resume(&pauses);
    sent.insert(waiting);
    let emitted = broker.take_all("payments", 3).await;
    assert!(emitted.keys().all(|id| sent.contains(id)));
    assert_eq!(log.count(), 3, "each once");
    running.stop().await.unwrap();
    assert_eq!(broker.ready(SINGLE).await, 0);
    broker.close().await;
}

#[tokio::test]
async fn nothing_is_consumed_until_the_pauses_are_known() {
    let broker = TestBroker::new().await;
    let worker = ScriptedWorker::new(|_| Action::Succeed);
    let log = worker.log.clone();
    let (pauses, unknown) = watch::channel(None);
    broker.send(SINGLE, "waits").await;
    let running = broker.run(broker.engine().register(worker).unwrap().with_queue_pauses(unknown));
    pauses.send_replace(pause_of(&broker, SINGLE));
    wait_until_paused(&running, SINGLE).await;
    assert_eq!((log.count(), broker.ready(SINGLE).await), (0, 1), "it was never taken");
    resume(&pauses);
    eventually("it is handled", || async { (log.count() == 1).then_some(()) }).await;
    // The last pauses stand when their source is gone.
    drop(pauses);
    broker.send(SINGLE, "after").await;
    eventually("the next one is handled", || async { (log.count() == 2).then_some(()) }).await;
    running.stop().await.unwrap();
    broker.close().await;
}

#[tokio::test]
async fn queue_can_be_paused_while_its_messages_wait_for_a_dependency() {
    let broker = TestBroker::new().await;
    let worker = ScriptedWorker::new(|_| Action::Fail(Failure::unavailable("smtp_down", "no answer")));
    let worker = worker.with_probe(false);
    let (pauses, known) = watch::channel(Some(QueuePauses::new()));
    let running = broker.run(broker.engine().register(worker).unwrap().with_queue_pauses(known));
    for _ in 0..3 {
        broker.send(SINGLE, "waits").await;
    }
    eventually("the worker waits for its dependency", || async {
        matches!(running.health.snapshot()[0].state, WorkerState::Paused { class: "smtp_down", .. }).then_some(())
    })
    .await;
    pauses.send_replace(pause_of(&broker, SINGLE));
    wait_until_paused(&running, SINGLE).await;
    assert_eq!(broker.ready(SINGLE).await, 3);
    running.stop().await.unwrap();
    broker.close().await;
}

/// A backlog of a partition, in the order of its numbers.
async fn send_backlog(broker: &TestBroker, count: usize) {
    for number in 0..count {
        broker.send(BATCHED, &number.to_string()).await;
    }
}

/// The messages that several engines have begun, in their order.
#[derive(Clone, Default)]
struct Begun(Arc<Mutex<Vec<String>>>);

impl Begun {
    fn texts(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    async fn wait_for_more_than(&self, count: usize) {
        eventually("more messages are begun", || async { (self.texts().len() > count).then_some(()) }).await;
    }

    /// An engine for the partition, which takes its time.
    fn engine(&self, broker: &TestBroker, pauses: watch::Receiver<Option<QueuePauses>>) -> Running {
        let begun = self.clone();
        let worker = ScriptedBatchWorker::new(move |batch| {
            begun.0.lock().unwrap().extend(batch.items.iter().map(|job| job.message.text.clone()));
            Action::Stall(Duration::from_millis(100))
        });
        broker.run(broker.engine().register_batch(worker).unwrap().with_queue_pauses(pauses))
    }
}

/// Each process reads the pauses at its own time.
#[tokio::test]
async fn one_pause_returns_a_message_once_however_many_processes_notice_it_in_turn() {
    let broker = TestBroker::new().await;
    send_backlog(&broker, 400).await;
    let (of_active, of_standby) = (Begun::default(), Begun::default());
    let (pauses, known): (Vec<Pauses>, Vec<_>) = (0..4).map(|_| watch::channel(Some(QueuePauses::new()))).unzip();
    let mut running = vec![of_active.engine(&broker, known[0].clone())];
    of_active.wait_for_more_than(0).await;
    running.extend(known[1..].iter().map(|known| of_standby.engine(&broker, known.clone())));
    let is_running = |running: &Running| running.health.snapshot()[0].state == WorkerState::Running;
    eventually("all compete", || async { running.iter().all(is_running).then_some(()) }).await;
    for pauses in &pauses {
        pauses.send_replace(pause_of(&broker, BATCHED));
        tokio::time::sleep(PAUSES_READ_EVERY / 4).await;
    }
    for running in &running {
        wait_until_paused(running, BATCHED).await;
    }
    assert_eq!(of_standby.texts(), Vec::<String>::new(), "the pause began before they became active");
    let subscriber = Subscriber::start(&broker.url, Topology::clone(&broker.topology), "left");
    let mut left = subscriber.subscribe(&broker.topology.name(BATCHED), 400).await.unwrap();
    let mut deliveries = BTreeSet::new();
    for _ in of_active.texts().len()..400 {
        deliveries.insert(left.next().await.unwrap().delivery_count);
    }
    assert_eq!(deliveries, BTreeSet::from([0, 1]), "what was fetched is returned once");
    subscriber.close(SOON).await;
    for running in running {
        running.stop().await.unwrap();
    }
    broker.close().await;
}

#[tokio::test]
async fn order_of_a_partition_outlasts_pauses_in_a_row() {
    let broker = TestBroker::new().await;
    send_backlog(&broker, 300).await;
    let begun = Begun::default();
    let (pauses, known) = watch::channel(Some(QueuePauses::new()));
    let running = [0; 3].map(|_| begun.engine(&broker, known.clone()));
    // More often than a message is delivered before it is a suspect.
    for _ in 0..4 {
        begun.wait_for_more_than(begun.texts().len()).await;
        pauses.send_replace(pause_of(&broker, BATCHED));
        for running in &running {
            wait_until_paused(running, BATCHED).await;
        }
        resume(&pauses);
    }
    begun.wait_for_more_than(299).await;
    let sent: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    assert_eq!(begun.texts(), sent, "each once, in order");
    for running in running {
        running.stop().await.unwrap();
    }
    broker.close().await;
}

#[tokio::test]
async fn returned_messages_are_not_suspected_after_a_pause() {
    let broker = TestBroker::new().await;
    broker.send(BATCHED, "returned by many pauses").await;
    broker.bounce(BATCHED, 12).await;
    let begun = Begun::default();
    let (pauses, known) = watch::channel(pause_of(&broker, BATCHED));
    let running = begun.engine(&broker, known);
    wait_until_paused(&running, BATCHED).await;
    resume(&pauses);
    begun.wait_for_more_than(0).await;
    eventually("it is acknowledged", || async { (running.health.snapshot()[0].in_flight == 0).then_some(()) }).await;
    running.stop().await.unwrap();
    assert_eq!((broker.ready(BATCHED).await, broker.ready("bookings.0.dead").await), (0, 0));
    broker.close().await;
}
