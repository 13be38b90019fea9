//! Recovery from lost connections: messages are redelivered, none is lost.

use crate::scripted::{Action, BATCHED, SINGLE, ScriptedBatchWorker, ScriptedWorker};
use crate::test_broker::{TestBroker, eventually};
use pvt_domain::failure::Failure;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_connections_lose_no_message() {
    let broker = TestBroker::new().await;
    let worker = ScriptedBatchWorker::new(|_| Action::Emit);
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register_batch(worker).unwrap());
    let mut sent = BTreeSet::new();
    for n in 0..200 {
        sent.insert(broker.send(BATCHED, &n.to_string()).await);
    }
    for round in 0..2 {
        close_connections(&broker).await;
        for n in 0..100 {
            // The connection of the publisher may be the closed one. After an error the outcome is unknown, so the test
            // sends a new message.
            let id = eventually("a confirmed publish", || async {
                let id = uuid::Uuid::new_v4();
                let message = pvt_messaging::Outgoing::raw(
                    pvt_messaging::Target::Queue,
                    broker.topology.name(BATCHED),
                    id,
                    "note.take.v1",
                    format!(r#"{{"text":"{round}-{n}"}}"#),
                );
                broker.publisher.publish(message).await.ok().map(|()| id)
            })
            .await;
            sent.insert(id);
        }
    }
    eventually("every confirmed message to be handled", || async { log.ids().is_superset(&sent).then_some(()) }).await;
    running.stop().await.unwrap();
    assert_eq!(broker.ready(BATCHED).await, 0);
    assert_eq!(broker.ready("bookings.0.dead").await, 0);
    let mut published = BTreeSet::new();
    while let Some((id, _)) = broker.take("payments").await {
        published.insert(id);
    }
    assert!(published.is_superset(&sent), "events are published before their message is acknowledged");
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_message_harms_neither_its_neighbours_nor_other_queues() {
    let broker = TestBroker::new().await;
    // The broker's delivery limit makes it a dead letter.
    broker.management.apply_policies(&broker.topology).await.unwrap();
    let (single, batched) = (ScriptedWorker::new(|_| Action::Succeed), ScriptedBatchWorker::new(|_| Action::Succeed));
    let (log, other_log) = (single.log.clone(), batched.log.clone());
    let mut sent = BTreeSet::new();
    for n in 0..30 {
        sent.insert(broker.send(SINGLE, &n.to_string()).await);
        if n == 5 {
            broker.send_full_frame(SINGLE).await;
        }
    }
    let returned = broker.management.peek(&broker.topology.name(SINGLE), 100).await.unwrap();
    assert_eq!(returned.len(), 31);
    let engine = broker.engine().register(single).unwrap().register_batch(batched).unwrap();
    let running = broker.run(engine);
    for n in 0..100 {
        broker.send(BATCHED, &n.to_string()).await;
    }
    eventually("the unreadable message is a dead letter", || async {
        (broker.ready("emails.dead").await == 1).then_some(())
    })
    .await;
    eventually("its neighbours are handled", || async { (log.ids() == sent).then_some(()) }).await;
    eventually("the other queue is handled", || async { (other_log.count() == 100).then_some(()) }).await;
    let health = running.health.snapshot();
    let other = health.iter().find(|worker| worker.name == "clerk").unwrap();
    assert_eq!(other.last_error, None, "its connection was not lost");
    let after = broker.send(SINGLE, "after").await;
    eventually("what comes after", || async { log.ids().contains(&after).then_some(()) }).await;
    running.stop().await.unwrap();
    assert_eq!((broker.ready("emails.dead").await, broker.ready(SINGLE).await), (1, 0), "it alone is a dead letter");
    broker.management.delete_policies(&broker.topology).await.unwrap();
    broker.close().await;
}

/// Published again with further headers it would be larger than a frame, which would end the publishing connection.
#[tokio::test]
async fn message_with_headers_that_fill_a_frame_is_retried_and_dead_lettered() {
    let broker = TestBroker::new().await;
    let worker = ScriptedWorker::new(|job| match job.message.text.as_str() {
        "fine" => Action::Emit,
        _ => Action::Fail(Failure::retry("c", "m")),
    });
    let full = broker.send_full_frame(SINGLE).await;
    let running = broker.run(broker.engine().register(worker).unwrap());
    for _ in 0..10 {
        broker.send(SINGLE, "fine").await;
    }
    let dead = broker.take_all("emails.dead", 1).await;
    assert_eq!(broker.take_all("payments", 10).await.len(), 10);
    running.stop().await.unwrap();
    assert_eq!((dead[&full]["error-class"].as_str(), dead[&full]["attempt"].as_str()), ("c", "3"));
    assert_eq!(dead[&full]["padding"].len(), 1_024);
    broker.close().await;
}

#[tokio::test]
async fn unconfirmed_events_leave_the_message_unacknowledged() {
    let broker = TestBroker::new().await;
    let full = broker.full_queue().await;
    let calls = std::sync::atomic::AtomicU32::new(0);
    let worker = ScriptedBatchWorker::new(move |_| {
        if calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            Action::EmitTo(full.clone())
        } else {
            Action::Emit
        }
    });
    let log = worker.log.clone();
    let running = broker.run(broker.engine().register_batch(worker).unwrap());
    let id = broker.send(BATCHED, "x").await;
    eventually("the first handling", || async { (log.count() == 1).then_some(()) }).await;
    close_connections(&broker).await;
    assert!(broker.take_all("payments", 1).await.contains_key(&id), "redelivered, because its event was refused");
    running.stop().await.unwrap();
    assert_eq!(log.count(), 2);
    assert_eq!(broker.ready(BATCHED).await, 0);
    broker.close().await;
}

/// Closes the consuming and the publishing connection of this test from the broker's side.
async fn close_connections(broker: &TestBroker) {
    let publisher = format!("{} publisher", broker.topology.prefix());
    let ours = eventually("the connections to be listed", || async {
        let all = broker.management.connections().await.unwrap();
        let ours: Vec<_> = all
            .into_iter()
            .filter(|connection| {
                connection
                    .user_provided_name
                    .as_deref()
                    .is_some_and(|name| name == publisher || name.contains(broker.topology.prefix()))
            })
            .collect();
        (ours.len() >= 2).then_some(ours)
    })
    .await;
    for connection in ours {
        // When both ends close it at once, the broker may drop the request without a response.
        eventually("a connection to be closed", || async {
            broker.management.close_connection(&connection.name).await.ok()
        })
        .await;
    }
}
