//! A process that is killed again and again must not take the bystanders with it.

use crate::bench::Bench;
use crate::scripted::{Act, BATCHED, Clerk, Mailer};
use uuid::Uuid;

#[tokio::test]
async fn a_suspect_is_handled_alone_and_the_bystanders_afterwards() {
    let bench = Bench::new().await;
    let suspect = bench.send(BATCHED, "suspect").await;
    bench.bounce(BATCHED, 3).await;
    for n in 0..8 {
        bench.send(BATCHED, &n.to_string()).await;
    }
    let clerk = Clerk::new(|_| Act::Emit);
    let log = clerk.log.clone();
    let running = bench.run(bench.engine().register_batch(clerk).unwrap());
    assert_eq!(bench.take_all("payments", 9).await.len(), 9);
    running.stop().await.unwrap();
    let with_suspect: Vec<_> = log.calls().into_iter().filter(|call| call.ids.contains(&suspect)).collect();
    assert_eq!(with_suspect.iter().map(|call| call.ids.len()).collect::<Vec<_>>(), [1], "alone, once");
    assert_eq!(log.count(), 9);
    bench.close().await;
}

#[tokio::test]
async fn who_crashed_ten_times_and_has_no_ladder_is_buried_without_another_try() {
    let bench = Bench::new().await;
    let killer: Uuid = bench.send(BATCHED, "killer").await;
    bench.bounce(BATCHED, 10).await;
    bench.send(BATCHED, "bystander").await;
    let clerk = Clerk::new(|_| Act::Emit);
    let log = clerk.log.clone();
    let running = bench.run(bench.engine().register_batch(clerk).unwrap());
    let dead = bench.take_all("bookings.0.dead", 1).await;
    assert_eq!(bench.take_all("payments", 1).await.len(), 1);
    running.stop().await.unwrap();
    assert_eq!(dead[&killer]["error-class"], "crash_loop");
    assert!(!log.ids().contains(&killer));
    bench.close().await;
}

/// Ten deaths may be somebody else's doing: with a ladder they cost one attempt.
#[tokio::test]
async fn ten_deaths_cost_one_attempt() {
    let bench = Bench::new().await;
    let survivor: Uuid = bench.send("emails", "survivor").await;
    bench.bounce("emails", 10).await;
    let mailer = Mailer::new(|_| Act::Emit);
    let log = mailer.log.clone();
    let running = bench.run(bench.engine().register(mailer).unwrap());
    let sent = bench.take_all("payments", 1).await;
    running.stop().await.unwrap();
    assert_eq!(sent.len(), 1);
    let calls: Vec<_> = log.calls().into_iter().filter(|call| call.ids.contains(&survivor)).collect();
    assert_eq!(calls.len(), 1, "handled once, when it came back from the ladder");
    bench.close().await;
}
