//! The last mail to an address that was corrected: once, only to whom it concerns, and apart from the guest's own mail.

use super::bookings::{cancel, changed, confirmed};
use super::{MailHarness, booking_event, class, job, worker};
use mail_parser::MessageParser;
use mongodb::bson::{Document, doc};
use pvt_domain::booking::{Booking, FormerAddress};
use pvt_domain::decide::{BatchOutcome, Change};
use pvt_domain::events::NotificationEvent;
use pvt_domain::messages::{EmailCommand, NotificationKind};
use pvt_stores::mongo::notifications::NotificationStatus;
use pvt_worker_runtime::Job;
use uuid::Uuid;

const NEW: &str = "new@example.com";

/// The next revision, with another address.
fn readdressed(before: &Booking, email: &str) -> Booking {
    changed(before, |booking| {
        booking.guest.email = email.to_owned();
        booking.token_epoch += 1;
    })
}

impl MailHarness {
    /// Stores the next revision of a booking as the confirmations worker does.
    async fn commit(&self, before: &Booking, after: &Booking) {
        let outcome = BatchOutcome {
            changes: vec![Change { stored_rev: Some(before.rev), booking: after.clone() }],
            former_addresses: FormerAddress::left_by(before, after).into_iter().collect(),
            ..BatchOutcome::default()
        };
        self.mongo.claims().commit(&outcome).await.unwrap();
    }

    /// A confirmed booking whose mail was sent to this address.
    async fn informed(&self, email: &str) -> Booking {
        let mut booking = confirmed(1);
        booking.guest.email = email.to_owned();
        self.store(std::slice::from_ref(&booking)).await;
        assert_eq!(kinds(&self.handle(vec![job(booking_event(&booking, 1), 1)]).await[0]), ["booking_confirmed"]);
        booking
    }

    /// Handles the events of these revisions, each by itself; the kinds of mail that were reported.
    async fn handle_each(&self, booking: &Booking, revisions: &[u32]) -> Vec<Vec<String>> {
        let mut reported = Vec::new();
        for rev in revisions {
            reported.push(kinds(&self.handle(vec![job(booking_event(booking, *rev), 1)]).await[0]));
        }
        reported
    }

    fn arrived(&self, email: &str) -> usize {
        self.mails.newest(Some(email), 100).len()
    }
}

/// The kinds of mail whose outcomes a message reported.
fn kinds(job: &Job<EmailCommand>) -> Vec<String> {
    assert!(job.failed().is_none(), "{:?}", job.failed());
    let event = |sent: &pvt_messaging::Outgoing| NotificationEvent::decode(&sent.envelope.kind, &sent.body).unwrap();
    job.emitted().iter().map(|sent| event(sent).kind).collect()
}

#[tokio::test]
async fn both_addresses_are_written_to_once() {
    let harness = MailHarness::open().await;
    let before = harness.informed("old@example.com").await;
    let after = readdressed(&before, NEW);
    harness.commit(&before, &after).await;
    let message = || vec![job(booking_event(&after, 2), 2), job(booking_event(&after, 2), 1)];
    for _ in 0..2 {
        for job in harness.handle(message()).await {
            assert_eq!(kinds(&job), ["booking_modified", "address_changed"]);
        }
    }
    assert_eq!((harness.arrived("old@example.com"), harness.arrived(NEW)), (2, 1));
    let rows = harness.rows(&after).await;
    assert_eq!(rows.len(), 3);
    assert!(!format!("{rows:?}").contains("example.com"), "the ledger holds no address");

    let text = |email: &str| {
        let mail = harness.mails.newest(Some(email), 1).remove(0);
        String::from_utf8_lossy(&mail.raw).into_owned()
    };
    let notice = text("old@example.com");
    let parsed = MessageParser::default().parse(notice.as_bytes()).unwrap();
    assert!(parsed.subject().unwrap().starts_with("Your email address was changed"), "{notice}");
    assert!(!notice.contains("token") && !notice.contains(NEW) && !notice.contains("http"), "{notice}");
    let told = MessageParser::default().parse(text(NEW).as_bytes()).unwrap().body_text(0).unwrap().into_owned();
    assert!(
        told.contains("Your email address: changed; messages go to this one") && !told.contains("old@example.com"),
        "{told}"
    );

    // Whatever follows goes to the new address alone.
    let later = changed(&after, |booking| booking.price.as_mut().unwrap().total = 30_000);
    harness.commit(&after, &later).await;
    assert_eq!(harness.handle_each(&later, &[3]).await, [["booking_modified"]]);
    assert_eq!((harness.arrived("old@example.com"), harness.arrived(NEW)), (2, 2));
    let compared = harness.mails.newest(Some(NEW), 1).remove(0);
    let compared = MessageParser::default().parse(&compared.raw).unwrap().body_text(0).unwrap().into_owned();
    assert!(!compared.contains("Your email address"), "it was said before: {compared}");
}

#[tokio::test]
async fn notice_is_sent_even_if_the_booking_was_cancelled_meanwhile() {
    let harness = MailHarness::open().await;
    let before = harness.informed("old@example.com").await;
    let after = readdressed(&before, NEW);
    harness.commit(&before, &after).await;
    let ended = cancel(after.clone());
    harness.commit(&after, &ended).await;
    // The person who changed the address may have cancelled the booking, too.
    assert_eq!(harness.handle_each(&ended, &[2, 3]).await, [["address_changed"], ["booking_cancelled"]]);
    assert_eq!((harness.arrived("old@example.com"), harness.arrived(NEW)), (2, 1));
}

#[tokio::test]
async fn removed_address_is_notified_and_added_address_takes_none() {
    let harness = MailHarness::open().await;
    let before = harness.informed("old@example.com").await;
    let without = readdressed(&before, "");
    harness.commit(&before, &without).await;
    assert_eq!(harness.handle_each(&without, &[2]).await, [["address_changed"]]);
    let added = readdressed(&without, NEW);
    harness.commit(&without, &added).await;
    assert_eq!(harness.handle_each(&added, &[3]).await, [["booking_modified"]]);
    assert_eq!((harness.arrived("old@example.com"), harness.arrived(NEW)), (2, 1));
}

#[tokio::test]
async fn of_quick_changes_only_addresses_that_were_written_to_are_notified() {
    let harness = MailHarness::open().await;
    let first = harness.informed("old@example.com").await;
    let second = readdressed(&first, "typo@example.com");
    harness.commit(&first, &second).await;
    let third = readdressed(&second, NEW);
    harness.commit(&second, &third).await;
    let reported = harness.handle_each(&third, &[3, 2, 3]).await;
    assert_eq!(reported, [vec!["booking_modified"], vec!["address_changed"], vec!["booking_modified"]]);
    let arrived = ["old@example.com", "typo@example.com", NEW].map(|email| harness.arrived(email));
    assert_eq!(arrived, [2, 0, 1]);
}

#[tokio::test]
async fn address_that_came_back_is_not_notified_and_one_that_left_again_is() {
    let harness = MailHarness::open().await;
    let first = harness.informed("old@example.com").await;
    let second = readdressed(&first, NEW);
    harness.commit(&first, &second).await;
    let back = readdressed(&second, "Old@Example.com");
    harness.commit(&second, &back).await;
    assert_eq!(harness.handle_each(&back, &[2, 3]).await, [vec![], vec!["booking_modified"]]);
    let again = readdressed(&back, NEW);
    harness.commit(&back, &again).await;
    let reported = harness.handle_each(&again, &[4, 2]).await;
    assert_eq!(reported, [vec!["booking_modified", "address_changed"], vec!["address_changed"]]);
    assert_eq!((harness.arrived("old@example.com"), harness.arrived(NEW)), (3, 1), "informed once");
}

#[tokio::test]
async fn corrections_there_and_back_in_one_batch_and_at_two_workers_make_one_notice() {
    let harness = MailHarness::open().await;
    let first = harness.informed("old@example.com").await;
    let second = readdressed(&first, "typo@example.com");
    harness.commit(&first, &second).await;
    let back = readdressed(&second, "old@example.com");
    harness.commit(&second, &back).await;
    let again = readdressed(&back, NEW);
    harness.commit(&back, &again).await;
    let other = worker(&harness.mongo, harness.smtp);
    let all = || [2, 3, 4].into_iter().map(|rev| job(booking_event(&again, rev), 1)).collect::<Vec<_>>();
    tokio::join!(harness.handle(all()), super::handle(&other, all()));
    assert_eq!((harness.arrived("old@example.com"), harness.arrived("typo@example.com")), (2, 0));
    assert_eq!(harness.arrived(NEW), 1);
}

/// The event of the notice that a message reported: its id, and its revision.
fn notice(job: &Job<EmailCommand>) -> Option<(Uuid, u32)> {
    let event = |sent: &pvt_messaging::Outgoing| NotificationEvent::decode(&sent.envelope.kind, &sent.body).unwrap();
    let mut events = job.emitted().iter().map(event).filter(|event| event.kind == "address_changed");
    events.next().map(|event| (event.event_id, event.version))
}

#[tokio::test]
async fn one_notice_of_several_corrections_is_about_the_newest_in_any_order() {
    for order in [[2, 3, 4], [4, 3, 2]] {
        let harness = MailHarness::open().await;
        let first = harness.informed("old@example.com").await;
        let second = readdressed(&first, "typo@example.com");
        harness.commit(&first, &second).await;
        let back = readdressed(&second, "old@example.com");
        harness.commit(&second, &back).await;
        let again = readdressed(&back, NEW);
        harness.commit(&back, &again).await;
        let jobs = order.map(|rev| job(booking_event(&again, rev), 1));
        let mut reported: Vec<_> = harness.handle(jobs.into()).await.iter().filter_map(notice).collect();
        // Delivered again, alone.
        for rev in [2, 4] {
            reported.extend(harness.handle(vec![job(booking_event(&again, rev), 2)]).await.iter().filter_map(notice));
        }
        assert_eq!(reported, [(reported[0].0, 4); 4], "{order:?}");
        let rows = harness.rows(&again).await;
        assert!(rows.iter().any(|row| row.kind == NotificationKind::AddressChanged && row.version == 4), "{rows:?}");
        assert_eq!(harness.arrived("old@example.com"), 2);
    }
}

#[tokio::test]
async fn notice_that_was_sent_is_reported_though_its_address_came_back() {
    let harness = MailHarness::open().await;
    let first = harness.informed("old@example.com").await;
    let second = readdressed(&first, NEW);
    harness.commit(&first, &second).await;
    // As before a crash: the mail is sent, its event is not published.
    assert_eq!(harness.handle_each(&second, &[2]).await, [["booking_modified", "address_changed"]]);
    let back = readdressed(&second, "old@example.com");
    harness.commit(&second, &back).await;
    let again = harness.handle_each(&back, &[2]).await;
    assert!(again[0].contains(&"address_changed".to_owned()), "{again:?}");
    assert_eq!(harness.arrived("old@example.com"), 2);
}

#[tokio::test]
async fn address_that_may_have_got_the_confirmation_is_notified() {
    let harness = MailHarness::open().await;
    let before = confirmed(1);
    harness.store(std::slice::from_ref(&before)).await;
    harness.fault(r#"{"mode":"451","next":1}"#).await;
    let message = || vec![job(booking_event(&before, 1), 1)];
    assert_eq!(class(&harness.handle(message()).await[0]), "smtp_refused_for_now");
    // As after a sender that was killed when the server had accepted the mail, and another that was refused.
    let database = harness.bookings.client().database(&harness.bookings.namespace().db);
    let rows = database.collection::<Document>("notifications");
    rows.update_many(doc! {}, doc! { "$set": { "maybe_duplicate": 1 } }).await.unwrap();
    let after = readdressed(&before, NEW);
    harness.commit(&before, &after).await;
    assert_eq!(harness.handle_each(&after, &[2]).await, [["booking_modified", "address_changed"]]);
}

#[tokio::test]
async fn address_that_refused_the_confirmation_is_not_written_to_again() {
    let harness = MailHarness::open().await;
    let before = confirmed(1);
    harness.store(std::slice::from_ref(&before)).await;
    harness.fault(r#"{"mode":"550","next":1}"#).await;
    assert_eq!(harness.handle_each(&before, &[1]).await, [["booking_confirmed"]]);
    let after = readdressed(&before, NEW);
    harness.commit(&before, &after).await;
    assert_eq!(harness.handle_each(&after, &[2]).await, [["booking_modified"]]);
    assert_eq!((harness.arrived(&before.guest.email), harness.arrived(NEW)), (0, 1));
    assert_eq!(harness.rows(&after).await.len(), 2);
}

#[tokio::test]
async fn refused_notice_is_final_and_delayed_one_does_not_delay_the_guest() {
    let harness = MailHarness::open().await;
    let before = harness.informed("old@example.com").await;
    let after = readdressed(&before, NEW);
    harness.commit(&before, &after).await;
    // Which of the two mails of the message meets the fault is not fixed.
    harness.fault(r#"{"mode":"451","next":1}"#).await;
    let delayed = harness.handle(vec![job(booking_event(&after, 2), 1)]).await;
    assert_eq!(class(&delayed[0]), "smtp_refused_for_now");
    assert_eq!(harness.arrived("old@example.com") + harness.arrived(NEW), 2, "one of them was sent");
    let again = harness.handle(vec![job(booking_event(&after, 2), 2)]).await;
    assert_eq!(kinds(&again[0]), ["booking_modified", "address_changed"]);
    assert_eq!((harness.arrived("old@example.com"), harness.arrived(NEW)), (2, 1));

    let other = readdressed(&after, "other@example.com");
    harness.commit(&after, &other).await;
    harness.fault(r#"{"mode":"550","next":2}"#).await;
    for _ in 0..2 {
        let refused = harness.handle(vec![job(booking_event(&other, 3), 1)]).await;
        assert_eq!(kinds(&refused[0]), ["booking_modified", "address_changed"]);
    }
    let of_third = harness.rows(&other).await.into_iter().filter(|row| row.version == 3);
    assert!(of_third.map(|row| row.status).eq([NotificationStatus::Failed; 2]));
}

#[tokio::test]
async fn notice_waits_while_the_address_is_being_written_to() {
    let harness = MailHarness::open().await;
    let before = confirmed(1);
    harness.store(std::slice::from_ref(&before)).await;
    // Without an address of the guest, only the notice can wait.
    let after = readdressed(&before, "");
    harness.fault(r#"{"mode":"tarpit","delay_ms":3000,"next":1}"#).await;
    let other = worker(&harness.mongo, harness.smtp);
    let slow = harness.handle(vec![job(booking_event(&before, 1), 1)]);
    let meanwhile = async {
        while harness.rows(&before).await.is_empty() {
            tokio::task::yield_now().await;
        }
        harness.commit(&before, &after).await;
        let waiting = super::handle(&other, vec![job(booking_event(&after, 2), 1)]).await;
        class(&waiting[0])
    };
    let (sent, waited) = tokio::join!(slow, meanwhile);
    assert_eq!((kinds(&sent[0]), waited), (vec!["booking_confirmed".to_owned()], "deferred"));
    assert_eq!(harness.arrived(&before.guest.email), 1);
    let again = harness.handle(vec![job(booking_event(&after, 2), 2)]).await;
    assert_eq!(kinds(&again[0]), ["address_changed"]);
}

#[tokio::test]
async fn address_that_is_kept_no_longer_is_not_written_to() {
    let harness = MailHarness::open().await;
    let before = harness.informed("old@example.com").await;
    let after = readdressed(&before, NEW);
    harness.commit(&before, &after).await;
    let database = harness.bookings.client().database(&harness.bookings.namespace().db);
    let kept = database.collection::<Document>("former_addresses");
    let stored = kept.find_one(doc! {}).await.unwrap().unwrap();
    assert!(stored.get_datetime("left_at").is_ok(), "the server removes it by its date: {stored}");
    let index = database.run_command(doc! { "listIndexes": "former_addresses" }).await.unwrap();
    assert!(index.to_string().contains("\"expireAfterSeconds\": 604800"), "{index}");
    kept.delete_many(doc! {}).await.unwrap();
    assert_eq!(harness.handle_each(&after, &[2]).await, [["booking_modified"]], "as after a replay weeks later");
    assert_eq!(harness.arrived("old@example.com"), 1);
}
