//! Reshuffles: stays that are not pinned are reassigned, and no others.

use super::property::{TestProperty, booking_request, id, status};
use crate::booking::{Action, Status, StayRequest};
use crate::fixtures::{date, sample_inventory, stay};
use crate::inventory::Inventory;
use crate::messages::BookingCommand;
use chrono::Days;

/// One private room type of two rooms, or one dorm of two beds.
fn small(private: bool) -> (Inventory, &'static str) {
    let mut inventory = sample_inventory();
    let id = if private { "private-double" } else { "dorm-6-mixed" };
    inventory.rooms.retain(|room| room.room_type_id.as_str() == id);
    inventory.rooms.truncate(2);
    if !private {
        inventory.rooms.truncate(1);
        inventory.rooms[0].beds.truncate(2);
    }
    (inventory, id)
}

fn nights(room_type: &str, from: &str, until: &str) -> Vec<StayRequest> {
    vec![stay(room_type, &format!("2027-01-{from}"), &format!("2027-01-{until}"), 1)]
}

/// Two units; `x` has one until the 12th, `y` the other from the 12th: every night has room, no unit is free from the
/// 10th to the 14th.
fn fragmented(private: bool) -> (TestProperty, &'static str) {
    let (inventory, id) = small(private);
    let mut property = TestProperty::of(inventory);
    property.book("x", nights(id, "10", "12"));
    property.book("blocker", nights(id, "10", "14"));
    property.book("y", nights(id, "12", "14"));
    property.run(&[super::property::cancellation("blocker", 1)]);
    // Both are in one unit now; move the second to the other.
    let other = if private { vec!["p2-1", "p2-2"] } else { vec!["a-2"] };
    let taken = property.beds("x")[0].to_owned();
    let other =
        if other.contains(&taken.as_str()) { if private { vec!["p1-1", "p1-2"] } else { vec!["a-1"] } } else { other };
    property.assign("y", Some(&other), None);
    (property, id)
}

#[test]
fn one_stay_is_reassigned_when_every_night_has_a_free_bed() {
    for private in [true, false] {
        let (mut property, room_type) = fragmented(private);
        let command = booking_request("z", nights(room_type, "10", "14"));
        let outcome = property.decide_until_known(std::slice::from_ref(&command));
        assert_eq!(status(&outcome.decisions[0]), Some(Status::Confirmed), "private: {private}");
        assert_eq!(outcome.consequences.len(), 1, "one move is enough");
        let (index, event) = &outcome.consequences[0];
        assert_eq!((*index, event.action, event.status), (0, Some(Action::Move), Status::Confirmed));
        property.apply(&outcome);
        let moved = &property.bookings[&event.booking_id];
        let entry = moved.history.last().unwrap();
        assert_eq!(
            (entry.actor.as_str(), entry.event_kind(), entry.changes.is_some()),
            ("system", "booking.modified.v1", true)
        );
        assert_eq!(property.booking("z").history[0].moved, [event.booking_id]);

        let again = property.decide_until_known(&[command]);
        assert_eq!(
            (again.decisions, again.consequences, again.changes.len()),
            (outcome.decisions, outcome.consequences, 0),
            "a replay has both events"
        );
    }
}

#[test]
fn checked_in_and_pinned_stays_are_never_reassigned() {
    for pin_with_check_in in [true, false] {
        let (mut property, room_type) = fragmented(false);
        for key in ["x", "y"] {
            if pin_with_check_in {
                property.at_check_in(if key == "x" { "2027-01-10" } else { "2027-01-12" });
                property.check_in(key);
            } else {
                property.assign(key, None, Some(true));
            }
        }
        let before = (property.booking("x").clone(), property.booking("y").clone());
        assert_eq!(status(&property.book("z", nights(room_type, "10", "14"))), Some(Status::Rejected));
        assert_eq!((property.booking("x"), property.booking("y")), (&before.0, &before.1));
    }
}

#[test]
fn extension_reassigns_other_stays() {
    let (mut property, room_type) = fragmented(false);
    assert_eq!(status(&property.modify("y", nights(room_type, "10", "14"))), Some(Status::Confirmed));
    assert_eq!(status(&property.modify("x", nights(room_type, "10", "14"))), Some(Status::Confirmed));
    property.check();
}

#[test]
fn full_night_needs_no_occupants() {
    let (mut property, room_type) = fragmented(false);
    property.book("full", nights(room_type, "11", "12"));
    let outcome = property.decide(true, &[booking_request("z", nights(room_type, "10", "14"))]).unwrap();
    assert_eq!(status(&outcome.decisions[0]), Some(Status::Rejected));
}

#[test]
fn occupants_are_read_before_a_reshuffle() {
    let (property, room_type) = fragmented(false);
    let missing = property.decide(true, &[booking_request("z", nights(room_type, "10", "14"))]).unwrap_err();
    let nights = missing.occupants["pvt-montreal"];
    assert!(nights.arrival <= date("2027-01-10") && nights.departure >= date("2027-01-14"), "{nights:?}");
    let missing = property.decide(false, &[booking_request("z", nights_of(room_type))]).unwrap_err();
    assert_eq!((missing.grids.len(), missing.occupants.len()), (1, 0), "first what is free is read again");
}

fn nights_of(room_type: &str) -> Vec<StayRequest> {
    nights(room_type, "10", "14")
}

#[test]
fn blocking_stays_may_arrive_weeks_later() {
    let (inventory, room_type) = small(false);
    let mut property = TestProperty::of(inventory);
    let stays = [
        ("x", "2027-01-10", "2027-01-12", "a-1"),
        ("y", "2027-01-12", "2027-03-01", "a-2"),
        ("w", "2027-02-10", "2027-03-11", "a-1"),
    ];
    for (key, arrival, departure, bed) in stays {
        property.book(key, vec![stay(room_type, arrival, departure, 1)]);
        assert_eq!(status(&property.assign(key, Some(&[bed]), Some(key == "x"))), Some(Status::Confirmed));
    }
    assert_eq!(
        status(&property.book("z", nights(room_type, "10", "14"))),
        Some(Status::Confirmed),
        "y and w change beds"
    );
    assert_eq!((property.beds("y"), property.beds("w"), property.beds("z")), (vec!["a-1"], vec!["a-2"], vec!["a-2"]));
}

#[test]
fn reshuffle_moves_as_many_stays_as_needed() {
    let (inventory, room_type) = small(false);
    let mut property = TestProperty::of(inventory);
    let night = |offset: u64| date("2027-01-01") + Days::new(offset);
    // Every night is half full, in alternating beds: ten nights in one bed are free once five stays have changed
    // theirs.
    for offset in 0..10 {
        let key = offset.to_string();
        property.book(&key, vec![StayRequest::new(room_type, night(offset), night(offset + 1), 1)]);
        property.assign(&key, Some(&[if offset % 2 == 0 { "a-1" } else { "a-2" }]), None);
    }
    let command = booking_request("z", vec![StayRequest::new(room_type, night(0), night(10), 1)]);
    let outcome = property.decide_until_known(&[command]);
    assert_eq!((status(&outcome.decisions[0]), outcome.consequences.len()), (Some(Status::Confirmed), 5));
    property.apply(&outcome);
}

#[test]
fn one_booking_may_be_moved_for_several_requests_of_a_batch() {
    let (mut property, room_type) = fragmented(false);
    let commands: Vec<(uuid::Uuid, BookingCommand)> = vec![
        booking_request("z", nights(room_type, "10", "14")),
        super::property::cancellation("z", 9),
        booking_request("w", nights(room_type, "10", "14")),
        booking_request("v", nights(room_type, "09", "15")),
    ];
    let decisions = property.run(&commands);
    assert_eq!(
        decisions.iter().map(status).collect::<Vec<_>>(),
        [Some(Status::Confirmed), Some(Status::Cancelled), Some(Status::Confirmed), Some(Status::Rejected)]
    );
    assert!(property.bookings.contains_key(&id("w")));
}
