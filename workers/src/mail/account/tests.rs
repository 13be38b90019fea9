//! Mails about accounts as their recipients read them.

use super::{AccountDecision, AccountMailParts, compose_account_mail, decide, ledger_key, message_id};
use crate::mail::Sender;
use crate::mail::fixtures::{at, unreferenced};
use crate::mail::layout::{assert_layout, buttons};
use mail_parser::MessageParser;
use pvt_domain::accounts::{Email, Role, User, UserId};
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::Attention;
use pvt_domain::messages::{AccountMail, AccountMailKind, StaffAlert};
use pvt_domain::money::{Currency, Money};
use pvt_domain::timestamp::Timestamp;
use uuid::Uuid;

fn user(name: &str, locale: Option<&str>) -> User {
    User {
        id: UserId::from_uuid(Uuid::from_u128(7)),
        email: Email::parse("ada@example.com").unwrap(),
        name: name.to_owned(),
        role: Role::Guest,
        properties: Vec::new(),
        locale: locale.map(str::to_owned),
        rev: 1,
        created_at: at("2026-12-01T12:00:00Z"),
        disabled_at: None,
    }
}

fn now() -> Timestamp {
    at("2026-12-01T12:00:00Z")
}

fn account_mail(kind: AccountMailKind) -> AccountMail {
    AccountMail {
        mail_id: Uuid::from_u128(1),
        user_id: user("", None).id,
        kind,
        alert: None,
        requested_at: at("2026-12-01T12:00:00Z"),
    }
}

/// Subject, text and HTML.
fn read(kind: AccountMailKind, user: &User, token: Option<&str>) -> (String, String, String) {
    let sender = Sender::parse("PVT Booking <bookings@pvt.test>").unwrap();
    let public_url = "https://booking.example.com/".parse().unwrap();
    let parts = AccountMailParts { kind, token, alert: None, public_url: &public_url, message_id: "<abc@pvt.test>" };
    let mail = compose_account_mail(parts, user, &sender, at("2026-12-01T12:00:00Z")).unwrap();
    let parsed = MessageParser::default().parse(&mail.message).unwrap();
    (
        parsed.subject().unwrap().to_owned(),
        parsed.body_text(0).unwrap().replace("\r\n", "\n"),
        parsed.body_html(0).unwrap().into_owned(),
    )
}

#[test]
fn a_reset_carries_its_token_and_its_link() {
    let (subject, text, html) =
        read(AccountMailKind::PasswordReset, &user("Ada Lovelace", Some("en-CA")), Some("t0ken"));
    assert_eq!(subject, "Reset your password");
    for part in [&text, &html] {
        assert!(
            part.contains("https://booking.example.com/reset-password#token=t0ken")
                && part.contains("Hello Ada Lovelace,"),
            "{part}"
        );
    }
    assert!(text.lines().any(|line| line == "t0ken"), "{text}");
}

#[test]
fn mails_keep_width_and_buttons_in_outlook() {
    for kind in [AccountMailKind::Welcome, AccountMailKind::AlreadyRegistered, AccountMailKind::PasswordReset] {
        let token = (kind == AccountMailKind::PasswordReset).then_some("t0ken");
        let (_, text, html) = read(kind, &user("Ada", Some("fr")), token);
        assert_layout(&html, &text);
        assert_eq!(buttons(&html), usize::from(token.is_some()), "{kind:?}");
    }
}

#[test]
fn french_account_gets_french_mail() {
    let (subject, text, html) = read(AccountMailKind::Welcome, &user("Ada", Some("fr")), None);
    assert_eq!(subject, "Bienvenue");
    assert!(text.contains("Bonjour Ada,") && html.contains("lang=\"fr\"") && !text.contains("token"), "{text}");
    let subjects = [AccountMailKind::AlreadyRegistered, AccountMailKind::PasswordReset]
        .map(|kind| read(kind, &user("Ada", Some("fr")), None).0);
    assert_eq!(subjects, ["Vous avez déjà un compte", "Réinitialisez votre mot de passe"]);
}

#[test]
fn a_hostile_name_adds_nothing() {
    let (_, text, html) = read(AccountMailKind::Welcome, &user("<b>Eve</b>\r\nBcc: x@y.z", None), None);
    assert!(!html.contains("<b>Eve") && !text.lines().any(|line| line.starts_with("Bcc")), "{text}\n{html}");
}

#[test]
fn missing_disabled_and_expired_requests_send_nothing() {
    let (now, late) = (at("2026-12-01T12:30:00Z"), at("2026-12-01T13:00:01Z"));
    let (ada, mut gone) = (user("Ada", None), user("Ada", None));
    gone.disabled_at = Some(now);
    let reset = account_mail(AccountMailKind::PasswordReset);
    assert_eq!(decide(&reset, Some(&ada), now), AccountDecision::Send(&ada));
    assert_eq!(decide(&reset, None, now), AccountDecision::Skip("no_account"));
    assert_eq!(decide(&reset, Some(&gone), now), AccountDecision::Skip("account_disabled"));
    assert_eq!(decide(&reset, Some(&ada), late), AccountDecision::Skip("too_late"));
    assert_eq!(
        decide(&account_mail(AccountMailKind::Welcome), Some(&ada), late),
        AccountDecision::Send(&ada),
        "a welcome keeps"
    );
}

#[test]
fn each_request_has_its_own_key_without_address() {
    let ada = user("Ada", None);
    let (one, other) = (
        account_mail(AccountMailKind::Welcome),
        AccountMail { mail_id: Uuid::from_u128(2), ..account_mail(AccountMailKind::Welcome) },
    );
    let key = ledger_key(&one, &ada);
    assert!(key.contains("|welcome|") && !key.contains("ada"), "{key}");
    assert_ne!(key, ledger_key(&other, &ada));
    assert_eq!(message_id(&key, &one, "pvt.test"), message_id(&key, &one, "pvt.test"));
    assert_ne!(message_id(&key, &one, "pvt.test"), message_id(&ledger_key(&other, &ada), &other, "pvt.test"));
}

#[test]
fn staff_alert_links_the_payment_in_both_languages() {
    let (booking_id, property_id) =
        (BookingId::derive(None, "1", "f"), pvt_domain::ids::PropertyId::from("pvt-montreal"));
    let public_url = "https://hostels.pvt.test".parse().unwrap();
    let sender = Sender::parse("PVT <a@pvt.test>").unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for (_, attention) in Attention::ALL {
        for locale in ["en", "fr"] {
            let amount = Some(Money::new(123_450, Currency::CAD));
            let alert = StaffAlert { booking_id, property_id: property_id.clone(), attention, amount };
            let parts = AccountMailParts {
                kind: AccountMailKind::StaffAlert,
                token: None,
                alert: Some(&alert),
                public_url: &public_url,
                message_id: "<abc@pvt.test>",
            };
            let message = compose_account_mail(parts, &user("Sam", Some(locale)), &sender, now()).unwrap().message;
            let parsed = MessageParser::default().parse(message.as_bytes()).unwrap();
            let text = parsed.body_text(0).unwrap().into_owned();
            assert!(
                text.contains(&booking_id.reference())
                    && text.contains(&format!("/api/payments?booking_id={booking_id}")),
                "{text}"
            );
            let (label, shown) =
                if locale == "en" { ("Amount", "1,234.50\u{a0}CAD") } else { ("Montant", "1\u{a0}234,50\u{a0}CAD") };
            let html = unreferenced(&parsed.body_html(0).unwrap());
            assert!(text.lines().any(|line| line == label) && text.lines().any(|line| line == shown), "{text}");
            assert!(html.contains(label) && html.contains(shown), "{html}");
            seen.insert(text);
        }
    }
    assert_eq!(seen.len(), 2 * Attention::ALL.len(), "each kind says something else, in both languages");
}

#[test]
fn former_staff_get_no_alert_and_alerts_are_deduplicated() {
    let alert = StaffAlert {
        booking_id: BookingId::derive(None, "1", "f"),
        property_id: "pvt-montreal".into(),
        attention: Attention::RefundFailed,
        amount: None,
    };
    let mut sam = user("Sam", None);
    (sam.role, sam.properties) = (Role::Staff, vec!["pvt-montreal".into()]);
    let mail = alert.mail_to(sam.id, "re_1", now());
    assert_eq!(mail.mail_id, alert.mail_to(sam.id, "re_1", now()).mail_id);
    assert_ne!(mail.mail_id, alert.mail_to(sam.id, "re_2", now()).mail_id, "another refund that fails is another mail");
    assert_eq!(decide(&mail, Some(&sam), now()), AccountDecision::Send(&sam));
    sam.properties.clear();
    assert_eq!(decide(&mail, Some(&sam), now()), AccountDecision::Skip("not_staff"));
}
