//! Names of a rooming list follow their guests.

use super::parts_of_bookings::{DORM, check_in, check_out, group, no_show, some, whole};
use super::property::{TestProperty, code, status};
use crate::actor::Actor;
use crate::booking::{Booking, PlaceGuest, PlaceProgress, Stay, StayRequest};
use crate::decide::Decision;
use crate::fixtures::{date, stay};
use crate::ids::BedId;
use crate::messages::*;
use chrono::{Days, NaiveDate};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn guest(stay_id: u32, position: u32, name: &str) -> PlaceGuest {
    let (first_name, last_name) = (name.to_owned(), String::new());
    PlaceGuest { stay_id, position, first_name, last_name, birth_date: None, nationality: None }
}

fn name_guests(property: &mut TestProperty, actor: Actor, guests: Vec<PlaceGuest>) -> Decision {
    let header = CommandHeader { actor, expected_rev: Some(property.booking("1").rev), ..property.header("1") };
    property.one(BookingCommand::NameGuests(Box::new(NameGuests { header, guests })))
}

fn staff() -> Actor {
    serde_json::from_str("\"staff:desk\"").unwrap()
}

/// Names every place after its bed.
fn name_all(property: &mut TestProperty, today: NaiveDate) {
    let booking = property.booking("1");
    let named = booking
        .places(today)
        .into_iter()
        .map(|place| guest(place.stay_id, place.position, place.bed.unwrap().as_str()));
    let named = named.collect();
    assert!(matches!(name_guests(property, staff(), named), Decision::Decided(_)));
}

/// The bed of each name.
fn beds(booking: &Booking, today: NaiveDate) -> BTreeMap<String, BedId> {
    let named =
        booking.places(today).into_iter().filter_map(|place| Some((place.guest?.full_name(), place.bed?.clone())));
    named.collect()
}

fn assign(property: &mut TestProperty, index: usize, beds: Vec<BedId>, from: Option<NaiveDate>) -> Decision {
    let assignment = Assignment { stay: Some(index), id: None, beds: Some(beds), from, locked: None };
    let header = property.header("1");
    property.one(BookingCommand::Assign(AssignBeds { header, assignments: vec![assignment] }))
}

#[test]
fn list_is_replaced_once_and_only_for_places_that_exist() {
    let mut property = group();
    let list = || vec![guest(0, 1, "Bo"), guest(0, 0, "Al")];
    assert!(matches!(name_guests(&mut property, Actor::GUEST, list()), Decision::Decided(_)));
    let booking = property.booking("1");
    assert_eq!((booking.rev, booking.rooming_list[0].first_name.as_str()), (2, "Al"));
    let changes = booking.history.last().unwrap().changes.as_deref().unwrap();
    assert!(changes.rooming_list && !changes.guest && changes.stays.is_empty());
    let event = serde_json::to_string(&crate::events::BookingEvent::of(booking, booking.history.last().unwrap()));
    assert!(!event.unwrap().contains("Bo"), "no name is in an event");
    assert!(matches!(name_guests(&mut property, Actor::GUEST, list()), Decision::Decided(_)));
    assert_eq!(property.booking("1").rev, 2, "nothing new");
    for wrong in [vec![guest(0, 6, "x")], vec![guest(1, 0, "x")], vec![guest(0, 0, "x"), guest(0, 0, "y")]] {
        assert_eq!(code(&name_guests(&mut property, staff(), wrong)), Some(RefusalCode::UnknownGuests));
    }
}

#[test]
fn arrived_guests_are_renamed_by_staff_only() {
    let mut property = group();
    name_guests(&mut property, Actor::GUEST, vec![guest(0, 0, "Al"), guest(0, 5, "Flo")]);
    let al = StaySelection { places: Some(vec![0]), ..whole(0) };
    assert!(matches!(check_in(&mut property, vec![al]), Decision::Decided(_)));
    let booking = property.booking("1");
    assert_eq!(booking.rooming_list, [guest(0, 4, "Flo"), guest(1, 0, "Al")]);
    assert_eq!(booking.places(date("2027-01-10"))[5].progress, PlaceProgress::CheckedIn);
    let refused = Some(RefusalCode::WrongProgress);
    assert_eq!(code(&name_guests(&mut property, Actor::GUEST, vec![guest(1, 0, "Eve")])), refused);
    assert_eq!(code(&name_guests(&mut property, Actor::GUEST, Vec::new())), refused);
    let kept = vec![guest(0, 0, "Cy"), guest(1, 0, "Al")];
    assert!(matches!(name_guests(&mut property, Actor::GUEST, kept), Decision::Decided(_)));
    assert!(matches!(name_guests(&mut property, staff(), vec![guest(1, 0, "Eve")]), Decision::Decided(_)));
}

#[test]
fn places_are_named_once_and_those_of_a_private_room_together() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-12", 2)]);
    property.at_check_in("2027-01-10");
    let places = |places: &[u32]| StaySelection { places: Some(places.to_vec()), ..whole(0) };
    let own = property.booking("1").stays[0].assigned_beds[0].clone();
    let same_bed = StaySelection { beds: Some(vec![own.clone(), own]), ..whole(0) };
    for twice in [places(&[0, 0]), same_bed] {
        assert_eq!(code(&check_in(&mut property, vec![twice])), Some(RefusalCode::UnknownGuests));
    }
    let shifted = vec![places(&[0]), places(&[1])];
    assert_eq!(code(&check_in(&mut property, shifted)), Some(RefusalCode::UnknownStay), "one stay, named once");
    let parted = vec![places(&[0]), whole(1)];
    assert_eq!(code(&check_in(&mut property, parted)), Some(RefusalCode::UnknownStay), "it is made by this command");
    assert!(matches!(check_in(&mut property, vec![places(&[1, 0])]), Decision::Decided(_)));
    assert_eq!(property.booking("1").stays.len(), 1);
    let mut private = TestProperty::new();
    private.book("1", vec![stay("private-double", "2027-01-10", "2027-01-12", 1)]);
    private.at_check_in("2027-01-10");
    assert_eq!(code(&check_in(&mut private, vec![places(&[1])])), Some(RefusalCode::UnknownGuests));
    assert!(matches!(check_in(&mut private, vec![places(&[0])]), Decision::Decided(_)), "two beds, one guest");
}

#[test]
fn names_follow_moves_departures_and_absences() {
    let mut property = group();
    name_all(&mut property, date("2027-01-10"));
    let four = StaySelection { places: Some(vec![0, 2, 3, 5]), ..whole(0) };
    assert!(matches!(check_in(&mut property, vec![four]), Decision::Decided(_)));
    let all = beds(property.booking("1"), date("2027-01-10"));
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|(name, bed)| name == bed.as_str()), "{all:?}");
    // The guest of the second bed moves.
    let mut others = property.booking("1").stays[1].assigned_beds.clone();
    let moved = std::mem::replace(&mut others[1], "b-6".into());
    others.reverse();
    assert!(matches!(assign(&mut property, 1, others, None), Decision::Decided(_)));
    let after = beds(property.booking("1"), date("2027-01-10"));
    assert_eq!(after[moved.as_str()].as_str(), "b-6");
    assert!(after.iter().all(|(name, bed)| name == bed.as_str() || name == moved.as_str()), "{after:?}");
    property.at_check_in("2027-01-11");
    let position = property.booking("1").stays[1].assigned_beds.iter().position(|bed| bed.as_str() == "b-6").unwrap();
    let one = StaySelection { places: Some(vec![u32::try_from(position).unwrap()]), ..whole(1) };
    assert!(matches!(check_out(&mut property, vec![one], false), Decision::Decided(_)));
    let booking = property.booking("1");
    let left = booking.rooming_list.iter().find(|guest| guest.stay_id == 2).unwrap();
    assert_eq!(left.first_name, moved.as_str());
    assert!(matches!(no_show(&mut property, vec![whole(0)]), Decision::Decided(_)));
    let booking = property.booking("1");
    let absent = booking.places(date("2027-01-11")).into_iter().filter(|place| place.progress == PlaceProgress::NoShow);
    assert_eq!((absent.filter(|place| place.guest.is_some()).count(), booking.rooming_list.len()), (2, 6));
}

#[test]
fn names_of_dropped_places_are_dropped_and_of_moved_guests_kept() {
    let mut property = group();
    name_all(&mut property, date("2027-01-10"));
    property.modify("1", vec![stay(DORM, "2027-01-10", "2027-01-13", 5)]);
    let booking = property.booking("1");
    assert_eq!((booking.rooming_list.len(), beds(booking, date("2027-01-10")).len()), (5, 5));
    check_in(&mut property, Vec::new());
    let kept = property.booking("1").stays[0].assigned_beds[..3].to_vec();
    let stays = [
        (stay(DORM, "2027-01-10", "2027-01-13", 3), Some(0), Some(kept)),
        (stay("private-double", "2027-01-10", "2027-01-13", 2), None, Some(vec!["p1-1".into(), "p1-2".into()])),
    ];
    let stays = stays.map(|(stay, continues, beds)| StayModification { stay, continues, beds });
    let change = ModifyBooking { stays: Some(stays.into()), ..property.modification("1", Vec::new()) };
    assert!(matches!(property.one(BookingCommand::Modify(Box::new(change))), Decision::Decided(_)));
    let booking = property.booking("1");
    let added = booking.rooming_list.iter().filter(|guest| guest.stay_id == 1).count();
    assert_eq!((booking.rooming_list.len(), added), (5, 2));
}

#[test]
fn name_stays_in_its_stay_when_new_guests_get_its_bed() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-13", 2)]);
    name_all(&mut property, date("2027-01-10"));
    let own = property.booking("1").stays[0].assigned_beds.clone();
    let free: Vec<BedId> =
        property.inventory().rooms[0].beds.iter().filter(|bed| !own.contains(bed)).cloned().collect();
    let stays = [(2, Some(0), vec![free[0].clone(), own[1].clone()]), (1, None, vec![own[0].clone()])];
    let stays = stays.map(|(guests, continues, beds)| StayModification {
        stay: stay(DORM, "2027-01-10", "2027-01-13", guests),
        continues,
        beds: Some(beds),
    });
    let change = ModifyBooking { stays: Some(stays.into()), ..property.modification("1", Vec::new()) };
    assert!(matches!(property.one(BookingCommand::Modify(Box::new(change))), Decision::Decided(_)));
    let booking = property.booking("1");
    assert_eq!(booking.rooming_list.iter().map(PlaceGuest::place).collect::<Vec<_>>(), [(0, 0), (0, 1)]);
    assert_eq!(beds(booking, date("2027-01-10"))[own[0].as_str()], free[0]);
}

#[test]
fn guest_that_joins_and_leaves_on_one_day_keeps_the_name() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-13", 1)]);
    property.at_check_in("2027-01-10");
    check_in(&mut property, Vec::new());
    property.at_check_in("2027-01-11");
    property.clean();
    property.modify("1", vec![stay(DORM, "2027-01-10", "2027-01-13", 2)]);
    name_all(&mut property, date("2027-01-11"));
    let joined = StaySelection { places: Some(vec![1]), ..whole(0) };
    assert!(matches!(check_out(&mut property, vec![joined], false), Decision::Decided(_)));
    let places: Vec<_> = property.booking("1").rooming_list.iter().map(PlaceGuest::place).collect();
    assert_eq!(places, [(0, 0), (1, 0)]);
}

#[test]
fn listed_child_does_not_move_to_a_room_type_for_adults() {
    let mut inventory = crate::fixtures::sample_inventory();
    let adults = inventory.room_types.iter_mut().find(|one| one.id.as_str() == "private-double").unwrap();
    adults.minimum_age = Some(18);
    let mut property = TestProperty::of(inventory);
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-13", 1)]);
    let born = |born| vec![PlaceGuest { birth_date: Some(date(born)), ..guest(0, 0, "Bo") }];
    let other = vec![stay("private-double", "2027-01-10", "2027-01-13", 1)];
    name_guests(&mut property, staff(), born("2009-01-11"));
    let refused = property.modify("1", other.clone());
    assert!(!matches!(refused, Decision::Decided(_)), "{refused:?}");
    name_guests(&mut property, staff(), born("2009-01-10"));
    assert!(matches!(property.modify("1", other), Decision::Decided(_)));
}

#[test]
fn reassigned_booking_keeps_its_names_in_order() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-12", 2)]);
    name_all(&mut property, date("2027-01-10"));
    property.modify("1", vec![stay(DORM, "2027-02-10", "2027-02-12", 2)]);
    assert_eq!(property.booking("1").rooming_list.len(), 2, "other nights, the same guests");
}

#[derive(Debug, Clone)]
enum Step {
    CheckIn { stay: prop::sample::Index, places: Vec<prop::sample::Index> },
    CheckOut { stay: prop::sample::Index, places: Vec<prop::sample::Index> },
    NoShow { stay: prop::sample::Index, guests: u32 },
    Reinstate(bool),
    Move { stay: prop::sample::Index, place: prop::sample::Index, bed: prop::sample::Index, later: u64, shuffle: bool },
    NextDay,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let places = move || prop::collection::vec(index(), 0..4);
    let step = prop_oneof![
        4 => (index(), places()).prop_map(|(stay, places)| Step::CheckIn { stay, places }),
        2 => (index(), places()).prop_map(|(stay, places)| Step::CheckOut { stay, places }),
        1 => (index(), 1_u32..3).prop_map(|(stay, guests)| Step::NoShow { stay, guests }),
        1 => any::<bool>().prop_map(Step::Reinstate),
        4 => (index(), index(), index(), 0_u64..3, any::<bool>())
            .prop_map(|(stay, place, bed, later, shuffle)| Step::Move { stay, place, bed, later, shuffle }),
        2 => Just(Step::NextDay),
    ];
    prop::collection::vec(step, 1..16)
}

fn selection(booking: &Booking, stay: prop::sample::Index, places: &[prop::sample::Index]) -> Vec<StaySelection> {
    let index = stay.index(booking.stays.len());
    let guests = booking.stays[index].guests as usize;
    let mut places: Vec<u32> = places.iter().map(|place| u32::try_from(place.index(guests)).unwrap()).collect();
    places.sort_unstable();
    places.dedup();
    vec![StaySelection { places: Some(places).filter(|places| !places.is_empty()), ..whole(index) }]
}

/// Who lies in which bed on this night, as the stays and the list say.
fn sleepers(booking: &Booking, night: NaiveDate) -> BTreeMap<BedId, String> {
    let mut found = BTreeMap::new();
    for place in booking.places(night) {
        let is_there = place.stay.arrival <= night && night < place.stay.departure;
        if let (true, Some(bed), Some(guest)) = (is_there, place.bed, place.guest) {
            found.insert(bed.clone(), guest.full_name());
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Against a model that knows one thing: a guest lies in the same bed after a command, unless that command took
    /// the bed from their stay.
    #[test]
    fn every_name_stays_with_its_guest(guests in (1_u32..5, 1_u32..4), steps in steps()) {
        let first = date("2026-12-01");
        let mut property = TestProperty::new();
        property.at_check_in("2026-12-01");
        let asked = |guests| StayRequest::new(DORM, first, first + Days::new(5), guests);
        property.book("1", vec![asked(guests.0), asked(guests.1)]);
        name_all(&mut property, first);
        let all = (guests.0 + guests.1) as usize;
        let mut today = first;
        for step in steps {
            let before = property.booking("1").clone();
            let decision = match step {
                Step::CheckIn { stay, places } => check_in(&mut property, selection(&before, stay, &places)),
                Step::CheckOut { stay, places } => check_out(&mut property, selection(&before, stay, &places), false),
                Step::NoShow { stay, guests } => {
                    no_show(&mut property, vec![some(stay.index(before.stays.len()), guests)])
                }
                Step::Reinstate(absent) => {
                    let header = CommandHeader {
                        reason: Some("mistake".to_owned()), as_admin: true, ..property.header("1")
                    };
                    let ids = before.absent_stays().into_iter().filter_map(|stay| stay.id).filter(|_| absent);
                    property.one(BookingCommand::Reinstate(ReinstateBooking { header, stays: ids.collect() }))
                }
                Step::Move { stay, place, bed, later, shuffle } => {
                    let index = stay.index(before.stays.len());
                    let from = today + Days::new(later);
                    let night = before.stays[index].night_nearest(from);
                    let mut beds = before.stays[index].beds_on(night).to_vec();
                    if beds.is_empty() {
                        // Reinstated a day late, and gone on that day.
                        continue;
                    }
                    let inventory = property.inventory();
                    let all: Vec<BedId> = inventory.rooms[..2].iter().flat_map(|room| room.beds.clone()).collect();
                    let place = place.index(beds.len());
                    beds[place] = all[bed.index(all.len())].clone();
                    if shuffle {
                        beds.reverse();
                    }
                    let from = (before.status == crate::booking::Status::CheckedIn).then_some(from);
                    assign(&mut property, index, beds, from)
                }
                Step::NextDay => {
                    today = today + Days::new(1);
                    property.at_check_in(&today.to_string());
                    property.clean();
                    continue;
                }
            };
            let booking = property.booking("1");
            if !matches!(decision, Decision::Decided(_)) || status(&decision) == Some(crate::booking::Status::NoShow) {
                prop_assert_eq!(&booking.rooming_list, &before.rooming_list);
                if booking.status == crate::booking::Status::NoShow {
                    break;
                }
                continue;
            }
            let mut names: Vec<String> = booking.rooming_list.iter().map(PlaceGuest::full_name).collect();
            names.sort_unstable();
            names.dedup();
            prop_assert_eq!((names.len(), booking.rooming_list.len()), (all, all), "no name is lost or doubled");
            let places = booking.places(today);
            prop_assert!(places.iter().all(|place| place.guest.is_some()), "every place has its name");
            let is_reversal = booking.history.last().unwrap().action == crate::booking::Action::Reinstate;
            for day in 0..5 {
                let night = first + Days::new(day);
                let (was, is) = (sleepers(&before, night), sleepers(booking, night));
                for (bed, name) in &is {
                    let own = was.iter().find(|(_, other)| *other == name).map(|(bed, _)| bed);
                    let is_moved = !is_reversal && own.is_some_and(|own| own != bed);
                    let still_there = own.is_some_and(|own| is.contains_key(own));
                    // A guest who moves into the bed that another one of the stay leaves on that day counts as
                    // having slept there: stays know beds by night, not whose they were.
                    let is_right = !is_moved || !still_there || night != today;
                    prop_assert!(is_right, "{name} lies in {bed} on {night}, was in {own:?}");
                }
            }
        }
    }
}

#[test]
fn parted_guests_keep_their_beds_of_later_nights() {
    let mut stay = Stay::of(
        &StayRequest::new(DORM, date("2027-01-10"), date("2027-01-14"), 3),
        vec!["a".into(), "b".into(), "c".into()],
    );
    stay.move_to(vec!["x".into(), "y".into(), "c".into()], date("2027-01-12"));
    let places = |stay: &Stay, night: &str| {
        stay.places(date(night)).into_iter().map(|bed| bed.unwrap().to_string()).collect::<String>()
    };
    assert_eq!((places(&stay, "2027-01-11"), places(&stay, "2027-01-13")), ("abc".into(), "xyc".into()));
    let parted = stay.part_off(&["b".into()], date("2027-01-10"));
    assert_eq!((places(&parted, "2027-01-11"), places(&parted, "2027-01-13")), ("b".into(), "y".into()));
    assert_eq!((places(&stay, "2027-01-11"), places(&stay, "2027-01-13")), ("ac".into(), "xc".into()));
}
