//! Whatever the order of events and the time of day, nobody is told what is no longer so.

mod money;

use super::{Decision, Errand, decide};
use crate::mail::fixtures::{at, booking, cancelled, event, follow, hostel, modified};
use crate::mail::identity::{LedgerKey, Version};
use pvt_domain::booking::{Action, Booking, Rejection, Status};
use pvt_domain::messages::{EmailCommand, NotificationKind, SendNotification};
use uuid::Uuid;

const NOW: &str = "2027-01-08T12:00:00Z";

fn judge(command: &EmailCommand, stored: Option<&Booking>) -> Decision {
    decide(command, stored, Some(&hostel().property), at(NOW))
}

fn wish(kind: NotificationKind) -> EmailCommand {
    let booking = booking();
    EmailCommand::Send(SendNotification {
        notification_id: Uuid::from_u128(7),
        booking_id: booking.id,
        kind,
        actor: "staff:1".to_owned(),
        requested_at: booking.created_at,
    })
}

fn sends(booking: &Booking, kind: NotificationKind, rev: u32, version: Version) -> Decision {
    Decision::Send(Errand { kind, rev, key: LedgerKey::new(booking.id, kind, version, &booking.guest.email) })
}

#[test]
fn an_event_is_told_while_it_is_the_newest_state() {
    use NotificationKind::{BookingCancelled, BookingConfirmed};
    let (confirmed, cancelled) = (booking(), cancelled());
    let table = [
        (event(&confirmed, 1), Some(&confirmed), sends(&confirmed, BookingConfirmed, 1, Version::Rev(1))),
        (event(&cancelled, 2), Some(&cancelled), sends(&cancelled, BookingCancelled, 2, Version::Rev(2))),
        (event(&cancelled, 1), Some(&cancelled), Decision::Nothing("superseded")),
        (event(&cancelled, 2), Some(&confirmed), Decision::NotYet("booking_behind_event")),
        (event(&confirmed, 1), None, Decision::NotYet("booking_missing")),
    ];
    for (command, stored, expected) in table {
        assert_eq!(judge(&command, stored), expected);
    }
}

#[test]
fn a_refused_request_is_not_mailed() {
    let mut refused = booking();
    refused.status = Status::Rejected;
    refused.rejection = Some(Rejection::NoAvailability);
    refused.history[0].to = Status::Rejected;
    assert_eq!(judge(&event(&refused, 1), Some(&refused)), Decision::Nothing("not_notified"));
}

#[test]
fn a_modification_is_told_once_by_the_newest() {
    use NotificationKind::BookingModified;
    let once = modified();
    assert_eq!(judge(&event(&once, 2), Some(&once)), sends(&once, BookingModified, 2, Version::Rev(2)));
    let mut other = once.clone();
    other.stays[0].guests = 1;
    let twice = follow(&once, other, Action::Modify, Status::Confirmed);
    assert_eq!(judge(&event(&twice, 2), Some(&twice)), Decision::Nothing("superseded"));
    assert_eq!(judge(&event(&twice, 3), Some(&twice)), sends(&twice, BookingModified, 3, Version::Rev(3)));
    let ended = follow(&twice, twice.clone(), Action::Cancel, Status::Cancelled);
    assert_eq!(judge(&event(&ended, 3), Some(&ended)), Decision::Nothing("superseded"));
    let in_house = follow(&once, once.clone(), Action::CheckIn, Status::CheckedIn);
    assert_eq!(judge(&event(&in_house, 2), Some(&in_house)), sends(&in_house, BookingModified, 2, Version::Rev(2)));
}

#[test]
fn beds_alone_are_not_worth_a_mail() {
    for action in [Action::Move, Action::Assign, Action::Modify] {
        let before = booking();
        let mut after = before.clone();
        after.stays[0].assigned_beds = vec!["a-3".into(), "a-4".into()];
        let moved = follow(&before, after, action, Status::Confirmed);
        assert_eq!(judge(&event(&moved, 2), Some(&moved)), Decision::Nothing("not_notified"), "{action:?}");
    }
}

#[test]
fn who_did_not_come_is_told_and_so_is_the_undoing() {
    use NotificationKind::{BookingConfirmed, BookingNoShow};
    let before = booking();
    let missed = follow(&before, before.clone(), Action::NoShow, Status::NoShow);
    assert_eq!(judge(&event(&missed, 2), Some(&missed)), sends(&missed, BookingNoShow, 2, Version::Rev(2)));
    let back = follow(&missed, missed.clone(), Action::Reinstate, Status::Confirmed);
    assert_eq!(judge(&event(&back, 2), Some(&back)), Decision::Nothing("superseded"));
    assert_eq!(judge(&event(&back, 3), Some(&back)), sends(&back, BookingConfirmed, 3, Version::Rev(3)));
    let came = follow(&before, before.clone(), Action::CheckIn, Status::CheckedIn);
    let undone = follow(&came, came.clone(), Action::Reinstate, Status::Confirmed);
    assert_eq!(
        judge(&event(&undone, 3), Some(&undone)),
        Decision::Nothing("not_notified"),
        "nobody heard of the check-in"
    );
}

#[test]
fn a_wish_is_its_own_mail_and_never_contradicts_the_booking() {
    use NotificationKind::{BookingCancelled, BookingConfirmed, BookingModified, BookingNoShow};
    let (confirmed, cancelled, modified) = (booking(), cancelled(), modified());
    let version = Version::Wish(Uuid::from_u128(7));
    assert_eq!(judge(&wish(BookingConfirmed), Some(&confirmed)), sends(&confirmed, BookingConfirmed, 1, version));
    assert_eq!(judge(&wish(BookingCancelled), Some(&cancelled)), sends(&cancelled, BookingCancelled, 2, version));
    assert_eq!(judge(&wish(BookingModified), Some(&modified)), sends(&modified, BookingModified, 2, version));
    for (kind, stored) in [
        (BookingConfirmed, &cancelled),
        (BookingCancelled, &confirmed),
        (BookingNoShow, &confirmed),
        (BookingModified, &confirmed),
        (BookingModified, &cancelled),
    ] {
        assert_eq!(judge(&wish(kind), Some(stored)), Decision::Nothing("contradicts_state"), "{kind:?}");
    }
}

#[test]
fn a_reminder_that_is_late_is_dropped() {
    use NotificationKind::{ArrivalSoon, ArrivalToday};
    // Montréal is five hours behind: the 10th begins at 5:00 UTC.
    let table = [
        (ArrivalSoon, "2027-01-07T04:59:00Z", false),
        (ArrivalSoon, "2027-01-07T05:00:00Z", true),
        (ArrivalSoon, "2027-01-10T04:59:00Z", true),
        (ArrivalSoon, "2027-01-10T05:00:00Z", false),
        (ArrivalToday, "2027-01-10T04:59:00Z", false),
        (ArrivalToday, "2027-01-10T05:00:00Z", true),
        (ArrivalToday, "2027-01-11T04:59:00Z", true),
        (ArrivalToday, "2027-01-11T05:00:00Z", false),
    ];
    let booking = booking();
    let property = hostel().property;
    for (kind, now, due) in table {
        let expected = if due {
            sends(&booking, kind, 1, Version::Wish(Uuid::from_u128(7)))
        } else {
            Decision::Nothing("expired")
        };
        assert_eq!(decide(&wish(kind), Some(&booking), Some(&property), at(now)), expected, "{kind:?} at {now}");
    }
    let came = follow(&booking, booking.clone(), Action::CheckIn, Status::CheckedIn);
    let noon = at("2027-01-10T17:00:00Z");
    assert_eq!(decide(&wish(ArrivalToday), Some(&came), Some(&property), noon), Decision::Nothing("contradicts_state"));
    let mut later = booking.clone();
    later.stays[0].arrival = "2027-01-12".parse().unwrap();
    let put_off = follow(&booking, later, Action::Modify, Status::Confirmed);
    assert_eq!(
        decide(&wish(ArrivalToday), Some(&put_off), Some(&property), noon),
        Decision::Nothing("expired"),
        "the stay was put off"
    );
}
