//! Ids of stays, and guests who come after they were marked as absent.

use super::parts_of_bookings::{DORM, check_in, check_out, group, no_show, progress, some, whole};
use super::property::{TestProperty, code, status};
use crate::booking::{Action, Booking, Status, Stay, StayProgress};
use crate::decide::Decision;
use crate::fixtures::{date, stay};
use crate::ids::BedId;
use crate::messages::*;
use serde_json::json;

fn reinstate(property: &mut TestProperty, stays: &[u32]) -> Decision {
    let header = CommandHeader { reason: Some("came at two".to_owned()), ..property.header("1") };
    property.one(BookingCommand::Reinstate(ReinstateBooking { header, stays: stays.to_vec() }))
}

fn by_id(id: u32) -> StaySelection {
    StaySelection { stay: None, id: Some(id), guests: None, beds: None, places: None }
}

fn ids(booking: &Booking) -> Vec<u32> {
    booking.numbered_stays().iter().filter_map(|stay| stay.id).collect()
}

/// Four of six guests have arrived; the other two, stay 0, have not by the next day.
fn group_without_two() -> TestProperty {
    let mut property = group();
    check_in(&mut property, vec![some(0, 4)]);
    property.at_check_in("2027-01-11");
    no_show(&mut property, vec![by_id(0)]);
    property
}

#[test]
fn undone_check_in_is_the_right_one_after_a_part_did_not_arrive() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-13", 2), stay(DORM, "2027-01-10", "2027-01-13", 2)]);
    property.at_check_in("2027-01-10");
    check_in(&mut property, vec![some(0, 1)]);
    property.at_check_in("2027-01-11");
    check_in(&mut property, vec![whole(1)]);
    no_show(&mut property, vec![whole(0)]);
    assert_eq!(ids(property.booking("1")), [1, 2]);
    let here = (2, StayProgress::CheckedIn);
    assert_eq!(status(&reinstate(&mut property, &[])), Some(Status::CheckedIn));
    let expected = [here, (1, StayProgress::CheckedIn), (1, StayProgress::Expected)];
    assert_eq!(progress(property.booking("1")), expected, "the absence was the latest");
    assert!(matches!(reinstate(&mut property, &[]), Decision::Refused(ReplyOutcome::Conflict, None)), "and it alone");
}

#[test]
fn repeated_reversal_of_a_check_in_leaves_absences_alone() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-13", 2), stay(DORM, "2027-01-10", "2027-01-13", 2)]);
    property.at_check_in("2027-01-10");
    check_in(&mut property, vec![some(0, 1)]);
    property.at_check_in("2027-01-11");
    no_show(&mut property, vec![whole(0)]);
    check_in(&mut property, vec![by_id(1)]);
    assert_eq!(status(&reinstate(&mut property, &[])), Some(Status::CheckedIn));
    let expected = [(2, StayProgress::Expected), (1, StayProgress::CheckedIn)];
    assert_eq!(progress(property.booking("1")), expected, "the guest of the day before stays in");
    assert!(matches!(reinstate(&mut property, &[]), Decision::Refused(ReplyOutcome::Conflict, None)));
    assert_eq!(property.booking("1").no_shows.len(), 1);
}

#[test]
fn late_guests_get_beds_from_tonight_on_and_no_others_lose_nights() {
    for whole_booking in [false, true] {
        let mut property = TestProperty::new();
        let both = || stay(DORM, "2027-01-10", "2027-01-16", 1);
        property.book("1", vec![both(), both()]);
        property.at_check_in("2027-01-10");
        if !whole_booking {
            check_in(&mut property, vec![whole(1)]);
        }
        property.at_check_in("2027-01-11");
        no_show(&mut property, Vec::new());
        // Resold for a night that the grid no longer shows.
        property.book("2", vec![stay(DORM, "2027-01-11", "2027-01-12", 6)]);
        property.at_check_in("2027-01-14");
        property.advance_origin("2027-01-13");
        let header = CommandHeader { as_admin: true, ..property.header("1") };
        let header = CommandHeader { reason: Some("came".to_owned()), ..header };
        property.one(BookingCommand::Reinstate(ReinstateBooking { header, stays: Vec::new() }));
        let booking = property.booking("1");
        let back = booking.stays.iter().filter(|stay| booking.progress_of(stay) == StayProgress::Expected);
        let nights = back.map(|stay| stay.bed_nights().map(|(_, night)| night).min());
        assert!(nights.eq(vec![Some(date("2027-01-14")); if whole_booking { 2 } else { 1 }]), "{:?}", booking.stays);
    }
}

#[test]
fn commands_name_stays_by_id() {
    let mut property = group();
    check_in(&mut property, vec![some(0, 2)]);
    assert_eq!(ids(property.booking("1")), [0, 1]);
    assert_eq!(code(&check_in(&mut property, vec![by_id(1)])), Some(RefusalCode::WrongProgress), "they are here");
    assert_eq!(code(&check_in(&mut property, vec![by_id(2)])), Some(RefusalCode::UnknownStay));
    let both = StaySelection { stay: Some(0), ..by_id(1) };
    assert_eq!(code(&check_in(&mut property, vec![both])), Some(RefusalCode::UnknownStay), "it is one or the other");
    assert_eq!(code(&check_in(&mut property, vec![by_id(0), whole(0)])), Some(RefusalCode::UnknownStay));
    assert_eq!(status(&check_in(&mut property, vec![by_id(0)])), Some(Status::CheckedIn));
}

#[test]
fn id_of_a_dropped_stay_is_not_given_again() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-12", 1), stay(DORM, "2027-01-10", "2027-01-13", 2)]);
    let kept = property.booking("1").stays[0].as_request();
    property.modify("1", vec![kept.clone()]);
    assert_eq!((ids(property.booking("1")), property.booking("1").stay_ids), (vec![0], 2));
    property.modify("1", vec![kept, stay(DORM, "2027-01-11", "2027-01-13", 1)]);
    assert_eq!((ids(property.booking("1")), property.booking("1").stay_ids), (vec![0, 2], 0));
}

#[test]
fn document_without_shifted_stays_says_nothing_about_ids() {
    let mut property = group();
    check_in(&mut property, vec![some(0, 4)]);
    let stored = serde_json::to_value(property.booking("1")).unwrap();
    assert!(stored.get("stay_ids").is_none() && stored["stays"][1].get("id").is_none(), "{stored}");
    let events = serde_json::to_value(&property.booking("1").history.last().unwrap().changes).unwrap();
    assert!(!events.to_string().contains("\"id\""), "{events}");
}

#[test]
fn absences_of_the_version_before_are_read_and_numbered() {
    let mut property = group_without_two();
    let mut stored = serde_json::to_value(property.booking("1")).unwrap();
    for member in ["id", "nights", "fee", "below_highest_price", "at"] {
        stored["no_shows"][0].as_object_mut().unwrap().remove(member);
    }
    stored["stays"][0].as_object_mut().unwrap().remove("id");
    let booking: Booking = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(&booking).unwrap(), stored);
    assert_eq!((ids(&booking), booking.absent_stays()[0].id), (vec![0], Some(1)));
    property.bookings.insert(booking.id, booking);
    assert_eq!(
        code(&reinstate(&mut property, &[1])),
        Some(RefusalCode::TooLate),
        "nothing says what their nights cost"
    );
    assert_eq!(status(&check_out(&mut property, Vec::new(), false)), Some(Status::CheckedOut));
    assert_eq!(property.booking("1").no_shows[0].stay.id, Some(1));
}

#[test]
fn late_guests_owe_their_nights_and_no_fee() {
    let mut property = group();
    check_in(&mut property, vec![some(0, 4)]);
    let before = property.booking("1").clone();
    property.at_check_in("2027-01-11");
    no_show(&mut property, Vec::new());
    assert!(property.booking("1").change_fee() > 0);
    assert_eq!(status(&reinstate(&mut property, &[0])), Some(Status::CheckedIn));
    let booking = property.booking("1");
    assert_eq!(
        (progress(booking), ids(booking)),
        (vec![(4, StayProgress::CheckedIn), (2, StayProgress::Expected)], vec![1, 0])
    );
    assert_eq!((booking.total(), booking.payment.change_fees), (before.total(), before.payment.change_fees));
    assert_eq!((booking.no_shows.len(), property.claims.len()), (0, 16));
    let is_ahead = |(_, night): &(_, _)| *night >= date("2027-01-11");
    let beds = |booking: &Booking| -> Vec<_> {
        let all = booking.stays.iter().flat_map(Stay::bed_nights).map(|(bed, night)| (bed.clone(), night));
        all.filter(is_ahead).collect()
    };
    let (mut now, mut then) = (beds(booking), beds(&before));
    now.sort_unstable();
    then.sort_unstable();
    assert_eq!(now, then, "their beds were still free");
    assert_eq!(booking.history.last().unwrap().action, Action::Reinstate);
    assert_eq!(code(&reinstate(&mut property, &[0])), Some(RefusalCode::UnknownStay), "they are expected again");
    assert_eq!(status(&check_in(&mut property, vec![by_id(0)])), Some(Status::CheckedIn));
}

#[test]
fn absence_is_undone_without_names_where_no_check_in_can_be() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-12", 1), stay(DORM, "2027-01-14", "2027-01-16", 1)]);
    property.at_check_in("2027-01-11");
    assert_eq!(status(&no_show(&mut property, Vec::new())), Some(Status::Confirmed));
    assert_eq!(status(&reinstate(&mut property, &[])), Some(Status::Confirmed));
    let booking = property.booking("1");
    assert_eq!((ids(booking), booking.change_fee(), booking.no_shows.len()), (vec![1, 0], 0, 0));
    assert!(matches!(reinstate(&mut property, &[]), Decision::Refused(ReplyOutcome::Conflict, None)));
}

#[test]
fn absent_guests_get_other_beds_or_a_refusal_that_names_the_nights() {
    let mut property = group_without_two();
    let freed = property.booking("1").no_shows[0].stay.assigned_beds.clone();
    let taken: Vec<&str> = freed.iter().map(BedId::as_str).collect();
    property.block("x", &taken, "2027-01-11", "2027-01-13");
    assert_eq!(status(&reinstate(&mut property, &[0])), Some(Status::CheckedIn));
    let booking = property.booking("1");
    assert_eq!((booking.stays[1].assigned_beds.len(), booking.stays[1].id), (2, Some(0)));
    assert!(booking.stays[1].assigned_beds.iter().all(|bed| !freed.contains(bed)));
    let mut full = group_without_two();
    full.book("2", vec![stay(DORM, "2027-01-11", "2027-01-13", 8)]);
    let before = full.booking("1").clone();
    let Decision::Refused(ReplyOutcome::Refused, Some(why)) = reinstate(&mut full, &[0]) else { panic!() };
    assert_eq!((why.code, why.cause.shortages.len()), (RefusalCode::NoAvailability, 1));
    assert_eq!(full.booking("1"), &before);
}

#[test]
fn absence_is_undone_on_its_business_day_or_by_an_administrator() {
    let mut property = group_without_two();
    property.at_check_in("2027-01-12");
    assert_eq!(code(&reinstate(&mut property, &[0])), Some(RefusalCode::TooLate));
    let header = CommandHeader { reason: Some("found".to_owned()), as_admin: true, ..property.header("1") };
    let unnamed = CommandHeader { reason: None, ..header.clone() };
    let command = |header| BookingCommand::Reinstate(ReinstateBooking { header, stays: vec![0] });
    assert_eq!(code(&property.one(command(unnamed))), Some(RefusalCode::ReasonMissing));
    assert_eq!(status(&property.one(command(header.clone()))), Some(Status::CheckedIn));
    let mut late = group_without_two();
    late.at_check_in("2027-01-13");
    assert_eq!(code(&late.one(command(header))), Some(RefusalCode::TooLate), "their stay is over");
}

#[test]
fn waived_fee_of_an_absence_is_not_taken_off_again() {
    let mut property = group_without_two();
    let header = CommandHeader { reason: Some("storm".to_owned()), ..property.header("1") };
    let waive =
        ModifyBooking { header, stays: None, waive_change_fees: true, ..property.modification("1", Vec::new()) };
    property.one(BookingCommand::Modify(Box::new(waive)));
    assert_eq!(property.booking("1").no_shows[0].fee, 0);
    reinstate(&mut property, &[0]);
    assert!(property.booking("1").payment.change_fees.is_none());
}

#[test]
fn waived_absence_leaves_the_fee_of_another() {
    let mut property = group();
    check_in(&mut property, vec![some(0, 3)]);
    property.at_check_in("2027-01-11");
    no_show(&mut property, vec![some(0, 1)]);
    let header = CommandHeader { reason: Some("storm".to_owned()), ..property.header("1") };
    let waive =
        ModifyBooking { header, stays: None, waive_change_fees: true, ..property.modification("1", Vec::new()) };
    property.one(BookingCommand::Modify(Box::new(waive)));
    no_show(&mut property, vec![by_id(0)]);
    let booking = property.booking("1");
    let (owed, fees) = (booking.change_fee(), booking.payment.change_fees);
    let waived = booking.no_shows[0].stay.id.unwrap();
    assert!(owed > 0 && booking.no_shows[0].fee == 0 && booking.no_shows[1].below_highest_price > 0);
    assert!(matches!(reinstate(&mut property, &[waived]), Decision::Decided(_)));
    assert_eq!((property.booking("1").change_fee(), property.booking("1").payment.change_fees), (owed, fees));
}

#[test]
fn moves_of_guests_name_the_stay_by_its_id() {
    let mut property = group_without_two();
    let beds = ["b-1", "b-2", "b-3", "b-4"].map(Into::into).to_vec();
    let assignment = Assignment { stay: None, id: Some(1), beds: Some(beds), from: None, locked: None };
    let header = property.header("1");
    property.one(BookingCommand::Assign(AssignBeds { header, assignments: vec![assignment] }));
    let moves = &property.booking("1").history.last().unwrap().bed_moves;
    assert_eq!(serde_json::to_value(moves).unwrap()[0]["id"], json!(1), "{moves:?}");
}

#[test]
fn stay_that_is_over_is_not_extended_over_unclaimed_nights() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-12", 1), stay(DORM, "2027-01-10", "2027-01-16", 1)]);
    property.at_check_in("2027-01-10");
    check_in(&mut property, vec![by_id(1)]);
    property.at_check_in("2027-01-14");
    let stays =
        |departure: &str| vec![stay(DORM, "2027-01-10", departure, 1), stay(DORM, "2027-01-10", "2027-01-16", 1)];
    for departure in ["2027-01-13", "2027-01-15", "2027-01-11"] {
        assert_eq!(code(&property.modify("1", stays(departure))), Some(RefusalCode::InvalidDates));
    }
}
