//! Lost connections: everything comes again, nothing is lost.

use crate::bench::{Bench, eventually};
use crate::scripted::{Act, BATCHED, Clerk};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_nothing() {
    let bench = Bench::new().await;
    let clerk = Clerk::new(|_| Act::Emit);
    let log = clerk.log.clone();
    let running = bench.run(bench.engine().register_batch(clerk).unwrap());
    let mut sent = BTreeSet::new();
    for n in 0..200 {
        sent.insert(bench.send(BATCHED, &n.to_string()).await);
    }
    for round in 0..2 {
        cut(&bench).await;
        for n in 0..100 {
            // The publisher's own connection may be the one cut: an error means an unknown outcome, and the test sends
            // anew.
            let id = eventually("a confirmed publish", || async {
                let id = uuid::Uuid::new_v4();
                let message = pvt_messaging::Outgoing::raw(
                    pvt_messaging::Target::Queue,
                    bench.topology.name(BATCHED),
                    id,
                    "note.take.v1",
                    format!(r#"{{"text":"{round}-{n}"}}"#),
                );
                bench.publisher.publish(message).await.ok().map(|()| id)
            })
            .await;
            sent.insert(id);
        }
    }
    eventually("every confirmed message to be handled", || async { log.ids().is_superset(&sent).then_some(()) }).await;
    running.stop().await.unwrap();
    assert_eq!(bench.ready(BATCHED).await, 0);
    assert_eq!(bench.ready("bookings.0.dead").await, 0);
    let mut published = BTreeSet::new();
    while let Some((id, _)) = bench.take("payments").await {
        published.insert(id);
    }
    assert!(published.is_superset(&sent), "what follows from each message was published before it was acknowledged");
    bench.close().await;
}

#[tokio::test]
async fn what_is_not_confirmed_is_not_acknowledged() {
    let bench = Bench::new().await;
    let full = bench.full_queue().await;
    let calls = std::sync::atomic::AtomicU32::new(0);
    let clerk = Clerk::new(move |_| {
        if calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 { Act::EmitTo(full.clone()) } else { Act::Emit }
    });
    let log = clerk.log.clone();
    let running = bench.run(bench.engine().register_batch(clerk).unwrap());
    let id = bench.send(BATCHED, "x").await;
    eventually("the first handling", || async { (log.count() == 1).then_some(()) }).await;
    cut(&bench).await;
    assert!(bench.take_all("payments", 1).await.contains_key(&id), "it came again, because its event was refused");
    running.stop().await.unwrap();
    assert_eq!(log.count(), 2);
    assert_eq!(bench.ready(BATCHED).await, 0);
    bench.close().await;
}

/// Closes the consuming connection and this bench's publishing connection from the broker's side.
async fn cut(bench: &Bench) {
    let publisher = format!("{} publisher", bench.topology.prefix());
    let ours = eventually("the connections to be listed", || async {
        let all = bench.management.connections().await.unwrap();
        let ours: Vec<_> = all
            .into_iter()
            .filter(|connection| {
                connection
                    .user_provided_name
                    .as_deref()
                    .is_some_and(|name| name == publisher || name.contains(bench.topology.prefix()))
            })
            .collect();
        (ours.len() >= 2).then_some(ours)
    })
    .await;
    for connection in ours {
        // Both ends may be closing it at this moment: then the broker may drop the request without an answer, and it is
        // asked again.
        eventually("a connection to be cut", || async {
            bench.management.close_connection(&connection.name).await.ok()
        })
        .await;
    }
}
