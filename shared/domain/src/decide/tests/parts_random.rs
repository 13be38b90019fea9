//! Property test: whatever happens to the stays of a booking, no guest, bed, night or amount is lost or counted twice.

use super::parts_of_bookings::{DORM, check_in, check_out, no_show, whole};
use super::property::TestProperty;
use crate::booking::{Action, Booking, Status, Stay, StayProgress, StayRequest};
use crate::decide::Decision;
use crate::fixtures::{city_tax, date, sample_inventory, stay};
use crate::ids::BedId;
use crate::inventory::{TaxAmount, TaxRule};
use crate::messages::*;
use chrono::{Days, NaiveDate};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashSet};

const FIRST_DAY: &str = "2026-12-01";

#[derive(Debug, Clone)]
enum Step {
    CheckIn(Vec<(prop::sample::Index, Option<u32>)>),
    CheckOut {
        parts: Vec<(prop::sample::Index, Option<u32>)>,
        reprice: bool,
    },
    NoShow(Vec<(prop::sample::Index, Option<u32>)>),
    Reinstate,
    Move {
        stay: prop::sample::Index,
        bed: prop::sample::Index,
    },
    /// Into the beds of another stay, and as many others as it takes.
    Follow {
        stay: prop::sample::Index,
        other: prop::sample::Index,
        is_assigned: bool,
    },
    /// Ends a stay today and adds one for its guests, perhaps in the beds of another stay.
    Split {
        stay: prop::sample::Index,
        other: Option<prop::sample::Index>,
        guests: u32,
    },
    Extend {
        stay: prop::sample::Index,
        nights: u64,
    },
    Resize {
        stay: prop::sample::Index,
        guests: u32,
    },
    Drop(prop::sample::Index),
    Add {
        offset: u64,
        guests: u32,
    },
    NextDay,
}

fn histories() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let parts = move || prop::collection::vec((index(), prop::option::of(1_u32..4)), 0..3);
    let step = prop_oneof![
        4 => parts().prop_map(Step::CheckIn),
        3 => (parts(), any::<bool>()).prop_map(|(parts, reprice)| Step::CheckOut { parts, reprice }),
        2 => parts().prop_map(Step::NoShow),
        1 => Just(Step::Reinstate),
        2 => (index(), index()).prop_map(|(stay, bed)| Step::Move { stay, bed }),
        3 => (index(), index(), any::<bool>()).prop_map(|(stay, other, is_assigned)|
            Step::Follow { stay, other, is_assigned }),
        2 => (index(), prop::option::of(index()), 1_u32..3).prop_map(|(stay, other, guests)|
            Step::Split { stay, other, guests }),
        1 => (index(), 1_u64..4).prop_map(|(stay, nights)| Step::Extend { stay, nights }),
        1 => (index(), 1_u32..5).prop_map(|(stay, guests)| Step::Resize { stay, guests }),
        1 => index().prop_map(Step::Drop),
        1 => (0_u64..3, 1_u32..3).prop_map(|(offset, guests)| Step::Add { offset, guests }),
        3 => Just(Step::NextDay),
    ];
    prop::collection::vec(step, 1..14)
}

/// Beds by night of the guests who have slept, recomputed from nothing but the stays.
fn slept(booking: &Booking, today: NaiveDate) -> BTreeMap<NaiveDate, Vec<BedId>> {
    let mut beds: BTreeMap<NaiveDate, Vec<BedId>> = BTreeMap::new();
    for stay in booking.stays.iter().filter(|stay| booking.progress_of(stay) != StayProgress::Expected) {
        for (bed, night) in stay.bed_nights().filter(|(_, night)| *night < today) {
            beds.entry(night).or_default().push(bed.clone());
        }
    }
    beds.values_mut().for_each(|beds| beds.sort_unstable());
    beds
}

/// Pairs of stays, by id, whose guests have checked in and lie in the same bed. Guests of a stay that was split lie in
/// theirs with both parts until they check out of the first. A stay that lost guests today and ends today has more beds
/// of last night than guests, so its beds do not say where these lie: it is left out.
fn sharing_a_bed(booking: &Booking, today: NaiveDate) -> BTreeSet<(BedId, u32, u32)> {
    let stays = booking.numbered_stays();
    let is_certain = |stay: &&Stay| stay.occupied_beds(today).len() <= stay.guests as usize;
    let checked_in = stays.iter().filter(|stay| booking.progress_of(stay) == StayProgress::CheckedIn);
    let checked_in = checked_in.filter(is_certain);
    let lying: Vec<(&BedId, u32)> =
        checked_in.flat_map(|stay| stay.occupied_beds(today).iter().map(|bed| (bed, stay.id.unwrap()))).collect();
    let pairs = lying.iter().flat_map(|one| lying.iter().map(move |other| (one, other)));
    let shared = pairs.filter(|((bed, one), (other_bed, other))| bed == other_bed && one < other);
    shared.map(|((bed, one), (_, other))| ((*bed).clone(), *one, *other)).collect()
}

/// Whether a bed is left unused of guests who were to stay longer and whose stay the change ended today.
fn leave_a_bed(before: &Booking, after: &Booking, today: NaiveDate) -> bool {
    let (before, after) = (before.numbered_stays(), after.numbered_stays());
    let tonight = after.iter().filter(|stay| today < stay.departure);
    let used: HashSet<&BedId> = tonight.flat_map(|stay| stay.occupied_beds(today)).collect();
    let is_over = |stay: &&Stay| after.iter().any(|other| other.id == stay.id && other.departure <= today);
    let ended = before.iter().filter(|stay| today < stay.departure).filter(is_over);
    ended.flat_map(|stay| stay.occupied_beds(today)).any(|bed| !used.contains(bed))
}

fn ids(booking: &Booking) -> Vec<u32> {
    booking.numbered_stays().iter().chain(&booking.absent_stays()).filter_map(|stay| stay.id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// `TestProperty::apply` asserts that claims are exactly those of the stays, after every step.
    #[test]
    fn parts_keep_guests_beds_and_money(
        (later, nights, have_arrived) in (0_u64..4, 1_u64..4, any::<bool>()),
        guests in (1_u32..5, 1_u32..3),
        steps in histories(),
        is_per_person in any::<bool>(),
    ) {
        let mut inventory = sample_inventory();
        if is_per_person {
            let linen = TaxRule { code: "linen".to_owned(), amount: TaxAmount::Stay { amount: 500 }, ..city_tax(0) };
            inventory.property.taxes.iter_mut().for_each(|rule| rule.included = true);
            inventory.property.taxes.extend([city_tax(165), linen]);
        }
        let mut property = TestProperty::of(inventory);
        let first = date(FIRST_DAY);
        let asked = |arrival: NaiveDate, nights, guests| {
            let mut asked = stay(DORM, FIRST_DAY, "2026-12-02", guests);
            asked.guest_ages = vec![4; guests as usize / 2];
            StayRequest { arrival, departure: arrival + Days::new(nights), ..asked }
        };
        property.at_check_in(FIRST_DAY);
        property.book("1", vec![asked(first, nights, guests.0), asked(first + Days::new(later), 3, guests.1)]);
        if !property.booking("1").status.holds_beds() {
            return Ok(());
        }
        if have_arrived {
            check_in(&mut property, Vec::new());
        }
        let count = |stays: &[Stay]| stays.iter().map(|stay| stay.guests).sum::<u32>();
        let mut all = count(&property.booking("1").stays);
        let mut given: HashSet<u32> = ids(property.booking("1")).into_iter().collect();
        let mut today = first;
        for step in steps {
            let before = property.booking("1").clone();
            let select = |parts: Vec<(prop::sample::Index, Option<u32>)>| -> Vec<StaySelection> {
                let stay = |index: prop::sample::Index| index.index(before.stays.len());
                parts.into_iter().map(|(index, guests)| StaySelection { guests, ..whole(stay(index)) }).collect()
            };
            let is_change = matches!(
                step,
                Step::Extend { .. }
                    | Step::Resize { .. }
                    | Step::Drop(_)
                    | Step::Add { .. }
                    | Step::Follow { .. }
                    | Step::Split { .. }
            );
            let is_split = matches!(step, Step::Split { .. });
            // Beds of a stay, and as many others as it takes.
            let beds_like = |property: &TestProperty, other: usize, guests: u32| -> Vec<BedId> {
                let beds = property.inventory().rooms[0].beds.clone();
                let theirs = before.stays[other].beds_on(before.stays[other].night_nearest(today));
                let rest = beds.iter().filter(|bed| !theirs.contains(bed));
                theirs.iter().chain(rest).take(guests as usize).cloned().collect()
            };
            let is_reversal = matches!(step, Step::Reinstate);
            let decision = match step {
                Step::CheckIn(parts) => check_in(&mut property, select(parts)),
                Step::CheckOut { parts, reprice } => check_out(&mut property, select(parts), reprice),
                Step::NoShow(parts) => no_show(&mut property, select(parts)),
                Step::Reinstate => {
                    let header = CommandHeader {
                        reason: Some("mistake".to_owned()), as_admin: true, ..property.header("1")
                    };
                    property.one(BookingCommand::Reinstate(ReinstateBooking { header, stays: Vec::new() }))
                }
                Step::Move { stay, bed } => {
                    let index = stay.index(before.stays.len());
                    let beds = property.inventory().rooms[0].beds.clone();
                    let named = beds.iter().cycle().skip(bed.index(beds.len()));
                    let beds = named.take(before.stays[index].guests as usize).cloned().collect();
                    let (stay, beds) = (Some(index), Some(beds));
                    let assignment = Assignment { stay, id: None, beds, from: None, locked: None };
                    let header = property.header("1");
                    property.one(BookingCommand::Assign(AssignBeds { header, assignments: vec![assignment] }))
                }
                Step::Follow { stay, other, is_assigned } => {
                    let (index, other) = (stay.index(before.stays.len()), other.index(before.stays.len()));
                    let beds = beds_like(&property, other, before.stays[index].guests);
                    if is_assigned {
                        let (stay, beds) = (Some(index), Some(beds));
                        let assignment = Assignment { stay, id: None, beds, from: None, locked: None };
                        let header = property.header("1");
                        property.one(BookingCommand::Assign(AssignBeds { header, assignments: vec![assignment] }))
                    } else {
                        let stays = before.stays.iter().map(Stay::as_request).collect();
                        let mut change = property.modification("1", stays);
                        change.stays.as_mut().unwrap()[index].beds = Some(beds);
                        property.one(BookingCommand::Modify(Box::new(change)))
                    }
                }
                Step::Split { stay, other, guests } => {
                    let mut stays: Vec<StayRequest> = before.stays.iter().map(Stay::as_request).collect();
                    let (index, added) = (stay.index(stays.len()), stays.len());
                    if today <= stays[index].arrival || stays[index].departure <= today {
                        continue;
                    }
                    stays[index].departure = today;
                    stays.push(asked(today, 2, guests));
                    let mut change = property.modification("1", stays);
                    let other = other.map(|other| other.index(added));
                    change.stays.as_mut().unwrap()[added].beds =
                        other.map(|other| beds_like(&property, other, guests));
                    property.one(BookingCommand::Modify(Box::new(change)))
                }
                Step::Extend { stay, nights } => {
                    let mut stays: Vec<StayRequest> = before.stays.iter().map(Stay::as_request).collect();
                    let index = stay.index(stays.len());
                    stays[index].departure = stays[index].departure + Days::new(nights);
                    property.modify("1", stays)
                }
                Step::Resize { stay, guests } => {
                    let mut stays: Vec<StayRequest> = before.stays.iter().map(Stay::as_request).collect();
                    let index = stay.index(stays.len());
                    stays[index].guests = guests;
                    stays[index].guest_ages.truncate(guests as usize);
                    property.modify("1", stays)
                }
                Step::Drop(stay) => {
                    let dropped = stay.index(before.stays.len());
                    let keep = |(index, stay): (usize, &Stay)| {
                        StayModification { stay: stay.as_request(), continues: Some(index), beds: None }
                    };
                    let kept = before.stays.iter().enumerate().filter(|(index, _)| *index != dropped).map(keep);
                    let drop = ModifyBooking { stays: Some(kept.collect()), ..property.modification("1", Vec::new()) };
                    property.one(BookingCommand::Modify(Box::new(drop)))
                }
                Step::Add { offset, guests } => {
                    let mut stays: Vec<StayRequest> = before.stays.iter().map(Stay::as_request).collect();
                    stays.push(asked(today + Days::new(offset), 3, guests));
                    property.modify("1", stays)
                }
                Step::NextDay => {
                    today = today + Days::new(1);
                    property.at_check_in(&today.to_string());
                    property.clean();
                    continue;
                }
            };
            let booking = property.booking("1");
            if !matches!(decision, Decision::Decided(_)) {
                prop_assert_eq!(booking, &before, "a refusal changes nothing");
                continue;
            }
            if booking.status == Status::NoShow {
                break;
            }
            let guests = count(&booking.stays) + count(&booking.absent_stays());
            let (known, now) = (ids(&before), ids(booking));
            prop_assert!(now.iter().collect::<HashSet<_>>().len() == now.len(), "ids are unique");
            let mut added = now.iter().filter(|id| !known.contains(id));
            prop_assert!(added.all(|id| given.insert(*id)), "no id is given twice");
            prop_assert!(is_change || guests == all, "no guest is lost or doubled");
            all = guests;
            let shared = sharing_a_bed(booking, today);
            let lay_together = sharing_a_bed(&before, today);
            let is_known = |one: &&(BedId, u32, u32)| known.contains(&one.1) && known.contains(&one.2);
            let mut new = shared.difference(&lay_together).filter(is_known);
            prop_assert!(new.next().is_none(), "guests move into a bed that others have not left");
            if is_split && leave_a_bed(&before, booking, today) {
                let departed = |id: u32| {
                    before.numbered_stays().iter().any(|stay| stay.id == Some(id) && stay.departure == today)
                };
                let mut taken = shared.difference(&lay_together).filter(|(_, one, _)| departed(*one));
                prop_assert!(taken.next().is_none(), "guests of a split stay take a bed that others have not left");
            }
            let mut derived = booking.clone();
            let follows = derived.set_progress(&[], StayProgress::Expected);
            prop_assert_eq!((follows, &derived.stays), (booking.status, &booking.stays), "the status follows");
            let price = booking.price.as_ref().unwrap();
            let added = price.taxes.iter().filter(|tax| !tax.included).map(|tax| tax.amount);
            let parts = price.nights.iter().flatten().sum::<i64>() + price.unused_nights + added.sum::<i64>();
            prop_assert!(price.included_taxes() <= price.room_amount());
            prop_assert_eq!(parts, price.total);
            prop_assert_eq!(price.nights.len(), booking.stays.len());
            for (stay, amounts) in booking.stays.iter().zip(&price.nights) {
                prop_assert_eq!(amounts.len() as i64, stay.nights().count(), "each night has its amount");
                for night in stay.nights().iter() {
                    let (beds, all) = (stay.beds_on(night).len(), stay.guests as usize);
                    prop_assert!(beds == all || night < today, "{beds} beds for {all} on {night}");
                }
            }
            if !is_change && !is_reversal {
                let owed = |booking: &Booking| booking.total() + booking.payment.change_fees.beside_price();
                prop_assert!(owed(booking) <= owed(&before), "no command about arrivals makes a booking dearer");
            }
            let is_arrival = booking.history.last().is_some_and(|entry| entry.action == Action::CheckIn);
            if !is_reversal && !is_arrival {
                prop_assert_eq!(slept(booking, today), slept(&before, today), "what was slept stays so");
            }
            let last = booking.history.last().unwrap();
            let state = booking.state_at(last.rev - 1);
            prop_assert_eq!((&state.stays, &state.price), (&before.stays, &before.price), "the history leads back");
        }
    }
}
