//! The mail to an address that was corrected.

use super::super::decide_for_former;
use crate::mail::decide::MailDecision;
use crate::mail::fixtures::{booking, event, held, next_revision};
use pvt_domain::booking::{Action, Booking, FormerAddress, Status};
use pvt_domain::messages::NotificationKind;

/// The next revision, with another address and in this status.
fn readdressed(before: &Booking, email: &str, to: Status) -> Booking {
    let mut after = before.clone();
    after.guest.email = email.to_owned();
    after.token_epoch += 1;
    next_revision(before, after, Action::Modify, to)
}

fn reason(before: &Booking, after: &Booking, stored: &Booking) -> Option<&'static str> {
    let former = FormerAddress::left_by(before, after);
    match decide_for_former(&event(after, after.rev), stored, former.as_ref())? {
        MailDecision::Send(plan) => {
            assert_eq!((plan.kind, plan.rev), (NotificationKind::AddressChanged, after.rev));
            Some("send")
        }
        MailDecision::Outdated(_, reason) => Some(reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn former_address_of_a_promised_booking_is_written_to() {
    let before = booking();
    for to in ["new@example.com", ""] {
        let after = readdressed(&before, to, Status::Confirmed);
        assert_eq!(reason(&before, &after, &after), Some("send"));
    }
    let arrived = next_revision(&before, before.clone(), Action::CheckIn, Status::CheckedIn);
    let after = readdressed(&arrived, "new@example.com", Status::CheckedIn);
    assert_eq!(reason(&arrived, &after, &after), Some("send"));
    // What becomes of the booking makes no difference; that the address is right after all does.
    let ended = next_revision(&after, after.clone(), Action::CheckOut, Status::CheckedOut);
    assert_eq!(reason(&arrived, &after, &ended), Some("send"));
    let back = readdressed(&after, "ADA@example.com", Status::CheckedIn);
    assert_eq!(reason(&arrived, &after, &back), Some("superseded"));
}

#[test]
fn other_revisions_concern_no_former_address() {
    let held = held();
    let after = readdressed(&held, "new@example.com", Status::Held);
    assert_eq!(reason(&held, &after, &after), None, "nothing was promised");
    let ended = next_revision(&booking(), booking(), Action::CheckOut, Status::CheckedOut);
    let after = readdressed(&ended, "new@example.com", Status::CheckedOut);
    assert_eq!(reason(&ended, &after, &after), None, "the stay is over");
    let mut renamed = booking();
    renamed.guest.last_name = "King".to_owned();
    let after = next_revision(&booking(), renamed, Action::Modify, Status::Confirmed);
    assert_eq!(reason(&booking(), &after, &after), None);
    let revoked = Booking { token_epoch: 1, ..booking() };
    let after = next_revision(&booking(), revoked, Action::RevokeLinks, Status::Confirmed);
    assert_eq!(reason(&booking(), &after, &after), None);
    let without = readdressed(&booking(), "", Status::Confirmed);
    let added = readdressed(&without, "new@example.com", Status::Confirmed);
    assert_eq!(reason(&without, &added, &added), Some("no_former_address"));
}
