//! Outcomes of a handler and their effect on the message.

use crate::scripted::{Action, SINGLE, SameQueueWorker, ScriptedBatchWorker, ScriptedWorker, UnknownQueueWorker};
use crate::test_broker::{TestBroker, eventually};
use chrono::Utc;
use pvt_domain::failure::{Cause, Failure};
use pvt_worker_runtime::{EngineError, WorkerState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn ok_publishes_what_was_emitted_and_acknowledges() {
    let broker = TestBroker::new().await;
    let worker = ScriptedWorker::new(|_| Action::Emit);
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register(worker).unwrap());
    let mut sent = Vec::new();
    for n in 0..30 {
        sent.push(broker.send(SINGLE, &n.to_string()).await);
    }
    let published = broker.take_all("payments", 30).await;
    running.stop().await.unwrap();
    sent.sort_unstable();
    assert_eq!(published.into_keys().collect::<Vec<_>>(), sent, "one event for each message");
    assert_eq!(log.count(), 30, "each message handled once");
    assert_eq!(
        broker.ready(SINGLE).await,
        0,
        "nothing was requeued when the consumer closed: all messages are acknowledged"
    );
    broker.close().await;
}

#[tokio::test]
async fn retries_follow_the_schedule_then_dead_letter_with_the_error() {
    let broker = TestBroker::new().await;
    let worker = ScriptedWorker::new(|_| Action::Fail(Failure::retry("smtp_down", "no route to host")));
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register(worker).unwrap());
    let begun = Instant::now();
    let id = broker.send(SINGLE, "x").await;
    let dead = broker.take_all("emails.dead", 1).await;
    assert!(begun.elapsed() >= Duration::from_millis(650), "delays of 50 ms and 600 ms");
    running.stop().await.unwrap();

    assert_eq!(log.calls().iter().flat_map(|call| call.attempts.clone()).collect::<Vec<_>>(), [1, 2, 3]);
    let headers = dead.get(&id).expect("the dead letter keeps its id");
    let header = |name: &str| headers.get(name).map_or("", String::as_str);
    assert_eq!(header("error-class"), "smtp_down");
    assert_eq!(header("error-message"), "no route to host");
    assert_eq!(header("worker"), "mailer");
    assert_eq!(header("attempt"), "3");
    assert!(header("first-failed-at").starts_with("20"), "{headers:?}");
    broker.close().await;
}

#[tokio::test]
async fn dead_letter_moved_by_another_tool_begins_its_schedule_anew() {
    let broker = TestBroker::new().await;
    let worker = ScriptedWorker::new(|_| Action::Fail(Failure::retry("smtp_down", "no route to host")));
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register(worker).unwrap());
    broker.send(SINGLE, "x").await;
    eventually("a dead letter", || async { (broker.ready("emails.dead").await == 1).then_some(()) }).await;
    broker.shovel("emails.dead", SINGLE).await;
    eventually("three attempts more", || async { (log.count() == 6).then_some(()) }).await;
    let dead = broker.take_all("emails.dead", 1).await;
    running.stop().await.unwrap();
    let attempts = log.calls().iter().flat_map(|call| call.attempts.clone()).collect::<Vec<_>>();
    assert_eq!(attempts, [1, 2, 3, 1, 2, 3]);
    assert!(dead.values().all(|headers| headers.get("attempt").map(String::as_str) == Some("3")), "{dead:?}");
    broker.close().await;
}

#[tokio::test]
async fn deferred_and_delayed_messages_return() {
    let broker = TestBroker::new().await;
    let worker =
        ScriptedWorker::new(|job| match (job.message.text.as_str(), job.meta.attempt, job.meta.header("deferrals")) {
            ("defer", _, None) => Action::Fail(Failure::Defer(Duration::from_secs(5))),
            ("later", 1, _) => {
                Action::Fail(Failure::RetryAfter(Cause::new("rate_limited", ""), Duration::from_secs(6)))
            }
            _ => Action::Emit,
        });
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register(worker).unwrap());
    broker.send(SINGLE, "defer").await;
    let later = broker.send(SINGLE, "later").await;
    let done = broker.take_all("payments", 2).await;
    running.stop().await.unwrap();
    let attempts = |text: &str| {
        log.calls().iter().filter(|call| call.texts == [text]).map(|call| call.attempts[0]).collect::<Vec<_>>()
    };
    assert_eq!(attempts("defer"), [1, 1], "a deferral costs no attempt");
    assert_eq!(attempts("later"), [1, 2]);
    assert!(done.contains_key(&later));
    broker.close().await;
}

#[tokio::test]
async fn unavailable_dependency_pauses_the_worker_without_costing_attempts() {
    let broker = TestBroker::new().await;
    let down = Arc::new(AtomicBool::new(true));
    let state = down.clone();
    let worker = ScriptedWorker::new(move |_| match state.load(Ordering::SeqCst) {
        true => Action::Fail(Failure::unavailable("smtp_down", "closed")),
        false => Action::Emit,
    });
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register(worker).unwrap());
    for n in 0..10 {
        broker.send(SINGLE, &n.to_string()).await;
    }
    let pause = || match running.health.snapshot()[0].state {
        WorkerState::Paused { class: "smtp_down", since } => Some(since),
        _ => None,
    };
    let since = eventually("the pause", || async { pause() }).await;
    assert!((Utc::now() - since).num_seconds() < 20, "{since}");
    eventually("a probe", || async { (log.count() >= 4).then_some(()) }).await;
    assert_eq!(pause(), Some(since), "a failed probe begins no new pause");
    down.store(false, Ordering::SeqCst);
    assert_eq!(broker.take_all("payments", 10).await.len(), 10);
    eventually("the end of the pause", || async {
        (running.health.snapshot()[0].state == WorkerState::Running).then_some(())
    })
    .await;
    running.stop().await.unwrap();
    assert!(log.calls().iter().all(|call| call.attempts == [1]));
    assert_eq!(broker.ready("emails.dead").await, 0);
    broker.close().await;
}

#[tokio::test]
async fn paused_worker_drains_and_requeues() {
    let broker = TestBroker::new().await;
    let worker = ScriptedWorker::new(|_| Action::Fail(Failure::unavailable("down", "")));
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register(worker).unwrap());
    for n in 0..5 {
        broker.send(SINGLE, &n.to_string()).await;
    }
    eventually("an attempt", || async { (log.count() > 0).then_some(()) }).await;
    running.stop().await.unwrap();
    eventually("the messages to be requeued", || async { (broker.ready(SINGLE).await == 5).then_some(()) }).await;
    broker.close().await;
}

#[tokio::test]
async fn draining_finishes_running_handlers_and_requeues_the_rest() {
    let broker = TestBroker::new().await;
    let gate = Arc::new(tokio::sync::Notify::new());
    let held = gate.clone();
    let worker =
        ScriptedWorker::new(
            move |job| if job.message.text == "slow" { Action::WaitFor(held.clone()) } else { Action::Succeed },
        );
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register(worker).unwrap());
    for _ in 0..6 {
        broker.send(SINGLE, "slow").await;
    }
    eventually("both slots busy", || async { (log.count() == 2).then_some(()) }).await;
    running.signal();
    eventually("the drain", || async { (running.health.snapshot()[0].state == WorkerState::Draining).then_some(()) })
        .await;
    gate.notify_waiters();
    running.stop().await.unwrap();
    assert_eq!(log.count(), 2, "no new message was started");
    eventually("the rest to be requeued", || async { (broker.ready(SINGLE).await == 4).then_some(()) }).await;
    broker.close().await;
}

#[tokio::test]
async fn duplicates_unknown_queues_and_empty_engines_are_refused() {
    let broker = TestBroker::new().await;
    let engine = broker.engine().register(ScriptedWorker::new(|_| Action::Succeed)).unwrap();
    let twice = engine.register(ScriptedWorker::new(|_| Action::Succeed)).err();
    assert_eq!(twice, Some(EngineError::DuplicateName("mailer")));
    let both = broker
        .engine()
        .register(ScriptedWorker::new(|_| Action::Succeed))
        .unwrap()
        .register_batch(ScriptedBatchWorker::new(|_| Action::Succeed));
    assert!(both.is_ok());
    let rival = broker.engine().register(ScriptedWorker::new(|_| Action::Succeed)).unwrap().register(SameQueueWorker);
    assert_eq!(rival.err(), Some(EngineError::DuplicateQueue("emails")));
    let lost = broker.engine().register(UnknownQueueWorker).err();
    assert_eq!(lost, Some(EngineError::UnknownQueue { worker: "lost", queue: "nowhere" }));
    assert_eq!(broker.engine().run(CancellationToken::new()).await, Err(EngineError::Empty));
    broker.close().await;
}
