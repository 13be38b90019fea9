//! Hand-over of a partition: the next consumer begins only after the batch in hand is finished.

use crate::scripted::{Action, BATCHED, ScriptedBatchWorker};
use crate::test_broker::{TestBroker, eventually};
use pvt_worker_runtime::WorkerState;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Shorter than the handler's timeout.
const BATCH_TIME: Duration = Duration::from_millis(300);

/// A worker whose batches with `slow` take their time, and the instants at which its batches began.
fn worker(slow: &'static str) -> (ScriptedBatchWorker, Arc<Mutex<Vec<Instant>>>) {
    let begun = Arc::new(Mutex::new(Vec::new()));
    let log = begun.clone();
    let worker = ScriptedBatchWorker::new(move |batch| {
        log.lock().unwrap().push(Instant::now());
        let is_slow = batch.items.iter().any(|job| job.message.text == slow);
        if is_slow { Action::Stall(BATCH_TIME) } else { Action::Succeed }
    });
    (worker, begun)
}

#[tokio::test]
async fn drained_consumer_finishes_its_batch_before_the_next_one_begins() {
    let broker = TestBroker::new().await;
    let ((first, first_begun), (next, next_begun)) = (worker("cancel"), worker("none"));
    let draining = broker.run(broker.engine().register_batch(first).unwrap());
    broker.send(BATCHED, "warm-up").await;
    eventually("the first consumer is active", || async { (first_begun.lock().unwrap().len() == 1).then_some(()) })
        .await;
    let standby = broker.run(broker.engine().register_batch(next).unwrap());
    eventually("the next consumer waits", || async {
        (standby.health.snapshot()[0].state == WorkerState::Running).then_some(())
    })
    .await;
    broker.send(BATCHED, "cancel").await;
    eventually("the batch in hand", || async { (first_begun.lock().unwrap().len() == 2).then_some(()) }).await;
    draining.signal();
    let is_draining = || async { (draining.health.snapshot()[0].state == WorkerState::Draining).then_some(()) };
    eventually("the drain", is_draining).await;
    // Twice, because the first may have been sent before the drain had any effect.
    for _ in 0..2 {
        broker.send(BATCHED, "request").await;
    }
    draining.stop().await.unwrap();
    eventually("the hand-over", || async { (!next_begun.lock().unwrap().is_empty()).then_some(()) }).await;
    standby.stop().await.unwrap();
    let (begun, followed) = (first_begun.lock().unwrap()[1], next_begun.lock().unwrap()[0]);
    assert!(followed >= begun + BATCH_TIME, "begun {:?} after the batch in hand", followed - begun);
    broker.close().await;
}
