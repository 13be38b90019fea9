//! Check-in, check-out, no-show and their reversal, in the property's local time.

use super::property::{TestProperty, code, status};
use crate::booking::{Action, Booking, Guest, Status};
use crate::decide::Decision;
use crate::events::BookingEvent;
use crate::fixtures::{at, date, sample_inventory, stay};
use crate::inventory::{BedState, Cleanliness};
use crate::messages::*;
use crate::rates::Rates;

/// A property in Montréal with one booking from 2027-03-13 to 2027-03-16: clocks change in its first night.
fn booked() -> TestProperty {
    let mut property = TestProperty::new();
    property.book("1", vec![stay("dorm-6-mixed", "2027-03-13", "2027-03-16", 2)]);
    property
}

fn check_out(property: &mut TestProperty, allow_open_balance: bool, reason: Option<&str>, reprice: bool) -> Decision {
    let header = CommandHeader { reason: reason.map(str::to_owned), ..property.header("1") };
    property.one(BookingCommand::CheckOut(CheckOutBooking { header, allow_open_balance, reprice, stays: Vec::new() }))
}

fn no_show(property: &mut TestProperty) -> Decision {
    let header = property.header("1");
    property.one(BookingCommand::NoShow(MarkNoShow { header, stays: Vec::new() }))
}

fn reinstate(property: &mut TestProperty, reason: Option<&str>, as_admin: bool) -> Decision {
    let header = CommandHeader { reason: reason.map(str::to_owned), as_admin, ..property.header("1") };
    property.one(BookingCommand::Reinstate(ReinstateBooking { header, stays: Vec::new() }))
}

#[test]
fn revoked_links_end_in_every_status_and_once_per_command() {
    let mut property = booked();
    let now = property.now;
    assert!(property.booking("1").accepts_token(0, now));
    let revoke = |property: &TestProperty| BookingCommand::RevokeLinks(RevokeLinks { header: property.header("1") });
    let command = revoke(&property);
    assert_eq!(status(&property.one(command.clone())), Some(Status::Confirmed));
    assert!(!property.booking("1").accepts_token(0, now) && property.booking("1").accepts_token(1, now));
    let entry = property.booking("1").history.last().unwrap().clone();
    assert_eq!(entry.action, Action::RevokeLinks);
    assert!(entry.changes.is_some_and(|changes| changes.links_revoked), "the history says so");
    let header = property.header("1");
    property.one(BookingCommand::Cancel(CancelBooking { header, waive_fee: false }));
    let command = revoke(&property);
    assert_eq!(status(&property.one(command)), Some(Status::Cancelled));
    assert_eq!(property.booking("1").token_epoch, 2);
}

#[test]
fn another_address_ends_the_links_and_another_name_does_not() {
    let mut property = booked();
    let mut change = |email: &str, name: &str| {
        let guest =
            Guest { email: email.to_owned(), first_name: name.to_owned(), ..property.booking("1").guest.clone() };
        let command = property.correction("1", guest);
        assert_eq!(status(&property.one(BookingCommand::Modify(Box::new(command)))), Some(Status::Confirmed));
        property.booking("1").token_epoch
    };
    assert_eq!(change("ada@example.com", "Augusta"), 0);
    assert_eq!(change("Ada@Example.com", "Augusta"), 0, "the same mailbox");
    assert_eq!(change("mallory@example.com", "Augusta"), 1);
    assert_eq!(change("ada@example.com", "Augusta"), 2, "an epoch never comes back");
}

#[test]
fn tokens_end_two_weeks_after_the_last_departure() {
    let mut property = booked();
    let accepts = |booking: &Booking, at_: &str| booking.accepts_token(0, at(at_));
    let mut booking = property.booking("1").clone();
    assert!(accepts(&booking, "2027-03-30T23:59:59Z"));
    assert!(!accepts(&booking, "2027-03-31T00:00:00Z"));
    booking.stays.push(booking.stays[0].clone());
    booking.stays[1].departure = date("2027-03-20");
    assert!(accepts(&booking, "2027-04-03T12:00:00Z"), "a later stay extends them");
    booking.token_epoch = 1;
    assert!(!accepts(&booking, "2027-03-14T00:00:00Z"));
    property.at_check_in("2027-03-13");
}

#[test]
fn check_in_opens_with_the_business_day_of_arrival() {
    let mut property = booked();
    property.now = at("2027-03-13T08:59:59Z");
    let Decision::Refused(_, Some(why)) = property.check_in("1") else { panic!("one second before four in Montréal") };
    assert_eq!((why.code, why.cause.possible_from), (RefusalCode::TooEarly, Some(date("2027-03-13"))));
    property.now = at("2027-03-13T09:00:00Z");
    assert_eq!(status(&property.check_in("1")), Some(Status::CheckedIn));
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
fn check_in_requires_a_clean_bed() {
    let mut property = booked();
    let mut dirty = sample_inventory();
    let bed = property.booking("1").stays[0].assigned_beds[0].clone();
    dirty.rooms[0].bed_states.insert(bed, BedState { cleanliness: Cleanliness::Dirty, ..BedState::default() });
    property.rebuild(dirty, Rates::default());
    property.at_check_in("2027-03-13");
    assert_eq!(code(&property.check_in("1")), Some(RefusalCode::BedNotClean));
    property.rebuild(sample_inventory(), Rates::default());
    assert_eq!(status(&property.check_in("1")), Some(Status::CheckedIn));
}

#[test]
fn early_check_out_releases_unused_nights() {
    let mut property = booked();
    property.at_check_in("2027-03-13");
    property.check_in("1");
    property.at_check_in("2027-03-14");
    assert_eq!(code(&check_out(&mut property, false, None, true)), Some(RefusalCode::BalanceOpen));
    assert_eq!(code(&check_out(&mut property, true, None, true)), Some(RefusalCode::ReasonMissing));
    assert_eq!(status(&check_out(&mut property, true, Some("pays by transfer"), true)), Some(Status::CheckedOut));
    let booking = property.booking("1");
    assert_eq!(booking.stays[0].departure, date("2027-03-14"));
    assert_eq!(booking.price.as_ref().unwrap().nights, [vec![8_000]]);
    assert_eq!(property.claims.len(), 2, "the night that was slept stays theirs");
    assert_eq!(code(&check_out(&mut property, true, Some("again"), true)), None);
    assert_eq!(status(&property.modify("1", vec![stay("dorm-6-mixed", "2027-03-13", "2027-03-20", 2)])), None, "final");
}

#[test]
fn early_check_out_without_repricing_keeps_the_total() {
    let mut property = booked();
    let agreed = property.booking("1").price.clone().unwrap();
    property.at_check_in("2027-03-13");
    property.check_in("1");
    property.at_check_in("2027-03-15");
    check_out(&mut property, true, Some("as agreed"), false);
    let price = property.booking("1").price.clone().unwrap();
    let used = vec![vec![8_000, 8_000]];
    assert_eq!((price.total, price.nights, price.unused_nights), (agreed.total, used, 8_000));
}

#[test]
fn no_show_is_refused_before_the_cutoff() {
    let mut property = booked();
    property.now = at("2027-03-14T07:59:59Z");
    assert_eq!(
        code(&no_show(&mut property)),
        Some(RefusalCode::TooEarly),
        "3:59 in the morning after, clocks have changed"
    );
    property.now = at("2027-03-14T08:00:00Z");
    assert_eq!(status(&no_show(&mut property)), Some(Status::NoShow));
    assert!(property.claims.is_empty());
    assert_eq!(status(&property.check_in("1")), None);
}

#[test]
fn reinstating_a_no_show_requires_reason_and_same_business_day_or_admin() {
    let mut property = booked();
    property.now = at("2027-03-14T08:00:00Z");
    no_show(&mut property);
    property.now = at("2027-03-15T07:59:59Z");
    assert_eq!(code(&reinstate(&mut property, None, false)), Some(RefusalCode::ReasonMissing));
    assert_eq!(status(&reinstate(&mut property, Some("their bus was late"), false)), Some(Status::Confirmed));
    assert_eq!(property.claims.len(), 4, "nobody slept there last night");
    no_show(&mut property);
    property.now = at("2027-03-15T08:00:00Z");
    assert_eq!(code(&reinstate(&mut property, Some("too late"), false)), Some(RefusalCode::TooLate));
    assert_eq!(status(&reinstate(&mut property, Some("by an administrator"), true)), Some(Status::Confirmed));
}

#[test]
fn no_show_without_free_beds_is_not_reinstated() {
    let mut property = booked();
    property.now = at("2027-03-14T08:00:00Z");
    no_show(&mut property);
    property.book("others", vec![stay("dorm-6-mixed", "2027-03-14", "2027-03-15", 12)]);
    assert_eq!(code(&reinstate(&mut property, Some("they are here"), false)), Some(RefusalCode::NoAvailability));
    assert_eq!(property.booking("1").status, Status::NoShow);
}

#[test]
fn reinstated_check_in_is_in_the_history() {
    let mut property = booked();
    property.at_check_in("2027-03-13");
    property.check_in("1");
    assert_eq!(status(&reinstate(&mut property, Some("the wrong Ada"), false)), Some(Status::Confirmed));
    let booking = property.booking("1");
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
fn business_day_follows_the_property_time_zone() {
    for (zone, cutoff) in [
        ("Asia/Tokyo", "2028-02-28T19:00:00Z"),
        ("Pacific/Auckland", "2028-02-28T15:00:00Z"),
        ("America/Toronto", "2028-02-29T09:00:00Z"),
    ] {
        let mut inventory = sample_inventory();
        inventory.property.time_zone = zone.parse().unwrap();
        let mut property = TestProperty::of(inventory);
        property.book("1", vec![stay("dorm-6-mixed", "2028-02-29", "2028-03-01", 1)]);
        property.now = (at(cutoff).as_datetime() - chrono::TimeDelta::milliseconds(1)).into();
        assert_eq!(code(&property.check_in("1")), Some(RefusalCode::TooEarly), "{zone}");
        property.now = at(cutoff);
        assert_eq!(status(&property.check_in("1")), Some(Status::CheckedIn), "{zone}, on the leap day");
    }
}

#[test]
fn outdated_expected_rev_is_stale() {
    let mut property = booked();
    property.at_check_in("2027-03-13");
    let stale = CommandHeader { expected_rev: Some(1), ..property.header("1") };
    property.check_in("1");
    let cancel = BookingCommand::Cancel(CancelBooking { header: stale, waive_fee: false });
    assert_eq!(property.one(cancel), Decision::Refused(ReplyOutcome::Stale, None));
    let header = property.header("1");
    assert_eq!(
        property.one(BookingCommand::Cancel(CancelBooking { header, waive_fee: false })),
        Decision::Refused(ReplyOutcome::Conflict, None)
    );
    let header = property.header("1");
    assert_eq!(
        property.one(BookingCommand::Confirm(ConfirmBooking { header })),
        Decision::Refused(ReplyOutcome::Conflict, None)
    );
}

#[test]
fn cancellation_fee_follows_the_policy_unless_waived() {
    for (waive_fee, expected) in [(false, 7_140), (true, 0)] {
        let mut property = booked();
        property.now = at("2027-03-10T12:00:00Z");
        let header = property.header("1");
        property.one(BookingCommand::Cancel(CancelBooking { header, waive_fee }));
        let booking: &Booking = property.booking("1");
        assert_eq!((booking.price.as_ref().unwrap().total, booking.cancellation_fee), (28_560, Some(expected)));
        assert_eq!(BookingEvent::of(booking, &booking.history[1]).cancellation_fee, Some(expected));
        assert_eq!(BookingEvent::of(booking, &booking.history[0]).cancellation_fee, None);
    }
}

#[test]
fn fee_of_a_cancelled_booking_is_not_waived_in_silence() {
    let mut property = booked();
    property.now = at("2027-03-10T12:00:00Z");
    let cancel = |property: &TestProperty, waive_fee| {
        BookingCommand::Cancel(CancelBooking { header: property.header("1"), waive_fee })
    };
    let command = cancel(&property, false);
    property.one(command);
    for (waive_fee, expected) in [(false, None), (true, Some(RefusalCode::TooLate))] {
        let command = cancel(&property, waive_fee);
        let decision = property.one(command);
        assert_eq!(code(&decision), expected);
        assert_eq!((property.booking("1").rev, property.booking("1").cancellation_fee), (2, Some(7_140)));
    }
    let mut waived = booked();
    waived.now = property.now;
    let command = cancel(&waived, true);
    let id = uuid::Uuid::from_u128(1);
    for _ in 0..2 {
        assert_eq!(status(&waived.run(&[(id, command.clone())])[0]), Some(Status::Cancelled), "a replay");
    }
    assert_eq!(status(&waived.one(command)), Some(Status::Cancelled), "there is no fee left to waive");
}

#[test]
fn reinstatement_without_beds_names_the_nights() {
    let mut property = booked();
    property.now = at("2027-03-14T16:00:00Z");
    assert_eq!(status(&no_show(&mut property)), Some(Status::NoShow));
    property.book("full", vec![stay("dorm-6-mixed", "2027-03-15", "2027-03-16", 11)]);
    let refused = reinstate(&mut property, Some("they came"), false);
    let Decision::Refused(_, Some(why)) = refused else { panic!("{refused:?}") };
    let short = crate::booking::Shortage { room_type_id: "dorm-6-mixed".into(), nights: vec![date("2027-03-15")] };
    assert_eq!((why.code, why.cause.shortages), (RefusalCode::NoAvailability, vec![short]));
    assert_eq!(property.booking("1").status, Status::NoShow);
}
