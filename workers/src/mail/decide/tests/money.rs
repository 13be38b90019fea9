//! Payments and refunds are mailed once, from the booking's current state, and no payment is requested that is not due.

use super::{decide, decide_now, outdated, sends};
use crate::mail::decide::MailDecision;
use crate::mail::fixtures::{
    at, cancelled, event, held, inventory, next_revision, payment_event, with_ledger, with_payments,
    with_pending_change,
};
use crate::mail::identity::Version;
use pvt_domain::booking::{Action, Booking, Status};
use pvt_domain::events::PaymentEventKind;
use pvt_domain::maintenance::Deferral;
use pvt_domain::messages::NotificationKind::{
    self, BookingCancelled, BookingConfirmed, BookingModified, ChangePaymentLink, ChangeReleased, HoldExpired,
    PaymentFailed, PaymentLink, PaymentReceived, PaymentRefunded, PaymentReturned, RefundFailed,
};
use uuid::Uuid;

const SUPERSEDED: Option<&str> = Some("superseded");

fn mailed(booking: &Booking, kind: NotificationKind, rev: u32) -> MailDecision {
    sends(booking, kind, rev, Version::Rev(rev))
}

fn expired() -> Booking {
    next_revision(&held(), held(), Action::Expire, Status::Expired)
}

#[test]
fn payment_link_is_mailed_only_while_held() {
    let (held, expired) = (held(), expired());
    let paid = with_payments(&held, 14_280, 0, Status::Confirmed);
    assert_eq!(decide_now(&event(&held, 1), Some(&held)), mailed(&held, PaymentLink, 1));
    assert_eq!(outdated(&decide_now(&event(&paid, 1), Some(&paid))), SUPERSEDED);
    assert_eq!(decide_now(&event(&paid, 2), Some(&paid)), mailed(&paid, BookingConfirmed, 2));
    assert_eq!(outdated(&decide_now(&event(&expired, 1), Some(&expired))), SUPERSEDED);
}

#[test]
fn payment_link_follows_a_held_booking_to_another_address() {
    let held = held();
    let correct = |email: &str, name: &str| {
        let mut after = held.clone();
        (after.guest.email, after.guest.first_name) = (email.to_owned(), name.to_owned());
        after.token_epoch += u32::from(email != held.guest.email);
        next_revision(&held, after, Action::Modify, Status::Held)
    };
    let other = correct("ada@example.org", "Ada");
    assert_eq!(decide_now(&event(&other, 2), Some(&other)), mailed(&other, PaymentLink, 2));
    assert_eq!(outdated(&decide_now(&event(&other, 1), Some(&other))), SUPERSEDED, "one link, to the new address");
    let paid = with_payments(&other, 14_280, 0, Status::Confirmed);
    assert_eq!(outdated(&decide_now(&event(&other, 2), Some(&paid))), SUPERSEDED);
    let renamed = correct("ada@example.com", "Augusta");
    let decided = decide_now(&event(&renamed, 2), Some(&renamed));
    assert_eq!(decided, MailDecision::Skip("not_notified"), "the link is there already");
}

#[test]
fn hold_expiry_is_mailed_unless_paid() {
    let expired = expired();
    assert_eq!(decide_now(&event(&expired, 2), Some(&expired)), mailed(&expired, HoldExpired, 2));
    let late = with_payments(&expired, 14_280, 0, Status::Expired);
    assert_eq!(outdated(&decide_now(&event(&late, 2), Some(&late))), SUPERSEDED);
    assert_eq!(decide_now(&event(&late, 3), Some(&late)), mailed(&late, PaymentReturned, 3));
    let saved = with_payments(&expired, 14_280, 0, Status::Confirmed);
    assert_eq!(outdated(&decide_now(&event(&saved, 2), Some(&saved))), SUPERSEDED);
    assert_eq!(decide_now(&event(&saved, 3), Some(&saved)), mailed(&saved, BookingConfirmed, 3));
    let returned = with_payments(&late, 14_280, 14_280, Status::Expired);
    assert_eq!(
        decide_now(&event(&returned, 4), Some(&returned)),
        MailDecision::Skip("not_notified"),
        "the apology announced it"
    );
}

#[test]
fn payments_and_refunds_are_mailed_per_revision() {
    let paid = with_payments(&held(), 14_280, 0, Status::Confirmed);
    let more = with_payments(&paid, 28_560, 0, Status::Confirmed);
    assert_eq!(decide_now(&event(&more, 3), Some(&more)), mailed(&more, PaymentReceived, 3));
    let less = with_payments(&more, 28_560, 5_000, Status::Confirmed);
    assert_eq!(decide_now(&event(&less, 4), Some(&less)), mailed(&less, PaymentRefunded, 4));
    assert_eq!(
        decide_now(&event(&less, 3), Some(&less)),
        mailed(&less, PaymentReceived, 3),
        "each payment has its receipt"
    );
    let same = with_payments(&less, 28_560, 5_000, Status::Confirmed);
    assert_eq!(decide_now(&event(&same, 5), Some(&same)), MailDecision::Skip("not_notified"));
    let back = with_payments(&less, 28_560, 0, Status::Confirmed);
    assert_eq!(decide_now(&event(&back, 5), Some(&back)), mailed(&back, RefundFailed, 5), "it was announced");
    let again = with_payments(&back, 28_560, 5_000, Status::Confirmed);
    assert_eq!(outdated(&decide_now(&event(&again, 5), Some(&again))), SUPERSEDED, "it was made in the meantime");
}

/// The booking after its pending change was dropped.
fn released() -> Booking {
    let pending = with_pending_change();
    next_revision(&pending, Booking { pending_change: None, ..pending.clone() }, Action::ReleaseChange, pending.status)
}

#[test]
fn dropped_change_is_mailed_unless_another_mail_reports_it() {
    let (pending, released) = (with_pending_change(), released());
    assert_eq!(decide_now(&event(&pending, 3), Some(&pending)), mailed(&pending, ChangePaymentLink, 3));
    assert_eq!(outdated(&decide_now(&event(&released, 3), Some(&released))), SUPERSEDED);
    assert_eq!(decide_now(&event(&released, 4), Some(&released)), mailed(&released, ChangeReleased, 4));
    let again = Booking { pending_change: pending.pending_change.clone(), ..released.clone() };
    let again = next_revision(&released, again, Action::HoldChange, Status::Confirmed);
    assert_eq!(outdated(&decide_now(&event(&again, 4), Some(&again))), SUPERSEDED, "another change is held");
    assert_eq!(decide_now(&event(&again, 5), Some(&again)), mailed(&again, ChangePaymentLink, 5));
    let ended =
        next_revision(&pending, Booking { pending_change: None, ..pending.clone() }, Action::Cancel, Status::Cancelled);
    assert_eq!(decide_now(&event(&ended, 4), Some(&ended)), mailed(&ended, BookingCancelled, 4));
    let mut applied = pending.clone();
    applied.apply_pending();
    let applied = next_revision(&pending, applied, Action::Modify, Status::Confirmed);
    assert_eq!(decide_now(&event(&applied, 4), Some(&applied)), mailed(&applied, BookingModified, 4));
}

#[test]
fn failed_payment_for_a_change_is_mailed_while_it_is_held() {
    let pending = with_pending_change();
    let decided = |stored: &Booking, now| {
        let failed = payment_event(stored, PaymentEventKind::Failed, 5);
        decide(&failed, Some(stored), Some(&inventory().property), (now, None))
    };
    let expected = sends(&pending, PaymentFailed, 3, Version::Event(Uuid::from_u128(5)));
    assert_eq!(decided(&pending, at("2026-12-03T17:29:59Z")), expected);
    assert_eq!(outdated(&decided(&pending, at("2026-12-03T17:30:00Z"))), SUPERSEDED);
    assert_eq!(outdated(&decided(&released(), at("2026-12-03T17:00:00Z"))), SUPERSEDED);
}

#[test]
fn refused_refund_of_a_cancelled_booking_is_mailed() {
    let paid = with_payments(&cancelled(), 14_280, 0, Status::Cancelled);
    let refused = with_ledger(&paid, |ledger| (ledger.manual, ledger.refund_failed) = (11_424, 11_424));
    assert_eq!(decide_now(&event(&refused, 4), Some(&refused)), mailed(&refused, RefundFailed, 4));
    let in_cash = with_ledger(&paid, |ledger| ledger.manual = 11_424);
    assert_eq!(decide_now(&event(&in_cash, 4), Some(&in_cash)), MailDecision::Skip("not_notified"));
    let returned = with_payments(&refused, 14_280, 11_424, Status::Cancelled);
    assert_eq!(outdated(&decide_now(&event(&returned, 4), Some(&returned))), SUPERSEDED);
    assert_eq!(decide_now(&event(&returned, 5), Some(&returned)), mailed(&returned, PaymentRefunded, 5));
}

#[test]
fn after_cancellation_only_refund_is_mailed() {
    let paid = with_payments(&cancelled(), 14_280, 0, Status::Cancelled);
    assert_eq!(decide_now(&event(&paid, 3), Some(&paid)), MailDecision::Skip("not_notified"));
    let refunded = with_payments(&paid, 14_280, 11_424, Status::Cancelled);
    assert_eq!(decide_now(&event(&refunded, 4), Some(&refunded)), mailed(&refunded, PaymentRefunded, 4));
}

#[test]
fn payment_failure_is_mailed_once_per_event_while_hold_lasts() {
    let held = held();
    let (before, after) = (at("2026-12-01T17:29:59Z"), at("2026-12-01T17:30:00Z"));
    let decided = |what, stored: &Booking, now| {
        decide(&payment_event(stored, what, 5), Some(stored), Some(&inventory().property), (now, None))
    };
    let expected = sends(&held, PaymentFailed, 1, Version::Event(Uuid::from_u128(5)));
    assert_eq!(decided(PaymentEventKind::Failed, &held, before), expected);
    let moved = next_revision(&held, held.clone(), Action::Move, Status::Held);
    assert_eq!(decided(PaymentEventKind::Failed, &moved, before), expected, "a repetition is the same mail");
    assert_eq!(outdated(&decided(PaymentEventKind::Failed, &held, after)), SUPERSEDED);
    for stored in [with_payments(&held, 14_280, 0, Status::Confirmed), expired()] {
        assert_eq!(outdated(&decided(PaymentEventKind::Failed, &stored, before)), SUPERSEDED);
    }
    for what in
        [PaymentEventKind::Opened, PaymentEventKind::Captured, PaymentEventKind::Refunded, PaymentEventKind::Disputed]
    {
        assert_eq!(decided(what, &held, before), MailDecision::Skip("not_notified"));
    }
}

#[test]
fn failed_payment_is_mailed_while_a_maintenance_prolongs_the_hold() {
    let held = held();
    let deferral = Deferral::after(at("2026-12-01T17:20:00Z"), at("2026-12-01T17:40:00Z"), None);
    let decided = |now| {
        let failed = payment_event(&held, PaymentEventKind::Failed, 5);
        decide(&failed, Some(&held), Some(&inventory().property), (now, Some(deferral)))
    };
    let expected = sends(&held, PaymentFailed, 1, Version::Event(Uuid::from_u128(5)));
    assert_eq!(decided(at("2026-12-01T17:59:59Z")), expected);
    assert_eq!(outdated(&decided(at("2026-12-01T18:00:00Z"))), SUPERSEDED);
}

#[test]
fn staff_may_send_what_matches_booking_state() {
    let request = |kind, stored: &Booking| decide_now(&super::request(kind), Some(stored));
    let sent = |booking: &Booking, kind, rev| sends(booking, kind, rev, Version::Request(Uuid::from_u128(7)));
    let (held, expired) = (held(), expired());
    let paid = with_payments(&held, 14_280, 0, Status::Confirmed);
    let refunded = with_payments(&paid, 14_280, 1_000, Status::Confirmed);
    let late = with_payments(&expired, 14_280, 0, Status::Expired);
    assert_eq!(request(PaymentLink, &held), sent(&held, PaymentLink, 1));
    assert_eq!(request(HoldExpired, &expired), sent(&expired, HoldExpired, 2));
    assert_eq!(request(PaymentReceived, &refunded), sent(&refunded, PaymentReceived, 2));
    assert_eq!(request(PaymentRefunded, &refunded), sent(&refunded, PaymentRefunded, 3));
    assert_eq!(request(PaymentReturned, &late), sent(&late, PaymentReturned, 3));
    for (kind, stored) in [
        (PaymentLink, &paid),
        (PaymentReceived, &held),
        (PaymentRefunded, &paid),
        (HoldExpired, &late),
        (PaymentReturned, &expired),
        (PaymentFailed, &paid),
        (PaymentFailed, &held),
    ] {
        assert_eq!(outdated(&request(kind, stored)), Some("contradicts_state"), "{kind:?}");
    }
}
