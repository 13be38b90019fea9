//! Amounts, links and sentences about payments, in both languages.

use super::{composed, contains_all, read};
use crate::mail::fixtures::{
    booking, cancelled, held, inventory, links, with_ledger, with_payments, with_pending_change,
};
use pvt_domain::booking::{Absence, Booking, ChangeFees, Status};
use pvt_domain::ledger::Summary;
use pvt_domain::messages::NotificationKind::{
    self, BookingCancelled, BookingConfirmed, BookingModified, BookingNoShow, ChangePaymentLink, HoldExpired,
    PaymentFailed, PaymentLink, PaymentReceived, PaymentRefunded, PaymentReturned, RefundFailed,
};
use pvt_domain::money::{Currency, Money};
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
fn payment_request_for_a_change_shows_the_change_and_its_balance() {
    let booking = with_pending_change();
    let english = [
        "What your payment will change",
        "Wednesday 13 January 2027 · 3 nights · 2 guests → 6-bed mixed dorm, Sunday 10 January 2027 – Saturday 16 \
            January 2027 · 6 nights · 2 guests",
        "285.60 CAD → 571.20 CAD",
        "Due now",
        "85.68 CAD",
        "Pay by",
        "Due on arrival",
        "399.84 CAD",
        &links().pay(&booking),
    ];
    let french = ["Ce que votre règlement modifiera", "285,60 CAD → 571,20 CAD", "85,68 CAD", "399,84 CAD"];
    says(ChangePaymentLink, &booking, &english, &french);
    lacks(ChangePaymentLink, &booking, &["What changed", "Ce qui a changé", "114.24", "114,24"]);
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
    // Sent again after the duplicate was charged back.
    let ledger = twice.payment.ledger.as_mut().unwrap();
    (ledger.charged_back, ledger.surplus) = (28_560, 0);
    twice.payment.to_refund = twice.total_to_refund();
    lacks(PaymentReceived, &twice, &["already paid", "Refund in progress", "déjà réglé", "Remboursement en cours"]);
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
fn refund_that_staff_made_themselves_promises_nothing_on_a_card() {
    let paid = with_payments(&booking(), 30_000, 0, Status::Confirmed);
    let mut refunded = with_payments(&paid, 30_000, 1_440, Status::Confirmed);
    refunded.history.last_mut().unwrap().actor = "staff:1".into();
    says(
        PaymentRefunded,
        &refunded,
        &["We have returned the amount shown below to you.", "This refund", "14.40 CAD"],
        &["Nous vous avons rendu le montant indiqué ci-dessous.", "Ce remboursement", "14,40 CAD"],
    );
    lacks(PaymentRefunded, &refunded, &["To a card", "five to ten days", "Sur une carte", "cinq à dix jours"]);
    let mut by_stripe = refunded.clone();
    by_stripe.history.last_mut().unwrap().actor = "stripe".into();
    says(PaymentRefunded, &by_stripe, &["five to ten days"], &["cinq à dix jours"]);
}

#[test]
fn checked_in_guests_owe_nothing_on_arrival() {
    let part = with_payments(&booking(), 5_000, 0, Status::Confirmed);
    for mut booking in [booking(), part] {
        booking.status = Status::CheckedIn;
        let (english, french) = ("pay the balance at the front desk", "régler le solde à la réception");
        says(BookingModified, &booking, &[english], &[french]);
        lacks(BookingModified, &booking, &["on arrival", "à l’arrivée"]);
    }
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

/// A cancelled booking of which 285.60 was paid, with these changes of its totals.
fn cancelled_with(change: impl FnOnce(&mut Summary)) -> Booking {
    let paid = with_payments(&cancelled(), 28_560, 0, Status::Cancelled);
    with_ledger(&paid, change)
}

#[test]
fn refund_of_cash_is_promised_at_the_front_desk() {
    let cash = cancelled_with(|ledger| ledger.manual = 28_560);
    says(
        BookingCancelled,
        &cash,
        &["Refund at the front desk or by arrangement", "257.04 CAD", "we will contact you"],
        &["Remboursement à la réception ou selon accord", "257,04 CAD", "nous vous contacterons"],
    );
    lacks(BookingCancelled, &cash, &["- Refund:", "Remboursement :"]);
    let mixed = cancelled_with(|ledger| ledger.manual = 10_000);
    says(
        BookingCancelled,
        &mixed,
        &["Refund", "185.60 CAD", "front desk or by arrangement", "71.44 CAD"],
        &["185,60", "71,44"],
    );
}

#[test]
fn no_refund_of_a_chargeback_is_promised() {
    let lost = cancelled_with(|ledger| ledger.charged_back = 28_560);
    says(
        BookingCancelled,
        &lost,
        &["Charged back by your bank", "285.60 CAD", "Refund", "0.00 CAD"],
        &["Repris par votre banque", "0,00 CAD"],
    );
    let open = cancelled_with(|ledger| ledger.disputed = 28_560);
    says(
        BookingCancelled,
        &open,
        &["Refund after your bank’s decision", "257.04 CAD", "before your bank has decided"],
        &["Remboursement après la décision de votre banque", "257,04"],
    );
}

#[test]
fn failed_refund_is_announced_as_returned_in_another_way() {
    let failed = cancelled_with(|ledger| (ledger.manual, ledger.refund_failed) = (25_704, 25_704));
    says(
        RefundFailed,
        &failed,
        &["could not be made, or your bank returned it", "front desk or by arrangement", "257.04 CAD"],
        &["n’a pas pu être effectué", "257,04"],
    );
    lacks(RefundFailed, &failed, &["Refund in progress", "Remboursement en cours"]);
}

#[test]
fn payment_in_another_currency_is_shown() {
    let foreign = with_ledger(&cancelled(), |ledger| {
        ledger.other_currencies = vec![Money::new(20_000, Currency::USD)];
    });
    says(
        BookingCancelled,
        &foreign,
        &["Paid in another currency", "200.00 USD", "we will contact you"],
        &["Réglé dans une autre devise", "200,00 USD"],
    );
}

#[test]
fn absent_guests_are_named_with_their_fee() {
    let mut booking = with_payments(&booking(), 28_560, 0, Status::Confirmed);
    let mut stay = booking.stays[0].clone();
    (stay.guests, stay.id) = (1, Some(1));
    booking.no_shows = vec![Absence { stay, nights: Vec::new(), fee: 9_520, below_highest_price: 0, at: None }];
    booking.payment.change_fees = ChangeFees { sum: 12_520, below_highest_price: 20_000 };
    let english = ["Guests who did not arrive – ", "95.20 CAD", "Change fee", "30.00 CAD"];
    says(PaymentReceived, &booking, &english, &["Voyageurs absents – ", "95,20", "Frais de modification", "30,00"]);
    booking.payment.change_fees.sum = 9_520;
    lacks(PaymentReceived, &booking, &["Change fee", "Frais de modification"]);
}
