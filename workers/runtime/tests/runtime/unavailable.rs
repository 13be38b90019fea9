//! `Unavailable` of one message while its dependency answers: the message is isolated, the others go on.
//! `Unavailable` of an operation: its messages wait apart, those of other operations go on.

use crate::scripted::{Action, BATCHED, SINGLE, ScriptedBatchWorker, ScriptedWorker};
use crate::test_broker::{TestBroker, eventually};
use chrono::{TimeDelta, Utc};
use pvt_domain::failure::{Cause, Failure};
use pvt_messaging::{Outgoing, Target};
use pvt_worker_runtime::{HEADER_UNAVAILABLE_SINCE, RetryDelay, WorkerState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use uuid::Uuid;

/// The dead-letter queue of the batched worker.
const DEAD: &str = "bookings.0.dead";

#[tokio::test]
async fn message_follows_its_retry_schedule_while_its_dependency_answers() {
    let broker = TestBroker::new().await;
    // As many bad messages as slots: if they held them, nothing else would be handled.
    let worker = ScriptedWorker::new(|job| match job.message.text.as_str() {
        "bad" => Action::Fail(Failure::unavailable("smtp_down", "for this one")),
        _ => Action::Emit,
    })
    .with_probe(true);
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register(worker).unwrap());
    let bad = [broker.send(SINGLE, "bad").await, broker.send(SINGLE, "bad").await];
    for n in 0..20 {
        broker.send(SINGLE, &n.to_string()).await;
    }
    assert_eq!(broker.take_all("payments", 20).await.len(), 20);
    let dead = broker.take_all("emails.dead", 2).await;
    running.stop().await.unwrap();
    for id in bad {
        assert_eq!(dead[&id]["error-class"], "smtp_down");
    }
    let calls = log.calls();
    let attempts = calls.iter().filter(|call| call.ids == [bad[0]]).map(|call| call.attempts[0]).collect::<Vec<_>>();
    assert_eq!(attempts, [1, 1, 1, 2, 2, 2, 3, 3, 3], "three attempts for each delay of the schedule");
    broker.close().await;
}

#[tokio::test]
async fn batch_that_one_message_makes_unavailable_is_isolated() {
    let broker = TestBroker::new().await;
    let mut bad = None;
    for n in 0..10 {
        let id = broker.send(BATCHED, if n == 4 { "bad" } else { "fine" }).await;
        bad = bad.or((n == 4).then_some(id));
    }
    let worker = ScriptedBatchWorker::new(|batch| match batch.items.iter().any(|job| job.message.text == "bad") {
        true => Action::Fail(Failure::unavailable("db_down", "an unlisted server code")),
        false => Action::Emit,
    })
    .with_probe(true);
    let running = broker.run(broker.engine().register_batch(worker).unwrap());
    assert_eq!(broker.take_all("payments", 9).await.len(), 9);
    let dead = broker.take_all(DEAD, 1).await;
    running.stop().await.unwrap();
    assert_eq!(dead[&bad.unwrap()]["error-class"], "db_down");
    broker.close().await;
}

#[tokio::test]
async fn item_that_alone_is_unavailable_does_not_hold_its_batch() {
    let broker = TestBroker::new().await;
    for n in 0..6 {
        broker.send(BATCHED, if n == 2 { "unavailable alone" } else { "fine" }).await;
    }
    let worker = ScriptedBatchWorker::new(|_| Action::Emit).with_probe(true);
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register_batch(worker).unwrap());
    assert_eq!(broker.take_all("payments", 5).await.len(), 5);
    assert_eq!(broker.take_all(DEAD, 1).await.len(), 1);
    running.stop().await.unwrap();
    let alone = log.calls().iter().filter(|call| call.texts == ["unavailable alone"]).count();
    assert_eq!((log.count(), alone), (7, 1), "it is attempted alone before it is blamed");
    broker.close().await;
}

#[tokio::test]
async fn message_waits_while_its_dependency_does_not_answer() {
    let broker = TestBroker::new().await;
    let worker = ScriptedWorker::new(|_| Action::Fail(Failure::unavailable("smtp_down", "closed"))).with_probe(false);
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register(worker).unwrap());
    broker.send(SINGLE, "waits").await;
    eventually("more attempts than the schedule allows", || async { (log.count() >= 10).then_some(()) }).await;
    running.stop().await.unwrap();
    assert!(log.calls().iter().all(|call| call.attempts == [1]));
    assert_eq!(broker.ready("emails.dead").await, 0);
    broker.close().await;
}

/// Fails as unavailable for the operation `expire`.
fn expire_fails() -> Action {
    Action::Fail(Failure::unavailable_operation("stripe_unavailable", "expire", "500"))
}

#[tokio::test]
async fn messages_of_an_unavailable_operation_hold_no_slot_and_lose_no_attempt() {
    let broker = TestBroker::new().await;
    let is_back = Arc::new(AtomicBool::new(false));
    let back = is_back.clone();
    let worker = ScriptedWorker::new(move |job| match job.message.text.as_str() {
        "expire" if !back.load(Ordering::Relaxed) => expire_fails(),
        _ => Action::Emit,
    });
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register(worker).unwrap());
    for _ in 0..20 {
        broker.send(SINGLE, "expire").await;
    }
    for _ in 0..50 {
        broker.send(SINGLE, "refund").await;
    }
    assert_eq!(broker.take_all("payments", 50).await.len(), 50, "the others go on");
    eventually("more attempts than the schedule allows", || async { (log.count() >= 150).then_some(()) }).await;
    let health = running.health.snapshot().remove(0);
    assert_eq!(health.state, WorkerState::Running);
    let unavailable: Vec<_> = health.unavailable.iter().map(|failed| (failed.operation, failed.class)).collect();
    assert_eq!(unavailable, [("expire", "stripe_unavailable")]);
    is_back.store(true, Ordering::Relaxed);
    assert_eq!(broker.take_all("payments", 20).await.len(), 20);
    running.stop().await.unwrap();
    assert!(log.calls().iter().all(|call| call.attempts == [1]));
    assert_eq!(broker.ready("emails.dead").await, 0);
    broker.close().await;
}

#[tokio::test]
async fn message_that_fails_while_others_are_answered_follows_its_retry_schedule() {
    let broker = TestBroker::new().await;
    let worker = ScriptedWorker::new(|_| expire_fails()).while_others_are_answered();
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register(worker).unwrap());
    let bad = broker.send(SINGLE, "expire").await;
    let dead = broker.take_all("emails.dead", 1).await;
    let health = running.health.snapshot().remove(0);
    running.stop().await.unwrap();
    assert_eq!(dead[&bad]["error-class"], "stripe_unavailable");
    assert!(health.unavailable.is_empty(), "{health:?}");
    let attempts: Vec<_> = log.calls().iter().map(|call| call.attempts[0]).collect();
    assert_eq!(attempts, [1, 1, 2, 2, 3, 3], "two for each delay of the schedule");
    broker.close().await;
}

#[tokio::test]
async fn message_for_which_nothing_was_called_loses_no_attempt_while_others_are_answered() {
    let broker = TestBroker::new().await;
    let is_free = Arc::new(AtomicBool::new(false));
    let free = is_free.clone();
    let worker = ScriptedWorker::new(move |job| match job.message.text.as_str() {
        "refused" if !free.load(Ordering::Relaxed) => Action::Fail(Failure::Unavailable(Cause {
            operation: Some("refund"),
            not_called: true,
            ..Cause::new("stripe_unavailable", "earlier calls wait for their answer")
        })),
        _ => Action::Emit,
    })
    .while_others_are_answered();
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register(worker).unwrap());
    for _ in 0..5 {
        broker.send(SINGLE, "refused").await;
        broker.send(SINGLE, "answered").await;
    }
    assert_eq!(broker.take_all("payments", 5).await.len(), 5);
    eventually("more attempts than the schedule allows", || async { (log.count() >= 35).then_some(()) }).await;
    is_free.store(true, Ordering::Relaxed);
    assert_eq!(broker.take_all("payments", 5).await.len(), 5);
    running.stop().await.unwrap();
    assert!(log.calls().iter().all(|call| call.attempts == [1]));
    broker.close().await;
}

#[tokio::test]
async fn message_that_waited_for_days_follows_its_retry_schedule() {
    let broker = TestBroker::new().await;
    let worker = ScriptedWorker::new(|_| expire_fails());
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register(worker).unwrap());
    let (id, queue) = (Uuid::new_v4(), broker.topology.name(SINGLE));
    let target = Target::Retry(RetryDelay::S5);
    let mut message = Outgoing::raw(target, queue, id, "note.take.v1", r#"{"text":"expire"}"#);
    let days_ago = Utc::now() - TimeDelta::days(4);
    message.envelope.set_header(HEADER_UNAVAILABLE_SINCE, days_ago.to_rfc3339());
    broker.publisher.publish(message).await.unwrap();
    let dead = broker.take_all("emails.dead", 1).await;
    running.stop().await.unwrap();
    assert!(dead[&id].keys().all(|header| !header.starts_with("unavailable-")), "{dead:?}");
    let attempts: Vec<_> = log.calls().iter().map(|call| call.attempts[0]).collect();
    assert_eq!(attempts, [1, 2, 3], "one for each delay of the schedule");
    broker.close().await;
}

#[tokio::test]
async fn operation_that_is_answered_again_leaves_health_without_another_message() {
    let broker = TestBroker::new().await;
    let calls = AtomicU32::new(0);
    let worker = ScriptedWorker::new(move |_| match calls.fetch_add(1, Ordering::Relaxed) {
        0 => expire_fails(),
        _ => Action::Emit,
    });
    let others_answered = worker.others_answered.clone();
    let running = broker.run(broker.engine().register(worker).unwrap());
    broker.send(SINGLE, "expire").await;
    assert_eq!(broker.take_all("payments", 1).await.len(), 1);
    assert_eq!(running.health.snapshot()[0].unavailable.len(), 1);
    others_answered.store(true, Ordering::Relaxed);
    eventually("health to be as before", || async {
        running.health.snapshot()[0].unavailable.is_empty().then_some(())
    })
    .await;
    running.stop().await.unwrap();
    broker.close().await;
}
