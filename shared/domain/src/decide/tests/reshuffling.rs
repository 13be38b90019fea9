//! Making room: stays that nobody promised a bed give way, and nobody else.

use super::house::{House, asks, id, status};
use crate::booking::{Action, Status, StayRequest};
use crate::fixtures::{date, hostel, stay};
use crate::inventory::Inventory;
use crate::messages::BookingCommand;
use chrono::Days;

/// One private room type of two rooms, or one dorm of two beds.
fn small(private: bool) -> (Inventory, &'static str) {
    let mut inventory = hostel();
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
fn fragmented(private: bool) -> (House, &'static str) {
    let (inventory, id) = small(private);
    let mut house = House::of(inventory);
    house.book("x", nights(id, "10", "12"));
    house.book("blocker", nights(id, "10", "14"));
    house.book("y", nights(id, "12", "14"));
    house.run(&[super::house::cancels("blocker", 1)]);
    // Both sit in one unit now; put the second into the other.
    let other = if private { vec!["p2-1", "p2-2"] } else { vec!["a-2"] };
    let taken = house.beds("x")[0].to_owned();
    let other =
        if other.contains(&taken.as_str()) { if private { vec!["p1-1", "p1-2"] } else { vec!["a-1"] } } else { other };
    house.assign("y", Some(&other), None);
    (house, id)
}

#[test]
fn one_stay_gives_way_when_every_night_has_room() {
    for private in [true, false] {
        let (mut house, room_type) = fragmented(private);
        let command = asks("z", nights(room_type, "10", "14"));
        let decisions = house.settle(std::slice::from_ref(&command));
        assert_eq!(status(&decisions.verdicts[0]), Some(Status::Confirmed), "private: {private}");
        assert_eq!(decisions.consequences.len(), 1, "one move is enough");
        let (index, event) = &decisions.consequences[0];
        assert_eq!((*index, event.action, event.status), (0, Some(Action::Move), Status::Confirmed));
        house.apply(&decisions);
        let moved = &house.bookings[&event.booking_id];
        let entry = moved.history.last().unwrap();
        assert_eq!(
            (entry.actor.as_str(), entry.event_kind(), entry.changes.is_some()),
            ("system", "booking.modified.v1", true)
        );
        assert_eq!(house.booking("z").history[0].moved, [event.booking_id]);

        let again = house.settle(&[command]);
        assert_eq!(
            (again.verdicts, again.consequences, again.changes.len()),
            (decisions.verdicts, decisions.consequences, 0),
            "a repetition tells of both"
        );
    }
}

#[test]
fn nobody_is_moved_who_is_in_the_house_or_was_promised_a_bed() {
    for pin_with_check_in in [true, false] {
        let (mut house, room_type) = fragmented(false);
        for key in ["x", "y"] {
            if pin_with_check_in {
                house.at_check_in(if key == "x" { "2027-01-10" } else { "2027-01-12" });
                house.check_in(key);
            } else {
                house.assign(key, None, Some(true));
            }
        }
        let before = (house.booking("x").clone(), house.booking("y").clone());
        assert_eq!(status(&house.book("z", nights(room_type, "10", "14"))), Some(Status::Rejected));
        assert_eq!((house.booking("x"), house.booking("y")), (&before.0, &before.1));
    }
}

#[test]
fn a_longer_stay_makes_others_give_way() {
    let (mut house, room_type) = fragmented(false);
    assert_eq!(status(&house.modify("y", nights(room_type, "10", "14"))), Some(Status::Confirmed));
    assert_eq!(status(&house.modify("x", nights(room_type, "10", "14"))), Some(Status::Confirmed));
    house.check();
}

#[test]
fn nothing_is_asked_for_when_a_night_is_full() {
    let (mut house, room_type) = fragmented(false);
    house.book("full", nights(room_type, "11", "12"));
    let decisions = house.decide(true, &[asks("z", nights(room_type, "10", "14"))]).unwrap();
    assert_eq!(status(&decisions.verdicts[0]), Some(Status::Rejected));
}

#[test]
fn who_sleeps_there_is_asked_for_before_anybody_is_moved() {
    let (house, room_type) = fragmented(false);
    let missing = house.decide(true, &[asks("z", nights(room_type, "10", "14"))]).unwrap_err();
    let nights = missing.occupants["pvt-montreal"];
    assert!(nights.arrival <= date("2027-01-10") && nights.departure >= date("2027-01-14"), "{nights:?}");
    let missing = house.decide(false, &[asks("z", nights_of(room_type))]).unwrap_err();
    assert_eq!((missing.views.len(), missing.occupants.len()), (1, 0), "first what is free is read again");
}

fn nights_of(room_type: &str) -> Vec<StayRequest> {
    nights(room_type, "10", "14")
}

#[test]
fn those_who_are_in_the_way_may_come_weeks_later() {
    let (inventory, room_type) = small(false);
    let mut house = House::of(inventory);
    let stays = [
        ("x", "2027-01-10", "2027-01-12", "a-1"),
        ("y", "2027-01-12", "2027-03-01", "a-2"),
        ("w", "2027-02-10", "2027-03-11", "a-1"),
    ];
    for (key, arrival, departure, bed) in stays {
        house.book(key, vec![stay(room_type, arrival, departure, 1)]);
        assert_eq!(status(&house.assign(key, Some(&[bed]), Some(key == "x"))), Some(Status::Confirmed));
    }
    assert_eq!(status(&house.book("z", nights(room_type, "10", "14"))), Some(Status::Confirmed), "y and w change beds");
    assert_eq!((house.beds("y"), house.beds("w"), house.beds("z")), (vec!["a-1"], vec!["a-2"], vec!["a-2"]));
}

#[test]
fn as_many_give_way_as_have_to() {
    let (inventory, room_type) = small(false);
    let mut house = House::of(inventory);
    let night = |offset: u64| date("2027-01-01") + Days::new(offset);
    // Every night is half full, in alternating beds: ten nights in one bed are free once five stays have changed
    // theirs.
    for offset in 0..10 {
        let key = offset.to_string();
        house.book(&key, vec![StayRequest::new(room_type, night(offset), night(offset + 1), 1)]);
        house.assign(&key, Some(&[if offset % 2 == 0 { "a-1" } else { "a-2" }]), None);
    }
    let command = asks("z", vec![StayRequest::new(room_type, night(0), night(10), 1)]);
    let decisions = house.settle(&[command]);
    assert_eq!((status(&decisions.verdicts[0]), decisions.consequences.len()), (Some(Status::Confirmed), 5));
    house.apply(&decisions);
}

#[test]
fn a_batch_may_move_one_booking_for_several_requests() {
    let (mut house, room_type) = fragmented(false);
    let commands: Vec<(uuid::Uuid, BookingCommand)> = vec![
        asks("z", nights(room_type, "10", "14")),
        super::house::cancels("z", 9),
        asks("w", nights(room_type, "10", "14")),
        asks("v", nights(room_type, "09", "15")),
    ];
    let verdicts = house.run(&commands);
    assert_eq!(
        verdicts.iter().map(status).collect::<Vec<_>>(),
        [Some(Status::Confirmed), Some(Status::Cancelled), Some(Status::Confirmed), Some(Status::Rejected)]
    );
    assert!(house.bookings.contains_key(&id("w")));
}
