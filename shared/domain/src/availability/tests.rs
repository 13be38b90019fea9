//! What is bookable, by value; that it is what decisions confirm is tested beside those.

use super::{Found, Holding, Occupancy, Vacancy};
use crate::allocation::allocate;
use crate::booking::{PartyGender, Rejection, Status, Stay, StayRequest};
use crate::fixtures::{date, hostel, stay};
use crate::ids::{BedId, BookingId};
use crate::inventory::{BedService, BedState, DormGender};
use crate::nights::Nights;
use crate::rates::restrictions::{Restriction, RestrictionKind};
use crate::rates::{RateCalendar, Rates};
use crate::view::PropertyView;
use std::sync::Arc;

const DORM: &str = "dorm-6-mixed";
const PRIVATE: &str = "private-double";

fn house() -> Occupancy {
    Occupancy::new(PropertyView::new(Arc::new(hostel()), date("2026-12-01")))
}

fn id(key: &str) -> BookingId {
    BookingId::derive(None, key, "fingerprint")
}

fn hold(house: &mut Occupancy, key: &str, rev: u32, status: Status, asked: &StayRequest, beds: &[&str]) {
    let stay = Stay::of(asked, beds.iter().map(|bed| BedId::from(*bed)).collect());
    house.hold(Holding { booking_id: id(key), rev, status, stays: &[stay] });
}

fn book(house: &mut Occupancy, key: &str, asked: &StayRequest) -> Vec<String> {
    let beds: Vec<String> =
        allocate(house.view(), asked).unwrap().into_iter().map(|bed| house.view().bed_id(bed).to_string()).collect();
    hold(house, key, 1, Status::Confirmed, asked, &beds.iter().map(String::as_str).collect::<Vec<_>>());
    beds
}

fn vacancy(house: &Occupancy, room_type: &str, arrival: &str, departure: &str, guests: u32) -> (usize, bool) {
    let Vacancy { units, fits } = house.vacancy(&stay(room_type, arrival, departure, guests));
    (units, fits)
}

#[test]
fn the_fullest_night_counts() {
    let mut house = house();
    book(&mut house, "1", &stay(DORM, "2027-01-10", "2027-01-11", 8));
    book(&mut house, "2", &stay(DORM, "2027-01-11", "2027-01-12", 3));
    assert_eq!(vacancy(&house, DORM, "2027-01-10", "2027-01-12", 4), (4, true));
    assert_eq!(vacancy(&house, DORM, "2027-01-10", "2027-01-12", 5), (4, false));
    assert_eq!(vacancy(&house, DORM, "2027-01-11", "2027-01-13", 5), (9, true));
    assert_eq!(vacancy(&house, "castle", "2027-01-11", "2027-01-13", 1), (0, false));
    assert_eq!(
        vacancy(&house, DORM, "2026-11-11", "2026-11-13", 1),
        (0, false),
        "before the first night that can be sold"
    );
}

#[test]
fn private_rooms_are_whole_or_taken() {
    let mut house = house();
    book(&mut house, "1", &stay(PRIVATE, "2027-01-10", "2027-01-12", 1));
    assert_eq!(vacancy(&house, PRIVATE, "2027-01-10", "2027-01-12", 2), (1, true));
    assert_eq!(vacancy(&house, PRIVATE, "2027-01-10", "2027-01-12", 3), (0, false));
    house.block(&["p2-1".into()], Nights::new(date("2027-01-11"), date("2027-01-12")));
    assert_eq!(vacancy(&house, PRIVATE, "2027-01-10", "2027-01-12", 1), (0, false), "one blocked bed takes the room");
    assert_eq!(
        house
            .free_units(&PRIVATE.into(), Nights::new(date("2027-01-10"), date("2027-01-13")))
            .iter()
            .map(|(_, free)| *free)
            .collect::<Vec<_>>(),
        [1, 0, 2]
    );
}

#[test]
fn stays_give_way_and_blocks_do_not() {
    let asked = |arrival: &str, departure: &str| stay(PRIVATE, arrival, departure, 2);
    let mut house = house();
    hold(&mut house, "1", 1, Status::Confirmed, &asked("2027-01-10", "2027-01-11"), &["p1-1", "p1-2"]);
    hold(&mut house, "2", 1, Status::Confirmed, &asked("2027-01-11", "2027-01-12"), &["p2-1", "p2-2"]);
    assert_eq!(
        vacancy(&house, PRIVATE, "2027-01-10", "2027-01-12", 2),
        (1, true),
        "the second moves to the first room"
    );
    hold(&mut house, "2", 2, Status::CheckedIn, &asked("2027-01-11", "2027-01-12"), &["p2-1", "p2-2"]);
    assert_eq!(
        vacancy(&house, PRIVATE, "2027-01-10", "2027-01-12", 2),
        (1, true),
        "the first moves to the second room"
    );
    hold(&mut house, "1", 2, Status::CheckedIn, &asked("2027-01-10", "2027-01-11"), &["p1-1", "p1-2"]);
    assert_eq!(
        vacancy(&house, PRIVATE, "2027-01-10", "2027-01-12", 2),
        (0, false),
        "who is in the house stays where they are"
    );
}

#[test]
fn what_happened_is_the_same_in_whatever_order_it_is_heard() {
    let asked = stay(DORM, "2027-01-10", "2027-01-12", 1);
    let mut house = house();
    hold(&mut house, "1", 1, Status::Confirmed, &asked, &["a-1"]);
    // The second got the first one's bed, which is heard before the first one's move.
    hold(&mut house, "2", 1, Status::Confirmed, &asked, &["a-1"]);
    hold(&mut house, "1", 2, Status::Confirmed, &asked, &["a-2"]);
    hold(&mut house, "1", 1, Status::Confirmed, &asked, &["a-1"]);
    assert_eq!(vacancy(&house, DORM, "2027-01-10", "2027-01-12", 1), (10, true));
    hold(&mut house, "3", 2, Status::Cancelled, &asked, &["a-3"]);
    hold(&mut house, "3", 1, Status::Confirmed, &asked, &["a-3"]);
    hold(&mut house, "2", 2, Status::NoShow, &asked, &["a-1"]);
    assert_eq!(
        vacancy(&house, DORM, "2027-01-10", "2027-01-12", 1),
        (11, true),
        "a late confirmation of what is cancelled takes nothing"
    );
    let span = house.view().span(asked.nights()).unwrap();
    assert!(house.view().is_free(0, &span) && !house.view().is_free(1, &span));
}

fn kinds(found: &Found<'_>) -> Vec<RestrictionKind> {
    found.offers.iter().flat_map(|offer| offer.faults.iter().map(|fault| fault.kind)).collect()
}

#[test]
fn price_restrictions_and_guests_are_judged_as_decisions_judge_them() {
    let mut inventory = hostel();
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
    let view = PropertyView::new(Arc::new(inventory), date("2026-12-01")).with_rates(Arc::new(Rates::new([calendar])));
    let house = Occupancy::new(view);
    let today = date("2026-12-01");
    let asked = stay(DORM, "2027-01-10", "2027-01-12", 2);
    let found = house.find(&asked, today);
    assert_eq!(
        (found.is_bookable(), found.vacancy.units, &found.offers[0].price.nights[0][..]),
        (true, 11, &[8_000, 18_000][..])
    );
    let late = house.find(&stay(DORM, "2027-01-12", "2027-01-14", 2), today);
    assert_eq!(
        (late.is_bookable(), late.vacancy.fits, kinds(&late)),
        (false, true, vec![RestrictionKind::ClosedToArrival, RestrictionKind::MinStayArrival])
    );
    let men = house.find(&StayRequest { gender: Some(PartyGender::Male), ..asked.clone() }, today);
    assert_eq!((men.is_bookable(), men.unwelcome), (false, Some(Rejection::Gender)));
    let child = house.find(&StayRequest { youngest_age: Some(9), ..asked }, today);
    assert_eq!((child.is_bookable(), child.unwelcome), (false, Some(Rejection::Age)));
}
