//! Batches: a failing message does not fail the others.

use crate::scripted::{Action, BATCHED, ScriptedBatchWorker};
use crate::test_broker::TestBroker;
use pvt_domain::failure::Failure;
use pvt_domain::messages::MAX_BODY_BYTES;
use std::time::Duration;
use uuid::Uuid;

const DEAD: &str = "bookings.0.dead";

#[tokio::test]
async fn undecodable_messages_are_dead_lettered_alone() {
    let broker = TestBroker::new().await;
    for n in 0..5 {
        broker.send(BATCHED, &n.to_string()).await;
    }
    let poison = [
        ("unknown_type", "note.burn.v1", b"{}".to_vec()),
        ("unknown_version", "note.take.v9", b"{}".to_vec()),
        ("invalid_body", "note.take.v1", b"not json".to_vec()),
        ("oversize", "note.take.v1", vec![b' '; MAX_BODY_BYTES + 1]),
    ];
    let mut expected = Vec::new();
    for (class, kind, body) in poison {
        let id = Uuid::new_v4();
        broker.send_raw(BATCHED, id, kind, body).await;
        expected.push((id, class));
    }
    broker.send_raw(BATCHED, Uuid::nil(), "note.take.v1", r#"{"text":"no id"}"#).await;
    for n in 5..10 {
        broker.send(BATCHED, &n.to_string()).await;
    }
    let worker = ScriptedBatchWorker::new(|_| Action::Emit);
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register_batch(worker).unwrap());
    assert_eq!(broker.take_all("payments", 10).await.len(), 10);
    let dead = broker.take_all(DEAD, 5).await;
    running.stop().await.unwrap();
    for (id, class) in expected {
        assert_eq!(dead[&id]["error-class"], class);
    }
    assert_eq!(dead[&Uuid::nil()]["error-class"], "invalid_envelope");
    assert_eq!(log.count(), 10, "no valid message is handled twice");
    broker.close().await;
}

#[tokio::test]
async fn panic_dead_letters_only_its_message() {
    let broker = TestBroker::new().await;
    let mut bomb = Uuid::nil();
    for n in 0..9 {
        let text = if n == 4 { "bomb" } else { "fine" };
        let id = broker.send(BATCHED, text).await;
        bomb = if n == 4 { id } else { bomb };
    }
    let worker = ScriptedBatchWorker::new(|batch| {
        if batch.items.iter().any(|job| job.message.text == "bomb") { Action::Panic } else { Action::Emit }
    });
    let running = broker.run(broker.engine().register_batch(worker).unwrap());
    assert_eq!(broker.take_all("payments", 8).await.len(), 8);
    let dead = broker.take_all(DEAD, 1).await;
    running.stop().await.unwrap();
    assert_eq!(
        (dead[&bomb]["error-class"].as_str(), dead[&bomb]["error-message"].as_str()),
        ("panic", "scripted panic")
    );
    broker.close().await;
}

#[tokio::test]
async fn one_bad_message_costs_its_batch_few_calls() {
    let cause = "one of them";
    let failures = [Failure::reject("bad_batch", cause), Failure::unavailable("bad_batch", cause)];
    for (failure, position) in failures.iter().flat_map(|failure| [0, 7, 19].map(|position| (failure, position))) {
        let broker = TestBroker::new().await;
        for n in 0..20 {
            broker.send(BATCHED, &if n == position { "bad".to_owned() } else { n.to_string() }).await;
        }
        let own = failure.clone();
        let worker =
            ScriptedBatchWorker::new(move |batch| match batch.items.iter().any(|job| job.message.text == "bad") {
                true => Action::Fail(own.clone()),
                false => Action::Emit,
            })
            .with_probe(true);
        let log = worker.log.clone();
        let running = broker.run(broker.engine().register_batch(worker).unwrap());
        assert_eq!(broker.take_all("payments", 19).await.len(), 19);
        assert_eq!(broker.take_all(DEAD, 1).await.len(), 1);
        running.stop().await.unwrap();
        let calls = log.calls();
        assert!(calls.len() <= 12, "{} calls for 20 messages: {calls:?}", calls.len());
        let healthy: Vec<usize> = calls
            .iter()
            .filter(|call| call.texts.iter().all(|text| text != "bad"))
            .flat_map(|call| call.texts.iter().map(|text| text.parse().unwrap()))
            .collect();
        let expected: Vec<usize> = (0..20).filter(|n| *n != position).collect();
        assert_eq!(healthy, expected, "each once, in the order of sending");
        broker.close().await;
    }
}

#[tokio::test]
async fn batch_of_bad_messages_costs_few_calls_more_than_one_for_each() {
    let broker = TestBroker::new().await;
    for _ in 0..20 {
        broker.send(BATCHED, "bad").await;
    }
    let worker = ScriptedBatchWorker::new(|_| Action::Fail(Failure::reject("bad_batch", "all of them")));
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register_batch(worker).unwrap());
    assert_eq!(broker.take_all(DEAD, 20).await.len(), 20);
    running.stop().await.unwrap();
    let calls = log.calls();
    assert!(calls.len() <= 28, "{} calls for 20 messages: {calls:?}", calls.len());
    broker.close().await;
}

#[tokio::test]
async fn item_failure_does_not_fail_the_batch() {
    let broker = TestBroker::new().await;
    for n in 0..6 {
        broker.send(BATCHED, if n == 2 { "fails alone" } else { "fine" }).await;
    }
    let worker = ScriptedBatchWorker::new(|_| Action::Emit);
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register_batch(worker).unwrap());
    assert_eq!(broker.take_all("payments", 5).await.len(), 5, "messages of a failed item are discarded");
    let dead = broker.take_all(DEAD, 1).await;
    running.stop().await.unwrap();
    assert!(dead.values().all(|headers| headers["error-class"] == "scripted"));
    assert_eq!(log.count(), 6);
    broker.close().await;
}

#[tokio::test]
async fn stuck_handler_is_aborted_and_its_message_fails() {
    let broker = TestBroker::new().await;
    let worker = ScriptedBatchWorker::new(|batch| match batch.items.iter().any(|job| job.message.text == "stuck") {
        true => Action::Stall(Duration::from_secs(600)),
        false => Action::Emit,
    });
    let running = broker.run(broker.engine().register_batch(worker).unwrap());
    broker.send(BATCHED, "stuck").await;
    broker.send(BATCHED, "fine").await;
    let dead = broker.take_all(DEAD, 1).await;
    assert_eq!(broker.take_all("payments", 1).await.len(), 1);
    running.stop().await.unwrap();
    assert!(dead.values().all(|headers| headers["error-class"] == "timeout"));
    broker.close().await;
}

#[tokio::test]
async fn backlog_is_taken_in_full_batches() {
    let broker = TestBroker::new().await;
    for n in 0..100 {
        broker.send(BATCHED, &n.to_string()).await;
    }
    let worker = ScriptedBatchWorker::new(|_| Action::Emit);
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register_batch(worker).unwrap());
    broker.take_all("payments", 100).await;
    running.stop().await.unwrap();
    let texts: Vec<_> = log.calls().into_iter().flat_map(|call| call.texts).collect();
    assert_eq!(texts, (0..100).map(|n| n.to_string()).collect::<Vec<_>>(), "in the order of sending");
    assert!(log.calls().len() <= 20, "{} batches for 100 messages of at most 20", log.calls().len());
    broker.close().await;
}
