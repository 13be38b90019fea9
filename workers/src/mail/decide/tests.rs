//! No guest is mailed what is no longer true, whatever the order of events and the time of day.

mod former_address;
mod money;

use super::{MailDecision, PlannedMail, decide};
use crate::mail::fixtures::{at, booking, cancelled, event, inventory, modified, next_revision};
use crate::mail::identity::{LedgerKey, Version};
use pvt_domain::booking::{Action, Booking, Rejection, Status};
use pvt_domain::messages::{EmailCommand, NotificationKind, SendNotification};
use uuid::Uuid;

const NOW: &str = "2027-01-08T12:00:00Z";

fn decide_now(command: &EmailCommand, stored: Option<&Booking>) -> MailDecision {
    decide(command, stored, Some(&inventory().property), (at(NOW), None))
}

fn request(kind: NotificationKind) -> EmailCommand {
    let booking = booking();
    EmailCommand::Send(SendNotification {
        notification_id: Uuid::from_u128(7),
        booking_id: booking.id,
        kind,
        actor: "staff:1".into(),
        requested_at: booking.created_at,
    })
}

fn sends(booking: &Booking, kind: NotificationKind, rev: u32, version: Version) -> MailDecision {
    MailDecision::Send(PlannedMail { kind, rev, key: LedgerKey::new(booking.id, kind, version, &booking.guest.email) })
}

/// The reason why a mail is not sent any more.
fn outdated(decision: &MailDecision) -> Option<&'static str> {
    match decision {
        MailDecision::Outdated(_, reason) => Some(reason),
        _ => None,
    }
}

#[test]
fn event_is_mailed_only_while_current() {
    use NotificationKind::{BookingCancelled, BookingConfirmed};
    let (confirmed, cancelled) = (booking(), cancelled());
    let table = [
        (event(&confirmed, 1), Some(&confirmed), sends(&confirmed, BookingConfirmed, 1, Version::Rev(1))),
        (event(&cancelled, 2), Some(&cancelled), sends(&cancelled, BookingCancelled, 2, Version::Rev(2))),
        (
            event(&cancelled, 1),
            Some(&cancelled),
            MailDecision::Outdated(
                LedgerKey::new(cancelled.id, BookingConfirmed, Version::Rev(1), &cancelled.guest.email),
                "superseded",
            ),
        ),
        (event(&cancelled, 2), Some(&confirmed), MailDecision::NotYet("booking_behind_event")),
        (event(&confirmed, 1), None, MailDecision::NotYet("booking_missing")),
    ];
    for (command, stored, expected) in table {
        assert_eq!(decide_now(&command, stored), expected);
    }
}

#[test]
fn rejected_request_is_not_mailed() {
    let mut refused = booking();
    refused.status = Status::Rejected;
    refused.rejection = Some(Rejection::NoAvailability);
    refused.history[0].to = Status::Rejected;
    assert_eq!(decide_now(&event(&refused, 1), Some(&refused)), MailDecision::Skip("not_notified"));
}

#[test]
fn guest_without_an_address_is_sent_nothing() {
    let mut stored = cancelled();
    stored.guest.email.clear();
    for command in [event(&stored, 2), request(NotificationKind::BookingCancelled)] {
        assert_eq!(outdated(&decide_now(&command, Some(&stored))), Some("no_address"), "it may have had one before");
    }
}

#[test]
fn only_newest_modification_is_mailed() {
    use NotificationKind::BookingModified;
    let once = modified();
    assert_eq!(decide_now(&event(&once, 2), Some(&once)), sends(&once, BookingModified, 2, Version::Rev(2)));
    let mut other = once.clone();
    other.stays[0].guests = 1;
    let twice = next_revision(&once, other, Action::Modify, Status::Confirmed);
    assert_eq!(outdated(&decide_now(&event(&twice, 2), Some(&twice))), Some("superseded"));
    assert_eq!(decide_now(&event(&twice, 3), Some(&twice)), sends(&twice, BookingModified, 3, Version::Rev(3)));
    let ended = next_revision(&twice, twice.clone(), Action::Cancel, Status::Cancelled);
    assert_eq!(outdated(&decide_now(&event(&ended, 3), Some(&ended))), Some("superseded"));
    let in_house = next_revision(&once, once.clone(), Action::CheckIn, Status::CheckedIn);
    assert_eq!(
        decide_now(&event(&in_house, 2), Some(&in_house)),
        sends(&in_house, BookingModified, 2, Version::Rev(2))
    );
}

#[test]
fn bed_reassignment_is_not_mailed() {
    for action in [Action::Move, Action::Assign, Action::Modify] {
        let before = booking();
        let mut after = before.clone();
        after.stays[0].assigned_beds = vec!["a-3".into(), "a-4".into()];
        let moved = next_revision(&before, after, action, Status::Confirmed);
        assert_eq!(decide_now(&event(&moved, 2), Some(&moved)), MailDecision::Skip("not_notified"), "{action:?}");
    }
}

#[test]
fn no_show_and_its_reinstatement_are_mailed() {
    use NotificationKind::{BookingConfirmed, BookingNoShow};
    let before = booking();
    let missed = next_revision(&before, before.clone(), Action::NoShow, Status::NoShow);
    assert_eq!(decide_now(&event(&missed, 2), Some(&missed)), sends(&missed, BookingNoShow, 2, Version::Rev(2)));
    let back = next_revision(&missed, missed.clone(), Action::Reinstate, Status::Confirmed);
    assert_eq!(outdated(&decide_now(&event(&back, 2), Some(&back))), Some("superseded"));
    assert_eq!(decide_now(&event(&back, 3), Some(&back)), sends(&back, BookingConfirmed, 3, Version::Rev(3)));
    let checked_in = next_revision(&before, before.clone(), Action::CheckIn, Status::CheckedIn);
    let undone = next_revision(&checked_in, checked_in.clone(), Action::Reinstate, Status::Confirmed);
    assert_eq!(
        decide_now(&event(&undone, 3), Some(&undone)),
        MailDecision::Skip("not_notified"),
        "the guest was not mailed about the check-in"
    );
}

#[test]
fn staff_request_is_its_own_mail_and_matches_booking_state() {
    use NotificationKind::{BookingCancelled, BookingConfirmed, BookingModified, BookingNoShow};
    let (confirmed, cancelled, modified) = (booking(), cancelled(), modified());
    let version = Version::Request(Uuid::from_u128(7));
    assert_eq!(
        decide_now(&request(BookingConfirmed), Some(&confirmed)),
        sends(&confirmed, BookingConfirmed, 1, version)
    );
    assert_eq!(
        decide_now(&request(BookingCancelled), Some(&cancelled)),
        sends(&cancelled, BookingCancelled, 2, version)
    );
    assert_eq!(decide_now(&request(BookingModified), Some(&modified)), sends(&modified, BookingModified, 2, version));
    for (kind, stored) in [
        (BookingConfirmed, &cancelled),
        (BookingCancelled, &confirmed),
        (BookingNoShow, &confirmed),
        (BookingModified, &confirmed),
        (BookingModified, &cancelled),
    ] {
        assert_eq!(outdated(&decide_now(&request(kind), Some(stored))), Some("contradicts_state"), "{kind:?}");
    }
}

#[test]
fn late_reminder_is_dropped() {
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
    let property = inventory().property;
    for (kind, now, due) in table {
        let decision = decide(&request(kind), Some(&booking), Some(&property), (at(now), None));
        if due {
            let expected = sends(&booking, kind, 1, Version::Request(Uuid::from_u128(7)));
            assert_eq!(decision, expected, "{kind:?} at {now}");
        } else {
            assert_eq!(outdated(&decision), Some("expired"), "{kind:?} at {now}");
        }
    }
    let checked_in = next_revision(&booking, booking.clone(), Action::CheckIn, Status::CheckedIn);
    let noon = at("2027-01-10T17:00:00Z");
    assert_eq!(
        outdated(&decide(&request(ArrivalToday), Some(&checked_in), Some(&property), (noon, None))),
        Some("contradicts_state")
    );
    let mut later = booking.clone();
    later.stays[0].arrival = "2027-01-12".parse().unwrap();
    let postponed = next_revision(&booking, later, Action::Modify, Status::Confirmed);
    assert_eq!(
        outdated(&decide(&request(ArrivalToday), Some(&postponed), Some(&property), (noon, None))),
        Some("expired"),
        "the stay was postponed"
    );
}
