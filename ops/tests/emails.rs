//! The emails worker against a real MongoDB and the mail sink: what is sent, what is recorded, and what is not sent
//! again.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "emails/accounts.rs"]
mod accounts;
#[path = "emails/bookings.rs"]
mod bookings;
#[path = "emails/changes.rs"]
mod changes;
#[path = "emails/former_addresses.rs"]
mod former_addresses;
#[path = "emails/isolation.rs"]
mod isolation;

use bookings::{cancelled, confirmed, event, held, modified};
use pvt_domain::booking::Booking;
use pvt_domain::demo;
use pvt_domain::events::{NotificationEvent, PaymentEvent, PaymentEventKind};
use pvt_domain::failure::Failure;
use pvt_domain::messages::{EmailCommand, NotificationKind, SendNotification};
use pvt_mail_sink::{MailSink, MailStore, SinkOptions};
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::notifications::{Notification, NotificationStatus};
use pvt_testkit::Namespace;
use pvt_worker_runtime::{Batch, BatchWorker, HEADER_DEFERRALS, Job, Meta};
use pvt_workers::jobs::emails::Emails;
use pvt_workers::mail::Links;
use pvt_workers::mail::smtp::SmtpLimits;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const MAIL_FROM: &str = "PVT Booking <bookings@pvt.test>";

/// A database of its own, a mail sink, and the worker between them.
struct MailHarness {
    _namespace: Namespace,
    mongo: Mongo,
    bookings: mongodb::Collection<Booking>,
    smtp: SocketAddr,
    http: SocketAddr,
    mails: Arc<MailStore>,
    worker: Emails,
    stop: CancellationToken,
}

impl Drop for MailHarness {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl MailHarness {
    async fn open() -> Self {
        let namespace = Namespace::new().await.unwrap();
        let mongo = namespace.mongo().await.unwrap();
        mongo.inventories().save(&demo::inventory()).await.unwrap();
        let driver = mongodb::Client::with_uri_str(namespace.mongodb_uri()).await.unwrap();
        let bookings = driver.default_database().unwrap().collection("bookings");
        let any = "127.0.0.1:0".parse().unwrap();
        let sink = MailSink::bind(SinkOptions { smtp_addr: any, http_addr: any, store_dir: None, discard: false })
            .await
            .unwrap();
        let (smtp, http, mails, stop) =
            (sink.smtp_addr().unwrap(), sink.http_addr().unwrap(), sink.store(), CancellationToken::new());
        tokio::spawn(sink.serve(stop.clone()));
        let worker = worker(&mongo, smtp);
        Self { _namespace: namespace, mongo, bookings, smtp, http, mails, worker, stop }
    }

    async fn store(&self, bookings: &[Booking]) {
        self.bookings.insert_many(bookings).await.unwrap();
    }

    async fn fault(&self, body: &'static str) {
        let request = reqwest::Client::new()
            .post(format!("http://{}/dev/mail/faults", self.http))
            .header("content-type", "application/json")
            .body(body);
        assert!(request.send().await.unwrap().status().is_success());
    }

    async fn rows(&self, booking: &Booking) -> Vec<Notification> {
        self.mongo.notifications().of_booking(booking.id).await.unwrap()
    }

    /// Rewrites the ledger's rows about a booking.
    async fn edit_rows(&self, booking: &Booking, edit: impl Fn(&mut Notification)) {
        let ledger: mongodb::Collection<Notification> =
            self.bookings.client().database(&self.bookings.namespace().db).collection("notifications");
        for mut row in self.rows(booking).await {
            edit(&mut row);
            ledger.replace_one(mongodb::bson::doc! { "_id": &row.key }, &row).await.unwrap();
        }
    }

    async fn handle(&self, jobs: Vec<Job<EmailCommand>>) -> Vec<Job<EmailCommand>> {
        handle(&self.worker, jobs).await
    }

    /// `Message-ID` of every mail to this guest, oldest first.
    fn message_ids(&self, booking: &Booking) -> Vec<String> {
        let mails = self.mails.newest(Some(&booking.guest.email), 100);
        let id = |raw: &[u8]| {
            String::from_utf8_lossy(raw).lines().find_map(|line| line.strip_prefix("Message-ID: ").map(str::to_owned))
        };
        mails.iter().rev().filter_map(|mail| id(&mail.raw)).collect()
    }
}

fn worker(mongo: &Mongo, smtp: SocketAddr) -> Emails {
    let links = Links::new("http://127.0.0.1:8080".parse().unwrap(), &"a secret of the tests".into()).unwrap();
    Emails::with(mongo.clone(), &format!("smtp://{smtp}"), MAIL_FROM, links, SmtpLimits::default()).unwrap()
}

async fn handle(worker: &Emails, jobs: Vec<Job<EmailCommand>>) -> Vec<Job<EmailCommand>> {
    let mut batch = Batch { queue: "emails".into(), partition: None, items: jobs };
    worker.handle(&mut batch).await.unwrap();
    batch.items
}

fn job(message: EmailCommand, attempt: u32) -> Job<EmailCommand> {
    Job::new(message, Meta { attempt, ..Meta::default() })
}

fn booking_event(booking: &Booking, rev: u32) -> EmailCommand {
    EmailCommand::Happened(Box::new(event(booking, rev)))
}

fn send_request(booking: &Booking, id: u128) -> EmailCommand {
    EmailCommand::Send(SendNotification {
        notification_id: Uuid::from_u128(id),
        booking_id: booking.id,
        kind: NotificationKind::BookingConfirmed,
        actor: "staff:1".into(),
        requested_at: booking.created_at,
    })
}

/// The event that a job emitted.
fn emitted(job: &Job<EmailCommand>) -> NotificationEvent {
    assert!(job.failed().is_none(), "{:?}", job.failed());
    let [sent] = job.emitted() else { panic!("not one event: {:?}", job.emitted()) };
    let event = NotificationEvent::decode(&sent.envelope.kind, &sent.body).unwrap();
    let envelope = &sent.envelope;
    assert_eq!((envelope.id, envelope.correlation_id), (event.event_id, Some(event.booking_id.as_uuid())));
    event
}

fn class(job: &Job<EmailCommand>) -> &'static str {
    match job.failed() {
        Some(Failure::Retry(cause) | Failure::Unavailable(cause) | Failure::Reject(cause)) => cause.class,
        Some(Failure::Defer(_)) => "deferred",
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn redelivered_event_is_mailed_once() {
    let harness = MailHarness::open().await;
    let bookings: Vec<Booking> = (0..50).map(confirmed).collect();
    harness.store(&bookings).await;
    let jobs = || {
        bookings
            .iter()
            .flat_map(|booking| [job(booking_event(booking, 1), 1), job(booking_event(booking, 1), 1)])
            .collect()
    };
    let first: Vec<NotificationEvent> = harness.handle(jobs()).await.iter().map(emitted).collect();
    let again: Vec<NotificationEvent> = harness.handle(jobs()).await.iter().map(emitted).collect();
    assert_eq!(
        first.iter().map(|event| event.event_id).collect::<Vec<_>>(),
        again.iter().map(|event| event.event_id).collect::<Vec<_>>()
    );
    assert_eq!(harness.mails.accepted(), 50);
    for booking in &bookings {
        let [row] = &harness.rows(booking).await[..] else { panic!("not one row") };
        assert_eq!((row.status, row.attempts, row.maybe_duplicate, row.version), (NotificationStatus::Sent, 1, 0, 1));
        assert_eq!(harness.message_ids(booking), std::slice::from_ref(&row.message_id));
        assert!(!format!("{row:?}").contains(&booking.guest.email), "the ledger holds no address");
    }
}

#[tokio::test]
async fn outdated_events_are_not_mailed() {
    let harness = MailHarness::open().await;
    let booking = cancelled(1);
    harness.store(std::slice::from_ref(&booking)).await;
    let done = harness
        .handle(vec![
            job(booking_event(&booking, 1), 1),
            job(send_request(&booking, 1), 1),
            job(booking_event(&booking, 2), 1),
            job(booking_event(&confirmed(2), 1), 1),
        ])
        .await;
    assert!(done[0].failed().is_none() && done[0].emitted().is_empty());
    assert!(done[1].failed().is_none() && done[1].emitted().is_empty());
    assert_eq!(emitted(&done[2]).kind, NotificationKind::BookingCancelled.as_str());
    assert_eq!(class(&done[3]), "booking_missing");
    assert_eq!(harness.message_ids(&booking).len(), 1);
}

/// The worker may end after the mail and before its event; the booking may change before the message is redelivered.
#[tokio::test]
async fn mail_sent_before_a_change_is_reported_on_redelivery() {
    let harness = MailHarness::open().await;
    let booking = confirmed(1);
    harness.store(std::slice::from_ref(&booking)).await;
    let messages = || vec![job(booking_event(&booking, 1), 2), job(send_request(&booking, 1), 2)];
    let sent: Vec<NotificationEvent> = harness.handle(messages()).await.iter().map(emitted).collect();
    let mut changed = cancelled(1);
    changed.guest.email = "other@example.com".to_owned();
    let replaced =
        harness.bookings.replace_one(mongodb::bson::doc! { "_id": booking.id.to_string() }, &changed).await.unwrap();
    assert_eq!(replaced.matched_count, 1);
    let reported: Vec<NotificationEvent> = harness.handle(messages()).await.iter().map(emitted).collect();
    let essentials = |events: &[NotificationEvent]| -> Vec<_> {
        events.iter().map(|event| (event.event_id, event.kind.clone(), event.version, event.delivered)).collect()
    };
    assert_eq!(essentials(&reported), essentials(&sent));
    assert_eq!(harness.mails.accepted(), 2, "nothing is sent again");
}

#[tokio::test]
async fn each_staff_request_is_one_mail() {
    let harness = MailHarness::open().await;
    let booking = confirmed(1);
    harness.store(std::slice::from_ref(&booking)).await;
    for id in [1, 1, 2] {
        emitted(&harness.handle(vec![job(send_request(&booking, id), 1)]).await[0]);
    }
    let ids = harness.message_ids(&booking);
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn transient_refusal_is_retried_without_duplicate() {
    let harness = MailHarness::open().await;
    let booking = confirmed(1);
    harness.store(std::slice::from_ref(&booking)).await;
    harness.fault(r#"{"mode":"451","next":1}"#).await;
    assert_eq!(class(&harness.handle(vec![job(booking_event(&booking, 1), 1)]).await[0]), "smtp_refused_for_now");
    assert_eq!(harness.rows(&booking).await[0].status, NotificationStatus::Waiting);
    assert!(emitted(&harness.handle(vec![job(booking_event(&booking, 1), 2)]).await[0]).delivered);
    let row = &harness.rows(&booking).await[0];
    assert_eq!(
        (row.status, row.attempts, row.maybe_duplicate, row.reason.clone()),
        (NotificationStatus::Sent, 2, 0, None)
    );
}

#[tokio::test]
async fn permanent_refusal_is_recorded_and_not_retried() {
    let harness = MailHarness::open().await;
    let (booking, mut nowhere) = (confirmed(1), confirmed(2));
    nowhere.guest.email = "nobody".to_owned();
    harness.store(&[booking.clone(), nowhere.clone()]).await;
    harness.fault(r#"{"mode":"550","next":1}"#).await;
    for _ in 0..2 {
        let done = harness.handle(vec![job(booking_event(&booking, 1), 1), job(booking_event(&nowhere, 1), 1)]).await;
        assert!(!emitted(&done[0]).delivered && !emitted(&done[1]).delivered);
    }
    assert_eq!(harness.mails.accepted(), 0);
    for booking in [&booking, &nowhere] {
        let row = &harness.rows(booking).await[0];
        assert_eq!((row.status, row.attempts), (NotificationStatus::Failed, 1));
        assert!(!row.reason.clone().unwrap().contains(&booking.guest.email));
    }
}

#[tokio::test]
async fn unknown_outcome_is_retried_under_the_same_message_id() {
    let harness = MailHarness::open().await;
    let booking = confirmed(1);
    harness.store(std::slice::from_ref(&booking)).await;
    harness.fault(r#"{"mode":"drop_before_250","next":1}"#).await;
    assert_eq!(class(&harness.handle(vec![job(booking_event(&booking, 1), 1)]).await[0]), "smtp_outcome_unknown");
    assert_eq!(harness.rows(&booking).await[0].status, NotificationStatus::Sending);
    assert!(emitted(&harness.handle(vec![job(booking_event(&booking, 1), 2)]).await[0]).delivered);
    let row = &harness.rows(&booking).await[0];
    assert_eq!((row.status, row.attempts, row.maybe_duplicate), (NotificationStatus::Sent, 2, 1));
    assert_eq!(harness.message_ids(&booking), [row.message_id.clone(), row.message_id.clone()]);
}

#[tokio::test]
async fn unreachable_server_fails_no_message_and_resends_nothing() {
    let harness = MailHarness::open().await;
    let bookings: Vec<Booking> = (0..30).map(confirmed).collect();
    harness.store(&bookings).await;
    harness.fault(r#"{"mode":"refuse_connections"}"#).await;
    let jobs = |attempt| bookings.iter().map(|booking| job(booking_event(booking, 1), attempt)).collect();
    for job in harness.handle(jobs(1)).await {
        assert!(matches!(job.failed(), Some(Failure::Unavailable(cause)) if cause.class == "smtp_unavailable"));
    }
    harness.fault(r#"{"mode":null}"#).await;
    // The runtime redelivers the same messages, with the same attempt.
    harness.handle(jobs(1)).await.iter().for_each(|job| assert!(emitted(job).delivered));
    assert_eq!(harness.mails.accepted(), 30);
    assert_eq!(harness.rows(&bookings[0]).await[0].maybe_duplicate, 0);
}

#[tokio::test]
async fn recipient_that_breaks_connections_delays_no_other_mail() {
    for fault in [
        r#"{"mode":"drop_at_recipient","recipient":"guest-0@"}"#,
        r#"{"mode":"tarpit_recipient","recipient":"guest-0@","delay_ms":60000}"#,
    ] {
        let harness = MailHarness::open().await;
        let mut bookings: Vec<Booking> = (0..8).map(confirmed).collect();
        for (number, booking) in bookings.iter_mut().enumerate() {
            booking.guest.email = format!("guest-{number}@example.com");
        }
        harness.store(&bookings).await;
        harness.fault(fault).await;
        let jobs = bookings.iter().map(|booking| job(booking_event(booking, 1), 1)).collect();
        let done = harness.handle(jobs).await;
        assert!(matches!(done[0].failed(), Some(Failure::Unavailable(cause)) if cause.class == "smtp_unavailable"));
        assert!(done[1..].iter().all(|job| emitted(job).delivered), "{fault}");
        assert_eq!(harness.mails.accepted(), 7);
        assert_eq!(harness.worker.probe("smtp_unavailable").await, Some(true), "the server itself is fine");
    }
}

#[tokio::test]
async fn probe_reports_an_unreachable_server() {
    let harness = MailHarness::open().await;
    harness.fault(r#"{"mode":"refuse_connections"}"#).await;
    assert_eq!(harness.worker.probe("smtp_unavailable").await, Some(false));
}

#[tokio::test]
async fn refusal_for_the_senders_policy_is_retried() {
    let harness = MailHarness::open().await;
    let booking = confirmed(1);
    harness.store(std::slice::from_ref(&booking)).await;
    harness.fault(r#"{"mode":"550_policy","next":1}"#).await;
    assert_eq!(class(&harness.handle(vec![job(booking_event(&booking, 1), 1)]).await[0]), "smtp_refused_for_now");
    let row = &harness.rows(&booking).await[0];
    assert_eq!(row.status, NotificationStatus::Waiting);
    assert!(row.reason.as_ref().is_some_and(|reason| reason.contains("quota")), "{row:?}");
    assert!(emitted(&harness.handle(vec![job(booking_event(&booking, 1), 2)]).await[0]).delivered);
}

#[tokio::test]
async fn mail_left_in_flight_by_a_crash_is_deferred_then_sent() {
    let harness = MailHarness::open().await;
    let booking = confirmed(1);
    harness.store(std::slice::from_ref(&booking)).await;
    // The state after a crash between the server's reply and the record.
    emitted(&harness.handle(vec![job(booking_event(&booking, 1), 1)]).await[0]);
    harness
        .edit_rows(&booking, |row| {
            (row.status, row.process) = (NotificationStatus::Sending, Some("of a process that is gone".to_owned()));
        })
        .await;

    assert_eq!(class(&harness.handle(vec![job(booking_event(&booking, 1), 1)]).await[0]), "deferred");
    let deferred = Meta { attempt: 1, headers: vec![(HEADER_DEFERRALS.into(), "1".to_owned())], ..Meta::default() };
    assert!(emitted(&harness.handle(vec![Job::new(booking_event(&booking, 1), deferred)]).await[0]).delivered);
    let row = &harness.rows(&booking).await[0];
    assert_eq!((row.status, row.attempts, row.maybe_duplicate), (NotificationStatus::Sent, 2, 1));
    assert_eq!(harness.message_ids(&booking), [row.message_id.clone(), row.message_id.clone()]);
}

/// A mail server that takes its time, and a message that another process gets again meanwhile, at any attempt.
#[tokio::test]
async fn mail_of_a_living_sender_is_not_taken_over() {
    let harness = MailHarness::open().await;
    let booking = confirmed(1);
    harness.store(std::slice::from_ref(&booking)).await;
    harness.fault(r#"{"mode":"tarpit","delay_ms":3000,"next":1}"#).await;
    let other = worker(&harness.mongo, harness.smtp);
    let again = |attempt| vec![job(booking_event(&booking, 1), attempt)];
    let slow = harness.handle(again(1));
    let meanwhile = async {
        while harness.rows(&booking).await.is_empty() {
            tokio::task::yield_now().await;
        }
        let taken = handle(&other, again(2)).await;
        let row = harness.rows(&booking).await.remove(0);
        (class(&taken[0]), row.status)
    };
    let (sent, (class_meanwhile, status)) = tokio::join!(slow, meanwhile);
    assert_eq!((class_meanwhile, status), ("deferred", NotificationStatus::Sending));
    assert!(emitted(&sent[0]).delivered);
    assert!(emitted(&handle(&other, again(3)).await[0]).delivered, "the event is published again");
    assert_eq!(harness.message_ids(&booking).len(), 1);
}

#[tokio::test]
async fn two_workers_with_the_same_messages_send_each_mail_once() {
    let harness = MailHarness::open().await;
    let bookings: Vec<Booking> = (0..100).map(confirmed).collect();
    harness.store(&bookings).await;
    let other = worker(&harness.mongo, harness.smtp);
    let jobs = || bookings.iter().map(|booking| job(booking_event(booking, 1), 1)).collect();
    let (one, two) = tokio::join!(harness.handle(jobs()), handle(&other, jobs()));
    assert_eq!(harness.mails.accepted(), 100);
    for (one, two) in one.iter().zip(&two) {
        assert!(one.failed().is_none() || two.failed().is_none(), "one of them has sent it");
        assert!([one, two].iter().all(|job| matches!(job.failed(), None | Some(Failure::Defer(_)))));
    }
}

#[tokio::test]
async fn modifications_and_reminders_are_mailed_only_while_current() {
    let harness = MailHarness::open().await;
    let changed = modified(1);
    harness.store(std::slice::from_ref(&changed)).await;
    let remind = |booking: &Booking| {
        EmailCommand::Send(SendNotification {
            notification_id: Uuid::from_u128(booking.rev.into()),
            booking_id: booking.id,
            kind: NotificationKind::ArrivalToday,
            actor: "schedule:remind_arrival_today".into(),
            requested_at: booking.created_at,
        })
    };
    let done = harness.handle(vec![job(booking_event(&changed, 2), 1), job(remind(&changed), 1)]).await;
    let event = emitted(&done[0]);
    assert_eq!((event.kind.as_str(), event.version, event.delivered), ("booking_modified", 2, true));
    assert!(done[1].failed().is_none() && done[1].emitted().is_empty(), "they do not arrive today");
    assert_eq!(harness.message_ids(&changed).len(), 1);
    let raw = String::from_utf8_lossy(&harness.mails.newest(Some(&changed.guest.email), 1)[0].raw).into_owned();
    assert!(raw.contains("What changed"), "{raw}");
}

#[tokio::test]
async fn payment_link_and_each_failure_are_mailed_once() {
    let harness = MailHarness::open().await;
    let booking = held(1);
    harness.store(std::slice::from_ref(&booking)).await;
    let failed = |event_id| {
        let event = PaymentEvent {
            event_id: Uuid::from_u128(event_id),
            booking_id: booking.id,
            property_id: booking.property_id.clone(),
            change: PaymentEventKind::Failed,
            payment: "pi_1".to_owned(),
            entry: None,
            amount: 26_460,
            currency: pvt_domain::money::Currency::CAD,
            ledger_rev: 1,
            occurred_at: booking.created_at,
        };
        job(EmailCommand::Paid(Box::new(event)), 1)
    };
    let done = harness.handle(vec![job(booking_event(&booking, 1), 1), failed(1), failed(1)]).await;
    let kinds: Vec<String> = done.iter().map(|job| emitted(job).kind).collect();
    assert_eq!(kinds, ["payment_link", "payment_failed", "payment_failed"]);
    harness.handle(vec![failed(1), failed(2)]).await.iter().for_each(|job| assert!(emitted(job).delivered));
    assert_eq!(harness.message_ids(&booking).len(), 3, "a link, and two failures");
    let raw = String::from_utf8_lossy(&harness.mails.newest(Some(&booking.guest.email), 1)[0].raw).into_owned();
    assert!(raw.contains(&format!("/api/bookings/{}/pay?token=", booking.id)), "{raw}");
    assert!(!raw.contains("a secret of the tests"));
}
