//! Money: what came or went is told once, as the booking stands, and nobody is asked for what is no longer asked.

use super::{decide, judge, sends};
use crate::mail::decide::Decision;
use crate::mail::fixtures::{at, cancelled, event, follow, held, hostel, money_event, settled};
use crate::mail::identity::Version;
use pvt_domain::booking::{Action, Booking, Status};
use pvt_domain::events::What;
use pvt_domain::messages::NotificationKind::{
    self, BookingConfirmed, HoldExpired, PaymentFailed, PaymentLink, PaymentReceived, PaymentRefunded, PaymentReturned,
};
use uuid::Uuid;

const SUPERSEDED: Decision = Decision::Nothing("superseded");
const CONTRADICTS: Decision = Decision::Nothing("contradicts_state");

fn told(booking: &Booking, kind: NotificationKind, rev: u32) -> Decision {
    sends(booking, kind, rev, Version::Rev(rev))
}

fn expired() -> Booking {
    follow(&held(), held(), Action::Expire, Status::Expired)
}

#[test]
fn a_hold_is_asked_for_while_it_is_held() {
    let (held, expired) = (held(), expired());
    let paid = settled(&held, 14_280, 0, Status::Confirmed);
    assert_eq!(judge(&event(&held, 1), Some(&held)), told(&held, PaymentLink, 1));
    assert_eq!(judge(&event(&paid, 1), Some(&paid)), SUPERSEDED);
    assert_eq!(judge(&event(&paid, 2), Some(&paid)), told(&paid, BookingConfirmed, 2));
    assert_eq!(judge(&event(&expired, 1), Some(&expired)), SUPERSEDED);
}

#[test]
fn an_expired_hold_is_told_unless_money_came() {
    let expired = expired();
    assert_eq!(judge(&event(&expired, 2), Some(&expired)), told(&expired, HoldExpired, 2));
    let late = settled(&expired, 14_280, 0, Status::Expired);
    assert_eq!(judge(&event(&late, 2), Some(&late)), SUPERSEDED);
    assert_eq!(judge(&event(&late, 3), Some(&late)), told(&late, PaymentReturned, 3));
    let saved = settled(&expired, 14_280, 0, Status::Confirmed);
    assert_eq!(judge(&event(&saved, 2), Some(&saved)), SUPERSEDED);
    assert_eq!(judge(&event(&saved, 3), Some(&saved)), told(&saved, BookingConfirmed, 3));
    let returned = settled(&late, 14_280, 14_280, Status::Expired);
    assert_eq!(judge(&event(&returned, 4), Some(&returned)), Decision::Nothing("not_notified"), "the apology said it");
}

#[test]
fn money_that_comes_or_goes_is_told_by_its_revision() {
    let paid = settled(&held(), 14_280, 0, Status::Confirmed);
    let more = settled(&paid, 28_560, 0, Status::Confirmed);
    assert_eq!(judge(&event(&more, 3), Some(&more)), told(&more, PaymentReceived, 3));
    let less = settled(&more, 28_560, 5_000, Status::Confirmed);
    assert_eq!(judge(&event(&less, 4), Some(&less)), told(&less, PaymentRefunded, 4));
    assert_eq!(judge(&event(&less, 3), Some(&less)), told(&less, PaymentReceived, 3), "each payment has its receipt");
    let same = settled(&less, 28_560, 5_000, Status::Confirmed);
    assert_eq!(judge(&event(&same, 5), Some(&same)), Decision::Nothing("not_notified"));
    let back = settled(&less, 28_560, 0, Status::Confirmed);
    assert_eq!(
        judge(&event(&back, 5), Some(&back)),
        Decision::Nothing("not_notified"),
        "a refund that failed is for staff"
    );
}

#[test]
fn after_a_cancellation_only_the_refund_is_told() {
    let paid = settled(&cancelled(), 14_280, 0, Status::Cancelled);
    assert_eq!(judge(&event(&paid, 3), Some(&paid)), Decision::Nothing("not_notified"));
    let refunded = settled(&paid, 14_280, 11_424, Status::Cancelled);
    assert_eq!(judge(&event(&refunded, 4), Some(&refunded)), told(&refunded, PaymentRefunded, 4));
}

#[test]
fn a_failure_is_told_once_an_event_while_it_can_be_repeated() {
    let held = held();
    let (before, after) = (at("2026-12-01T17:29:59Z"), at("2026-12-01T17:30:00Z"));
    let judged = |what, stored: &Booking, now| {
        decide(&money_event(stored, what, 5), Some(stored), Some(&hostel().property), now)
    };
    let expected = sends(&held, PaymentFailed, 1, Version::Event(Uuid::from_u128(5)));
    assert_eq!(judged(What::Failed, &held, before), expected);
    let moved = follow(&held, held.clone(), Action::Move, Status::Held);
    assert_eq!(judged(What::Failed, &moved, before), expected, "a repetition is the same mail");
    assert_eq!(judged(What::Failed, &held, after), SUPERSEDED);
    for stored in [settled(&held, 14_280, 0, Status::Confirmed), expired()] {
        assert_eq!(judged(What::Failed, &stored, before), SUPERSEDED);
    }
    for what in [What::Opened, What::Captured, What::Refunded, What::Disputed] {
        assert_eq!(judged(what, &held, before), Decision::Nothing("not_notified"));
    }
}

#[test]
fn staff_may_ask_for_what_is_true() {
    let wish = |kind, stored: &Booking| judge(&super::wish(kind), Some(stored));
    let sent = |booking: &Booking, kind, rev| sends(booking, kind, rev, Version::Wish(Uuid::from_u128(7)));
    let (held, expired) = (held(), expired());
    let paid = settled(&held, 14_280, 0, Status::Confirmed);
    let refunded = settled(&paid, 14_280, 1_000, Status::Confirmed);
    let late = settled(&expired, 14_280, 0, Status::Expired);
    assert_eq!(wish(PaymentLink, &held), sent(&held, PaymentLink, 1));
    assert_eq!(wish(PaymentFailed, &held), sent(&held, PaymentFailed, 1));
    assert_eq!(wish(HoldExpired, &expired), sent(&expired, HoldExpired, 2));
    assert_eq!(wish(PaymentReceived, &refunded), sent(&refunded, PaymentReceived, 2));
    assert_eq!(wish(PaymentRefunded, &refunded), sent(&refunded, PaymentRefunded, 3));
    assert_eq!(wish(PaymentReturned, &late), sent(&late, PaymentReturned, 3));
    for (kind, stored) in [
        (PaymentLink, &paid),
        (PaymentReceived, &held),
        (PaymentRefunded, &paid),
        (HoldExpired, &late),
        (PaymentReturned, &expired),
        (PaymentFailed, &paid),
    ] {
        assert_eq!(wish(kind, stored), CONTRADICTS, "{kind:?}");
    }
}
