//! Plans of moves: swaps and chains in an order in which no guest is without a bed.

use super::property::{TestProperty, id, status};
use crate::actor::Actor;
use crate::booking::{Booking, Status};
use crate::decide::{KnownBeds, MovePlan, PlannedMove, plan_moves};
use crate::fixtures::{date, sample_inventory, stay};
use crate::ids::BedId;
use crate::messages::RefusalCode;
use crate::nights::Nights;

const DORM: &str = "dorm-6-mixed";

/// One dorm of three beds, and a guest of one booking in each of these.
fn property(guests: &[(&str, &str)]) -> TestProperty {
    let mut inventory = sample_inventory();
    inventory.rooms.remove(1);
    inventory.rooms[0].beds.truncate(3);
    let mut property = TestProperty::of(inventory);
    for (key, bed) in guests {
        property.book(key, vec![stay(DORM, "2026-12-01", "2026-12-04", 1)]);
        assert_eq!(status(&property.assign(key, Some(&[bed]), None)), Some(Status::Confirmed), "{key} in {bed}");
    }
    property
}

fn plan(property: &TestProperty, moves: &[(&str, &str, &str)]) -> MovePlan {
    let nights = Nights::new(date("2026-11-30"), date("2026-12-04"));
    let known = KnownBeds::new(property.inventory(), property.bookings.clone(), &[], nights);
    let planned = |(key, from, to): &(&str, &str, &str)| PlannedMove {
        booking_id: id(key),
        stay: 0,
        from: BedId::from(*from),
        to: BedId::from(*to),
        first_night: None,
    };
    let moves: Vec<PlannedMove> = moves.iter().map(planned).collect();
    plan_moves(&known, &moves, &Actor::staff(1), property.now)
}

/// The steps, each as booking and first bed.
fn steps(plan: &MovePlan) -> Vec<(crate::ids::BookingId, String, bool)> {
    let bed = |step: &crate::decide::MoveStep| step.assignments[0].beds.as_ref().unwrap()[0].to_string();
    plan.steps.iter().map(|step| (step.booking_id, bed(step), step.is_detour)).collect()
}

/// Carries a plan out, step by step, against the state as it is then.
fn carry_out(property: &mut TestProperty, plan: &MovePlan) {
    let keys: Vec<&str> = ["x", "y", "z"].into_iter().filter(|key| property.bookings.contains_key(&id(key))).collect();
    for step in &plan.steps {
        let key = keys.iter().find(|key| id(key) == step.booking_id).unwrap();
        let beds = step.assignments[0].beds.clone().unwrap();
        let beds: Vec<&str> = beds.iter().map(BedId::as_str).collect();
        assert!(status(&property.assign(key, Some(&beds), None)).is_some(), "{key} to {beds:?}");
        assert!(property.bookings.values().all(|booking| booking.claims().count() == 3), "a guest lost their bed");
    }
}

fn bed_of(booking: &Booking) -> &str {
    booking.stays[0].assigned_beds[0].as_str()
}

#[test]
fn moves_wait_for_those_that_free_their_beds() {
    let mut property = property(&[("x", "a-1"), ("y", "a-2")]);
    let plan = plan(&property, &[("x", "a-1", "a-2"), ("y", "a-2", "a-3")]);
    assert_eq!(steps(&plan), [(id("y"), "a-3".to_owned(), false), (id("x"), "a-2".to_owned(), false)]);
    assert!(plan.is_possible());
    carry_out(&mut property, &plan);
    assert_eq!((bed_of(property.booking("x")), bed_of(property.booking("y"))), ("a-2", "a-3"));
}

#[test]
fn swap_makes_a_detour_through_a_free_bed() {
    let mut property = property(&[("x", "a-1"), ("y", "a-2")]);
    let plan = plan(&property, &[("x", "a-1", "a-2"), ("y", "a-2", "a-1")]);
    let expected =
        [(id("x"), "a-3".to_owned(), true), (id("y"), "a-1".to_owned(), false), (id("x"), "a-2".to_owned(), false)];
    assert_eq!(steps(&plan), expected);
    carry_out(&mut property, &plan);
    assert_eq!((bed_of(property.booking("x")), bed_of(property.booking("y"))), ("a-2", "a-1"));
}

#[test]
fn swap_without_a_free_bed_is_impossible_and_names_the_booking_in_the_way() {
    let property = property(&[("x", "a-1"), ("y", "a-2"), ("z", "a-3")]);
    let plan = plan(&property, &[("x", "a-1", "a-2"), ("y", "a-2", "a-1")]);
    assert!(!plan.is_possible());
    let refusal = plan.steps[0].refusal().unwrap();
    assert_eq!((refusal.code, refusal.bookings.as_slice()), (RefusalCode::BedTaken, &[id("y")][..]));
}

#[test]
fn guests_of_one_booking_swap_beds_in_one_step() {
    let mut property = TestProperty::of(sample_inventory());
    property.book("x", vec![stay(DORM, "2026-12-01", "2026-12-04", 1), stay(DORM, "2026-12-01", "2026-12-04", 1)]);
    let beds: Vec<BedId> = property.booking("x").stays.iter().map(|stay| stay.assigned_beds[0].clone()).collect();
    let nights = Nights::new(date("2026-11-30"), date("2026-12-04"));
    let known = KnownBeds::new(property.inventory(), property.bookings.clone(), &[], nights);
    let swap = |stay: u32, from: &BedId, to: &BedId| PlannedMove {
        booking_id: id("x"),
        stay,
        from: from.clone(),
        to: to.clone(),
        first_night: None,
    };
    let moves = [swap(0, &beds[0], &beds[1]), swap(1, &beds[1], &beds[0])];
    let plan = plan_moves(&known, &moves, &Actor::staff(1), property.now);
    assert_eq!((plan.steps.len(), plan.steps[0].assignments.len(), plan.is_possible()), (1, 2, true));
}

#[test]
fn beds_that_are_not_those_of_the_stay_are_refused() {
    let property = property(&[("x", "a-1")]);
    let outdated = plan(&property, &[("x", "a-2", "a-3")]);
    assert!(!outdated.is_possible() && outdated.steps[0].assignments.is_empty());
    let unfit = plan(&property, &[("x", "a-1", "p-1")]);
    assert_eq!(unfit.steps[0].refusal().unwrap().code, RefusalCode::BedUnfit);
}
