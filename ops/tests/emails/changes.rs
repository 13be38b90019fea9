//! Mails about changes: they compare with what was delivered, and calendars follow, whatever was lost or overtaken.

use super::bookings::{cancel, changed, confirmed};
use super::{MailHarness, booking_event, class, emitted, handle, job, send_request, worker};
use mail_parser::{MessageParser, MimeHeaders};
use mongodb::bson::doc;
use pvt_domain::booking::Booking;
use pvt_domain::messages::{EmailCommand, NotificationKind, SendNotification};
use pvt_stores::mongo::notifications::NotificationStatus;
use pvt_testkit::GuestCalendar;
use pvt_worker_runtime::{HEADER_DEFERRALS, Job, Meta};

/// A booking of two stays, then at another price without the second stay, then at a third price.
struct Story {
    first: Booking,
    second: Booking,
    third: Booking,
}

fn story() -> Story {
    let mut first = confirmed(1);
    let mut later = first.stays[0].clone();
    (later.arrival, later.departure) = ("2027-02-01".parse().unwrap(), "2027-02-03".parse().unwrap());
    first.stays.push(later);
    let price = |booking: &mut Booking, total| booking.price.as_mut().unwrap().total = total;
    let second = changed(&first, |booking| {
        booking.stays.truncate(1);
        price(booking, 30_000);
    });
    let third = changed(&second, |booking| price(booking, 40_000));
    Story { first, second, third }
}

impl MailHarness {
    /// Stores the booking as it is now.
    async fn store_now(&self, booking: &Booking) {
        self.bookings.replace_one(doc! { "_id": booking.id.to_string() }, booking).upsert(true).await.unwrap();
    }

    /// Handles the event of this revision, which must send a mail.
    async fn send(&self, booking: &Booking, rev: u32) {
        assert!(emitted(&self.handle(vec![job(booking_event(booking, rev), 1)]).await[0]).delivered);
    }

    /// The newest mail to the guest, as text in one line.
    fn newest(&self, booking: &Booking) -> String {
        let mail = self.mails.newest(Some(&booking.guest.email), 1).remove(0);
        let text = MessageParser::default().parse(&mail.raw).unwrap().body_text(0).unwrap().replace('\u{a0}', " ");
        text.lines().collect::<Vec<_>>().join(" ")
    }

    /// The guest's calendar after all mails in order.
    fn calendar(&self, booking: &Booking) -> GuestCalendar {
        let mut calendar = GuestCalendar::default();
        for mail in self.mails.newest(Some(&booking.guest.email), 100).iter().rev() {
            let parsed = MessageParser::default().parse(&mail.raw).unwrap();
            let file =
                parsed.attachments().find(|part| part.attachment_name().is_some_and(|name| name.ends_with(".ics")));
            calendar.import(&String::from_utf8_lossy(file.unwrap().contents()));
        }
        calendar
    }
}

/// The message of a revision, delivered again after it was deferred.
fn again(booking: &Booking, rev: u32) -> Job<EmailCommand> {
    let meta = Meta { attempt: 1, headers: vec![(HEADER_DEFERRALS.into(), "1".to_owned())], ..Meta::default() };
    Job::new(booking_event(booking, rev), meta)
}

#[tokio::test]
async fn second_change_is_compared_with_what_was_delivered() {
    let harness = MailHarness::open().await;
    let Story { first, second, third } = story();
    harness.store_now(&first).await;
    harness.send(&first, 1).await;
    assert_eq!(harness.calendar(&first).shown().len(), 2);
    harness.store_now(&second).await;
    harness.fault(r#"{"mode":"451","next":1}"#).await;
    let refused = harness.handle(vec![job(booking_event(&second, 2), 1)]).await;
    assert_eq!(class(&refused[0]), "smtp_refused_for_now");
    harness.store_now(&third).await;
    harness.send(&third, 3).await;
    let overtaken = harness.handle(vec![job(booking_event(&third, 2), 2)]).await;
    assert!(overtaken[0].failed().is_none() && overtaken[0].emitted().is_empty());
    let text = harness.newest(&third);
    assert!(text.contains("264.60 CAD → 400.00 CAD") && !text.contains("300.00"), "{text}");
    assert!(text.contains("→ none"), "the stay that was dropped: {text}");
    assert_eq!(harness.message_ids(&third).len(), 2);
    let calendar = harness.calendar(&third);
    assert_eq!(calendar.shown().into_keys().collect::<Vec<_>>(), [third.id.to_string()]);
}

#[tokio::test]
async fn lost_reply_leaves_the_comparison_with_what_surely_arrived() {
    let harness = MailHarness::open().await;
    let Story { first, second, third } = story();
    harness.store_now(&first).await;
    harness.send(&first, 1).await;
    harness.store_now(&second).await;
    // The server has the mail about the second revision; its sender does not know that.
    harness.fault(r#"{"mode":"drop_before_250","next":1}"#).await;
    let unknown = harness.handle(vec![job(booking_event(&second, 2), 1)]).await;
    assert_eq!(class(&unknown[0]), "smtp_outcome_unknown");
    let first_try = harness.newest(&second);
    assert!(first_try.contains("264.60 CAD → 300.00 CAD"), "{first_try}");
    assert!(emitted(&harness.handle(vec![again(&second, 2)]).await[0]).delivered);
    assert_eq!(harness.newest(&second), first_try, "the duplicate says the same");
    // The same after a crash, and before the message came again: the third revision is the newest.
    harness
        .edit_rows(&second, |row| {
            if row.version == 2 {
                (row.status, row.process) = (NotificationStatus::Sending, Some("of a process that is gone".to_owned()));
            }
        })
        .await;
    harness.store_now(&third).await;
    harness.send(&third, 3).await;
    let text = harness.newest(&third);
    assert!(text.contains("264.60 CAD → 400.00 CAD"), "{text}");
    assert_eq!(harness.calendar(&third).shown().len(), 1);
}

#[tokio::test]
async fn mail_that_was_deferred_is_reported_about_the_revision_that_was_sent() {
    let harness = MailHarness::open().await;
    let Story { second, third, .. } = story();
    let request = |booking: &Booking| {
        let EmailCommand::Send(request) = send_request(booking, 1) else { panic!("not a request") };
        EmailCommand::Send(SendNotification { kind: NotificationKind::BookingModified, ..request })
    };
    harness.store_now(&second).await;
    harness.fault(r#"{"mode":"451","next":1}"#).await;
    let refused = harness.handle(vec![job(request(&second), 1)]).await;
    assert_eq!(class(&refused[0]), "smtp_refused_for_now");
    harness.store_now(&third).await;
    let sent = emitted(&harness.handle(vec![job(request(&third), 2)]).await[0]);
    // As after a crash before the acknowledgement.
    let repeated = emitted(&harness.handle(vec![job(request(&third), 3)]).await[0]);
    assert_eq!([(sent.event_id, sent.version), (repeated.event_id, repeated.version)], [(sent.event_id, 3); 2]);
}

#[tokio::test]
async fn mail_waits_while_an_earlier_state_is_being_sent() {
    let harness = MailHarness::open().await;
    let Story { first, second, third } = story();
    harness.store_now(&first).await;
    harness.send(&first, 1).await;
    harness.store_now(&second).await;
    harness.fault(r#"{"mode":"tarpit","delay_ms":3000,"next":1}"#).await;
    let other = worker(&harness.mongo, harness.smtp);
    let slow = harness.handle(vec![job(booking_event(&second, 2), 1)]);
    let meanwhile = async {
        while harness.rows(&second).await.len() < 2 {
            tokio::task::yield_now().await;
        }
        harness.store_now(&third).await;
        let waiting = handle(&other, vec![job(booking_event(&third, 3), 1)]).await;
        let row = harness.rows(&third).await.into_iter().find(|row| row.version == 3).unwrap();
        (class(&waiting[0]), row.status)
    };
    let (sent, waited) = tokio::join!(slow, meanwhile);
    assert!(emitted(&sent[0]).delivered);
    assert_eq!(waited, ("deferred", NotificationStatus::Waiting));
    assert!(emitted(&handle(&other, vec![again(&third, 3)]).await[0]).delivered);
    let text = harness.newest(&third);
    assert!(text.contains("300.00 CAD → 400.00 CAD"), "{text}");
    let rows = harness.rows(&third).await;
    assert!(rows.iter().all(|row| row.maybe_duplicate == 0 && row.shown == Some(row.version)), "{rows:?}");
}

#[tokio::test]
async fn booking_that_was_read_before_a_later_mail_is_not_written_about() {
    let harness = MailHarness::open().await;
    let Story { second, third, .. } = story();
    harness.store_now(&third).await;
    harness.send(&third, 3).await;
    harness.store_now(&second).await;
    let early = harness.handle(vec![job(booking_event(&second, 2), 1)]).await;
    assert_eq!(class(&early[0]), "booking_behind_mail");
    assert_eq!(harness.message_ids(&second).len(), 1);
}

#[tokio::test]
async fn comparison_without_a_recorded_revision_uses_the_reported_one() {
    let harness = MailHarness::open().await;
    let Story { first, third, .. } = story();
    harness.store_now(&first).await;
    harness.send(&first, 1).await;
    harness.edit_rows(&first, |row| row.shown = None).await;
    harness.store_now(&third).await;
    harness.send(&third, 3).await;
    let text = harness.newest(&third);
    assert!(text.contains("264.60 CAD → 400.00 CAD"), "{text}");
}

#[tokio::test]
async fn without_any_delivered_mail_nothing_is_compared() {
    let harness = MailHarness::open().await;
    let Story { first, third, .. } = story();
    harness.store_now(&first).await;
    harness.fault(r#"{"mode":"550","next":1}"#).await;
    assert!(!emitted(&harness.handle(vec![job(booking_event(&first, 1), 1)]).await[0]).delivered);
    harness.store_now(&third).await;
    harness.send(&third, 3).await;
    let text = harness.newest(&third);
    assert!(text.contains("400.00 CAD") && !text.contains("What changed"), "{text}");
}

#[tokio::test]
async fn cancellation_removes_dropped_stays_from_the_calendar() {
    let harness = MailHarness::open().await;
    let Story { first, second, .. } = story();
    harness.store_now(&first).await;
    harness.send(&first, 1).await;
    let ended = cancel(second);
    harness.store_now(&ended).await;
    harness.send(&ended, 3).await;
    assert!(harness.calendar(&ended).shown().is_empty());
}

#[tokio::test]
async fn delivered_mail_is_not_repeated_to_a_new_address() {
    let harness = MailHarness::open().await;
    let before = confirmed(1);
    harness.store_now(&before).await;
    let sent = emitted(&harness.handle(vec![job(booking_event(&before, 1), 1)]).await[0]);
    emitted(&harness.handle(vec![job(send_request(&before, 1), 1)]).await[0]);
    let after = changed(&before, |booking| booking.guest.email = "new@example.com".to_owned());
    harness.store_now(&after).await;
    let repeated = harness.handle(vec![job(booking_event(&after, 1), 1), job(send_request(&after, 1), 1)]).await;
    assert_eq!(emitted(&repeated[0]).event_id, sent.event_id);
    assert!(emitted(&repeated[1]).delivered);
    assert!(harness.message_ids(&after).is_empty());
    // Another request is another mail, and so is the change itself.
    emitted(&harness.handle(vec![job(send_request(&after, 2), 1)]).await[0]);
    harness.send(&after, 2).await;
    assert_eq!(harness.message_ids(&after).len(), 2);
    assert!(harness.newest(&after).contains("What changed"));
}

#[tokio::test]
async fn undelivered_mail_goes_to_the_new_address() {
    let harness = MailHarness::open().await;
    let before = confirmed(1);
    harness.store_now(&before).await;
    harness.fault(r#"{"mode":"451","next":1}"#).await;
    let refused = harness.handle(vec![job(booking_event(&before, 1), 1)]).await;
    assert_eq!(class(&refused[0]), "smtp_refused_for_now");
    let after = changed(&before, |booking| booking.guest.email = "new@example.com".to_owned());
    harness.store_now(&after).await;
    // As a dead letter is replayed.
    let replayed = harness.handle(vec![job(booking_event(&after, 1), 1)]).await;
    assert_eq!(emitted(&replayed[0]).kind, NotificationKind::BookingConfirmed.as_str());
    assert_eq!((harness.message_ids(&before).len(), harness.message_ids(&after).len()), (0, 1));
}
