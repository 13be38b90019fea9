//! Outages of engines under load: nothing accepted is lost, nothing is duplicated, and responses stay truthful.
//!
//! Each test runs the engine that it stops for itself and uses the shared ones for the rest.

use crate::harness::{Expectations, LONG_TIMEOUT, SHORT_TIMEOUT, Stack, StackBuilder};
use crate::payments;
use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use pvt_domain::booking::Status;
use pvt_stripe_simulator::PayOutcome;
use pvt_testkit::{DORM, EngineKind, EphemeralInstance, Urls, booking_body, days_from_now, engines, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::io::Write;
use std::time::{Duration, Instant};

/// Intake reports an unreachable broker within 5 s; the rest is for a slow machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(6);

/// Captured and shown when the test fails.
pub(crate) const PROGRESS: &(dyn Fn(&str) + Send + Sync) = &|line| drop(writeln!(std::io::stderr(), "engines: {line}"));

/// The shared engines, with this one replaced by one that can be stopped.
pub(crate) async fn with_own(kind: EngineKind) -> Result<(EphemeralInstance, Urls)> {
    let own = EphemeralInstance::open()?;
    let kinds = [kind];
    let (shared, fresh) = tokio::join!(engines(), own.ensure(&kinds, PROGRESS));
    let (mut urls, fresh) = (shared?.clone(), fresh?);
    match kind {
        EngineKind::RabbitMq => (urls.amqp, urls.management) = (fresh.amqp, fresh.management),
        EngineKind::MongoDb => urls.mongodb = fresh.mongodb,
        EngineKind::PostgreSql => urls.postgres = fresh.postgres,
    }
    Ok((own, urls))
}

/// Runs a command of the broker's own tool on an own broker.
pub(crate) async fn rabbitmqctl(broker: &EphemeralInstance, arguments: &[&str]) -> Result<()> {
    let folder = broker.state_dir();
    let record: Value = serde_json::from_slice(&std::fs::read(folder.join("instance.json"))?)?;
    let ended = tokio::process::Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl")
        .env("HOME", folder.join("rabbitmq"))
        .env("ERL_EPMD_PORT", record["ports"]["mapper"].to_string())
        .args(["-n", &format!("pvt-{}@localhost", broker.name())])
        .args(arguments)
        .output()
        .await?;
    ensure!(ended.status.success(), "{ended:?}");
    Ok(())
}

fn body(number: u64) -> Value {
    booking_body(DORM, days_from_now(5 + number % 300), 1, 1)
}

async fn book_all(stack: &Stack, label: &str, count: u64) -> Result<()> {
    let keys: Vec<String> = (0..count).map(|number| format!("{label}-{number}")).collect();
    try_join_all(
        keys.iter().zip(0..).map(|(key, number)| async move { stack.book_with_retries(key, &body(number)).await }),
    )
    .await?;
    Ok(())
}

#[tokio::test]
#[ignore = "takes minutes: tests/long-journeys/run"]
async fn intake_without_broker_answers_retry_later() -> Result<()> {
    let (own, urls) = with_own(EngineKind::RabbitMq).await?;
    let stack = StackBuilder::new().on(urls).start().await?;
    book_all(&stack, "before", 20).await?;
    own.engine(EngineKind::RabbitMq).kill9().await?;
    // Accepted just before and not all handled; from now on nothing can be accepted.
    let asked = Instant::now();
    let answer = stack.client.request_booking("meanwhile", &body(200)).await?;
    assert_eq!((answer.status, answer.problem()?), (StatusCode::SERVICE_UNAVAILABLE, "broker_unavailable"));
    assert!(asked.elapsed() < ANSWER_LIMIT, "{:?}", asked.elapsed());
    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1), "{answer:?}");
    assert_eq!(stack.client.get("/livez").await?.status, StatusCode::OK);
    let unready =
        || async { Ok((stack.client.get("/readyz").await?.status == StatusCode::SERVICE_UNAVAILABLE).then_some(())) };
    eventually("the instance is taken out of service", SHORT_TIMEOUT, unready).await?;
    own.engine(EngineKind::RabbitMq).start(PROGRESS).await?;
    let retried = stack.book_with_retries("meanwhile", &body(200)).await?;
    assert_eq!(
        stack.client.wait_for_decision(&retried).await?["status"],
        "confirmed",
        "the retry with the same key succeeds"
    );
    stack.wait_until_quiet(&Expectations::clean()).await?;

    // The broker hangs: connections stay open, nothing is confirmed.
    let engine = own.engine(EngineKind::RabbitMq);
    engine.pause().await?;
    let asked = Instant::now();
    let answer = stack.client.request_booking("while it hangs", &body(201)).await?;
    let took = asked.elapsed();
    engine.resume().await?;
    assert_eq!((answer.status, answer.problem()?), (StatusCode::SERVICE_UNAVAILABLE, "broker_unavailable"));
    assert!(took < ANSWER_LIMIT, "{took:?}");
    let retried = stack.book_with_retries("while it hangs", &body(201)).await?;
    assert_eq!(stack.client.wait_for_decision(&retried).await?["status"], "confirmed");
    stack.wait_until_quiet(&Expectations::clean()).await?;

    // An orderly restart, under load.
    let (restarted, booked) = tokio::join!(engine.restart(PROGRESS), book_all(&stack, "during", 60));
    restarted?;
    booked?;
    stack.end(Expectations::clean()).await?;
    Ok(own.close().await?)
}

/// Stripe gets an error response and redelivers the event.
#[tokio::test]
#[ignore = "takes minutes: tests/long-journeys/run"]
async fn webhook_during_broker_outage_is_accepted_on_redelivery() -> Result<()> {
    let (own, urls) = with_own(EngineKind::RabbitMq).await?;
    let stack = StackBuilder::new().on(urls).paid_online().start().await?;
    let booked = payments::hold(&stack, "1", &payments::prepaid(days_from_now(60), 2)).await?;
    let (session, _) = payments::checkout(&stack, &booked, "pay").await?;
    stack.stripe()?.until_idle().await;
    own.engine(EngineKind::RabbitMq).kill9().await?;
    stack.stripe()?.pay(&session, PayOutcome::Success)?;
    eventually("Stripe is asked to retry", SHORT_TIMEOUT, || async {
        let refused = stack
            .stripe()?
            .deliveries(None, 20)
            .into_iter()
            .filter(|attempt| attempt.status == Some(503) && attempt.again)
            .count();
        Ok((refused > 0).then_some(()))
    })
    .await?;
    own.engine(EngineKind::RabbitMq).start(PROGRESS).await?;
    payments::until(&stack, &booked, Status::Confirmed).await?;
    tokio::time::timeout(LONG_TIMEOUT, stack.stripe()?.until_idle()).await?;
    let effects = stack.stripe()?.effects_of_booking(&booked.id.to_string());
    assert_eq!((effects.charges, effects.refunds), (1, 0));
    stack.end(Expectations::clean()).await?;
    Ok(own.close().await?)
}

#[tokio::test]
async fn intake_continues_without_mongodb() -> Result<()> {
    let (own, urls) = with_own(EngineKind::MongoDb).await?;
    let stack = StackBuilder::new().on(urls).start().await?;
    book_all(&stack, "before", 30).await?;
    own.engine(EngineKind::MongoDb).kill9().await?;
    let asked = Instant::now();
    let kept = stack.book("meanwhile", &body(200)).await?;
    book_all(&stack, "during", 20).await?;
    assert!(asked.elapsed() < ANSWER_LIMIT, "intake does not wait for the store: {:?}", asked.elapsed());
    let seen = stack.client.get(&format!("/api/bookings/{}?token={}", kept.id, kept.token)).await?;
    assert_eq!((seen.status, seen.problem()?), (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"));
    own.engine(EngineKind::MongoDb).start(PROGRESS).await?;
    assert_eq!(stack.client.wait_for_decision(&kept).await?["status"], "confirmed");
    stack.wait_until_quiet(&Expectations::clean()).await?;

    // It hangs under load, until readers time out.
    let engine = own.engine(EngineKind::MongoDb);
    engine.pause().await?;
    book_all(&stack, "while it hangs", 40).await?;
    let given_up = || async {
        let seen = stack.client.get(&format!("/api/bookings/{}?token={}", kept.id, kept.token)).await?;
        Ok((seen.status == StatusCode::SERVICE_UNAVAILABLE).then_some(()))
    };
    eventually("readers get an error", LONG_TIMEOUT, given_up).await?;
    engine.resume().await?;
    stack.wait_until_quiet(&Expectations::clean()).await?;

    // Two more kills under load.
    for round in 0..2 {
        let bounce = async {
            engine.kill9().await?;
            engine.start(PROGRESS).await
        };
        let label = format!("round-{round}");
        let (bounced, booked) = tokio::join!(bounce, book_all(&stack, &label, 60));
        bounced?;
        booked?;
    }
    stack.end(Expectations::clean()).await?;
    Ok(own.close().await?)
}

#[tokio::test]
async fn mart_catches_up_after_postgresql_outage() -> Result<()> {
    let (own, urls) = with_own(EngineKind::PostgreSql).await?;
    let mut stack = StackBuilder::new().on(urls).start().await?;
    book_all(&stack, "before", 30).await?;
    own.engine(EngineKind::PostgreSql).kill9().await?;
    book_all(&stack, "during", 30).await?;
    // Guests are not affected.
    let mails = || async { Ok((stack.mailbox.all().await?.len() == 60).then_some(())) };
    eventually("every guest gets a mail", LONG_TIMEOUT, mails).await?;
    // A worker that starts while its store is down waits for it.
    stack.program("workers")?.stop().await?;
    stack.program("workers")?.start(&[])?;
    own.engine(EngineKind::PostgreSql).start(PROGRESS).await?;
    stack.wait_until_quiet(&Expectations::clean()).await?;
    let engine = own.engine(EngineKind::PostgreSql);
    let (restarted, booked) = tokio::join!(engine.restart(PROGRESS), book_all(&stack, "again", 60));
    restarted?;
    booked?;
    stack.end(Expectations::clean()).await?;
    Ok(own.close().await?)
}

#[tokio::test]
async fn mails_are_sent_once_after_smtp_outage() -> Result<()> {
    let mut stack = StackBuilder::new().start().await?;
    stack.program("mail-sink")?.kill9()?;
    book_all(&stack, "during", 25).await?;
    let expectations = Expectations::clean();
    let decided = || async { Ok((stack.stores.records().await?.bookings.len() == 25).then_some(())) };
    eventually("bookings are decided without mails", LONG_TIMEOUT, decided).await?;
    stack.restart("mail-sink").await?;
    stack.wait_until_quiet(&expectations).await?;
    assert_eq!(stack.mailbox.all().await?.len(), 25);
    stack.end(expectations).await
}

#[tokio::test]
async fn faulty_mail_server_receives_every_mail_once() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    for (number, fault) in [
        json!({ "mode": "451", "next": 2 }),
        json!({ "mode": "421", "next": 2 }),
        json!({ "mode": "drop_after_250", "next": 2 }),
    ]
    .iter()
    .enumerate()
    {
        stack.mailbox.inject_fault(fault).await?;
        book_all(&stack, &format!("mood-{number}"), 8).await?;
        stack.wait_until_quiet(&Expectations::clean()).await?;
    }
    // Stored without a response: the sender cannot know, and the guest may get it twice with one Message-ID.
    stack.mailbox.inject_fault(&json!({ "mode": "drop_before_250", "next": 2 })).await?;
    book_all(&stack, "cannot-know", 8).await?;
    stack.end(Expectations::clean().mail_copies(3)).await
}

/// A mailbox that does not exist is not retried for hours.
#[tokio::test]
async fn refused_recipient_is_final() -> Result<()> {
    let stack = StackBuilder::new().start().await?;
    stack.mailbox.inject_fault(&json!({ "mode": "550", "next": 1 })).await?;
    let booked = stack.client.book("no-worker", &body(1)).await?;
    let refused = || async {
        let ledger = stack.stores.records().await?.notifications;
        ensure!(ledger.len() == 1, "{ledger:?}");
        Ok((ledger[0].status == pvt_stores::mongo::notifications::NotificationStatus::Failed).then_some(()))
    };
    eventually("the refusal is recorded", LONG_TIMEOUT, refused).await?;
    assert_eq!(stack.client.wait_for_decision(&booked).await?["status"], "confirmed");
    stack.end(Expectations::clean().without_mails()).await
}
