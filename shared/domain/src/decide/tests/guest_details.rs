//! Corrections of the guest's details.

use super::property::{TestProperty, code, status};
use crate::booking::{Booking, FormerAddress, Guest, Status};
use crate::decide::Decision;
use crate::fixtures::{at, request, stay};
use crate::messages::*;
use proptest::prelude::*;
use uuid::Uuid;

fn correct(property: &mut TestProperty, email: &str) -> Decision {
    let guest = Guest { email: email.to_owned(), ..property.booking("1").guest.clone() };
    let command = property.correction("1", guest);
    property.one(BookingCommand::Modify(Box::new(command)))
}

/// The parts of a booking that belong to its stay and its money.
fn sold(booking: &Booking) -> impl PartialEq + std::fmt::Debug + use<> {
    (booking.status, booking.stays.clone(), booking.price.clone(), booking.payment.clone(), booking.cancellation_fee)
}

#[test]
fn guest_is_corrected_in_every_status_and_nothing_else_changes() {
    let mut property = TestProperty::new();
    property.now = at("2027-03-13T18:00:00Z");
    let stays = vec![stay("private-double", "2027-03-13", "2027-03-16", 2)];
    let requested = RequestBooking { rate_plan_id: "prepaid".into(), ..request("1", stays) };
    property.run(&[(requested.booking_id.request_command_id(), BookingCommand::Request(Box::new(requested)))]);
    assert_eq!(property.booking("1").status, Status::Held);
    let mut seen = Vec::new();
    for step in 0..4 {
        let before = property.booking("1").clone();
        let email = format!("ada-{step}@example.com");
        assert_eq!(status(&correct(&mut property, &email)), Some(before.status));
        let after = property.booking("1");
        assert_eq!((after.guest.email.as_str(), after.rev), (email.as_str(), before.rev + 1));
        assert_eq!(sold(after), sold(&before), "{:?}", before.status);
        assert_eq!(after.token_epoch, before.token_epoch + 1, "links to the wrong address end");
        seen.push(before.status);
        match before.status {
            Status::Held => {
                let required = before.payment.required;
                let ledger = crate::ledger::Summary {
                    ledger_rev: 1,
                    captured: required,
                    cleared: required,
                    ..Default::default()
                };
                let header = property.header("1");
                property.one(BookingCommand::SettlePayment(SettlePayment { header, ledger }));
            }
            Status::Confirmed => drop(property.check_in("1")),
            _ => {
                property.now = at("2027-03-14T18:00:00Z");
                let header = property.header("1");
                property.one(BookingCommand::CheckOut(CheckOutBooking {
                    header,
                    allow_open_balance: true,
                    reprice: false,
                    stays: Vec::new(),
                }));
            }
        }
    }
    assert_eq!(seen, [Status::Held, Status::Confirmed, Status::CheckedIn, Status::CheckedOut]);
    // The one while it was held and the one after the stay lose nothing that still matters.
    assert_eq!(left(&property), [(4, "ada-0@example.com"), (6, "ada-1@example.com")]);
}

/// Revisions that took an address, and the address.
fn left(property: &TestProperty) -> Vec<(u32, &str)> {
    property.former_addresses.iter().map(|former| (former.rev, former.email.as_str())).collect()
}

#[test]
fn former_address_is_kept_with_the_name_and_language_that_it_had() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay("dorm-6-mixed", "2027-03-13", "2027-03-16", 2)]);
    let before = property.booking("1").guest.clone();
    let other = Guest {
        first_name: "Grace".to_owned(),
        email: "grace@example.com".to_owned(),
        locale: Some("fr".to_owned()),
        ..before.clone()
    };
    let command = property.correction("1", other);
    property.one(BookingCommand::Modify(Box::new(command)));
    let kept = FormerAddress {
        booking_id: property.booking("1").id,
        rev: 2,
        email: before.email.clone(),
        called: before.called().to_owned(),
        locale: before.locale,
        at: property.now,
    };
    assert_eq!(property.former_addresses, [kept]);
    assert!(!format!("{:?}", property.former_addresses).contains(&before.email), "no log shows it");
    let stored = serde_json::to_string(property.booking("1")).unwrap();
    assert!(!stored.contains(&before.email), "the booking does not have it");
}

#[test]
fn address_taken_by_two_commands_of_one_batch_is_kept_twice_and_a_repetition_adds_none() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay("dorm-6-mixed", "2027-03-13", "2027-03-16", 2)]);
    let first = property.booking("1").guest.clone();
    let to = |email: &str| {
        let guest = Guest { email: email.to_owned(), ..first.clone() };
        BookingCommand::Modify(Box::new(property.correction("1", guest)))
    };
    let batch = [
        (Uuid::from_u128(1), to("b@example.com")),
        (Uuid::from_u128(2), to("c@example.com")),
        (Uuid::from_u128(3), to("C@Example.com")),
        (Uuid::from_u128(4), to("")),
        (Uuid::from_u128(5), to("d@example.com")),
    ];
    property.run(&batch);
    let kept = [(2, first.email.as_str()), (3, "b@example.com"), (5, "C@Example.com")];
    assert_eq!(left(&property), kept, "capitals are no change, and an added address takes none");
    property.run(&batch);
    assert_eq!(left(&property), kept);
}

proptest! {
    /// Whatever happens to a booking: what a revision takes while the booking is confirmed or checked in is kept, with
    /// that revision, and nothing else is.
    #[test]
    fn every_address_taken_from_a_promised_booking_is_kept_once(
        steps in prop::collection::vec((0..7_u8, 0..4_u8), 1..12)
    ) {
        let mut property = TestProperty::new();
        property.now = at("2027-03-13T20:00:00Z");
        property.book("1", vec![stay("dorm-6-mixed", "2027-03-13", "2027-03-16", 2)]);
        let mut expected = Vec::new();
        for (step, address) in steps {
            let before = property.booking("1").clone();
            let email = ["", "a@example.com", "A@example.com", "b@example.com"][usize::from(address)];
            match step {
                0 => drop(property.check_in("1")),
                1 => drop(property.check_out("1")),
                2 => {
                    let header = property.header("1");
                    property.one(BookingCommand::Cancel(CancelBooking { header, waive_fee: false }));
                }
                3 => {
                    let guest = Guest { email: email.to_owned(), ..before.guest.clone() };
                    let stays = vec![stay("dorm-6-mixed", "2027-03-13", "2027-03-15", 2)];
                    let command = ModifyBooking { guest: Some(guest), ..property.modification("1", stays) };
                    property.one(BookingCommand::Modify(Box::new(command)));
                }
                _ => drop(correct(&mut property, email)),
            }
            let after = property.booking("1");
            let is_promised = |status| matches!(status, Status::Confirmed | Status::CheckedIn);
            let is_taken = before.guest.email.to_lowercase() != after.guest.email.to_lowercase();
            if is_taken && is_promised(before.status) && is_promised(after.status) && !before.guest.email.is_empty() {
                expected.push((after.rev, before.guest.email.clone()));
            }
        }
        let kept: Vec<(u32, String)> =
            property.former_addresses.iter().map(|former| (former.rev, former.email.clone())).collect();
        prop_assert_eq!(kept, expected);
    }
}

#[test]
fn cancelled_guest_is_corrected_but_stays_are_not() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay("dorm-6-mixed", "2027-03-13", "2027-03-16", 2)]);
    let header = property.header("1");
    property.one(BookingCommand::Cancel(CancelBooking { header, waive_fee: false }));
    assert_eq!(status(&correct(&mut property, "ada@example.org")), Some(Status::Cancelled), "her refund is announced");
    let guest = property.booking("1").guest.clone();
    let command = ModifyBooking { waive_change_fees: true, ..property.correction("1", guest) };
    assert!(status(&property.one(BookingCommand::Modify(Box::new(command)))).is_none());
}

#[test]
fn rejected_request_has_no_guest() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay("dorm-6-mixed", "2027-03-13", "2027-03-16", 200)]);
    assert_eq!(property.booking("1").status, Status::Rejected);
    let refused = correct(&mut property, "ada@example.org");
    assert!(status(&refused).is_none() && code(&refused).is_none(), "{refused:?}");
}
