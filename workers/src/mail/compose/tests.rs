//! Mails as a guest's mail program reads them.

mod html;
mod money;
mod notice;

use super::{BookingMailParts, MailContext, compose};
use crate::mail::fixtures::{at, booking, cancelled, inventory, links, modified, unreferenced};
use crate::mail::{MailError, OutgoingMail, Sender};
use mail_parser::{Message, MessageParser, MimeHeaders};
use pvt_domain::booking::{Booking, ChangeFees, Status};
use pvt_domain::inventory::Inventory;
use pvt_domain::messages::NotificationKind::{
    self, ArrivalSoon, ArrivalToday, BookingCancelled, BookingConfirmed, BookingModified, BookingNoShow,
};
use pvt_domain::rates::cancellation::{CancellationPolicy, Fee, Tier};
use pvt_domain::timestamp::Timestamp;
use serde_json::json;

fn composed(kind: NotificationKind, booking: &Booking, inventory: &Inventory) -> OutgoingMail {
    composed_at(at("2026-12-01T12:00:00Z"), kind, booking, inventory)
}

fn composed_at(now: Timestamp, kind: NotificationKind, booking: &Booking, inventory: &Inventory) -> OutgoingMail {
    let sender = Sender::parse("PVT Booking <bookings@pvt.test>").unwrap();
    let compared_with = booking.rev.checked_sub(1);
    let parts = BookingMailParts { kind, rev: booking.rev, compared_with, former: None, message_id: "<abc@pvt.test>" };
    compose(parts, booking, inventory, MailContext { sender: &sender, links: &links() }, now).unwrap()
}

/// Subject, text and HTML of a mail, read back as a mail program would.
fn read(mail: &OutgoingMail) -> (String, String, String) {
    let parsed = MessageParser::default().parse(&mail.message).unwrap();
    let text = parsed.body_text(0).unwrap().replace("\r\n", "\n").replace('\u{a0}', " ");
    let html = unreferenced(&parsed.body_html(0).unwrap()).replace('\u{a0}', " ");
    (parsed.subject().unwrap().to_owned(), text, html)
}

fn parsed(mail: &OutgoingMail) -> Message<'_> {
    MessageParser::default().parse(&mail.message).unwrap()
}

fn contains_all(haystack: &str, needles: &[&str]) {
    for needle in needles {
        assert!(haystack.contains(needle), "`{needle}` is missing in\n{haystack}");
    }
}

#[test]
fn deadline_of_free_cancellation_is_shown_in_the_local_time_of_the_property() {
    let (mut booking, inventory) = (booking(), inventory());
    let tier = |hours_before, ppm| Tier { hours_before, fee: Fee::Percent { ppm } };
    booking.cancellation_policy =
        Some(CancellationPolicy { tiers: vec![tier(48, 0), tier(0, 1_000_000)], ..CancellationPolicy::standard() });
    let label = "Free cancellation until";
    let (_, text, html) = read(&composed(BookingConfirmed, &booking, &inventory));
    let until = booking.free_cancellation_until(&inventory.property, booking.created_at).unwrap();
    let line = text.lines().find(|line| line.starts_with(label)).unwrap_or_else(|| panic!("{text}"));
    assert!(line.ends_with("Friday 8 January 2027, 15:00 (UTC-05:00)"), "{line}");
    contains_all(&html, &[label, line.split_once(": ").unwrap().1]);
    for body in [&text, &html] {
        contains_all(body, &["After that, cancelling costs 285.60 CAD."]);
    }
    let later = (until + chrono::TimeDelta::seconds(1)).into();
    let (_, text, _) = read(&composed_at(later, ArrivalSoon, &booking, &inventory));
    contains_all(&text, &["\nCancelling costs 285.60 CAD."]);
    for booking in [&booking, &cancelled()] {
        let (_, text, html) = read(&composed_at(later, BookingModified, booking, &inventory));
        assert!(!text.contains(label) && !html.contains(label), "it has passed, or nothing can be cancelled");
    }
    let (_, text, _) = read(&composed(BookingModified, &cancelled(), &inventory));
    assert!(!text.contains("ancelling costs"), "{text}");
}

#[test]
fn cancellation_terms_are_stated_in_words() {
    let (mut booking, inventory) = (booking(), inventory());
    let (_, text, html) = read(&composed(BookingConfirmed, &booking, &inventory));
    let terms = "Cancelling costs 28.56 CAD until Sunday 3 January 2027, 15:00 (UTC-05:00), 71.40 CAD until Friday 8 \
        January 2027, 15:00 (UTC-05:00), 142.80 CAD until Saturday 9 January 2027, 15:00 (UTC-05:00), and after that \
        285.60 CAD.";
    contains_all(&text, &[terms]);
    contains_all(&html, &[terms]);
    booking.guest.locale = Some("fr".to_owned());
    let (_, text, html) = read(&composed(BookingConfirmed, &booking, &inventory));
    for body in [&text, &html] {
        contains_all(body, &["L’annulation coûte 28,56 CAD jusqu’au dimanche 3 janvier 2027", ", puis 285,60 CAD."]);
    }
}

#[test]
fn a_confirmation_in_english_has_everything_a_guest_needs() {
    let (booking, inventory) = (booking(), inventory());
    let (subject, text, html) = read(&composed(BookingConfirmed, &booking, &inventory));
    assert_eq!(subject, format!("Your booking is confirmed – PVT Montréal – {}", booking.reference));
    let facts = [
        "Hello Ada,",
        &booking.reference,
        "PVT Montréal",
        "1 rue de la Paix, Montréal",
        "Sunday 10 January 2027, from 15:00",
        "Wednesday 13 January 2027, until 11:00",
        "6-bed mixed dorm",
        "3 nights · 2 guests",
        "240.00 CAD",
        "Lodging tax (3.5%)",
        "8.40 CAD",
        "QST (9.975%)",
        "24.78 CAD",
        "285.60 CAD",
        "The total is due on arrival.",
    ];
    contains_all(&text, &facts);
    contains_all(&html, &facts);
}

#[test]
fn guest_without_locale_gets_the_property_language() {
    let (mut booking, inventory) = (booking(), inventory());
    booking.guest.locale = None;
    let (subject, text, html) = read(&composed(BookingConfirmed, &booking, &inventory));
    assert_eq!(subject, format!("Votre réservation est confirmée – PVT Montréal – {}", booking.reference));
    let facts = [
        "Bonjour Ada,",
        "dimanche 10 janvier 2027, à partir de 15 h 00",
        "3 nuits · 2 personnes",
        "QST (9,975 %)",
        "285,60 CAD",
        "Le total est à régler à l’arrivée.",
    ];
    contains_all(&text, &facts);
    contains_all(&html, &facts);
    assert!(html.contains("lang=\"fr\""));
}

#[test]
fn taxes_and_names_are_in_the_language_of_the_guest() {
    let (mut booking, mut inventory) = (booking(), inventory());
    let named = json!({ "code": "city", "name": "City tax", "names": { "fr": "Taxe de séjour" }, "per": "person_night",
        "amount": 165 });
    inventory.property.taxes = vec![serde_json::from_value(named).unwrap()];
    inventory.room_types.iter_mut().for_each(|one| one.names = [("fr", "Dortoir mixte")].into());
    booking.price.as_mut().unwrap().taxes = serde_json::from_value(json!([
        { "code": "vat", "name": "VAT", "rate_ppm": 55_000, "included": true, "amount": 1_251 },
        { "code": "city", "name": "City tax", "per": "person_night", "unit_amount": 165, "count": 6, "amount": 990 },
        { "code": "linen", "name": "Linen", "per": "stay", "unit_amount": 500, "count": 1, "amount": 500 },
    ]))
    .unwrap();
    for (locale, facts) in [
        (
            "fr-CH",
            [
                "Dortoir mixte",
                "VAT (5,5 %, compris dans le prix)",
                "Taxe de séjour (6 nuitées × 1,65 CAD)",
                "Linen (1 × 5,00 CAD)",
            ],
        ),
        (
            "en",
            [
                "6-bed mixed dorm",
                "VAT (5.5%, included in the price)",
                "City tax (6 person-nights × 1.65 CAD)",
                "Linen (1 × 5.00 CAD)",
            ],
        ),
    ] {
        booking.guest.locale = Some(locale.to_owned());
        let (_, text, html) = read(&composed(BookingConfirmed, &booking, &inventory));
        contains_all(&text, &facts);
        contains_all(&html, &facts);
    }
}

#[test]
fn cancellation_shows_agreed_price_fee_refund_and_what_is_owed() {
    let (booking, inventory) = (cancelled(), inventory());
    let (subject, text, html) = read(&composed(BookingCancelled, &booking, &inventory));
    assert!(subject.starts_with("Your booking has been cancelled"));
    for body in [&text, &html] {
        contains_all(body, &["please contact the property to pay it"]);
        assert!(!body.contains("240.00") && !body.contains("due on arrival"));
    }
    let rows = ["Agreed price: 285.60 CAD", "Cancellation fee: 28.56 CAD", "Paid: 0.00 CAD", "Refund: 0.00 CAD"];
    contains_all(&text, &rows);
    contains_all(&text, &["Fee still to be paid: 28.56 CAD"]);
}

#[test]
fn modification_shows_before_and_after() {
    let (mut booking, inventory) = (modified(), inventory());
    let (subject, text, html) = read(&composed(BookingModified, &booking, &inventory));
    assert!(subject.starts_with("Your booking has been updated"));
    let facts = [
        "What changed",
        "Stay 1",
        "Sunday 10 January 2027 – Wednesday 13 January 2027 · 3 nights · 2 guests → 6-bed mixed dorm, Sunday 10 \
            January 2027 – Tuesday 12 January 2027",
        "Stay 2",
        "→ none",
        "285.60 CAD → 190.40 CAD",
    ];
    contains_all(&text, &facts);
    contains_all(&html, &facts);
    booking.guest.locale = Some("fr".to_owned());
    let (subject, text, _) = read(&composed(BookingModified, &booking, &inventory));
    assert!(subject.starts_with("Votre réservation a été modifiée"));
    contains_all(&text, &["Ce qui a changé", "285,60 CAD → 190,40 CAD", "→ aucun"]);
}

#[test]
fn fee_of_an_unpaid_change_is_part_of_what_is_due() {
    let (mut booking, inventory) = (modified(), inventory());
    booking.payment.change_fees = ChangeFees { sum: 5_000, below_highest_price: 9_520 };
    let (_, text, html) = read(&composed(BookingModified, &booking, &inventory));
    let facts = ["Change fee", "50.00 CAD", "240.40 CAD", "The balance is due on arrival."];
    contains_all(&text, &facts);
    contains_all(&html, &facts);
    booking.payment.change_fees = ChangeFees::default();
    let (_, text, _) = read(&composed(BookingModified, &booking, &inventory));
    assert!(!text.contains("Change fee") && text.contains("The total is due on arrival."), "{text}");
}

#[test]
fn reminder_shows_arrival_address_and_balance() {
    let (booking, inventory) = (booking(), inventory());
    for (kind, title) in [(ArrivalSoon, "See you soon"), (ArrivalToday, "See you today")] {
        let (subject, text, html) = read(&composed(kind, &booking, &inventory));
        assert!(subject.starts_with(title), "{subject}");
        for body in [&text, &html] {
            contains_all(
                body,
                &["Sunday 10 January 2027, from 15:00", "1 rue de la Paix", "285.60 CAD", "due on arrival"],
            );
            assert!(!body.contains("What changed"));
        }
    }
}

#[test]
fn no_show_mail_requests_nothing_on_arrival() {
    let mut booking = cancelled();
    booking.status = Status::NoShow;
    let (subject, text, _) = read(&composed(BookingNoShow, &booking, &inventory()));
    assert!(subject.starts_with("We missed you"));
    contains_all(&text, &["Agreed price: 285.60 CAD", "No-show fee: 28.56 CAD", "Fee still to be paid: 28.56 CAD"]);
    assert!(!text.contains("240.00") && !text.contains("due on arrival"));
}

#[test]
fn the_parts_are_an_alternative_and_the_calendar_file() {
    let outgoing = composed(BookingConfirmed, &booking(), &inventory());
    let mail = parsed(&outgoing);
    assert_eq!(mail.content_type().unwrap().subtype(), Some("mixed"));
    assert_eq!((mail.text_body_count(), mail.html_body_count(), mail.attachment_count()), (1, 1, 1));
    let file = mail.attachment(0).unwrap();
    assert!(file.attachment_name().unwrap().starts_with("pvt-") && file.attachment_name().unwrap().ends_with(".ics"));
    let kind = file.content_type().unwrap();
    assert_eq!((kind.ctype(), kind.subtype(), kind.attribute("method")), ("text", Some("calendar"), Some("PUBLISH")));
    contains_all(file.text_contents().unwrap(), &["BEGIN:VCALENDAR", "METHOD:PUBLISH", "STATUS:CONFIRMED"]);
}

#[test]
fn cancellation_has_the_method_in_its_file_and_its_type() {
    let outgoing = composed(BookingCancelled, &cancelled(), &inventory());
    let mail = parsed(&outgoing);
    let file = mail.attachment(0).unwrap();
    assert_eq!(file.content_type().unwrap().attribute("method"), Some("CANCEL"));
    let id = format!("UID:{}", cancelled().id);
    contains_all(
        &file.text_contents().unwrap().replace("\r\n ", ""),
        &[
            &id,
            "METHOD:CANCEL",
            "STATUS:CANCELLED",
            "SEQUENCE:2",
            "ORGANIZER;CN=\"PVT Montréal\":mailto:bookings@pvt.test",
        ],
    );
}

#[test]
fn headers_mark_the_mail_as_automatic_and_name_it_stably() {
    let outgoing = composed(BookingConfirmed, &booking(), &inventory());
    let mail = parsed(&outgoing);
    assert_eq!(mail.message_id(), Some("abc@pvt.test"));
    assert_eq!(mail.header_raw("Auto-Submitted").map(str::trim), Some("auto-generated"));
    assert_eq!(mail.header_raw("Content-Language").map(str::trim), Some("en"));
    assert_eq!(mail.from().unwrap().first().unwrap().address(), Some("bookings@pvt.test"));
    assert_eq!(outgoing.envelope.to()[0].to_string(), "ada@example.com");
    assert!(outgoing.message.is_ascii(), "no 8BITMIME needed");
}

#[test]
fn header_names_the_booking_for_operators() {
    let booking = booking();
    let outgoing = composed(BookingConfirmed, &booking, &inventory());
    let mail = parsed(&outgoing);
    let header = mail.header("X-PVT-Booking-Id").and_then(|header| header.as_text());
    assert_eq!(header, Some(booking.id.to_string().as_str()));
}

#[test]
fn a_hostile_name_adds_no_header_and_no_recipient() {
    let (mut booking, mut inventory) = (booking(), inventory());
    booking.guest.first_name = "Eve\r\nBcc: all@example.com\r\n\r\nBody".to_owned();
    booking.guest.last_name = "\"<x@example.com>, y@example.com\u{0}\u{1b}[31m".to_owned();
    inventory.property.name = "H\r\nSubject: spoofed\r\n\r\n<p>".to_owned();
    let outgoing = composed(BookingConfirmed, &booking, &inventory);
    let mail = parsed(&outgoing);
    assert!(mail.bcc().is_none());
    let to: Vec<_> = mail.to().unwrap().iter().map(|to| to.address()).collect();
    assert_eq!(to, [Some("ada@example.com")]);
    assert!(mail.subject().unwrap().starts_with("Your booking is confirmed – H Subject: spoofed <p> – PVT-"));
    assert_eq!(mail.headers().iter().filter(|header| header.name().eq_ignore_ascii_case("subject")).count(), 1);
    assert_eq!(outgoing.envelope.to().len(), 1);
}

#[test]
fn one_name_greets_and_addresses_the_guest_without_what_deceives() {
    let (mut booking, inventory) = (booking(), inventory());
    booking.guest.first_name = String::new();
    booking.guest.last_name = "Suharto\u{202e}\u{200b}".to_owned();
    booking.guest.email = "suharto@xn--bcher-kva.example".to_owned();
    let outgoing = composed(BookingConfirmed, &booking, &inventory);
    let mail = parsed(&outgoing);
    let to = mail.to().and_then(|to| to.first()).unwrap();
    assert_eq!((to.name(), to.address()), (Some("Suharto"), Some("suharto@xn--bcher-kva.example")));
    let (_, text, html) = read(&outgoing);
    assert!(text.starts_with("Hello Suharto,\n"), "{text}");
    assert!(!html.contains("202e") && !html.contains("8238"), "{html}");
}

#[test]
fn markup_in_a_name_is_text() {
    let (mut booking, mut inventory) = (booking(), inventory());
    booking.guest.first_name = "<script>alert(1)</script>".to_owned();
    inventory.room_types[0].name = "<img src=x onerror=alert(2)>".to_owned();
    let (_, text, html) = read(&composed(BookingConfirmed, &booking, &inventory));
    assert!(!html.contains("<script>") && !html.contains("<img"), "{html}");
    assert!(text.contains("<script>alert(1)</script>"), "plain text shows what was typed");
}

#[test]
fn html_is_sent_as_7bit_unless_a_line_is_too_long() {
    let (booking, mut inventory) = (booking(), inventory());
    let confirmation = composed(BookingConfirmed, &booking, &inventory);
    assert!(confirmation.message.contains(">Your booking is confirmed</h1>"), "no encoding");
    assert!(confirmation.message.lines().all(|line| line.len() <= 998));
    inventory.property.address = "é".repeat(200);
    let confirmation = composed(BookingConfirmed, &booking, &inventory);
    assert!(confirmation.message.lines().all(|line| line.len() <= 78));
    assert!(read(&confirmation).2.contains(&"é".repeat(200)));
}

#[test]
fn overlong_name_is_truncated() {
    let (mut booking, inventory) = (booking(), inventory());
    booking.guest.first_name = "word ".repeat(500);
    let (_, text, _) = read(&composed(BookingConfirmed, &booking, &inventory));
    assert!(text.lines().next().unwrap().chars().count() < 80);
}

#[test]
fn invalid_recipient_is_a_recipient_error() {
    let (mut booking, inventory) = (booking(), inventory());
    let sender = Sender::parse("bookings@pvt.test").unwrap();
    for address in ["", "ada", "ada@", "a@b\r\nRCPT TO:<c@d>", "a@b> SIZE=1", "a b@c.d"] {
        booking.guest.email = address.to_owned();
        let result = compose(
            BookingMailParts { kind: BookingConfirmed, rev: 1, compared_with: None, former: None, message_id: "<a@b>" },
            &booking,
            &inventory,
            MailContext { sender: &sender, links: &links() },
            at("2026-12-01T12:00:00Z"),
        );
        assert!(matches!(result, Err(MailError::Recipient)), "{address:?}");
    }
}
