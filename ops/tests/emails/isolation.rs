//! One recipient who breaks connections beside a thousand others: they are mailed at their usual speed, and the one
//! ends in the dead letters with its reason.

use crate::bookings::{confirmed, event};
use crate::{MAIL_FROM, MailHarness};
use pvt_domain::booking::Booking;
use pvt_messaging::{Outgoing, Publisher, Subscriber, Topology};
use pvt_testkit::{TestTopology, eventually};
use pvt_worker_runtime::{Engine, HEADER_ERROR_CLASS, WorkerState};
use pvt_workers::jobs::emails::Emails;
use pvt_workers::mail::Links;
use pvt_workers::mail::smtp::SmtpLimits;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(60);
const HEALTHY: usize = 1_000;
/// The machine is shared by other tests.
const USUAL: u32 = 3;
/// The batch of each attempt of the bad one is handled message by message, and its reply awaited.
const ISOLATION: Duration = Duration::from_secs(2);
/// A retry schedule of four hours passes within seconds.
const RETRY_DIVISOR: u32 = 4_000;
/// The worker gives up a reply after a fraction of the time that it takes.
const REPLY_TIMEOUT: Duration = Duration::from_millis(300);

/// How long it takes until all of these are mailed, beside the messages sent before.
async fn mail_all(harness: &MailHarness, publisher: &Publisher, bookings: &[Booking]) -> Duration {
    harness.store(bookings).await;
    let events = bookings.iter().map(|booking| event(booking, 1));
    let messages: Vec<_> = events.map(|event| Outgoing::event(event.event_id, &event).unwrap()).collect();
    let (begun, before) = (Instant::now(), harness.mails.accepted());
    publisher.publish_all(messages).await.unwrap();
    eventually("all are mailed", LIMIT, async || {
        Ok((harness.mails.accepted() - before >= HEALTHY.try_into()?).then_some(()))
    })
    .await
    .unwrap();
    begun.elapsed()
}

async fn one_bad_recipient(fault: &'static str) {
    let (harness, topology) = (MailHarness::open().await, TestTopology::new("em", RETRY_DIVISOR).await.unwrap());
    let (url, own) = (topology.urls().amqp.as_str(), Topology::clone(&topology));
    let publisher = Publisher::start(url, own.clone(), "tests");
    let links = Links::new("http://127.0.0.1:8080".parse().unwrap(), &"a secret of the tests".into()).unwrap();
    let limits = SmtpLimits { reply_timeout: REPLY_TIMEOUT, ..SmtpLimits::default() };
    let server = format!("smtp://{}", harness.smtp);
    let worker = Emails::with(harness.mongo.clone(), &server, MAIL_FROM, links, limits).unwrap();
    let engine = Engine::new(url, own.clone(), publisher.clone()).register_batch(worker).unwrap();
    let (health, stop) = (engine.health(), CancellationToken::new());
    let running = tokio::spawn(engine.run(stop.clone()));

    let bookings: Vec<Booking> = (0..3 * HEALTHY).map(confirmed).collect();
    let usual = mail_all(&harness, &publisher, &bookings[..HEALTHY]).await;
    harness.fault(fault).await;
    let mut bad = confirmed(3 * HEALTHY);
    bad.guest.email = "bad@example.com".into();
    let beside: Vec<Booking> =
        [bad.clone()].into_iter().chain(bookings[HEALTHY..2 * HEALTHY].iter().cloned()).collect();
    let took = mail_all(&harness, &publisher, &beside).await;

    let subscriber = Subscriber::start(url, own.clone(), "tests");
    let mut letters = subscriber.subscribe(&own.dead_queue(&own.name("emails")), 1).await.unwrap();
    let letter = tokio::time::timeout(LIMIT, letters.next()).await.unwrap().unwrap();
    assert_eq!(letter.envelope.id, event(&bad, 1).event_id);
    assert_eq!(letter.envelope.header(HEADER_ERROR_CLASS), Some("smtp_unavailable"));
    let health = health.snapshot().remove(0);
    assert_eq!(health.state, WorkerState::Running);
    assert!(health.last_error.as_ref().is_some_and(|error| error.text.contains("smtp_unavailable")), "{health:?}");
    subscriber.close(LIMIT).await;
    // The slower of both, because other tests begin and end meanwhile.
    let usual = usual.max(mail_all(&harness, &publisher, &bookings[2 * HEALTHY..]).await);
    assert!(took < USUAL * usual + ISOLATION, "{took:?} instead of {usual:?}");
    stop.cancel();
    running.await.unwrap().unwrap();
    publisher.close(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_answer_about_one_recipient_is_isolated() {
    one_bad_recipient(r#"{"mode":"tarpit_recipient","recipient":"bad@","delay_ms":12000}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_at_one_recipient_is_isolated() {
    one_bad_recipient(r#"{"mode":"drop_at_recipient","recipient":"bad@"}"#).await;
}
