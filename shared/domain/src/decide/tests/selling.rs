//! Sale rules: quotes, restrictions, eligibility and alternatives.

use super::property::{TestProperty, booking_request, status};
use crate::booking::{PartyGender, Rejection, Shortage, Status, StayRequest};
use crate::decide::Decision;
use crate::fixtures::{at, date, request, sample_inventory, stay};
use crate::inventory::{BedService, BedState, DormGender};
use crate::messages::{BookingCommand, RefusalCode, RequestBooking};
use crate::nights::Nights;
use crate::pricing::price;
use crate::rates::quote::Quote;
use crate::rates::restrictions::{Restriction, RestrictionKind, RestrictionViolation};
use crate::rates::{DateSet, RateCalendar, Rates};

fn rejection(decision: &Decision) -> Option<Rejection> {
    if let Decision::Decided(event) = decision { event.rejection } else { None }
}

fn calendar(from: &str, until: &str, amount: Option<i64>, restriction: &Restriction) -> Rates {
    let mut calendar = RateCalendar::new("pvt-montreal".into(), "standard".into(), "dorm-6-mixed".into());
    let dates = DateSet { range: Nights::new(date(from), date(until)), weekdays: vec![] };
    calendar.set_prices(&dates, amount);
    calendar.set_restrictions(&dates, restriction);
    Rates::new([calendar])
}

fn sold(property: &mut TestProperty, requested: RequestBooking) -> Decision {
    property.one(BookingCommand::Request(Box::new(requested)))
}

#[test]
fn valid_quote_sets_the_price() {
    let mut property = TestProperty::new();
    let stays = vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 1)];
    let inventory = property.inventory();
    let quoted = price(&inventory, &Rates::default(), &inventory.rate_plans[0], &stays).unwrap();
    let quote =
        Quote::new("pvt-montreal".into(), "standard".into(), stays.clone(), quoted.clone(), at("2026-12-01T11:50:00Z"));
    property.rebuild(sample_inventory(), calendar("2027-01-01", "2027-02-01", Some(9_000), &Restriction::default()));
    sold(&mut property, RequestBooking { quote: Some(quote.clone()), ..request("in time", stays.clone()) });
    assert_eq!(property.booking("in time").price.as_ref(), Some(&quoted));
    let late = RequestBooking {
        quote: Some(quote.clone()),
        requested_at: at("2026-12-01T12:05:00Z"),
        ..request("late", stays.clone())
    };
    assert_eq!(rejection(&sold(&mut property, late)), Some(Rejection::PriceChanged));
    property.rebuild(sample_inventory(), Rates::default());
    let unchanged =
        RequestBooking { quote: Some(quote), requested_at: at("2026-12-01T12:05:00Z"), ..request("unchanged", stays) };
    assert_eq!(status(&sold(&mut property, unchanged)), Some(Status::Confirmed), "late, but still the price");
}

#[test]
fn restriction_rejects_despite_free_beds() {
    let mut property = TestProperty::new();
    property.rebuild(
        sample_inventory(),
        calendar("2027-01-11", "2027-01-12", None, &Restriction { stop_sell: true, ..Restriction::default() }),
    );
    let stays = vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 1)];
    assert_eq!(rejection(&property.book("1", stays.clone())), Some(Rejection::Restriction));
    let by_staff = RequestBooking { override_restrictions: true, ..request("2", stays) };
    assert_eq!(status(&sold(&mut property, by_staff)), Some(Status::Confirmed));
    let rejected = property.booking("1");
    assert_eq!(rejected.alternatives.len(), 3);
    let on = RestrictionViolation { stay: 0, date: date("2027-01-11"), kind: RestrictionKind::StopSell, limit: 0 };
    assert_eq!(rejected.rejection_cause.restrictions, [on], "which and when");
}

#[test]
fn restricted_change_names_the_restriction_and_its_date() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 1)]);
    let longest = Restriction { min_stay_through: Some(3), ..Restriction::default() };
    property.rebuild(sample_inventory(), calendar("2027-01-11", "2027-01-12", None, &longest));
    let refused = property.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 1)]);
    let Decision::Refused(_, Some(why)) = refused else { panic!("{refused:?}") };
    let on =
        RestrictionViolation { stay: 0, date: date("2027-01-11"), kind: RestrictionKind::MinStayThrough, limit: 3 };
    assert_eq!((why.code, why.cause.restrictions), (RefusalCode::Restriction, vec![on]));
}

#[test]
fn full_nights_are_named_with_their_room_type() {
    let mut property = TestProperty::new();
    property.book("full", vec![stay("dorm-6-mixed", "2027-01-11", "2027-01-12", 12)]);
    property.book("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 1)]);
    let night = Shortage { room_type_id: "dorm-6-mixed".into(), nights: vec![date("2027-01-11")] };
    assert_eq!(property.booking("1").rejection_cause.shortages, std::slice::from_ref(&night));
    property.book("2", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-11", 1)]);
    let refused = property.modify("2", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 1)]);
    let Decision::Refused(_, Some(why)) = refused else { panic!("{refused:?}") };
    assert_eq!((why.code, why.cause.shortages), (RefusalCode::NoAvailability, vec![night]));
}

#[test]
fn dorms_enforce_gender_and_age() {
    let mut inventory = sample_inventory();
    (inventory.room_types[0].gender, inventory.room_types[0].minimum_age) = (DormGender::Female, Some(18));
    let mut property = TestProperty::of(inventory);
    let requested = |gender, youngest_age| {
        vec![StayRequest { gender, youngest_age, ..stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 1) }]
    };
    assert_eq!(rejection(&property.book("1", requested(Some(PartyGender::Male), None))), Some(Rejection::Gender));
    assert_eq!(rejection(&property.book("2", requested(None, Some(12)))), Some(Rejection::Age));
    assert_eq!(status(&property.book("3", requested(None, None))), Some(Status::Confirmed));
    assert_eq!(
        property.booking("1").alternatives.iter().map(|offer| offer.stays[0].room_type_id.as_str()).collect::<Vec<_>>(),
        ["private-double"]
    );
}

#[test]
fn group_booking_is_all_or_nothing() {
    let mut property = TestProperty::new();
    assert_eq!(
        status(&property.book("group", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 12)])),
        Some(Status::Confirmed)
    );
    let refused = property.book(
        "late",
        vec![
            stay("private-double", "2027-01-10", "2027-01-12", 2),
            stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 1),
        ],
    );
    assert_eq!(rejection(&refused), Some(Rejection::NoAvailability));
    assert_eq!(property.claims.len(), 24);
}

#[test]
fn out_of_service_bed_is_never_assigned() {
    let mut inventory = sample_inventory();
    for (room, bed) in [(0, "a-1"), (2, "p1-1")] {
        inventory.rooms[room]
            .bed_states
            .insert(bed.into(), BedState { service: BedService::OutOfService, ..BedState::default() });
    }
    let mut property = TestProperty::of(inventory);
    assert_eq!(
        rejection(&property.book("12", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 12)])),
        Some(Rejection::OverCapacity)
    );
    property.book("11", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 11)]);
    property.book("1", vec![stay("private-double", "2027-01-10", "2027-01-12", 1)]);
    assert!(property.claims.iter().all(|claim| !["a-1", "p1-1"].contains(&claim.bed_id.as_str())));
    assert_eq!(property.beds("1"), ["p1-2"], "the smaller room is enough for one");
}

#[test]
fn rejected_request_offers_priced_alternatives() {
    let mut property = TestProperty::new();
    property.book("full", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 12)]);
    property.book("late", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 2)]);
    let offers = &property.booking("late").alternatives;
    let dates: Vec<String> =
        offers.iter().map(|offer| format!("{} {}", offer.stays[0].room_type_id, offer.stays[0].arrival)).collect();
    assert_eq!(dates, ["dorm-6-mixed 2027-01-12", "dorm-6-mixed 2027-01-08", "dorm-6-mixed 2027-01-13"]);
    let inventory = property.inventory();
    for offer in offers {
        assert_eq!(
            price(&inventory, &Rates::default(), &inventory.rate_plans[0], &offer.stays).unwrap().total,
            offer.total
        );
    }
    let (id, requested) = booking_request("first", vec![stay("dorm-6-mixed", "2027-01-11", "2027-01-12", 1)]);
    property.run(&[(id, requested)]);
    assert!(property.booking("first").alternatives.iter().all(|offer| offer.stays[0].arrival >= date("2026-12-01")));
}
