//! Property tests: random batches never double-book, never refuse what fits, and never move a pinned stay.
//!
//! The expected result is found by trying every assignment, without any of the product's rules.

use super::property::{PROPERTY, TestProperty, booking_request, cancellation, id, status};
use crate::booking::{Action, Booking, Status, Stay, StayRequest};
use crate::decide::Decision;
use crate::fixtures::{date, sample_inventory, stay};
use crate::ids::{BedId, BookingId};
use crate::inventory::{BedService, BedState, Inventory, Room, RoomKind};
use crate::messages::RefusalCode;
use chrono::{Days, NaiveDate};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashSet};

const DORM: &str = "dorm-6-mixed";
const PRIVATE: &str = "private-double";

/// A stay in the search: its nights, fewest beds of its unit.
type Item = (NaiveDate, NaiveDate, usize);

/// Whether the stay fits when every stay that is not pinned may be moved; `own` is the booking that is changed.
fn fits(property: &TestProperty, requested: &StayRequest, own: Option<BookingId>) -> bool {
    let inventory = property.inventory();
    let private = inventory.room_type(&requested.room_type_id).unwrap().kind == RoomKind::Private;
    let active = |room: &Room| -> Vec<BedId> {
        let service = |bed: &BedId| room.bed_states.get(bed).map_or(BedService::Active, |state| state.service);
        room.beds.iter().filter(|bed| service(bed) == BedService::Active).cloned().collect()
    };
    let rooms = inventory.rooms.iter().filter(|room| room.room_type_id == requested.room_type_id).map(active);
    let units: Vec<Vec<BedId>> = match private {
        true => rooms.filter(|beds| !beds.is_empty()).collect(),
        false => rooms.flatten().map(|bed| vec![bed]).collect(),
    };
    let mut items: Vec<Item> = Vec::new();
    let mut add = |arrival, departure, guests: u32| {
        let guests = guests as usize;
        if private {
            items.push((arrival, departure, guests))
        } else {
            items.extend(vec![(arrival, departure, 1); guests])
        }
    };
    add(requested.arrival, requested.departure, requested.guests);
    let mut free: HashSet<(BedId, NaiveDate)> = HashSet::new();
    for booking in property.bookings.values() {
        let movable = own != Some(booking.id) && matches!(booking.status, Status::Held | Status::Confirmed);
        for one in
            booking.stays.iter().filter(|one| one.room_type_id == requested.room_type_id && booking.status.holds_beds())
        {
            if movable && !one.locked {
                add(one.arrival, one.departure, one.guests);
            }
            if own == Some(booking.id) || (movable && !one.locked) {
                free.extend(one.bed_nights().map(|(bed, night)| (bed.clone(), night)));
            }
        }
    }
    let mut taken: Vec<BTreeSet<NaiveDate>> = vec![BTreeSet::new(); units.len()];
    for claim in &property.claims {
        for (unit, beds) in units.iter().enumerate() {
            if beds.contains(&claim.bed_id) && !free.contains(&(claim.bed_id.clone(), claim.night)) {
                taken[unit].insert(claim.night);
            }
        }
    }
    items.sort_unstable();
    seat(&items, &units, &mut taken)
}

fn seat(items: &[Item], units: &[Vec<BedId>], taken: &mut Vec<BTreeSet<NaiveDate>>) -> bool {
    let Some(((arrival, departure, beds), rest)) = items.split_first() else { return true };
    let nights: Vec<NaiveDate> = arrival.iter_days().take_while(|night| night < departure).collect();
    let mut tried: HashSet<(usize, BTreeSet<NaiveDate>)> = HashSet::new();
    for unit in 0..units.len() {
        // Equal units are one choice.
        if units[unit].len() < *beds
            || nights.iter().any(|night| taken[unit].contains(night))
            || !tried.insert((units[unit].len(), taken[unit].clone()))
        {
            continue;
        }
        taken[unit].extend(&nights);
        let found = seat(rest, units, taken);
        taken[unit].retain(|night| !nights.contains(night));
        if found {
            return true;
        }
    }
    false
}

fn is_pinned(booking: &Booking, stay: &Stay) -> bool {
    booking.status == Status::CheckedIn || stay.locked
}

/// Beds of the stays that may not be moved.
fn pinned(property: &TestProperty) -> BTreeMap<(BookingId, usize), Vec<BedId>> {
    let stays = property
        .bookings
        .values()
        .flat_map(|booking| booking.stays.iter().enumerate().map(move |(index, stay)| (booking, index, stay)));
    stays
        .filter(|(booking, _, stay)| is_pinned(booking, stay))
        .map(|(booking, index, stay)| ((booking.id, index), stay.assigned_beds.clone()))
        .collect()
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Ask { private: bool, offset: u64, nights: u64, guests: u32 },
    Change { which: prop::sample::Index, private: bool, offset: u64, nights: u64, guests: u32 },
    Cancel(prop::sample::Index),
    Lock(prop::sample::Index, bool),
    CheckIn(prop::sample::Index),
    Block { bed: prop::sample::Index, offset: u64, nights: u64 },
    Unblock(prop::sample::Index),
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let ask = (any::<bool>(), 0_u64..8, 1_u64..5, 1_u32..4);
    let change = (index(), any::<bool>(), 0_u64..8, 1_u64..5, 1_u32..4);
    let step = prop_oneof![
        8 => ask.prop_map(|(private, offset, nights, guests)| Step::Ask { private, offset, nights, guests }),
        3 => change.prop_map(|(which, private, offset, nights, guests)| Step::Change { which, private, offset, nights,
            guests }),
        2 => index().prop_map(Step::Cancel),
        1 => (index(), any::<bool>()).prop_map(|(which, locked)| Step::Lock(which, locked)),
        1 => index().prop_map(Step::CheckIn),
        1 => (index(), 0_u64..8, 1_u64..3).prop_map(|(bed, offset, nights)| Step::Block { bed, offset, nights }),
        1 => index().prop_map(Step::Unblock),
    ];
    prop::collection::vec(step, 1..28)
}

/// Two dorms of `dorms` beds, private rooms of `rooms` beds, one bed in each kind perhaps out of service.
pub(super) fn inventory(dorms: (usize, usize), rooms: &[usize], broken: bool) -> Inventory {
    let mut inventory = sample_inventory();
    let room = |id: &str, room_type: &str, beds: usize| {
        Room::new(id, room_type, (1..=beds).map(|bed| format!("{id}-{bed}").as_str().into()).collect())
    };
    inventory.rooms = vec![room("a", DORM, dorms.0), room("b", DORM, dorms.1)];
    inventory.rooms.extend(rooms.iter().enumerate().map(|(number, beds)| room(&format!("p{number}"), PRIVATE, *beds)));
    inventory.rooms.retain(|room| !room.beds.is_empty());
    if broken {
        let state = BedState { service: BedService::OutOfService, ..BedState::default() };
        inventory.rooms[0].bed_states.insert("a-1".into(), state);
    }
    inventory
}

pub(super) fn stay_request(private: bool, offset: u64, nights: u64, guests: u32) -> StayRequest {
    let arrival = date("2026-12-01") + Days::new(offset);
    StayRequest {
        arrival,
        departure: arrival + Days::new(nights),
        ..stay(if private { PRIVATE } else { DORM }, "2026-12-01", "2026-12-02", guests)
    }
}

/// Runs one step and checks its result; `requested` counts the bookings so far.
pub(super) fn take(
    property: &mut TestProperty,
    step: Step,
    number: usize,
    requested: &mut usize,
) -> Result<(), TestCaseError> {
    let before = pinned(property);
    let mut subject = None;
    let key = |index: prop::sample::Index, requested: usize| index.index(requested).to_string();
    match step {
        Step::Ask { private, offset, nights, guests } => {
            let stay_request = stay_request(private, offset, nights, guests);
            let expected = if fits(property, &stay_request, None) { Status::Confirmed } else { Status::Rejected };
            let decision = property.run(&[booking_request(&requested.to_string(), vec![stay_request])]).remove(0);
            prop_assert_eq!(status(&decision), Some(expected));
            *requested += 1;
        }
        _ if *requested == 0 => {}
        Step::Change { which, private, offset, nights, guests } => {
            let key = key(which, *requested);
            subject = Some(id(&key));
            let stay_request = stay_request(private, offset, nights, guests);
            let booking = property.booking(&key);
            let judged = booking.status == Status::Confirmed && !booking.stays[0].locked;
            let expected = judged.then(|| fits(property, &stay_request, subject));
            let decision = property.modify(&key, vec![stay_request]);
            if let Some(expected) = expected {
                prop_assert_eq!(status(&decision), expected.then_some(Status::Confirmed), "{:?}", decision);
            }
        }
        Step::Cancel(which) => {
            property.run(&[cancellation(&key(which, *requested), number as u128)]);
        }
        Step::Lock(which, locked) => {
            property.assign(&key(which, *requested), None, Some(locked));
        }
        Step::CheckIn(which) => {
            property.check_in(&key(which, *requested));
        }
        Step::Block { bed, offset, nights } => {
            let beds: Vec<String> =
                property.inventory().rooms.iter().flat_map(|room| room.beds.iter().map(ToString::to_string)).collect();
            let bed = &beds[bed.index(beds.len())];
            let from = date("2026-12-01") + Days::new(offset);
            let until = from + Days::new(nights);
            let met: BTreeSet<BookingId> = in_the_way(property, bed, from, until);
            let free = !property
                .claims
                .iter()
                .any(|claim| claim.bed_id.as_str() == bed && from <= claim.night && claim.night < until);
            match property.block(&number.to_string(), &[bed], &from.to_string(), &until.to_string()) {
                Decision::Changed(_) => prop_assert!(free),
                Decision::Refused(_, Some(why)) => {
                    prop_assert_eq!(
                        (why.code, why.bookings.into_iter().collect::<BTreeSet<_>>(), free),
                        (RefusalCode::BedTaken, met, false)
                    );
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        Step::Unblock(which) => {
            property.unblock(&which.index(number + 1).to_string());
        }
    }
    for ((booking, index), beds) in before.into_iter().filter(|((booking, _), _)| Some(*booking) != subject) {
        let after = &property.bookings[&booking];
        prop_assert_eq!(&after.stays[index].assigned_beds, &beds, "a pinned stay was moved");
    }
    for booking in property.bookings.values() {
        moved_for_a_reason(booking)?;
    }
    Ok(())
}

fn in_the_way(property: &TestProperty, bed: &str, from: NaiveDate, until: NaiveDate) -> BTreeSet<BookingId> {
    let meets =
        |booking: &&Booking| booking.claims().any(|(own, night)| own.as_str() == bed && from <= night && night < until);
    property.bookings.values().filter(meets).map(|booking| booking.id).collect()
}

/// Every move is a revision that changed beds and nothing else.
fn moved_for_a_reason(booking: &Booking) -> Result<(), TestCaseError> {
    prop_assert_eq!(booking.rev as usize, booking.history.len());
    for entry in booking.history.iter().filter(|entry| entry.action == Action::Move) {
        let changes = entry.changes.as_ref().unwrap();
        prop_assert!(changes.price.is_none() && !changes.guest && !changes.stays.is_empty());
        for change in &changes.stays {
            let (before, after) = (change.before.clone().unwrap(), change.after.clone().unwrap());
            let (old, new): (BTreeSet<_>, BTreeSet<_>) =
                (before.assigned_beds.iter().collect(), after.assigned_beds.iter().collect());
            prop_assert!(old != new, "moved in vain");
            prop_assert_eq!(
                Stay { assigned_beds: Vec::new(), ..before.clone() },
                Stay { assigned_beds: Vec::new(), ..after.clone() }
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn random_batches_keep_the_allocation_invariants(
        dorms in (1_usize..4, 0_usize..3),
        rooms in prop::collection::vec(1_usize..4, 1..4),
        broken in any::<bool>(),
        steps in steps(),
    ) {
        let mut property = TestProperty::of(inventory(dorms, &rooms, broken));
        let mut requested = 0;
        for (number, step) in steps.into_iter().enumerate() {
            take(&mut property, step, number, &mut requested)?;
        }
    }

    #[test]
    fn batch_equals_its_commands_one_by_one(steps in prop::collection::vec((any::<bool>(), 0_u64..8,
        1_u64..5, 1_u32..4), 1..20)) {
        let commands: Vec<_> = steps.into_iter().enumerate().map(|(number, (private, offset, nights, guests))| {
            booking_request(&number.to_string(), vec![stay_request(private, offset, nights, guests)])
        }).collect();
        let (mut together, mut apart) = (TestProperty::of(inventory((2, 2), &[2, 3], false)),
            TestProperty::of(inventory((2, 2), &[2, 3], false)));
        let decisions = together.run(&commands);
        let run = |command| apart.run(std::slice::from_ref(command));
        let one_by_one: Vec<Decision> = commands.iter().flat_map(run).collect();
        prop_assert_eq!(decisions, one_by_one);
        prop_assert_eq!(&together.claims, &apart.claims);
        prop_assert!(together.bookings.values().all(|booking| booking.property_id.as_str() == PROPERTY));
    }
}
