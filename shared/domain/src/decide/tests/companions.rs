//! Guests of one booking who move to beds of companions.

use super::parts_of_bookings::{DORM, check_in, check_out, whole};
use super::property::{TestProperty, code, status};
use crate::booking::{Status, Stay, StayRequest};
use crate::decide::Decision;
use crate::fixtures::{date, sample_inventory, stay};
use crate::ids::BedId;
use crate::inventory::{BedState, Cleanliness, Inventory};
use crate::messages::*;
use crate::rates::Rates;
use std::collections::HashSet;
use uuid::Uuid;

/// One guest until today in one bed, and one until tomorrow in another; both have checked in.
fn companions() -> (TestProperty, BedId, BedId) {
    let mut property = TestProperty::of(sample_inventory());
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-11", 1), stay(DORM, "2027-01-10", "2027-01-12", 1)]);
    property.at_check_in("2027-01-10");
    check_in(&mut property, Vec::new());
    property.at_check_in("2027-01-11");
    let [leaving, other] = [0, 1].map(|stay| property.booking("1").stays[stay].assigned_beds[0].clone());
    (property, leaving, other)
}

fn assign(property: &mut TestProperty, stay: usize, bed: &BedId) -> Decision {
    let beds = Some(vec![bed.clone()]);
    let assignments = vec![Assignment { stay: Some(stay), id: None, beds, from: None, locked: None }];
    let header = property.header("1");
    property.one(BookingCommand::Assign(AssignBeds { header, assignments }))
}

/// A modification with beds for the second stay, which ends tomorrow.
fn with_beds(property: &mut TestProperty, guests: u32, beds: Vec<BedId>) -> Decision {
    let mut stays: Vec<StayRequest> = property.booking("1").stays.iter().map(Stay::as_request).collect();
    stays[1].guests = guests;
    let mut change = property.modification("1", stays);
    change.stays.as_mut().unwrap()[1].beds = Some(beds);
    property.one(BookingCommand::Modify(Box::new(change)))
}

#[test]
fn companions_leave_a_bed_before_others_of_their_booking_move_to_it() {
    type Move = fn(&mut TestProperty, BedId, BedId) -> Decision;
    let ways: [(&str, Move); 3] = [
        ("assigned", |property, leaving, _| assign(property, 1, &leaving)),
        ("changed", |property, leaving, _| with_beds(property, 1, vec![leaving])),
        ("joined", |property, leaving, other| with_beds(property, 2, vec![other, leaving])),
    ];
    for (name, moved) in ways {
        let (mut property, leaving, other) = companions();
        let refused = moved(&mut property, leaving.clone(), other.clone());
        let Decision::Refused(_, Some(why)) = refused else { panic!("{name}: they lie in it: {refused:?}") };
        assert_eq!((why.code, why.bookings), (RefusalCode::BedOccupied, vec![property.booking("1").id]), "{name}");
        check_out(&mut property, vec![whole(0)], false);
        assert_eq!(status(&moved(&mut property, leaving, other)), Some(Status::CheckedIn), "{name}");
    }
}

#[test]
fn bed_of_companions_is_refused_on_a_fresh_grid_only() {
    let (property, leaving, other) = companions();
    let stays = property.booking("1").stays.iter().map(Stay::as_request).collect();
    let mut change = property.modification("1", stays);
    let after = &mut change.stays.as_mut().unwrap()[1];
    (after.stay.guests, after.beds) = (2, Some(vec![other, leaving]));
    let commands = [(Uuid::from_u128(99), BookingCommand::Modify(Box::new(change)))];
    let missing = property.decide(false, &commands).unwrap_err();
    assert!(!missing.grids.is_empty(), "other beds may be free by now");
    let outcome = property.decide(true, &commands).unwrap();
    assert_eq!(code(&outcome.decisions[0]), Some(RefusalCode::BedOccupied));
}

#[test]
fn joining_guests_get_a_ready_bed_before_one_in_which_companions_lie() {
    let mut property = TestProperty::of(sample_inventory());
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-11", 1), stay(DORM, "2027-01-10", "2027-01-12", 1)]);
    property.book("2", vec![stay(DORM, "2027-01-10", "2027-01-11", 10)]);
    property.at_check_in("2027-01-10");
    check_in(&mut property, Vec::new());
    property.check_in("2");
    property.at_check_in("2027-01-11");
    property.check_out("2");
    property.clean();
    let leaving = property.booking("1").stays[0].assigned_beds.clone();
    let mut stays: Vec<StayRequest> = property.booking("1").stays.iter().map(Stay::as_request).collect();
    stays[1].guests = 2;
    assert_eq!(status(&property.modify("1", stays)), Some(Status::CheckedIn));
    let beds = &property.booking("1").stays[1].assigned_beds;
    assert!(beds.len() == 2 && !beds.contains(&leaving[0]), "{leaving:?} is not left: {beds:?}");
}

#[test]
fn companions_swap_beds_that_are_clean() {
    let (mut property, leaving, other) = companions();
    let stays = property.booking("1").stays.iter().map(Stay::as_request);
    let longer: Vec<StayRequest> = stays.map(|stay| StayRequest { departure: date("2027-01-13"), ..stay }).collect();
    assert_eq!(status(&property.modify("1", longer)), Some(Status::CheckedIn));
    let swap = |property: &mut TestProperty| {
        let beds = [(0, &other), (1, &leaving)];
        let one = |(stay, bed): (usize, &BedId)| Assignment {
            stay: Some(stay),
            id: None,
            beds: Some(vec![bed.clone()]),
            from: None,
            locked: None,
        };
        let header = property.header("1");
        property.one(BookingCommand::Assign(AssignBeds { header, assignments: beds.map(one).to_vec() }))
    };
    let mut soiled = Inventory::clone(&property.inventory());
    let dirty = BedState { cleanliness: Cleanliness::Dirty, ..BedState::default() };
    soiled.rooms[0].bed_states.insert(leaving.clone(), dirty);
    property.rebuild(soiled, Rates::default());
    assert_eq!(code(&swap(&mut property)), Some(RefusalCode::BedNotClean));
    property.clean();
    assert_eq!(status(&swap(&mut property)), Some(Status::CheckedIn));
    assert_eq!(property.booking("1").stays[1].assigned_beds, [leaving]);
}

#[test]
fn two_stays_become_one_in_the_beds_in_which_their_guests_lie() {
    let (mut property, leaving, other) = companions();
    let stays = property.booking("1").stays.iter().map(Stay::as_request);
    let longer: Vec<StayRequest> = stays.map(|stay| StayRequest { departure: date("2027-01-13"), ..stay }).collect();
    property.modify("1", longer.clone());
    let ended = StayRequest { departure: date("2027-01-11"), ..longer[0].clone() };
    let both = StayRequest { guests: 2, ..longer[1].clone() };
    assert_eq!(status(&property.modify("1", vec![ended, both])), Some(Status::CheckedIn));
    let beds: HashSet<BedId> = property.booking("1").stays[1].assigned_beds.iter().cloned().collect();
    assert_eq!(beds, [leaving, other].into());
}

/// Ends the second stay today and adds one until tomorrow, in these beds if there are any.
fn split(property: &mut TestProperty, guests: u32, beds: Option<Vec<BedId>>) -> Decision {
    let mut stays: Vec<StayRequest> = property.booking("1").stays.iter().map(Stay::as_request).collect();
    stays[1].departure = date("2027-01-11");
    stays.push(stay(DORM, "2027-01-11", "2027-01-12", guests));
    let mut change = property.modification("1", stays);
    change.stays.as_mut().unwrap()[2].beds = beds;
    property.one(BookingCommand::Modify(Box::new(change)))
}

#[test]
fn guests_of_a_split_stay_do_not_take_beds_of_departing_companions() {
    let (mut property, leaving, other) = companions();
    assert_eq!(code(&split(&mut property, 1, Some(vec![leaving.clone()]))), Some(RefusalCode::BedOccupied));
    assert_eq!(status(&split(&mut property, 1, None)), Some(Status::CheckedIn));
    let beds: Vec<&[BedId]> = property.booking("1").stays.iter().map(|stay| stay.assigned_beds.as_slice()).collect();
    assert_eq!(beds, [&[leaving][..], std::slice::from_ref(&other), std::slice::from_ref(&other)]);
    let (mut property, leaving, other) = companions();
    assert_eq!(status(&split(&mut property, 2, None)), Some(Status::CheckedIn), "all of them go on");
    let beds: HashSet<BedId> = property.booking("1").stays[2].assigned_beds.iter().cloned().collect();
    assert_eq!(beds, [leaving, other].into());
}
