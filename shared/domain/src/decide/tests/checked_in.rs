//! Checked-in guests keep their bed: others give way, later nights move, and tonight only staff name another bed.

use super::property::{TestProperty, booking_request, code, id, status};
use crate::booking::{Action, BedMove, DirtyBed, Status, StayRequest};
use crate::decide::Decision;
use crate::events::BookingEvent;
use crate::fixtures::{at, date, sample_inventory, stay};
use crate::ids::{BedId, BookingId};
use crate::inventory::{BedState, Cleanliness, Inventory};
use crate::messages::*;
use crate::rates::Rates;
use uuid::Uuid;

const DORM: &str = "dorm-6-mixed";

/// One dorm of so many beds, and two private rooms.
fn inventory(beds: usize) -> Inventory {
    let mut inventory = sample_inventory();
    inventory.rooms.remove(1);
    inventory.rooms[0].beds.truncate(beds);
    inventory
}

fn nights(from: u32, until: u32, guests: u32) -> Vec<StayRequest> {
    vec![stay(DORM, &format!("2026-12-{from:02}"), &format!("2026-12-{until:02}"), guests)]
}

/// Books one guest into this bed.
fn book(property: &mut TestProperty, key: &str, from: u32, until: u32, bed: &str) {
    property.book(key, nights(from, until, 1));
    assert_eq!(status(&property.assign(key, Some(&[bed]), None)), Some(Status::Confirmed), "{key} in {bed}");
}

/// X is checked in to `a-1` until the 2nd; Y has that bed from then on, until the 4th. It is the 1st.
fn checked_in(beds: usize) -> TestProperty {
    let mut property = TestProperty::of(inventory(beds));
    book(&mut property, "x", 1, 2, "a-1");
    property.at_check_in("2026-12-01");
    assert_eq!(status(&property.check_in("x")), Some(Status::CheckedIn));
    book(&mut property, "y", 2, 4, "a-1");
    property
}

fn extend(property: &mut TestProperty, until: u32) -> Decision {
    property.modify("x", nights(1, until, 1))
}

fn event(decision: Decision) -> BookingEvent {
    if let Decision::Decided(event) = decision { *event } else { panic!("{decision:?}") }
}

/// The beds of a booking by night.
fn slept(property: &TestProperty, key: &str) -> String {
    property.booking(key).claims().map(|(bed, _)| bed.as_str()).collect::<Vec<_>>().join(" ")
}

fn is_dirty(property: &TestProperty, bed: &str) -> bool {
    let bed = BedId::from(bed);
    property.inventory().room_of(&bed).unwrap().state_of(&bed).cleanliness == Cleanliness::Dirty
}

fn soil(property: &mut TestProperty, bed: &str) {
    let mut inventory = Inventory::clone(&property.inventory());
    inventory.rooms[0]
        .bed_states
        .insert(bed.into(), BedState { cleanliness: Cleanliness::Dirty, ..BedState::default() });
    property.rebuild(inventory, Rates::default());
}

fn moved(from: &str, left: &str, bed: &str) -> BedMove {
    BedMove { stay: 0, id: None, from: date(from), left: vec![left.into()], beds: vec![bed.into()] }
}

#[test]
fn others_give_way_to_a_longer_stay() {
    let mut property = checked_in(2);
    soil(&mut property, "a-2");
    let longer = event(extend(&mut property, 3));
    assert_eq!((longer.status, longer.bed_moves.len()), (Status::CheckedIn, 0));
    assert_eq!((slept(&property, "x"), slept(&property, "y")), ("a-1 a-1".to_owned(), "a-2 a-2".to_owned()));
    assert_eq!(property.booking("y").history.last().unwrap().action, Action::Move);
    assert!(!is_dirty(&property, "a-1"));
    property.book("walk-in", nights(1, 2, 1));
    assert_eq!(property.beds("walk-in"), ["a-2"], "no other guest gets the bed in which X lies");
}

#[test]
fn guest_moves_from_the_first_night_that_cannot_be_freed() {
    let mut property = checked_in(2);
    property.assign("y", None, Some(true));
    let longer = event(extend(&mut property, 3));
    assert_eq!(longer.bed_moves, [moved("2026-12-02", "a-1", "a-2")]);
    assert_eq!(property.booking("x").history.last().unwrap().bed_moves, longer.bed_moves);
    assert_eq!((slept(&property, "x"), slept(&property, "y")), ("a-1 a-2".to_owned(), "a-1 a-1".to_owned()));
    assert_eq!((is_dirty(&property, "a-1"), is_dirty(&property, "a-2")), (true, false), "Y must not find it unmade");
    let again = event(extend(&mut property, 5));
    assert_eq!((again.bed_moves.len(), slept(&property, "x").as_str()), (0, "a-1 a-2 a-2 a-2"), "as planned");
    let short = event(extend(&mut property, 2));
    assert_eq!((short.bed_moves.len(), property.beds("x")), (0, vec!["a-1"]), "the move is cancelled");
}

#[test]
fn guest_stays_as_long_as_others_can_give_way() {
    let mut property = checked_in(3);
    book(&mut property, "z", 4, 6, "a-1");
    property.assign("z", None, Some(true));
    let longer = event(extend(&mut property, 6));
    assert_eq!(longer.bed_moves.iter().map(|one| one.from).collect::<Vec<_>>(), [date("2026-12-04")]);
    assert!(slept(&property, "x").starts_with("a-1 a-1 a-1 a-"), "{}", slept(&property, "x"));
}

#[test]
fn refusal_names_bookings_in_the_way_and_offers_alternatives() {
    let mut property = checked_in(1);
    let Decision::Refused(ReplyOutcome::Refused, Some(why)) = extend(&mut property, 4) else { panic!("refused") };
    assert_eq!((why.code, why.bookings, why.booking_count), (RefusalCode::NoAvailability, vec![id("y")], None));
    let split = why.alternatives.first().unwrap();
    assert_eq!(split.stays, [nights(1, 2, 1).remove(0), stay("private-double", "2026-12-02", "2026-12-04", 1)]);
    assert!(split.total > 0);
    let mut offered = property.modification("x", split.stays.clone());
    offered.reprice = true;
    let taken = event(property.one(BookingCommand::Modify(Box::new(offered))));
    assert_eq!(taken.price.unwrap().total, split.total);
    assert_eq!(slept(&property, "x").split(' ').next(), Some("a-1"));
}

#[test]
fn locked_guest_never_moves() {
    let mut property = checked_in(2);
    property.assign("x", None, Some(true));
    property.assign("y", None, Some(true));
    let Decision::Refused(_, Some(why)) = extend(&mut property, 3) else { panic!("refused") };
    assert_eq!((why.code, why.bookings), (RefusalCode::BedTaken, vec![id("y")]));
    property.assign("y", None, Some(false));
    assert_eq!(event(extend(&mut property, 3)).stays[0].assigned_beds, ["a-1".into()]);
    assert!(property.booking("x").stays[0].locked);
}

#[test]
fn named_move_needs_a_clean_bed_and_leaves_a_dirty_one() {
    let mut property = checked_in(3);
    soil(&mut property, "a-2");
    assert_eq!(code(&property.assign("x", Some(&["a-2"]), None)), Some(RefusalCode::BedNotClean));
    let mut named = property.modification("x", nights(1, 2, 1));
    named.stays.as_mut().unwrap()[0].beds = Some(vec!["a-2".into()]);
    assert_eq!(code(&property.one(BookingCommand::Modify(Box::new(named)))), Some(RefusalCode::BedNotClean));
    let tonight = event(property.assign("x", Some(&["a-3"]), None));
    assert_eq!(tonight.bed_moves, [moved("2026-12-01", "a-1", "a-3")]);
    assert_eq!((slept(&property, "x").as_str(), is_dirty(&property, "a-1")), ("a-3", true));
    property.book("walk-in", nights(1, 2, 1));
    property.assign("walk-in", Some(&["a-1"]), None);
    assert_eq!(code(&property.check_in("walk-in")), Some(RefusalCode::BedNotClean));
}

#[test]
fn staff_name_the_night_from_which_guests_move() {
    let mut property = checked_in(2);
    property.modify("x", nights(1, 4, 1));
    let assign = |property: &TestProperty, key: &str, bed: &str, from: &str| {
        let assignment =
            Assignment { stay: Some(0), id: None, beds: Some(vec![bed.into()]), from: Some(date(from)), locked: None };
        BookingCommand::Assign(AssignBeds { header: property.header(key), assignments: vec![assignment] })
    };
    property.run(&[super::property::cancellation("y", 77)]);
    let later = property.one(assign(&property, "x", "a-2", "2026-12-03"));
    assert_eq!(event(later).bed_moves, [moved("2026-12-03", "a-1", "a-2")]);
    assert_eq!(slept(&property, "x"), "a-1 a-1 a-2");
    let outside = property.one(assign(&property, "x", "a-2", "2026-12-04"));
    assert_eq!(code(&outside), Some(RefusalCode::InvalidDates));
    let sooner = event(property.assign("x", Some(&["a-2"]), None));
    assert_eq!(
        (sooner.bed_moves, slept(&property, "x").as_str()),
        (vec![moved("2026-12-01", "a-1", "a-2")], "a-2 a-2 a-2")
    );
}

#[test]
fn check_out_before_a_planned_move_cancels_it() {
    let mut property = checked_in(2);
    property.assign("y", None, Some(true));
    extend(&mut property, 3);
    property.at_check_in("2026-12-02");
    // The morning of the move: the guest leaves instead, after one night in the first bed.
    let left = property.check_out("x");
    let stays = event(left).stays;
    assert_eq!((stays[0].assigned_beds.clone(), stays[0].earlier_beds.len()), (vec!["a-1".into()], 0));
}

#[test]
fn guest_may_stay_longer_on_the_morning_of_departure() {
    let mut property = checked_in(2);
    property.at_check_in("2026-12-02");
    assert_eq!(event(extend(&mut property, 3)).bed_moves, []);
    assert_eq!((slept(&property, "x"), slept(&property, "y")), ("a-1 a-1".to_owned(), "a-2 a-2".to_owned()));
    property.at_check_in("2026-12-04");
    assert_eq!(code(&extend(&mut property, 5)), Some(RefusalCode::InvalidDates), "gone since the day before");
}

#[test]
fn split_stay_goes_on_in_the_same_bed() {
    let mut property = TestProperty::of(inventory(3));
    book(&mut property, "x", 1, 5, "a-2");
    property.at_check_in("2026-12-01");
    property.check_in("x");
    property.at_check_in("2026-12-02");
    let parts = vec![nights(1, 2, 1).remove(0), nights(2, 5, 1).remove(0)];
    assert_eq!(event(property.modify("x", parts)).bed_moves, []);
    assert_eq!(slept(&property, "x"), "a-2 a-2 a-2 a-2");
}

#[test]
fn room_type_changes_tonight_only_into_named_beds() {
    let mut property = checked_in(2);
    let upgrade = vec![stay("private-double", "2026-12-01", "2026-12-03", 1)];
    assert_eq!(code(&property.modify("x", upgrade.clone())), Some(RefusalCode::BedsUnnamed));
    let mut named = property.modification("x", upgrade);
    named.stays.as_mut().unwrap()[0].beds = Some(vec!["p1-1".into(), "p1-2".into()]);
    let moved = event(property.one(BookingCommand::Modify(Box::new(named))));
    assert_eq!((moved.bed_moves[0].from, is_dirty(&property, "a-1")), (date("2026-12-01"), true));
}

#[test]
fn beds_that_guests_swap_become_dirty() {
    let mut property = TestProperty::of(inventory(3));
    property.book("x", [nights(1, 3, 1), nights(1, 3, 1)].concat());
    let stays = &property.booking("x").stays;
    let beds: Vec<String> = stays.iter().map(|stay| stay.assigned_beds[0].to_string()).collect();
    property.at_check_in("2026-12-01");
    property.check_in("x");
    let one = |stay, bed: &str| Assignment {
        stay: Some(stay),
        id: None,
        beds: Some(vec![bed.into()]),
        from: None,
        locked: None,
    };
    let (header, assignments) = (property.header("x"), vec![one(0, &beds[1]), one(1, &beds[0])]);
    let swapped = event(property.one(BookingCommand::Assign(AssignBeds { header, assignments })));
    assert_eq!(swapped.bed_moves.len(), 2);
    assert!(beds.iter().all(|bed| is_dirty(&property, bed)), "each was slept in by another guest");
    assert!(!is_dirty(&property, "a-3"));
}

#[test]
fn joining_and_leaving_guests_move_no_others() {
    let mut property = TestProperty::of(inventory(6));
    property.book("x", nights(1, 4, 2));
    property.assign("x", Some(&["a-3", "a-5"]), None);
    property.at_check_in("2026-12-01");
    property.check_in("x");
    property.modify("x", nights(1, 4, 4));
    let beds: Vec<String> = property.beds("x").into_iter().map(str::to_owned).collect();
    assert!(beds.len() == 4 && beds.contains(&"a-3".to_owned()) && beds.contains(&"a-5".to_owned()), "{beds:?}");
    property.modify("x", nights(1, 4, 1));
    assert!(beds.contains(&property.beds("x")[0].to_owned()));
}

#[test]
fn bed_is_occupied_until_check_out() {
    let mut property = checked_in(2);
    property.at_check_in("2026-12-02");
    let Decision::Refused(_, Some(why)) = property.check_in("y") else { panic!("X is still in bed") };
    assert_eq!((why.code, why.bookings), (RefusalCode::BedOccupied, vec![id("x")]));
    property.check_out("x");
    assert_eq!(status(&property.check_in("y")), Some(Status::CheckedIn));
}

#[test]
fn guest_of_the_date_pays_for_the_night_that_goes_on_until_the_cutoff() {
    let mut property = TestProperty::of(inventory(2));
    book(&mut property, "x", 1, 2, "a-1");
    book(&mut property, "y", 2, 4, "a-1");
    // One second after midnight in Montréal: the night of the 1st goes on until four, and a-1 is still X's.
    property.now = at("2026-12-02T05:00:01Z");
    let Decision::Refused(_, Some(why)) = property.check_in("y") else { panic!("it is the night before") };
    assert_eq!((why.code, why.cause.possible_from), (RefusalCode::TooEarly, Some(date("2026-12-02"))));
    let total = property.booking("y").price.as_ref().unwrap().total;
    assert_eq!(status(&property.modify("y", nights(1, 4, 1))), Some(Status::Confirmed));
    assert!(property.booking("y").price.as_ref().unwrap().total > total);
    assert_eq!(status(&property.check_in("y")), Some(Status::CheckedIn));
    assert_eq!(slept(&property, "y"), "a-2 a-2 a-2");
    assert_eq!(status(&property.check_in("x")), Some(Status::CheckedIn), "late, into the bed that was kept");
}

#[test]
fn guest_moves_only_into_a_bed_that_its_guest_has_left() {
    let mut property = TestProperty::of(inventory(2));
    book(&mut property, "x", 1, 2, "a-1");
    book(&mut property, "z", 1, 3, "a-2");
    property.at_check_in("2026-12-01");
    for key in ["x", "z"] {
        assert_eq!(status(&property.check_in(key)), Some(Status::CheckedIn));
    }
    // The grid has the bed free from today on, but X has not left it yet.
    property.at_check_in("2026-12-02");
    let decision = property.assign("z", Some(&["a-1"]), None);
    let Decision::Refused(_, Some(why)) = decision else { panic!("X is still in bed: {decision:?}") };
    assert_eq!((why.code, why.bookings), (RefusalCode::BedOccupied, vec![id("x")]));
    property.check_out("x");
    let moves = event(property.assign("z", Some(&["a-1"]), None)).bed_moves;
    assert_eq!(moves, [moved("2026-12-02", "a-2", "a-1")]);
}

#[test]
fn refusal_of_a_dirty_bed_names_the_clean_ones_that_are_free() {
    let mut inventory = inventory(4);
    for bed in ["a-1", "a-3"] {
        inventory.rooms[0]
            .bed_states
            .insert(bed.into(), BedState { cleanliness: Cleanliness::Dirty, ..BedState::default() });
    }
    let mut property = TestProperty::of(inventory);
    book(&mut property, "x", 1, 3, "a-1");
    book(&mut property, "y", 2, 3, "a-2");
    property.at_check_in("2026-12-01");
    let Decision::Refused(_, Some(why)) = property.check_in("x") else { panic!("a-1 is dirty") };
    // a-2 is taken on the second night, a-3 is dirty.
    let dirty = DirtyBed { bed: "a-1".into(), clean: vec!["a-4".into()] };
    assert_eq!((why.code, why.cause.dirty_beds), (RefusalCode::BedNotClean, vec![dirty]));
    assert_eq!(status(&property.assign("x", Some(&["a-4"]), None)), Some(Status::Confirmed));
    assert_eq!(status(&property.check_in("x")), Some(Status::CheckedIn));
}

#[test]
fn walk_in_of_tonight_is_given_a_clean_bed() {
    let mut inventory = inventory(3);
    for bed in ["a-1", "a-2"] {
        inventory.rooms[0]
            .bed_states
            .insert(bed.into(), BedState { cleanliness: Cleanliness::Dirty, ..BedState::default() });
    }
    let mut property = TestProperty::of(inventory);
    property.at_check_in("2026-12-01");
    property.book("tomorrow", nights(2, 4, 1));
    assert_eq!(slept(&property, "tomorrow"), "a-1 a-1", "it will be clean by then");
    property.book("tonight", nights(1, 4, 1));
    assert_eq!(slept(&property, "tonight"), "a-3 a-3 a-3");
    property.book("last", nights(1, 4, 1));
    assert_eq!(slept(&property, "last"), "a-2 a-2 a-2", "a dirty bed before none");
}

#[test]
fn walk_in_of_tonight_is_given_a_bed_that_was_empty_last_night() {
    let mut property = TestProperty::of(inventory(3));
    book(&mut property, "x", 1, 2, "a-1");
    property.at_check_in("2026-12-01");
    property.check_in("x");
    property.at_check_in("2026-12-02");
    property.book("tonight", nights(2, 4, 1));
    assert_eq!(slept(&property, "tonight"), "a-2 a-2", "x has not left a-1");
    property.book("tomorrow", nights(3, 5, 1));
    assert_eq!(slept(&property, "tomorrow"), "a-1 a-1", "x will have left");
}

#[test]
fn walk_in_of_tonight_is_given_a_bed_that_was_cleaned_since_last_night_before_a_dirty_one() {
    let mut inventory = inventory(2);
    let dirty = BedState { cleanliness: Cleanliness::Dirty, ..BedState::default() };
    inventory.rooms[0].bed_states.insert("a-1".into(), dirty);
    let mut property = TestProperty::of(inventory);
    book(&mut property, "x", 1, 2, "a-2");
    property.at_check_in("2026-12-01");
    property.check_in("x");
    property.at_check_in("2026-12-02");
    property.check_out("x");
    property.book("tonight", nights(2, 4, 1));
    assert_eq!(slept(&property, "tonight"), "a-2 a-2");
}

#[test]
fn bed_in_which_a_guest_lies_is_not_offered_instead_of_a_dirty_one() {
    let mut inventory = inventory(3);
    let dirty = BedState { cleanliness: Cleanliness::Dirty, ..BedState::default() };
    inventory.rooms[0].bed_states.insert("a-1".into(), dirty);
    let mut property = TestProperty::of(inventory);
    book(&mut property, "x", 1, 2, "a-2");
    book(&mut property, "y", 2, 3, "a-1");
    property.at_check_in("2026-12-01");
    property.check_in("x");
    property.at_check_in("2026-12-02");
    let clean = |decision| match decision {
        Decision::Refused(_, Some(why)) => why.cause.dirty_beds[0].clean.clone(),
        other => panic!("a-1 is dirty: {other:?}"),
    };
    assert_eq!(clean(property.check_in("y")), ["a-3".into()]);
    property.check_out("x");
    assert_eq!(clean(property.check_in("y")), ["a-2".into(), "a-3".into()]);
}

#[test]
fn bed_of_a_guest_whom_an_earlier_version_checked_in_before_the_cutoff_is_occupied() {
    let mut property = TestProperty::of(inventory(2));
    book(&mut property, "x", 1, 2, "a-1");
    book(&mut property, "y", 2, 4, "a-1");
    property.now = at("2026-12-02T05:00:01Z");
    property.bookings.get_mut(&id("y")).unwrap().status = Status::CheckedIn;
    let Decision::Refused(_, Some(why)) = property.check_in("x") else { panic!("Y is in bed") };
    assert_eq!((why.code, why.bookings), (RefusalCode::BedOccupied, vec![id("y")]));
}

#[test]
fn reinstated_no_show_claims_the_beds_that_it_shows() {
    let mut property = TestProperty::of(inventory(3));
    book(&mut property, "x", 1, 5, "a-1");
    property.at_check_in("2026-12-01");
    property.check_in("x");
    property.at_check_in("2026-12-02");
    property.assign("x", Some(&["a-2"]), None);
    let because = |property: &TestProperty| CommandHeader {
        reason: Some("the wrong guest".to_owned()),
        as_admin: true,
        ..property.header("x")
    };
    let header = because(&property);
    property.one(BookingCommand::Reinstate(ReinstateBooking { header, stays: Vec::new() }));
    let header = property.header("x");
    property.one(BookingCommand::NoShow(MarkNoShow { header, stays: Vec::new() }));
    let header = because(&property);
    assert_eq!(
        status(&property.one(BookingCommand::Reinstate(ReinstateBooking { header, stays: Vec::new() }))),
        Some(Status::Confirmed)
    );
    property.check();
}

#[test]
fn redelivered_extension_reports_the_same_moves() {
    let mut property = checked_in(2);
    property.assign("y", None, Some(true));
    let longer = property.modification("x", nights(1, 3, 1));
    let command = (Uuid::from_u128(7), BookingCommand::Modify(Box::new(longer)));
    let first = property.run(std::slice::from_ref(&command));
    let again = property.decide_until_known(&[command]);
    assert_eq!((&again.decisions, again.changes.len(), again.marks.len()), (&first, 0, 0));
}

#[test]
fn refused_change_marks_no_bed() {
    let mut property = checked_in(2);
    property.assign("y", None, Some(true));
    let mut longer = property.modification("x", nights(1, 3, 1));
    longer.rate_plan_id = Some("castle".into());
    let outcome = property.decide_until_known(&[(Uuid::from_u128(7), BookingCommand::Modify(Box::new(longer)))]);
    assert_eq!((code(&outcome.decisions[0]), outcome.marks.len()), (Some(RefusalCode::Closed), 0));
}

#[test]
fn refusal_names_at_most_fifty_bookings() {
    let ids: Vec<BookingId> = (0..60).map(|number| id(&number.to_string())).collect();
    let why = RefusalDetail::of(RefusalCode::BedTaken).naming([ids.clone(), ids].concat());
    assert_eq!((why.bookings.len(), why.booking_count), (50, Some(60)));
    let few = RefusalDetail::of(RefusalCode::BedTaken).naming(vec![id("1")]);
    assert_eq!((few.bookings.len(), few.booking_count), (1, None));
}

#[test]
fn request_never_moves_a_checked_in_guest() {
    let mut property = checked_in(2);
    property.modify("x", nights(1, 3, 1));
    let before = property.booking("x").clone();
    // Every night has room, and Y may move: X alone is in the way.
    let (_, request) = booking_request("z", nights(1, 6, 1));
    property.one(request);
    assert_eq!(property.booking("x"), &before);
}
