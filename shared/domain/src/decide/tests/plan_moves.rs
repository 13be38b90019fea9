//! Plans of moves: swaps and chains in an order in which no guest is without a bed.

use super::property::{TestProperty, id, status};
use crate::actor::Actor;
use crate::block::Block;
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
    plan_of(property, &moves.iter().map(|(key, from, to)| moved(key, 0, from, to)).collect::<Vec<_>>())
}

fn plan_of(property: &TestProperty, moves: &[PlannedMove]) -> MovePlan {
    let nights = Nights::new(date("2026-11-30"), date("2026-12-05"));
    let blocks: Vec<Block> = property.blocks.values().cloned().collect();
    let known = KnownBeds::new(property.inventory(), property.bookings.clone(), &blocks, nights);
    plan_moves(&known, moves, &Actor::staff(1), property.now)
}

fn moved(key: &str, stay: u32, from: &str, to: &str) -> PlannedMove {
    PlannedMove { booking_id: id(key), stay, from: BedId::from(from), to: BedId::from(to), first_night: None }
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
    let moves = [moved("x", 0, beds[0].as_str(), beds[1].as_str()), moved("x", 1, beds[1].as_str(), beds[0].as_str())];
    let plan = plan_of(&property, &moves);
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

#[test]
fn circle_of_three_makes_one_detour() {
    let mut inventory = sample_inventory();
    inventory.rooms.remove(1);
    inventory.rooms[0].beds.truncate(4);
    let mut property = TestProperty::of(inventory);
    for (key, bed) in [("x", "a-1"), ("y", "a-2"), ("z", "a-3")] {
        property.book(key, vec![stay(DORM, "2026-12-01", "2026-12-04", 1)]);
        property.assign(key, Some(&[bed]), None);
    }
    let plan = plan(&property, &[("x", "a-1", "a-2"), ("y", "a-2", "a-3"), ("z", "a-3", "a-1")]);
    let detours = plan.steps.iter().filter(|step| step.is_detour).count();
    assert_eq!((plan.steps.len(), detours, plan.is_possible()), (4, 1, true), "{:?}", steps(&plan));
    carry_out(&mut property, &plan);
    let beds = ["x", "y", "z"].map(|key| bed_of(property.booking(key)).to_owned());
    assert_eq!(beds, ["a-2", "a-3", "a-1"]);
}

#[test]
fn checked_in_guests_make_no_detour() {
    let mut property = property(&[("x", "a-1"), ("y", "a-2")]);
    property.at_check_in("2026-12-01");
    for key in ["x", "y"] {
        assert_eq!(status(&property.check_in(key)), Some(Status::CheckedIn));
    }
    let swap = [("x", "a-1", "a-2"), ("y", "a-2", "a-1")];
    let both = plan(&property, &swap);
    assert!(!both.is_possible() && both.steps.iter().all(|step| !step.is_detour), "{:?}", steps(&both));
    let alone = plan(&property, &[("x", "a-1", "a-3")]);
    assert!(alone.is_possible(), "they move into a bed that is free: {alone:?}");
}

#[test]
fn block_is_in_the_way_without_a_booking() {
    let mut property = property(&[("x", "a-1"), ("y", "a-2")]);
    property.block("paint", &["a-3"], "2026-12-02", "2026-12-03");
    let blocked = plan(&property, &[("x", "a-1", "a-3")]);
    let refusal = blocked.steps[0].refusal().unwrap();
    assert_eq!((refusal.code, refusal.bookings.len()), (RefusalCode::BedTaken, 0));
    let swap = plan(&property, &[("x", "a-1", "a-2"), ("y", "a-2", "a-1")]);
    assert!(!swap.is_possible(), "the only free bed is blocked: {:?}", steps(&swap));
}

#[test]
fn guests_of_a_private_room_move_together() {
    let mut property = TestProperty::of(sample_inventory());
    property.book("x", vec![stay("private-double", "2026-12-01", "2026-12-04", 2)]);
    property.assign("x", Some(&["p1-1", "p1-2"]), None);
    let plan = plan(&property, &[("x", "p1-1", "p2-1")]);
    assert!(plan.is_possible(), "{plan:?}");
    let beds = plan.steps[0].assignments[0].beds.as_ref().unwrap();
    assert_eq!(beds.iter().map(BedId::as_str).collect::<Vec<_>>(), ["p2-1", "p2-2"]);
}

#[test]
fn checked_in_guests_move_from_the_night_that_is_named() {
    let mut property = property(&[("x", "a-1")]);
    property.at_check_in("2026-12-01");
    property.check_in("x");
    let on = |night: &str| PlannedMove { first_night: Some(date(night)), ..moved("x", 0, "a-1", "a-2") };
    let later = plan_of(&property, &[on("2026-12-03")]);
    let entry = later.steps[0].entry().unwrap();
    assert_eq!(
        (later.steps[0].assignments[0].from, entry.bed_moves[0].from),
        (Some(date("2026-12-03")), date("2026-12-03"))
    );
    let never = plan_of(&property, &[on("2026-12-04")]);
    assert_eq!(never.steps[0].refusal().unwrap().code, RefusalCode::InvalidDates, "the day of departure has no night");
}

#[test]
fn moves_that_contradict_each_other_are_refused() {
    let mut property = property(&[]);
    property.book("x", vec![stay(DORM, "2026-12-01", "2026-12-04", 2)]);
    property.assign("x", Some(&["a-1", "a-2"]), None);
    let first = moved("x", 0, "a-1", "a-3");
    let elsewhere = moved("x", 0, "a-1", "a-2");
    let on_another_night = PlannedMove { first_night: Some(date("2026-12-02")), ..moved("x", 0, "a-2", "a-1") };
    for contradiction in [elsewhere, on_another_night] {
        let refused = plan_of(&property, &[first.clone(), contradiction.clone()]);
        assert!(!refused.is_possible() && refused.steps[0].assignments.is_empty(), "{contradiction:?}");
    }
    let both = plan_of(&property, &[first, moved("x", 0, "a-2", "a-1")]);
    assert!(both.is_possible(), "each guest has a bed of their own: {both:?}");
}
