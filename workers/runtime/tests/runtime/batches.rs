//! In a batch nobody suffers for another.

use crate::bench::Bench;
use crate::scripted::{Act, BATCHED, Clerk};
use pvt_domain::failure::Failure;
use pvt_domain::messages::MAX_BODY_BYTES;
use std::time::Duration;
use uuid::Uuid;

const DEAD: &str = "bookings.0.dead";

#[tokio::test]
async fn what_cannot_be_read_is_buried_alone_and_the_rest_stays_together() {
    let bench = Bench::new().await;
    for n in 0..5 {
        bench.send(BATCHED, &n.to_string()).await;
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
        bench.send_raw(BATCHED, id, kind, body).await;
        expected.push((id, class));
    }
    bench.send_raw(BATCHED, Uuid::nil(), "note.take.v1", r#"{"text":"nobody"}"#).await;
    for n in 5..10 {
        bench.send(BATCHED, &n.to_string()).await;
    }
    let clerk = Clerk::new(|_| Act::Emit);
    let log = clerk.log.clone();
    let running = bench.run(bench.engine().register_batch(clerk).unwrap());
    assert_eq!(bench.take_all("payments", 10).await.len(), 10);
    let dead = bench.take_all(DEAD, 5).await;
    running.stop().await.unwrap();
    for (id, class) in expected {
        assert_eq!(dead[&id]["error-class"], class);
    }
    assert_eq!(dead[&Uuid::nil()]["error-class"], "invalid_envelope");
    assert_eq!(log.count(), 10, "no good message was handled twice");
    bench.close().await;
}

#[tokio::test]
async fn only_the_message_that_panics_suffers() {
    let bench = Bench::new().await;
    let mut bomb = Uuid::nil();
    for n in 0..9 {
        let text = if n == 4 { "bomb" } else { "fine" };
        let id = bench.send(BATCHED, text).await;
        bomb = if n == 4 { id } else { bomb };
    }
    let clerk =
        Clerk::new(
            |batch| if batch.items.iter().any(|job| job.message.text == "bomb") { Act::Panic } else { Act::Emit },
        );
    let running = bench.run(bench.engine().register_batch(clerk).unwrap());
    assert_eq!(bench.take_all("payments", 8).await.len(), 8);
    let dead = bench.take_all(DEAD, 1).await;
    running.stop().await.unwrap();
    assert_eq!(
        (dead[&bomb]["error-class"].as_str(), dead[&bomb]["error-message"].as_str()),
        ("panic", "as the test wished")
    );
    bench.close().await;
}

#[tokio::test]
async fn a_batch_rejected_as_a_whole_is_tried_one_by_one() {
    let bench = Bench::new().await;
    for n in 0..6 {
        bench.send(BATCHED, if n == 0 { "bad" } else { "fine" }).await;
    }
    let clerk = Clerk::new(|batch| match batch.items.iter().any(|job| job.message.text == "bad") {
        true => Act::Fail(Failure::reject("bad_batch", "one of them")),
        false => Act::Emit,
    });
    let running = bench.run(bench.engine().register_batch(clerk).unwrap());
    assert_eq!(bench.take_all("payments", 5).await.len(), 5);
    assert_eq!(bench.take_all(DEAD, 1).await.len(), 1);
    running.stop().await.unwrap();
    bench.close().await;
}

#[tokio::test]
async fn an_item_may_fail_while_its_batch_succeeds() {
    let bench = Bench::new().await;
    for n in 0..6 {
        bench.send(BATCHED, if n == 2 { "fails alone" } else { "fine" }).await;
    }
    let clerk = Clerk::new(|_| Act::Emit);
    let log = clerk.log.clone();
    let running = bench.run(bench.engine().register_batch(clerk).unwrap());
    assert_eq!(bench.take_all("payments", 5).await.len(), 5, "what a failed item emitted is forgotten");
    let dead = bench.take_all(DEAD, 1).await;
    running.stop().await.unwrap();
    assert!(dead.values().all(|headers| headers["error-class"] == "told_so"));
    assert_eq!(log.count(), 6);
    bench.close().await;
}

#[tokio::test]
async fn a_handler_that_does_not_end_is_ended_and_its_message_fails() {
    let bench = Bench::new().await;
    let clerk = Clerk::new(|batch| match batch.items.iter().any(|job| job.message.text == "stuck") {
        true => Act::Stall(Duration::from_secs(600)),
        false => Act::Emit,
    });
    let running = bench.run(bench.engine().register_batch(clerk).unwrap());
    bench.send(BATCHED, "stuck").await;
    bench.send(BATCHED, "fine").await;
    let dead = bench.take_all(DEAD, 1).await;
    assert_eq!(bench.take_all("payments", 1).await.len(), 1);
    running.stop().await.unwrap();
    assert!(dead.values().all(|headers| headers["error-class"] == "timeout"));
    bench.close().await;
}

#[tokio::test]
async fn a_waiting_queue_is_taken_in_full_batches() {
    let bench = Bench::new().await;
    for n in 0..100 {
        bench.send(BATCHED, &n.to_string()).await;
    }
    let clerk = Clerk::new(|_| Act::Emit);
    let log = clerk.log.clone();
    let running = bench.run(bench.engine().register_batch(clerk).unwrap());
    bench.take_all("payments", 100).await;
    running.stop().await.unwrap();
    let texts: Vec<_> = log.calls().into_iter().flat_map(|call| call.texts).collect();
    assert_eq!(texts, (0..100).map(|n| n.to_string()).collect::<Vec<_>>(), "in the order in which they were sent");
    assert!(log.calls().len() <= 20, "{} batches for 100 messages of at most 20", log.calls().len());
    bench.close().await;
}
