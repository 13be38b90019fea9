//! The last mail to an address that was corrected says no more than it must.

use super::{MailContext, contains_all, parsed, read};
use crate::mail::compose::{BookingMailParts, compose};
use crate::mail::fixtures::{at, booking, inventory, links};
use crate::mail::layout::{assert_layout, buttons};
use crate::mail::{MailError, OutgoingMail, Sender};
use mail_parser::MimeHeaders as _;
use pvt_domain::booking::{Booking, FormerAddress};
use pvt_domain::messages::NotificationKind::AddressChanged;

/// The booking of another guest at another address, in place of Ada.
fn replaced() -> Booking {
    let mut booking = booking();
    booking.guest.first_name = "Grace".to_owned();
    booking.guest.last_name = "Hopper".to_owned();
    booking.guest.email = "grace@example.com".to_owned();
    booking.guest.phone = Some("+15145550100".to_owned());
    booking.guest.locale = Some("fr".to_owned());
    booking
}

fn former(locale: Option<&str>) -> FormerAddress {
    FormerAddress {
        booking_id: booking().id,
        rev: 1,
        email: "ada@example.com".to_owned(),
        called: "Ada".to_owned(),
        locale: locale.map(str::to_owned),
        at: at("2026-12-01T12:00:00Z"),
    }
}

fn notice(booking: &Booking, former: &FormerAddress) -> Result<OutgoingMail, MailError> {
    let sender = Sender::parse("PVT Booking <bookings@pvt.test>").unwrap();
    let parts = BookingMailParts {
        kind: AddressChanged,
        rev: 1,
        compared_with: None,
        former: Some(former),
        message_id: "<abc@pvt.test>",
    };
    compose(parts, booking, &inventory(), MailContext { sender: &sender, links: &links() }, at("2026-12-01T12:00:00Z"))
}

#[test]
fn notice_names_the_booking_and_says_what_to_do() {
    let booking = replaced();
    for (locale, title, facts) in [
        (
            Some("en"),
            "Your email address was changed",
            ["Hello Ada,", "go to another address", "If you did not ask for this, please contact the property."],
        ),
        (
            None,
            "Votre adresse e-mail a été modifiée",
            ["Bonjour Ada,", "envoyés à une autre adresse", "veuillez contacter l’établissement."],
        ),
    ] {
        let mail = notice(&booking, &former(locale)).unwrap();
        let (subject, text, html) = read(&mail);
        assert_eq!(subject, format!("{title} – PVT Montréal – {}", booking.reference));
        for body in [&text, &html] {
            contains_all(body, &facts);
            contains_all(body, &[&booking.reference, "PVT Montréal"]);
        }
        assert_layout(&html, &text);
        assert_eq!(buttons(&html), 0);
        let recipients: Vec<String> = mail.envelope.to().iter().map(ToString::to_string).collect();
        assert_eq!(recipients, ["ada@example.com"]);
    }
}

#[test]
fn notice_has_no_link_no_file_and_nothing_of_the_guest_or_the_stay() {
    let mail = notice(&replaced(), &former(Some("en"))).unwrap();
    let (subject, text, html) = read(&mail);
    let secrets = [
        "token",
        "http",
        "href",
        "Grace",
        "Hopper",
        "grace@",
        "5145550100",
        "CAD",
        "285.60",
        "2027",
        "dorm",
        "Lovelace",
    ];
    for part in [&subject, &text, &html, &mail.message] {
        for secret in secrets {
            assert!(!part.contains(secret), "`{secret}` is in\n{part}");
        }
    }
    let mail = parsed(&mail);
    assert_eq!(mail.attachment_count(), 0);
    assert_eq!(mail.content_type().unwrap().subtype(), Some("alternative"));
    assert_eq!(mail.header_raw("Auto-Submitted").map(str::trim), Some("auto-generated"));
}

#[test]
fn notice_of_a_removed_address_promises_no_other() {
    let mut booking = replaced();
    booking.guest.email.clear();
    for (locale, says, not) in [
        ("en", "you will receive no more emails", "another address"),
        ("fr", "Vous ne recevrez désormais plus", "une autre adresse"),
    ] {
        let (_, text, html) = read(&notice(&booking, &former(Some(locale))).unwrap());
        for body in [&text, &html] {
            assert!(body.contains(says) && !body.contains(not), "{body}");
        }
    }
}

#[test]
fn hostile_name_and_address_of_before_add_nothing() {
    let mut hostile = former(Some("en"));
    hostile.called = "Eve\r\nBcc: all@example.com\r\n\r\n<b>".to_owned();
    let mail = notice(&replaced(), &hostile).unwrap();
    assert!(parsed(&mail).bcc().is_none());
    assert!(!read(&mail).2.contains("<b>"));
    hostile.email = "a@b\r\nRCPT TO:<c@d>".to_owned();
    assert!(matches!(notice(&replaced(), &hostile), Err(MailError::Recipient)));
}
