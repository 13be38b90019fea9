//! Availability by value; that it equals decisions is tested beside those.

use super::{Holding, Occupancy, RoomTypeAvailability, Vacancy};
use crate::allocation::allocate;
use crate::booking::{PartyGender, Rejection, Status, Stay, StayRequest};
use crate::fixtures::{date, sample_inventory, stay};
use crate::grid::OccupancyGrid;
use crate::ids::{BedId, BookingId};
use crate::inventory::{BedService, BedState, DormGender};
use crate::nights::Nights;
use crate::rates::restrictions::{Restriction, RestrictionKind};
use crate::rates::{RateCalendar, Rates};
use std::sync::Arc;

const DORM: &str = "dorm-6-mixed";
const PRIVATE: &str = "private-double";

fn occupancy() -> Occupancy {
    Occupancy::new(OccupancyGrid::new(Arc::new(sample_inventory()), date("2026-12-01")))
}

fn id(key: &str) -> BookingId {
    BookingId::derive(None, key, "fingerprint")
}

fn hold(occupancy: &mut Occupancy, key: &str, rev: u32, status: Status, requested: &StayRequest, beds: &[&str]) {
    let stay = Stay::of(requested, beds.iter().map(|bed| BedId::from(*bed)).collect());
    occupancy.hold(Holding { booking_id: id(key), rev, status, stays: &[stay], pending: &[] });
}

fn book(occupancy: &mut Occupancy, key: &str, requested: &StayRequest) -> Vec<String> {
    let beds: Vec<String> = allocate(occupancy.grid(), requested)
        .unwrap()
        .into_iter()
        .map(|bed| occupancy.grid().bed_id(bed).to_string())
        .collect();
    hold(occupancy, key, 1, Status::Confirmed, requested, &beds.iter().map(String::as_str).collect::<Vec<_>>());
    beds
}

fn vacancy(occupancy: &Occupancy, room_type: &str, arrival: &str, departure: &str, guests: u32) -> (usize, bool) {
    let Vacancy { units, fits } = occupancy.vacancy(&stay(room_type, arrival, departure, guests));
    (units, fits)
}

#[test]
fn fullest_night_limits_availability() {
    let mut occupancy = occupancy();
    book(&mut occupancy, "1", &stay(DORM, "2027-01-10", "2027-01-11", 8));
    book(&mut occupancy, "2", &stay(DORM, "2027-01-11", "2027-01-12", 3));
    assert_eq!(vacancy(&occupancy, DORM, "2027-01-10", "2027-01-12", 4), (4, true));
    assert_eq!(vacancy(&occupancy, DORM, "2027-01-10", "2027-01-12", 5), (4, false));
    assert_eq!(vacancy(&occupancy, DORM, "2027-01-11", "2027-01-13", 5), (9, true));
    assert_eq!(vacancy(&occupancy, "castle", "2027-01-11", "2027-01-13", 1), (0, false));
    assert_eq!(
        vacancy(&occupancy, DORM, "2026-11-11", "2026-11-13", 1),
        (0, false),
        "before the first night that can be sold"
    );
}

#[test]
fn private_rooms_are_free_as_a_whole() {
    let mut occupancy = occupancy();
    book(&mut occupancy, "1", &stay(PRIVATE, "2027-01-10", "2027-01-12", 1));
    assert_eq!(vacancy(&occupancy, PRIVATE, "2027-01-10", "2027-01-12", 2), (1, true));
    assert_eq!(vacancy(&occupancy, PRIVATE, "2027-01-10", "2027-01-12", 3), (0, false));
    occupancy.block(&["p2-1".into()], Nights::new(date("2027-01-11"), date("2027-01-12")));
    assert_eq!(
        vacancy(&occupancy, PRIVATE, "2027-01-10", "2027-01-12", 1),
        (0, false),
        "one blocked bed takes the room"
    );
    assert_eq!(
        occupancy
            .free_units(&PRIVATE.into(), Nights::new(date("2027-01-10"), date("2027-01-13")))
            .iter()
            .map(|(_, free)| *free)
            .collect::<Vec<_>>(),
        [1, 0, 2]
    );
}

#[test]
fn stays_are_reassigned_and_blocks_are_not() {
    let requested = |arrival: &str, departure: &str| stay(PRIVATE, arrival, departure, 2);
    let mut occupancy = occupancy();
    hold(&mut occupancy, "1", 1, Status::Confirmed, &requested("2027-01-10", "2027-01-11"), &["p1-1", "p1-2"]);
    hold(&mut occupancy, "2", 1, Status::Confirmed, &requested("2027-01-11", "2027-01-12"), &["p2-1", "p2-2"]);
    assert_eq!(
        vacancy(&occupancy, PRIVATE, "2027-01-10", "2027-01-12", 2),
        (1, true),
        "the second moves to the first room"
    );
    hold(&mut occupancy, "2", 2, Status::CheckedIn, &requested("2027-01-11", "2027-01-12"), &["p2-1", "p2-2"]);
    assert_eq!(
        vacancy(&occupancy, PRIVATE, "2027-01-10", "2027-01-12", 2),
        (1, true),
        "the first moves to the second room"
    );
    hold(&mut occupancy, "1", 2, Status::CheckedIn, &requested("2027-01-10", "2027-01-11"), &["p1-1", "p1-2"]);
    assert_eq!(
        vacancy(&occupancy, PRIVATE, "2027-01-10", "2027-01-12", 2),
        (0, false),
        "checked-in guests keep their beds"
    );
}

#[test]
fn pending_changes_hold_their_beds_too() {
    let beds = |requested: &StayRequest, bed: &str| Stay::of(requested, vec![bed.into()]);
    let (before, after) = (stay(DORM, "2027-01-10", "2027-01-11", 1), stay(DORM, "2027-01-10", "2027-01-13", 1));
    let (stays, pending) = ([beds(&before, "a-1")], [beds(&after, "a-2")]);
    let mut occupancy = occupancy();
    let held = |rev, pending| Holding { booking_id: id("1"), rev, status: Status::Confirmed, stays: &stays, pending };
    occupancy.hold(held(1, &pending));
    assert!(occupancy.has_pending_change(id("1")));
    assert_eq!(vacancy(&occupancy, DORM, "2027-01-10", "2027-01-11", 1), (10, true));
    assert_eq!(vacancy(&occupancy, DORM, "2027-01-11", "2027-01-13", 1), (11, true));
    let span = occupancy.grid().span(before.nights()).unwrap();
    assert_eq!(occupancy.movable(&DORM.into(), &span).count(), 0, "neither its beds nor those it waits for move");
    occupancy.hold(held(2, &[]));
    assert!(!occupancy.has_pending_change(id("1")));
    assert_eq!(vacancy(&occupancy, DORM, "2027-01-10", "2027-01-13", 1), (11, true));
}

#[test]
fn occupancy_is_independent_of_event_order() {
    let requested = stay(DORM, "2027-01-10", "2027-01-12", 1);
    let mut occupancy = occupancy();
    hold(&mut occupancy, "1", 1, Status::Confirmed, &requested, &["a-1"]);
    // The second got the first one's bed, which is observed before the first one's move.
    hold(&mut occupancy, "2", 1, Status::Confirmed, &requested, &["a-1"]);
    hold(&mut occupancy, "1", 2, Status::Confirmed, &requested, &["a-2"]);
    hold(&mut occupancy, "1", 1, Status::Confirmed, &requested, &["a-1"]);
    assert_eq!(vacancy(&occupancy, DORM, "2027-01-10", "2027-01-12", 1), (10, true));
    hold(&mut occupancy, "3", 2, Status::Cancelled, &requested, &["a-3"]);
    hold(&mut occupancy, "3", 1, Status::Confirmed, &requested, &["a-3"]);
    hold(&mut occupancy, "2", 2, Status::NoShow, &requested, &["a-1"]);
    assert_eq!(
        vacancy(&occupancy, DORM, "2027-01-10", "2027-01-12", 1),
        (11, true),
        "a late confirmation of what is cancelled takes nothing"
    );
    let span = occupancy.grid().span(requested.nights()).unwrap();
    assert!(occupancy.grid().is_free(0, &span) && !occupancy.grid().is_free(1, &span));
}

fn kinds(found: &RoomTypeAvailability<'_>) -> Vec<RestrictionKind> {
    found.offers.iter().flat_map(|offer| offer.violations.iter().map(|violation| violation.kind)).collect()
}

#[test]
fn search_applies_the_rules_of_decisions() {
    let mut inventory = sample_inventory();
    inventory.rate_plans.truncate(1);
    (inventory.room_types[0].gender, inventory.room_types[0].minimum_age) = (DormGender::Female, Some(18));
    inventory.rooms[0]
        .bed_states
        .insert("a-1".into(), BedState { service: BedService::OutOfService, ..BedState::default() });
    let mut calendar = RateCalendar::new("pvt-montreal".into(), "standard".into(), DORM.into());
    calendar.prices.insert(date("2027-01-11"), 9_000);
    calendar.restrictions.insert(
        date("2027-01-12"),
        Restriction { closed_to_arrival: true, min_stay_arrival: Some(3), ..Restriction::default() },
    );
    let grid = OccupancyGrid::new(Arc::new(inventory), date("2026-12-01")).with_rates(Arc::new(Rates::new([calendar])));
    let occupancy = Occupancy::new(grid);
    let today = date("2026-12-01");
    let requested = stay(DORM, "2027-01-10", "2027-01-12", 2);
    let found = occupancy.search(&requested, today);
    assert_eq!(
        (found.is_bookable(), found.vacancy.units, &found.offers[0].price.nights[0][..]),
        (true, 11, &[8_000, 18_000][..])
    );
    let late = occupancy.search(&stay(DORM, "2027-01-12", "2027-01-14", 2), today);
    assert_eq!(
        (late.is_bookable(), late.vacancy.fits, kinds(&late)),
        (false, true, vec![RestrictionKind::ClosedToArrival, RestrictionKind::MinStayArrival])
    );
    let men = occupancy.search(&StayRequest { gender: Some(PartyGender::Male), ..requested.clone() }, today);
    assert_eq!((men.is_bookable(), men.ineligible), (false, Some(Rejection::Gender)));
    let child = occupancy.search(&StayRequest { youngest_age: Some(9), ..requested }, today);
    assert_eq!((child.is_bookable(), child.ineligible), (false, Some(Rejection::Age)));
}
