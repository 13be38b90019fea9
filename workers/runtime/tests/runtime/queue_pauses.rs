//! Pauses of queues: what is in hand is finished, nothing more is taken, and nothing is lost or handled twice.

use crate::scripted::{Action, BATCHED, SINGLE, ScriptedBatchWorker, ScriptedWorker};
use crate::test_broker::{Running, TestBroker, eventually};
use chrono::Utc;
use pvt_domain::failure::Failure;
use pvt_worker_runtime::{QueuePause, QueuePauses, WorkerState};
use std::collections::BTreeSet;
use std::sync::Arc;
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
        let worker = running.health.snapshot().into_iter().find(|worker| worker.name == "mailer").unwrap();
        let pause = worker.paused_queues.iter().find(|(name, _)| name.ends_with(queue))?.1.clone();
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
