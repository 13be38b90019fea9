//! What each outcome of a handler does to its message.

use crate::bench::{Bench, eventually};
use crate::scripted::{Act, Clerk, Lost, Mailer, Rival, SINGLE};
use pvt_domain::failure::{Cause, Failure};
use pvt_worker_runtime::{EngineError, WorkerState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn ok_publishes_what_was_emitted_and_acknowledges() {
    let bench = Bench::new().await;
    let mailer = Mailer::new(|_| Act::Emit);
    let log = mailer.log.clone();
    let running = bench.run(bench.engine().register(mailer).unwrap());
    let mut sent = Vec::new();
    for n in 0..30 {
        sent.push(bench.send(SINGLE, &n.to_string()).await);
    }
    let published = bench.take_all("payments", 30).await;
    running.stop().await.unwrap();
    sent.sort_unstable();
    assert_eq!(published.into_keys().collect::<Vec<_>>(), sent, "each message's event, once");
    assert_eq!(log.count(), 30, "each message handled once");
    assert_eq!(bench.ready(SINGLE).await, 0, "nothing came back when the consumer closed: all was acknowledged");
    bench.close().await;
}

#[tokio::test]
async fn a_failing_message_climbs_the_ladder_and_is_buried_with_its_reason() {
    let bench = Bench::new().await;
    let mailer = Mailer::new(|_| Act::Fail(Failure::retry("smtp_down", "no route to the post office")));
    let log = mailer.log.clone();
    let running = bench.run(bench.engine().register(mailer).unwrap());
    let begun = Instant::now();
    let id = bench.send(SINGLE, "x").await;
    let dead = bench.take_all("emails.dead", 1).await;
    assert!(begun.elapsed() >= Duration::from_millis(650), "50 ms on the first rung, 600 ms on the second");
    running.stop().await.unwrap();

    assert_eq!(log.calls().iter().flat_map(|call| call.attempts.clone()).collect::<Vec<_>>(), [1, 2, 3]);
    let headers = dead.get(&id).expect("the dead letter keeps its id");
    let header = |name: &str| headers.get(name).map_or("", String::as_str);
    assert_eq!(header("error-class"), "smtp_down");
    assert_eq!(header("error-message"), "no route to the post office");
    assert_eq!(header("worker"), "mailer");
    assert_eq!(header("attempt"), "3");
    assert!(header("first-failed-at").starts_with("20"), "{headers:?}");
    bench.close().await;
}

#[tokio::test]
async fn a_deferral_and_a_wanted_delay_come_back() {
    let bench = Bench::new().await;
    let mailer = Mailer::new(|job| match (job.message.text.as_str(), job.meta.attempt, job.meta.header("deferrals")) {
        ("defer", _, None) => Act::Fail(Failure::Defer(Duration::from_secs(5))),
        ("later", 1, _) => Act::Fail(Failure::RetryAfter(Cause::new("rate_limited", ""), Duration::from_secs(6))),
        _ => Act::Emit,
    });
    let log = mailer.log.clone();
    let running = bench.run(bench.engine().register(mailer).unwrap());
    bench.send(SINGLE, "defer").await;
    let later = bench.send(SINGLE, "later").await;
    let done = bench.take_all("payments", 2).await;
    running.stop().await.unwrap();
    let attempts = |text: &str| {
        log.calls().iter().filter(|call| call.texts == [text]).map(|call| call.attempts[0]).collect::<Vec<_>>()
    };
    assert_eq!(attempts("defer"), [1, 1], "a deferral costs no attempt");
    assert_eq!(attempts("later"), [1, 2]);
    assert!(done.contains_key(&later));
    bench.close().await;
}

#[tokio::test]
async fn a_dependency_that_is_down_pauses_the_worker_and_burns_no_attempt() {
    let bench = Bench::new().await;
    let down = Arc::new(AtomicBool::new(true));
    let state = down.clone();
    let mailer = Mailer::new(move |_| match state.load(Ordering::SeqCst) {
        true => Act::Fail(Failure::unavailable("post_office_down", "closed")),
        false => Act::Emit,
    });
    let log = mailer.log.clone();
    let running = bench.run(bench.engine().register(mailer).unwrap());
    for n in 0..10 {
        bench.send(SINGLE, &n.to_string()).await;
    }
    let paused = WorkerState::Paused { class: "post_office_down" };
    eventually("the pause", || async { (running.health.snapshot()[0].state == paused).then_some(()) }).await;
    eventually("a probe", || async { (log.count() >= 4).then_some(()) }).await;
    down.store(false, Ordering::SeqCst);
    assert_eq!(bench.take_all("payments", 10).await.len(), 10);
    eventually("the end of the pause", || async {
        (running.health.snapshot()[0].state == WorkerState::Running).then_some(())
    })
    .await;
    running.stop().await.unwrap();
    assert!(log.calls().iter().all(|call| call.attempts == [1]));
    assert_eq!(bench.ready("emails.dead").await, 0);
    bench.close().await;
}

#[tokio::test]
async fn a_paused_worker_drains_and_gives_its_messages_back() {
    let bench = Bench::new().await;
    let mailer = Mailer::new(|_| Act::Fail(Failure::unavailable("down", "")));
    let log = mailer.log.clone();
    let running = bench.run(bench.engine().register(mailer).unwrap());
    for n in 0..5 {
        bench.send(SINGLE, &n.to_string()).await;
    }
    eventually("a try", || async { (log.count() > 0).then_some(()) }).await;
    running.stop().await.unwrap();
    eventually("the messages to come back", || async { (bench.ready(SINGLE).await == 5).then_some(()) }).await;
    bench.close().await;
}

#[tokio::test]
async fn draining_finishes_what_is_being_handled_and_returns_the_rest() {
    let bench = Bench::new().await;
    let gate = Arc::new(tokio::sync::Notify::new());
    let held = gate.clone();
    let mailer =
        Mailer::new(move |job| if job.message.text == "slow" { Act::WaitFor(held.clone()) } else { Act::Succeed });
    let log = mailer.log.clone();
    let running = bench.run(bench.engine().register(mailer).unwrap());
    for _ in 0..6 {
        bench.send(SINGLE, "slow").await;
    }
    eventually("both slots busy", || async { (log.count() == 2).then_some(()) }).await;
    running.signal();
    eventually("the drain", || async { (running.health.snapshot()[0].state == WorkerState::Draining).then_some(()) })
        .await;
    gate.notify_waiters();
    running.stop().await.unwrap();
    assert_eq!(log.count(), 2, "nothing new was begun");
    eventually("the rest to come back", || async { (bench.ready(SINGLE).await == 4).then_some(()) }).await;
    bench.close().await;
}

#[tokio::test]
async fn a_name_or_a_queue_twice_and_an_empty_engine_are_refused() {
    let bench = Bench::new().await;
    let engine = bench.engine().register(Mailer::new(|_| Act::Succeed)).unwrap();
    let twice = engine.register(Mailer::new(|_| Act::Succeed)).err();
    assert_eq!(twice, Some(EngineError::DuplicateName("mailer")));
    let both =
        bench.engine().register(Mailer::new(|_| Act::Succeed)).unwrap().register_batch(Clerk::new(|_| Act::Succeed));
    assert!(both.is_ok());
    let rival = bench.engine().register(Mailer::new(|_| Act::Succeed)).unwrap().register(Rival);
    assert_eq!(rival.err(), Some(EngineError::DuplicateQueue("emails")));
    let lost = bench.engine().register(Lost).err();
    assert_eq!(lost, Some(EngineError::UnknownQueue { worker: "lost", queue: "nowhere" }));
    assert_eq!(bench.engine().run(CancellationToken::new()).await, Err(EngineError::Empty));
    bench.close().await;
}
