//! Amounts, links and sentences about payments, in both languages.

use super::{composed, contains_all, read};
use crate::mail::fixtures::{booking, cancelled, held, inventory, links, with_payments};
use pvt_domain::booking::{Booking, Status};
use pvt_domain::messages::NotificationKind::{
    self, BookingCancelled, BookingConfirmed, BookingNoShow, HoldExpired, PaymentFailed, PaymentLink, PaymentReceived,
    PaymentRefunded, PaymentReturned,
};
use pvt_service::tokens::{Purpose, TokenClaims, TokenKeys};

/// Subject, text and HTML in English and in French.
fn both(kind: NotificationKind, booking: &Booking) -> [(String, String, String); 2] {
    ["en", "fr"].map(|locale| {
        let mut booking = booking.clone();
        booking.guest.locale = Some(locale.to_owned());
        read(&composed(kind, &booking, &inventory()))
    })
}

/// Asserts that text and HTML contain all of this, in English and in French.
fn says(kind: NotificationKind, booking: &Booking, english: &[&str], french: &[&str]) {
    for ((_, text, html), facts) in both(kind, booking).iter().zip([english, french]) {
        contains_all(text, facts);
        contains_all(html, facts);
    }
}

/// Asserts that neither contains any of this.
fn lacks(kind: NotificationKind, booking: &Booking, words: &[&str]) {
    for (_, text, html) in both(kind, booking) {
        for word in words {
            assert!(!text.contains(word) && !html.contains(word), "`{word}` in\n{text}\n{html}");
        }
    }
}

#[test]
fn payment_request_shows_amount_deadline_and_link() {
    let held = held();
    let link = links().pay(&held);
    assert!(link.starts_with(&format!("https://booking.example.com/api/bookings/{}/pay?token=", held.id)), "{link}");
    for kind in [PaymentLink, PaymentFailed] {
        // Montréal is five hours behind UTC.
        let english =
            ["Due now", "142.80 CAD", "Pay by", "Tuesday 1 December 2026, 12:30", "Due on arrival", "Pay now", &link];
        let french = [
            "À régler maintenant",
            "142,80 CAD",
            "À régler avant le",
            "mardi 1er décembre 2026, 12 h 30",
            "Régler maintenant",
            &link,
        ];
        says(kind, &held, &english, &french);
        lacks(kind, &held, &["The total is due on arrival", "receipt?token"]);
    }
    let [english, french] = both(PaymentLink, &held);
    assert!(
        english.0.starts_with("Complete your payment") && french.0.starts_with("Réglez votre séjour pour confirmer")
    );
}

#[test]
fn links_are_good_for_no_more_than_they_are_for() {
    let mut held = held();
    held.token_epoch = 3;
    let keys = TokenKeys::derive(&"a secret".into(), None).unwrap();
    let verified = |link: &str| keys.verify(held.id, link.split_once("token=").unwrap().1);
    let claims = |purpose| Some(TokenClaims { purpose, epoch: 3 });
    assert_eq!(verified(&links().pay(&held)), claims(Purpose::View));
    assert_eq!(verified(&links().receipt(&held)), claims(Purpose::View));
    let manage = links().manage(&held);
    assert_eq!(verified(&manage), claims(Purpose::Manage));
    assert!(manage.starts_with(&format!("https://booking.example.com/bookings/{}#token=", held.id)), "{manage}");
}

#[test]
fn bookings_that_can_be_changed_have_a_link_for_it() {
    let (confirmed, ended) = (booking(), cancelled());
    let manage = links().manage(&confirmed);
    says(
        BookingConfirmed,
        &confirmed,
        &["Change or cancel your booking", &manage],
        &["Modifier ou annuler votre réservation", &manage],
    );
    lacks(BookingCancelled, &ended, &["token=", "Change or cancel", "Modifier ou annuler"]);
}

#[test]
fn confirmation_of_paid_booking_shows_balance_and_receipt() {
    let part = with_payments(&held(), 14_280, 0, Status::Confirmed);
    let link = links().receipt(&part);
    says(
        BookingConfirmed,
        &part,
        &["Paid", "142.80 CAD", "Balance due", "The balance is due on arrival.", "View receipt", &link],
        &["Réglé", "142,80 CAD", "Solde à régler", "Le solde est à régler à l’arrivée.", "Voir le reçu", &link],
    );
    let whole = with_payments(&held(), 28_560, 0, Status::Confirmed);
    says(
        BookingConfirmed,
        &whole,
        &["Your booking is paid in full.", "0.00 CAD"],
        &["Votre réservation est entièrement réglée.", "0,00 CAD"],
    );
    lacks(BookingConfirmed, &booking(), &["Balance due", "Solde", "receipt?token="]);
}

#[test]
fn payment_receipt_shows_its_own_amount() {
    let part = with_payments(&held(), 14_280, 0, Status::Confirmed);
    let rest = with_payments(&part, 28_560, 0, Status::Confirmed);
    says(
        PaymentReceived,
        &rest,
        &["This payment", "142.80 CAD", "Paid", "285.60 CAD", "Your booking is paid in full."],
        &["Ce paiement", "142,80 CAD", "285,60 CAD"],
    );
    lacks(PaymentReceived, &rest, &["already paid", "déjà réglé"]);
}

#[test]
fn duplicate_payment_mail_announces_refund() {
    let whole = with_payments(&held(), 28_560, 0, Status::Confirmed);
    let mut twice = with_payments(&whole, 57_120, 0, Status::Confirmed);
    let surplus = |booking: &mut Booking| {
        let ledger = booking.payment.ledger.as_mut().unwrap();
        (ledger.surplus, ledger.cleared) = (28_560, 28_560);
        let after = booking.payment.clone();
        let changes = booking.history.last_mut().and_then(|entry| entry.changes.as_mut()).unwrap();
        changes.payment.as_mut().unwrap().after = after;
    };
    surplus(&mut twice);
    says(
        PaymentReceived,
        &twice,
        &["You had already paid for your booking. We are refunding", "Refund in progress", "285.60 CAD"],
        &["Vous aviez déjà réglé", "Remboursement en cours", "285,60 CAD"],
    );
}

#[test]
fn refund_mail_shows_amount_and_balance() {
    let whole = with_payments(&held(), 28_560, 0, Status::Confirmed);
    let refunded = with_payments(&whole, 28_560, 5_000, Status::Confirmed);
    says(
        PaymentRefunded,
        &refunded,
        &["This refund", "50.00 CAD", "Refunded", "Balance due"],
        &["Ce remboursement", "50,00 CAD", "Remboursé", "Solde à régler"],
    );
}

#[test]
fn ended_booking_shows_paid_fee_and_refund() {
    let mut ended = cancelled();
    let paid = with_payments(&held(), 28_560, 0, Status::Confirmed);
    ended.payment = paid.payment;
    ended.payment.to_refund = ended.total_to_refund();
    says(
        BookingCancelled,
        &ended,
        &["Paid", "285.60 CAD", "Cancellation fee", "28.56 CAD", "Refund", "257.04 CAD"],
        &["Réglé", "285,60 CAD", "Frais d’annulation", "28,56 CAD", "Remboursement", "257,04 CAD"],
    );
    ended.status = Status::NoShow;
    says(
        BookingNoShow,
        &ended,
        &["No-show fee", "28.56 CAD", "257.04 CAD"],
        &["Frais de non-présentation", "257,04 CAD"],
    );
    lacks(BookingNoShow, &ended, &["due on arrival", "Lodging tax"]);
}

#[test]
fn expired_hold_mail_requests_no_payment() {
    let mut expired = held();
    expired.status = Status::Expired;
    lacks(HoldExpired, &expired, &["token=", "CAD", "due on arrival", "à régler à l’arrivée"]);
    let late = with_payments(&expired, 28_560, 0, Status::Expired);
    says(
        PaymentReturned,
        &late,
        &["We are sorry", "Paid", "285.60 CAD", "Refund", "View receipt"],
        &["désolés", "Réglé", "285,60 CAD", "Remboursement", "Voir le reçu"],
    );
    lacks(PaymentReturned, &late, &["Balance", "Solde", "/pay?"]);
}
