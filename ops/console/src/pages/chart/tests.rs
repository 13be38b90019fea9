//! The chart of bookings and blocks that are hard to draw.

use super::entry::{Entry, columns};
use super::{Chart, Nights, Occupant, length};
use chrono::NaiveDate;
use pvt_domain::block::Block;
use pvt_domain::demo;
use serde_json::{Value, json};

fn nights(arrival: &str, departure: &str) -> Nights {
    Nights::new(arrival.parse::<NaiveDate>().unwrap(), departure.parse().unwrap())
}

#[test]
fn stays_are_cut_to_the_nights_that_are_shown() {
    let shown = nights("2027-01-10", "2027-01-24");
    assert_eq!(columns(nights("2027-01-10", "2027-01-11"), shown), Some((1, 1)));
    assert_eq!(columns(nights("2027-01-08", "2027-01-12"), shown), Some((1, 2)));
    assert_eq!(columns(nights("2027-01-23", "2027-02-01"), shown), Some((14, 1)));
    assert_eq!(columns(nights("2027-01-01", "2027-01-10"), shown), None);
    assert_eq!(columns(nights("2027-01-24", "2027-01-25"), shown), None);
}

fn stay(arrival: &str, departure: &str, bed: &str) -> Value {
    json!({ "room_type_id": "dorm-6-mixed", "arrival": arrival, "departure": departure, "guests": 1,
        "assigned_beds": [bed] })
}

fn with(mut stay: Value, name: &str, value: Value) -> Value {
    stay[name] = value;
    stay
}

fn booking(status: &str, stays: Value, pending: Value) -> Occupant {
    let id = uuid::Uuid::from_u128(7);
    let mut booking = json!({ "_id": id, "reference": "PVT-1", "status": status, "stays": stays,
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "" } });
    if pending.is_array() {
        booking["pending_change"] = json!({ "stays": pending });
    }
    serde_json::from_value(booking).unwrap()
}

/// Bed, first column, columns, class and label of each entry, from the 10th of January on.
fn drawn(bookings: &[Occupant], blocks: &[Block]) -> Vec<(String, u32, u32, &'static str, String)> {
    let shown = nights("2027-01-10", "2027-01-24");
    let inventory = demo::inventory();
    let chart = Chart::of(&inventory, bookings, blocks, shown, shown.arrival);
    let beds = chart.rooms.iter().flat_map(|room| &room.beds);
    beds.flat_map(|bed| {
        let entry = |entry: &Entry<'_>| (bed.id.to_string(), entry.column, entry.columns, entry.kind, entry.label());
        bed.entries.iter().map(entry).collect::<Vec<_>>()
    })
    .collect()
}

fn entry(
    bed: &str,
    column: u32,
    columns: u32,
    kind: &'static str,
    words: &str,
) -> (String, u32, u32, &'static str, String) {
    (bed.to_owned(), column, columns, kind, words.to_owned())
}

#[test]
fn moved_and_locked_stay_is_drawn_in_each_of_its_beds() {
    let earlier = json!([{ "until": "2027-01-12", "beds": ["d6a-1"] }]);
    let moved = with(stay("2027-01-10", "2027-01-15", "d6a-2"), "earlier_beds", earlier);
    let moved = with(moved, "locked", true.into());
    let words = "Ada Lovelace (confirmed, locked)";
    let expected = [entry("d6a-1", 1, 2, "confirmed", words), entry("d6a-2", 3, 3, "confirmed", words)];
    assert_eq!(drawn(&[booking("confirmed", json!([moved]), Value::Null)], &[]), expected);
}

#[test]
fn each_stay_is_as_far_as_its_own_guests() {
    let progress = |bed, progress: &str| with(stay("2027-01-10", "2027-01-12", bed), "progress", progress.into());
    let stays =
        json!([progress("d6a-1", "checked_in"), progress("d6a-2", "expected"), progress("d6a-3", "checked_out")]);
    let expected = [
        entry("d6a-1", 1, 2, "checked-in", "Ada Lovelace (checked in)"),
        entry("d6a-2", 1, 2, "confirmed", "Ada Lovelace (confirmed)"),
        entry("d6a-3", 1, 2, "checked-out", "Ada Lovelace (checked out)"),
    ];
    assert_eq!(drawn(&[booking("checked_in", stays, Value::Null)], &[]), expected);
}

#[test]
fn pending_change_adds_only_what_the_booking_does_not_have() {
    let (own, after) = (stay("2027-01-11", "2027-01-13", "d6a-1"), stay("2027-01-10", "2027-01-15", "d6a-1"));
    let expected = [
        entry("d6a-1", 1, 1, "held", "Ada Lovelace (pending change)"),
        entry("d6a-1", 2, 2, "confirmed", "Ada Lovelace (confirmed)"),
        entry("d6a-1", 4, 2, "held", "Ada Lovelace (pending change)"),
    ];
    assert_eq!(drawn(&[booking("confirmed", json!([own]), json!([after]))], &[]), expected);
}

#[test]
fn blocks_and_beds_that_were_removed_are_drawn() {
    let block: Block = serde_json::from_value(json!({
        "_id": uuid::Uuid::from_u128(8), "property_id": "here", "kind": "maintenance", "bed_ids": ["d6a-1", "gone-2"],
        "from": "2027-01-09", "until": "2027-01-11", "status": "active", "rev": 1, "actor": "staff:1",
        "created_at": "2027-01-01T00:00:00.000Z", "updated_at": "2027-01-01T00:00:00.000Z", "history": [],
    }))
    .unwrap();
    let removed = booking("confirmed", json!([stay("2027-01-10", "2027-01-12", "gone-1")]), Value::Null);
    let expected = [
        entry("d6a-1", 1, 1, "block", "Block: maintenance"),
        entry("gone-1", 1, 2, "confirmed", "Ada Lovelace (confirmed)"),
        entry("gone-2", 1, 1, "block", "Block: maintenance"),
    ];
    assert_eq!(drawn(&[removed], &[block]), expected);
}

/// Beds are removed, and rooms sold as another type, while guests lie in them.
#[test]
fn stay_keeps_its_room_type_in_a_bed_that_has_changed() {
    let other = with(stay("2027-01-10", "2027-01-12", "d6a-1"), "room_type_id", "gone".into());
    let bookings = [
        booking("confirmed", json!([stay("2027-01-10", "2027-01-12", "gone-1")]), Value::Null),
        booking("confirmed", json!([other]), Value::Null),
        booking("confirmed", json!([stay("2027-01-10", "2027-01-12", "d6a-2")]), Value::Null),
        booking("checked_out", json!([stay("2027-01-10", "2027-01-12", "gone-2")]), Value::Null),
    ];
    let (inventory, shown) = (demo::inventory(), nights("2027-01-10", "2027-01-24"));
    let chart = Chart::of(&inventory, &bookings, &[], shown, shown.arrival);
    let beds = chart.rooms.iter().flat_map(|room| &room.beds);
    let types = beds.flat_map(|bed| bed.entries.iter().map(|entry| (bed.id.as_str(), entry.other_type(bed.sold_as))));
    let expected = [("d6a-1", Some("gone")), ("d6a-2", None), ("gone-1", Some("dorm-6-mixed")), ("gone-2", None)];
    assert_eq!(types.collect::<Vec<_>>(), expected);
}

#[test]
fn beds_say_what_staff_have_set() {
    use pvt_domain::inventory::{BedService, BedState, Cleanliness};
    let state = BedState { cleanliness: Cleanliness::Dirty, service: BedService::OutOfService };
    assert_eq!(super::notes(state), ["dirty", "out of service"]);
    assert!(super::notes(BedState::default()).is_empty());
}

#[test]
fn only_lengths_with_columns_are_shown() {
    assert_eq!((length(None).unwrap(), length(Some("60")).unwrap()), (14, 60));
    assert!(length(Some("15")).is_err() && length(Some("x")).is_err());
}
