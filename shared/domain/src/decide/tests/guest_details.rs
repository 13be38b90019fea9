//! Corrections of the guest's details.

use super::property::{TestProperty, code, status};
use crate::booking::{Booking, Guest, Status};
use crate::decide::Decision;
use crate::fixtures::{at, request, stay};
use crate::messages::*;

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
