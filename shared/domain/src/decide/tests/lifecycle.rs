//! Guests come, leave, do not come; mistakes are undone. By the property's time.

use super::house::{House, code, status};
use crate::booking::{Action, Booking, Status};
use crate::decide::Verdict;
use crate::events::BookingEvent;
use crate::fixtures::{at, date, hostel, stay};
use crate::inventory::{BedState, Cleanliness};
use crate::messages::*;
use crate::rates::Rates;

/// A house in Montréal with one booking from 2027-03-13 to 2027-03-16: clocks change in its first night.
fn booked() -> House {
    let mut house = House::new();
    house.book("1", vec![stay("dorm-6-mixed", "2027-03-13", "2027-03-16", 2)]);
    house
}

fn check_out(house: &mut House, allow_open_balance: bool, reason: Option<&str>, reprice: bool) -> Verdict {
    let order = Order { reason: reason.map(str::to_owned), ..house.order("1") };
    house.one(BookingCommand::CheckOut(CheckOutBooking { order, allow_open_balance, reprice }))
}

fn no_show(house: &mut House) -> Verdict {
    let order = house.order("1");
    house.one(BookingCommand::NoShow(MarkNoShow { order }))
}

fn reinstate(house: &mut House, reason: Option<&str>, as_admin: bool) -> Verdict {
    let order = Order { reason: reason.map(str::to_owned), as_admin, ..house.order("1") };
    house.one(BookingCommand::Reinstate(ReinstateBooking { order }))
}

#[test]
fn guests_check_in_from_the_day_of_arrival_at_the_property() {
    let mut house = booked();
    house.now = at("2027-03-13T04:59:59Z");
    assert_eq!(code(&house.check_in("1")), Some(RefusalCode::TooEarly), "one second before midnight in Montréal");
    house.now = at("2027-03-13T05:00:00Z");
    assert_eq!(status(&house.check_in("1")), Some(Status::CheckedIn));
    let mut late = booked();
    late.now = at("2027-03-16T07:59:59Z");
    assert_eq!(
        status(&late.check_in("1")),
        Some(Status::CheckedIn),
        "3:59 on the morning of departure belongs to the day before"
    );
    let mut gone = booked();
    gone.now = at("2027-03-16T08:00:00Z");
    assert_eq!(code(&gone.check_in("1")), Some(RefusalCode::TooLate));
}

#[test]
fn a_bed_is_made_before_a_guest_is_shown_to_it() {
    let mut house = booked();
    let mut dirty = hostel();
    let bed = house.booking("1").stays[0].assigned_beds[0].clone();
    dirty.rooms[0].bed_states.insert(bed, BedState { cleanliness: Cleanliness::Dirty, ..BedState::default() });
    house.rebuild(dirty, Rates::default());
    house.at_check_in("2027-03-13");
    assert_eq!(code(&house.check_in("1")), Some(RefusalCode::BedNotClean));
    house.rebuild(hostel(), Rates::default());
    assert_eq!(status(&house.check_in("1")), Some(Status::CheckedIn));
}

#[test]
fn leaving_early_frees_the_nights_that_are_not_slept() {
    let mut house = booked();
    house.at_check_in("2027-03-13");
    house.check_in("1");
    house.at_check_in("2027-03-14");
    assert_eq!(code(&check_out(&mut house, false, None, true)), Some(RefusalCode::BalanceOpen));
    assert_eq!(code(&check_out(&mut house, true, None, true)), Some(RefusalCode::ReasonMissing));
    assert_eq!(status(&check_out(&mut house, true, Some("pays by transfer"), true)), Some(Status::CheckedOut));
    let booking = house.booking("1");
    assert_eq!(booking.stays[0].departure, date("2027-03-14"));
    assert_eq!(booking.price.as_ref().unwrap().nights, [vec![8_000]]);
    assert_eq!(house.claims.len(), 2, "the night that was slept stays theirs");
    assert_eq!(code(&check_out(&mut house, true, Some("again"), true)), None);
    assert_eq!(status(&house.modify("1", vec![stay("dorm-6-mixed", "2027-03-13", "2027-03-20", 2)])), None, "final");
}

#[test]
fn leaving_early_without_a_new_price_costs_what_was_agreed() {
    let mut house = booked();
    let agreed = house.booking("1").price.clone().unwrap();
    house.at_check_in("2027-03-13");
    house.check_in("1");
    house.at_check_in("2027-03-15");
    check_out(&mut house, true, Some("as agreed"), false);
    let price = house.booking("1").price.clone().unwrap();
    assert_eq!((price.total, price.nights), (agreed.total, vec![vec![12_000, 12_000]]));
}

#[test]
fn nobody_is_a_no_show_before_the_cut_off() {
    let mut house = booked();
    house.now = at("2027-03-14T07:59:59Z");
    assert_eq!(
        code(&no_show(&mut house)),
        Some(RefusalCode::TooEarly),
        "3:59 in the morning after, clocks have changed"
    );
    house.now = at("2027-03-14T08:00:00Z");
    assert_eq!(status(&no_show(&mut house)), Some(Status::NoShow));
    assert!(house.claims.is_empty());
    assert_eq!(status(&house.check_in("1")), None);
}

#[test]
fn a_no_show_is_undone_with_a_reason_on_the_same_business_day_or_by_an_administrator() {
    let mut house = booked();
    house.now = at("2027-03-14T08:00:00Z");
    no_show(&mut house);
    house.now = at("2027-03-15T07:59:59Z");
    assert_eq!(code(&reinstate(&mut house, None, false)), Some(RefusalCode::ReasonMissing));
    assert_eq!(status(&reinstate(&mut house, Some("their bus was late"), false)), Some(Status::Confirmed));
    assert_eq!(house.claims.len(), 6);
    no_show(&mut house);
    house.now = at("2027-03-15T08:00:00Z");
    assert_eq!(code(&reinstate(&mut house, Some("too late"), false)), Some(RefusalCode::TooLate));
    assert_eq!(status(&reinstate(&mut house, Some("by an administrator"), true)), Some(Status::Confirmed));
}

#[test]
fn a_no_show_whose_beds_were_sold_is_not_undone() {
    let mut house = booked();
    house.now = at("2027-03-14T08:00:00Z");
    no_show(&mut house);
    house.book("others", vec![stay("dorm-6-mixed", "2027-03-14", "2027-03-15", 12)]);
    assert_eq!(code(&reinstate(&mut house, Some("they are here"), false)), Some(RefusalCode::NoAvailability));
    assert_eq!(house.booking("1").status, Status::NoShow);
}

#[test]
fn a_check_in_is_undone_and_every_step_is_in_the_history() {
    let mut house = booked();
    house.at_check_in("2027-03-13");
    house.check_in("1");
    assert_eq!(status(&reinstate(&mut house, Some("the wrong Ada"), false)), Some(Status::Confirmed));
    let booking = house.booking("1");
    let steps: Vec<_> =
        booking.history.iter().map(|entry| (entry.action, entry.from, entry.to, entry.event_kind())).collect();
    assert_eq!(
        steps,
        [
            (Action::Request, Status::Requested, Status::Confirmed, "booking.confirmed.v1"),
            (Action::CheckIn, Status::Confirmed, Status::CheckedIn, "booking.checked_in.v1"),
            (Action::Reinstate, Status::CheckedIn, Status::Confirmed, "booking.reinstated.v1"),
        ]
    );
    assert_eq!(booking.history[2].reason.as_deref(), Some("the wrong Ada"));
}

#[test]
fn houses_in_other_time_zones_have_their_own_day() {
    for (zone, midnight) in [
        ("Asia/Tokyo", "2028-02-28T15:00:00Z"),
        ("Pacific/Auckland", "2028-02-28T11:00:00Z"),
        ("America/Toronto", "2028-02-29T05:00:00Z"),
    ] {
        let mut inventory = hostel();
        inventory.property.time_zone = zone.parse().unwrap();
        let mut house = House::of(inventory);
        house.book("1", vec![stay("dorm-6-mixed", "2028-02-29", "2028-03-01", 1)]);
        house.now = (at(midnight).as_datetime() - chrono::TimeDelta::milliseconds(1)).into();
        assert_eq!(code(&house.check_in("1")), Some(RefusalCode::TooEarly), "{zone}");
        house.now = at(midnight);
        assert_eq!(status(&house.check_in("1")), Some(Status::CheckedIn), "{zone}, on the leap day");
    }
}

#[test]
fn the_slower_of_two_sees_that_the_booking_has_moved_on() {
    let mut house = booked();
    house.at_check_in("2027-03-13");
    let stale = Order { expected_rev: Some(1), ..house.order("1") };
    house.check_in("1");
    let cancel = BookingCommand::Cancel(CancelBooking { order: stale, waive_fee: false });
    assert_eq!(house.one(cancel), Verdict::Refused(ReplyOutcome::Stale, None));
    let order = house.order("1");
    assert_eq!(
        house.one(BookingCommand::Cancel(CancelBooking { order, waive_fee: false })),
        Verdict::Refused(ReplyOutcome::Conflict, None)
    );
    let order = house.order("1");
    assert_eq!(
        house.one(BookingCommand::Confirm(ConfirmBooking { order })),
        Verdict::Refused(ReplyOutcome::Conflict, None)
    );
}

#[test]
fn cancelling_costs_what_the_policy_says_unless_staff_waive_it() {
    for (waive_fee, expected) in [(false, 7_140), (true, 0)] {
        let mut house = booked();
        house.now = at("2027-03-10T12:00:00Z");
        let order = house.order("1");
        house.one(BookingCommand::Cancel(CancelBooking { order, waive_fee }));
        let booking: &Booking = house.booking("1");
        assert_eq!((booking.price.as_ref().unwrap().total, booking.cancellation_fee), (28_560, Some(expected)));
        assert_eq!(BookingEvent::of(booking, &booking.history[1]).cancellation_fee, Some(expected));
        assert_eq!(BookingEvent::of(booking, &booking.history[0]).cancellation_fee, None);
    }
}
