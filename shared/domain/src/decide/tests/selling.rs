//! Selling: quotes, restrictions, who may sleep where, and what is offered instead.

use super::house::{House, asks, status};
use crate::booking::{PartyGender, Rejection, Status, StayRequest};
use crate::decide::Verdict;
use crate::fixtures::{at, date, hostel, request, stay};
use crate::inventory::{BedService, BedState, DormGender};
use crate::messages::{BookingCommand, RequestBooking};
use crate::nights::Nights;
use crate::pricing::price;
use crate::rates::quote::Quote;
use crate::rates::restrictions::Restriction;
use crate::rates::{DateSet, RateCalendar, Rates};

fn rejection(verdict: &Verdict) -> Option<Rejection> {
    if let Verdict::Decided(event) = verdict { event.rejection } else { None }
}

fn calendar(from: &str, until: &str, amount: Option<i64>, restriction: &Restriction) -> Rates {
    let mut calendar = RateCalendar::new("pvt-montreal".into(), "standard".into(), "dorm-6-mixed".into());
    let dates = DateSet { range: Nights::new(date(from), date(until)), weekdays: vec![] };
    calendar.set_prices(&dates, amount);
    calendar.set_restrictions(&dates, restriction);
    Rates::new([calendar])
}

fn sold(house: &mut House, asked: RequestBooking) -> Verdict {
    house.one(BookingCommand::Request(Box::new(asked)))
}

#[test]
fn a_quote_is_the_price_while_it_holds() {
    let mut house = House::new();
    let stays = vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 1)];
    let inventory = house.inventory();
    let quoted = price(&inventory, &Rates::default(), &inventory.rate_plans[0], &stays).unwrap();
    let quote =
        Quote::new("pvt-montreal".into(), "standard".into(), stays.clone(), quoted.clone(), at("2026-12-01T11:50:00Z"));
    house.rebuild(hostel(), calendar("2027-01-01", "2027-02-01", Some(9_000), &Restriction::default()));
    sold(&mut house, RequestBooking { quote: Some(quote.clone()), ..request("in time", stays.clone()) });
    assert_eq!(house.booking("in time").price.as_ref(), Some(&quoted));
    let late = RequestBooking {
        quote: Some(quote.clone()),
        requested_at: at("2026-12-01T12:05:00Z"),
        ..request("late", stays.clone())
    };
    assert_eq!(rejection(&sold(&mut house, late)), Some(Rejection::PriceChanged));
    house.rebuild(hostel(), Rates::default());
    let unchanged =
        RequestBooking { quote: Some(quote), requested_at: at("2026-12-01T12:05:00Z"), ..request("unchanged", stays) };
    assert_eq!(status(&sold(&mut house, unchanged)), Some(Status::Confirmed), "late, but still the price");
}

#[test]
fn a_restriction_forbids_what_beds_would_allow() {
    let mut house = House::new();
    house.rebuild(
        hostel(),
        calendar("2027-01-11", "2027-01-12", None, &Restriction { stop_sell: true, ..Restriction::default() }),
    );
    let stays = vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 1)];
    assert_eq!(rejection(&house.book("1", stays.clone())), Some(Rejection::Restriction));
    let by_staff = RequestBooking { override_restrictions: true, ..request("2", stays) };
    assert_eq!(status(&sold(&mut house, by_staff)), Some(Status::Confirmed));
    assert_eq!(house.booking("1").alternatives.len(), 3);
}

#[test]
fn dorms_are_for_whom_they_are_for() {
    let mut inventory = hostel();
    (inventory.room_types[0].gender, inventory.room_types[0].minimum_age) = (DormGender::Female, Some(18));
    let mut house = House::of(inventory);
    let asked = |gender, youngest_age| {
        vec![StayRequest { gender, youngest_age, ..stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 1) }]
    };
    assert_eq!(rejection(&house.book("1", asked(Some(PartyGender::Male), None))), Some(Rejection::Gender));
    assert_eq!(rejection(&house.book("2", asked(None, Some(12)))), Some(Rejection::Age));
    assert_eq!(status(&house.book("3", asked(None, None))), Some(Status::Confirmed));
    assert_eq!(
        house.booking("1").alternatives.iter().map(|offer| offer.stays[0].room_type_id.as_str()).collect::<Vec<_>>(),
        ["private-double"]
    );
}

#[test]
fn a_group_of_twelve_is_seated_together_or_not_at_all() {
    let mut house = House::new();
    assert_eq!(
        status(&house.book("group", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 12)])),
        Some(Status::Confirmed)
    );
    let refused = house.book(
        "late",
        vec![
            stay("private-double", "2027-01-10", "2027-01-12", 2),
            stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 1),
        ],
    );
    assert_eq!(rejection(&refused), Some(Rejection::NoAvailability));
    assert_eq!(house.claims.len(), 24);
}

#[test]
fn a_bed_out_of_service_is_never_assigned() {
    let mut inventory = hostel();
    for (room, bed) in [(0, "a-1"), (2, "p1-1")] {
        inventory.rooms[room]
            .bed_states
            .insert(bed.into(), BedState { service: BedService::OutOfService, ..BedState::default() });
    }
    let mut house = House::of(inventory);
    assert_eq!(
        rejection(&house.book("12", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 12)])),
        Some(Rejection::OverCapacity)
    );
    house.book("11", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 11)]);
    house.book("1", vec![stay("private-double", "2027-01-10", "2027-01-12", 1)]);
    assert!(house.claims.iter().all(|claim| !["a-1", "p1-1"].contains(&claim.bed_id.as_str())));
    assert_eq!(house.beds("1"), ["p1-2"], "the smaller room is enough for one");
}

#[test]
fn refused_guests_are_offered_what_is_free_at_its_price() {
    let mut house = House::new();
    house.book("full", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 12)]);
    house.book("late", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 2)]);
    let offers = &house.booking("late").alternatives;
    let dates: Vec<String> =
        offers.iter().map(|offer| format!("{} {}", offer.stays[0].room_type_id, offer.stays[0].arrival)).collect();
    assert_eq!(dates, ["dorm-6-mixed 2027-01-12", "dorm-6-mixed 2027-01-08", "dorm-6-mixed 2027-01-13"]);
    let inventory = house.inventory();
    for offer in offers {
        assert_eq!(
            price(&inventory, &Rates::default(), &inventory.rate_plans[0], &offer.stays).unwrap().total,
            offer.total
        );
    }
    let (id, asked) = asks("first", vec![stay("dorm-6-mixed", "2027-01-11", "2027-01-12", 1)]);
    house.run(&[(id, asked)]);
    assert!(house.booking("first").alternatives.iter().all(|offer| offer.stays[0].arrival >= date("2026-12-01")));
}
