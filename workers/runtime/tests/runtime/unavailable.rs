//! `Unavailable` of one message while its dependency answers: the message is isolated, the others go on.

use crate::scripted::{Action, BATCHED, SINGLE, ScriptedBatchWorker, ScriptedWorker};
use crate::test_broker::{TestBroker, eventually};
use pvt_domain::failure::Failure;

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
    assert_eq!((log.count(), alone), (8, 2), "it is attempted alone before it is blamed");
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
