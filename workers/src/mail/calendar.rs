//! The `.ics` attachment (RFC 5545, RFC 5546): the stay as an event that later mails update by its stable `UID` and
//! rising `SEQUENCE`.

use super::content::Content;
use super::kinds;
use chrono::{DateTime, Utc};
use icalendar::{Calendar, Component, Event, EventLike, EventStatus, Property};
use lettre::message::Mailbox;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::messages::NotificationKind;

/// `METHOD` of the calendar and of its part: it informs and expects no reply.
pub(super) const METHOD: &str = "PUBLISH";

const PRODUCT: &str = "-//PVT Booking//Bookings//EN";

/// The calendar file of a mail. Times are UTC, so that no client needs our definition of a time zone.
pub(super) fn file(
    kind: NotificationKind,
    booking: &Booking,
    content: &Content,
    organizer: &Mailbox,
    stamp: DateTime<Utc>,
) -> String {
    let mut calendar = Calendar::empty();
    for property in [("VERSION", "2.0"), ("PRODID", PRODUCT), ("CALSCALE", "GREGORIAN"), ("METHOD", METHOD)] {
        calendar.append_property(Property::from(property));
    }
    let status = status(kind, booking.status);
    for span in &content.spans {
        let mut event = Event::with_uid(&span.uid);
        event
            .timestamp(stamp)
            .sequence(booking.rev)
            .starts(span.begins)
            .ends(span.ends)
            .summary(&format!("{} – {}", content.property, content.reference))
            .location(&content.address)
            .description(&description(content))
            .status(if span.is_dropped { EventStatus::Cancelled } else { status })
            .append_property(organizer_property(&content.property, organizer));
        calendar.push(event);
    }
    calendar.to_string()
}

/// The status of the stay as the mail states it.
fn status(kind: NotificationKind, booking: Status) -> EventStatus {
    match booking {
        _ if kinds::of(kind).shows.ended => EventStatus::Cancelled,
        Status::Held => EventStatus::Tentative,
        booking if booking.holds_beds() => EventStatus::Confirmed,
        _ => EventStatus::Cancelled,
    }
}

fn description(content: &Content) -> String {
    let phrases = content.phrases;
    let line = |label: &str, value: &str| format!("{label}{} {value}", phrases.colon);
    [
        line(phrases.reference, &content.reference),
        line(phrases.check_in, &content.check_in),
        line(phrases.check_out, &content.check_out),
    ]
    .join("\n")
}

fn organizer_property(name: &str, mailbox: &Mailbox) -> Property {
    let mut property = Property::new("ORGANIZER", format!("mailto:{}", mailbox.email));
    // A parameter value has no way to write a quote.
    property.add_parameter("CN", &name.replace('"', "'"));
    property.done()
}

#[cfg(test)]
mod tests {
    use super::file;
    use crate::mail::BookingMailParts;
    use crate::mail::content::Content;
    use crate::mail::fixtures::{at, booking, cancelled, held, inventory, links, modified};
    use pvt_domain::booking::Booking;
    use pvt_domain::inventory::Inventory;
    use pvt_domain::messages::NotificationKind::{
        self, BookingCancelled, BookingConfirmed, BookingModified, HoldExpired, PaymentFailed, PaymentLink,
    };

    fn unfolded(kind: NotificationKind, booking: &Booking, inventory: &Inventory) -> String {
        let parts = BookingMailParts { kind, rev: booking.rev, compared_with: None, message_id: "<abc@pvt.test>" };
        let content = Content::of(parts, booking, inventory, &links()).unwrap();
        let sender = "PVT Booking <bookings@pvt.test>".parse().unwrap();
        file(kind, booking, &content, &sender, at("2026-12-01T12:00:00Z").as_datetime()).replace("\r\n ", "")
    }

    fn has(file: &str, line: &str) {
        assert!(file.split("\r\n").any(|found| found == line), "no line `{line}` in\n{file}");
    }

    #[test]
    fn a_confirmed_stay_is_an_event_in_utc() {
        let (booking, inventory) = (booking(), inventory());
        let file = unfolded(BookingConfirmed, &booking, &inventory);
        for line in [
            "METHOD:PUBLISH",
            "VERSION:2.0",
            &format!("UID:{}", booking.id),
            "DTSTAMP:20261201T120000Z",
            "DTSTART:20270110T200000Z",
            "DTEND:20270113T160000Z",
            "SEQUENCE:1",
            "STATUS:CONFIRMED",
            "LOCATION:1 rue de la Paix\\, Montréal",
            "ORGANIZER;CN=PVT Montréal:mailto:bookings@pvt.test",
        ] {
            has(&file, line);
        }
        assert_eq!(file.matches("BEGIN:VEVENT").count(), 1);
    }

    #[test]
    fn a_cancellation_updates_the_same_event() {
        let (booking, inventory) = (cancelled(), inventory());
        let file = unfolded(BookingCancelled, &booking, &inventory);
        for line in [&format!("UID:{}", booking.id), "SEQUENCE:2", "STATUS:CANCELLED", "METHOD:PUBLISH"] {
            has(&file, line);
        }
    }

    #[test]
    fn a_held_stay_is_tentative_until_it_expires() {
        let (mut booking, inventory) = (held(), inventory());
        for kind in [PaymentLink, PaymentFailed] {
            has(&unfolded(kind, &booking, &inventory), "STATUS:TENTATIVE");
        }
        booking.status = pvt_domain::booking::Status::Expired;
        has(&unfolded(HoldExpired, &booking, &inventory), "STATUS:CANCELLED");
    }

    #[test]
    fn modification_updates_kept_events_and_cancels_dropped_ones() {
        let (booking, inventory) = (modified(), inventory());
        let file = unfolded(BookingModified, &booking, &inventory);
        for line in [&format!("UID:{}", booking.id), "SEQUENCE:2", "STATUS:CONFIRMED", "DTEND:20270112T160000Z"] {
            has(&file, line);
        }
        has(&file, &format!("UID:{}-1", booking.id));
        has(&file, "STATUS:CANCELLED");
        assert_eq!(file.matches("BEGIN:VEVENT").count(), 2);
    }

    #[test]
    fn check_in_during_dst_gap_has_an_instant() {
        let (mut booking, mut inventory) = (booking(), inventory());
        inventory.property.check_in_from = "02:30:00".parse().unwrap();
        booking.stays[0].arrival = "2027-03-14".parse().unwrap();
        booking.stays[0].departure = "2027-03-15".parse().unwrap();
        let file = unfolded(BookingConfirmed, &booking, &inventory);
        has(&file, "DTSTART:20270314T073000Z");
        has(&file, "DTEND:20270315T150000Z");
    }

    #[test]
    fn stays_with_the_same_dates_share_an_event_and_others_have_their_own() {
        let (mut booking, inventory) = (booking(), inventory());
        booking.stays.push(booking.stays[0].clone());
        let mut later = booking.stays[0].clone();
        later.arrival = "2027-02-01".parse().unwrap();
        later.departure = "2027-02-02".parse().unwrap();
        booking.stays.push(later);
        let file = unfolded(BookingConfirmed, &booking, &inventory);
        assert_eq!(file.matches("BEGIN:VEVENT").count(), 2);
        has(&file, &format!("UID:{}-1", booking.id));
    }

    #[test]
    fn a_hostile_name_cannot_add_a_line() {
        let (booking, mut inventory) = (booking(), inventory());
        inventory.property.name = "A\"B\r\nATTENDEE:mailto:eve@example.com".to_owned();
        inventory.property.address = "x\nBEGIN:VALARM".to_owned();
        let file = unfolded(BookingConfirmed, &booking, &inventory);
        assert!(
            !file.split("\r\n").any(|line| line.starts_with("ATTENDEE") || line.starts_with("BEGIN:VALARM")),
            "{file}"
        );
        assert!(!file.contains('\n') || file.replace("\r\n", "").find('\n').is_none());
    }
}
