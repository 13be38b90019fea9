//! Crash loops: the other messages of a process that crashes again and again must not fail with it.

use crate::scripted::{Action, BATCHED, ScriptedBatchWorker, ScriptedWorker};
use crate::test_broker::{TestBroker, eventually};
use std::sync::Arc;
use tokio::sync::Notify;
use uuid::Uuid;

#[tokio::test]
async fn suspect_is_handled_alone_before_the_others() {
    let broker = TestBroker::new().await;
    let suspect = broker.send(BATCHED, "suspect").await;
    broker.bounce(BATCHED, 3).await;
    for n in 0..8 {
        broker.send(BATCHED, &n.to_string()).await;
    }
    let worker = ScriptedBatchWorker::new(|_| Action::Emit);
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register_batch(worker).unwrap());
    assert_eq!(broker.take_all("payments", 9).await.len(), 9);
    running.stop().await.unwrap();
    let with_suspect: Vec<_> = log.calls().into_iter().filter(|call| call.ids.contains(&suspect)).collect();
    assert_eq!(with_suspect.iter().map(|call| call.ids.len()).collect::<Vec<_>>(), [1], "alone and once");
    assert_eq!(log.count(), 9);
    broker.close().await;
}

#[tokio::test]
async fn crash_loop_without_retry_schedule_is_dead_lettered_untried() {
    let broker = TestBroker::new().await;
    let killer: Uuid = broker.send(BATCHED, "killer").await;
    broker.bounce(BATCHED, 10).await;
    broker.send(BATCHED, "bystander").await;
    let worker = ScriptedBatchWorker::new(|_| Action::Emit);
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register_batch(worker).unwrap());
    let dead = broker.take_all("bookings.0.dead", 1).await;
    assert_eq!(broker.take_all("payments", 1).await.len(), 1);
    running.stop().await.unwrap();
    assert_eq!(dead[&killer]["error-class"], "crash_loop");
    assert!(!log.ids().contains(&killer));
    broker.close().await;
}

/// Another message may have caused the crashes: with a retry schedule they cost one attempt.
#[tokio::test]
async fn ten_crashes_cost_one_attempt() {
    let broker = TestBroker::new().await;
    let survivor: Uuid = broker.send("emails", "survivor").await;
    broker.bounce("emails", 10).await;
    let worker = ScriptedWorker::new(|_| Action::Emit);
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register(worker).unwrap());
    let sent = broker.take_all("payments", 1).await;
    running.stop().await.unwrap();
    assert_eq!(sent.len(), 1);
    let calls: Vec<_> = log.calls().into_iter().filter(|call| call.ids.contains(&survivor)).collect();
    assert_eq!(calls.len(), 1, "handled once, after its retry delay");
    broker.close().await;
}

/// Each is returned to the queue when the other one is handled alone, which must not reset its attempts.
#[tokio::test]
async fn two_messages_that_crash_the_process_become_dead_letters() {
    let broker = TestBroker::new().await;
    let killers = [broker.send("emails", "killer").await, broker.send("emails", "killer").await];
    let mut crashes = 0;
    // Three attempts of ten deliveries for each, and some to spare: attempts that are reset never end.
    let limit = 2 * 3 * 10 + 20;
    loop {
        let worker = ScriptedWorker::new(|_| Action::WaitFor(Arc::new(Notify::new())));
        let log = worker.log.clone();
        let running = broker.run(broker.engine().register(worker).unwrap());
        let both_dead = eventually("a crash or two dead letters", || async {
            let both_dead = broker.ready("emails.dead").await == 2;
            (both_dead || log.count() > 0).then_some(both_dead)
        })
        .await;
        running.crash().await;
        if both_dead {
            break;
        }
        crashes += 1;
        assert!(crashes <= limit, "no attempt is lost");
    }
    let dead = broker.take_all("emails.dead", 2).await;
    for killer in killers {
        assert_eq!((&*dead[&killer]["error-class"], &*dead[&killer]["attempt"]), ("crash_loop", "3"));
        assert!(!dead[&killer].contains_key("returned-by"));
    }
    broker.close().await;
}
