//! Guests of one booking who arrive, leave or stay away apart.

use super::property::{TestProperty, code, status};
use crate::booking::{Action, Booking, Status, Stay, StayProgress, StayRequest};
use crate::decide::{Decision, undone_by_reinstatement};
use crate::fixtures::{at, date, sample_inventory, stay};
use crate::ids::BedId;
use crate::inventory::Inventory;
use crate::messages::*;
use crate::rates::Rates;
use crate::values::policy::{CancellationPolicy, Fee, Tier};
use chrono::Days;

pub(super) const DORM: &str = "dorm-6-mixed";

pub(super) fn whole(stay: usize) -> StaySelection {
    StaySelection { stay: Some(stay), id: None, guests: None, beds: None, places: None }
}

pub(super) fn some(stay: usize, guests: u32) -> StaySelection {
    StaySelection { guests: Some(guests), ..whole(stay) }
}

pub(super) fn check_in(property: &mut TestProperty, stays: Vec<StaySelection>) -> Decision {
    let header = property.header("1");
    property.one(BookingCommand::CheckIn(CheckInBooking { header, stays }))
}

pub(super) fn check_out(property: &mut TestProperty, stays: Vec<StaySelection>, reprice: bool) -> Decision {
    let header = CommandHeader { reason: Some("paid later".to_owned()), ..property.header("1") };
    let allow_open_balance = true;
    property.one(BookingCommand::CheckOut(CheckOutBooking { header, allow_open_balance, reprice, stays }))
}

pub(super) fn no_show(property: &mut TestProperty, stays: Vec<StaySelection>) -> Decision {
    let header = property.header("1");
    property.one(BookingCommand::NoShow(MarkNoShow { header, stays }))
}

pub(super) fn progress(booking: &Booking) -> Vec<(u32, StayProgress)> {
    booking.stays.iter().map(|stay| (stay.guests, booking.progress_of(stay))).collect()
}

/// Six guests in one dorm for three nights at 40.00 a bed.
pub(super) fn group() -> TestProperty {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-13", 6)]);
    property.at_check_in("2027-01-10");
    property
}

#[test]
fn group_arrives_in_parts() {
    let mut property = group();
    let agreed = property.booking("1").price.clone().unwrap();
    let all = property.claims.clone();
    assert_eq!(status(&check_in(&mut property, vec![some(0, 4)])), Some(Status::CheckedIn));
    let booking = property.booking("1");
    assert_eq!(progress(booking), [(2, StayProgress::Expected), (4, StayProgress::CheckedIn)]);
    let price = booking.price.as_ref().unwrap();
    assert_eq!((price.total, &price.nights), (agreed.total, &vec![vec![8_000; 3], vec![16_000; 3]]));
    assert_eq!(property.claims, all, "every bed is still theirs");
    property.at_check_in("2027-01-11");
    assert_eq!(status(&check_in(&mut property, Vec::new())), Some(Status::CheckedIn));
    let booking = property.booking("1");
    assert_eq!(progress(booking), [(2, StayProgress::CheckedIn), (4, StayProgress::CheckedIn)]);
    assert!(booking.stays.iter().all(|stay| stay.progress.is_none()), "the status says it");
    let entry = booking.history.last().unwrap();
    assert_eq!((entry.action, entry.from, entry.to), (Action::CheckIn, Status::CheckedIn, Status::CheckedIn));
    assert_eq!(status(&check_out(&mut property, Vec::new(), false)), Some(Status::CheckedOut));
}

#[test]
fn part_of_a_group_that_does_not_arrive_pays_the_fee_of_a_cancellation() {
    let mut property = group();
    let agreed = property.booking("1").price.clone().unwrap().total;
    check_in(&mut property, vec![some(0, 4)]);
    assert_eq!(code(&no_show(&mut property, Vec::new())), Some(RefusalCode::TooEarly));
    property.at_check_in("2027-01-11");
    assert_eq!(status(&no_show(&mut property, Vec::new())), Some(Status::CheckedIn));
    let booking = property.booking("1");
    assert_eq!((progress(booking), booking.no_shows[0].stay.guests), (vec![(4, StayProgress::CheckedIn)], 2));
    assert_eq!(property.claims.len(), 12, "their beds are free");
    let total = booking.price.as_ref().unwrap().total;
    assert_eq!((total, total + booking.change_fee()), (57_120, agreed), "arrival has passed: all of it");
    assert_eq!(booking.history.last().unwrap().action, Action::NoShow);
}

#[test]
fn check_out_between_two_stays_keeps_the_later_one() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-11", 1), stay(DORM, "2027-01-14", "2027-01-16", 1)]);
    let agreed = property.booking("1").price.clone();
    property.at_check_in("2027-01-10");
    check_in(&mut property, Vec::new());
    property.at_check_in("2027-01-11");
    assert_eq!(status(&check_out(&mut property, Vec::new(), false)), Some(Status::CheckedIn));
    let booking = property.booking("1");
    assert_eq!(progress(booking), [(1, StayProgress::CheckedOut), (1, StayProgress::Expected)]);
    assert_eq!((&booking.price, property.claims.len()), (&agreed, 3));
    assert_eq!(code(&check_in(&mut property, Vec::new())), Some(RefusalCode::TooEarly));
    property.at_check_in("2027-01-14");
    let mut clean = Inventory::clone(&property.inventory());
    clean.rooms.iter_mut().for_each(|room| room.bed_states.clear());
    property.rebuild(clean, Rates::default());
    assert_eq!(status(&check_in(&mut property, Vec::new())), Some(Status::CheckedIn));
    assert_eq!(status(&check_out(&mut property, Vec::new(), false)), Some(Status::CheckedOut));
    assert_eq!(property.booking("1").price.as_ref().unwrap().total, agreed.unwrap().total);
}

#[test]
fn companions_leave_a_bed_before_others_of_their_booking_move_in() {
    let mut property = TestProperty::of(sample_inventory());
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-11", 1), stay(DORM, "2027-01-11", "2027-01-12", 1)]);
    let bed = property.booking("1").stays[0].assigned_beds[0].clone();
    let stored = property.bookings.values_mut().next().unwrap();
    stored.stays[1].assigned_beds = vec![bed];
    property.at_check_in("2027-01-10");
    check_in(&mut property, Vec::new());
    property.at_check_in("2027-01-11");
    let Decision::Refused(_, Some(why)) = check_in(&mut property, vec![whole(1)]) else { panic!("they lie in it") };
    assert_eq!((why.code, why.bookings), (RefusalCode::BedOccupied, vec![property.booking("1").id]));
    check_out(&mut property, vec![whole(0)], false);
    assert_eq!(status(&check_in(&mut property, vec![whole(1)])), Some(Status::CheckedIn));
}

#[test]
fn whole_check_in_of_an_earlier_version_keeps_the_later_stay_at_check_out() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-11", 1), stay(DORM, "2027-01-14", "2027-01-16", 1)]);
    property.at_check_in("2027-01-10");
    check_in(&mut property, Vec::new());
    let stored = property.bookings.values_mut().next().unwrap();
    stored.stays.iter_mut().for_each(|stay| stay.progress = None);
    property.at_check_in("2027-01-11");
    assert_eq!(status(&check_out(&mut property, Vec::new(), false)), Some(Status::CheckedIn));
    assert_eq!(progress(property.booking("1")), [(1, StayProgress::CheckedOut), (1, StayProgress::Expected)]);
}

#[test]
fn no_show_of_the_first_stay_keeps_the_one_three_days_later() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-11", 1), stay(DORM, "2027-01-14", "2027-01-16", 1)]);
    property.at_check_in("2027-01-11");
    assert_eq!(status(&no_show(&mut property, Vec::new())), Some(Status::Confirmed));
    let booking = property.booking("1");
    assert_eq!((progress(booking), booking.no_shows.len()), (vec![(1, StayProgress::Expected)], 1));
    assert_eq!(property.claims.len(), 2);
    assert_eq!(booking.price.as_ref().unwrap().nights, [vec![4_000; 2]]);
    assert_eq!(booking.change_fee(), 4_760, "one night with taxes, at the fee after arrival");
}

#[test]
fn early_departure_names_used_and_unused_nights() {
    let mut property = group();
    check_in(&mut property, Vec::new());
    property.at_check_in("2027-01-11");
    let agreed = property.booking("1").price.clone().unwrap();
    assert_eq!(status(&check_out(&mut property, vec![some(0, 2)], false)), Some(Status::CheckedIn));
    let price = property.booking("1").price.clone().unwrap();
    assert_eq!((price.total, price.unused_nights), (agreed.total, 2 * 8_000));
    assert_eq!(price.nights, [vec![16_000; 3], vec![8_000]]);
    assert_eq!(property.claims.len(), 4 * 3 + 2, "their other nights are free");
    assert_eq!(status(&check_out(&mut property, vec![some(0, 1)], true)), Some(Status::CheckedIn));
    let price = property.booking("1").price.clone().unwrap();
    assert_eq!((price.unused_nights, &price.nights[2]), (16_000, &vec![4_000]), "deducted, and the first two not");
}

#[test]
fn checked_in_guests_are_not_dropped_and_expected_ones_may_be() {
    let mut property = group();
    check_in(&mut property, vec![some(0, 4)]);
    let stays: Vec<StayRequest> = property.booking("1").stays.iter().map(Stay::as_request).collect();
    assert_eq!(code(&property.modify("1", stays[..1].to_vec())), Some(RefusalCode::WrongProgress), "the four are here");
    property.at_check_in("2027-01-11");
    let kept = StayModification { stay: stays[1].clone(), continues: Some(1), beds: None };
    let drop = ModifyBooking { stays: Some(vec![kept]), ..property.modification("1", Vec::new()) };
    assert_eq!(status(&property.one(BookingCommand::Modify(Box::new(drop)))), Some(Status::CheckedIn));
    assert_eq!(progress(property.booking("1")), [(4, StayProgress::CheckedIn)]);
    let dropped: Vec<Option<u32>> = property.booking("1").dropped_stays().iter().map(|stay| stay.id).collect();
    assert_eq!(dropped, [Some(0)], "its caller is warned");
    let stays: Vec<StayRequest> = property.booking("1").stays.iter().map(Stay::as_request).collect();
    let longer = vec![StayRequest { departure: stays[0].departure + Days::new(1), ..stays[0].clone() }];
    assert_eq!(status(&property.modify("1", longer)), Some(Status::CheckedIn));
    assert_eq!(property.booking("1").dropped_stays(), [], "that was the revision before");
}

#[test]
fn booking_ends_when_the_guests_still_expected_are_dropped() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-11", 1), stay(DORM, "2027-01-14", "2027-01-16", 1)]);
    property.at_check_in("2027-01-10");
    check_in(&mut property, Vec::new());
    property.at_check_in("2027-01-11");
    check_out(&mut property, Vec::new(), false);
    let left = property.booking("1").stays[0].as_request();
    assert_eq!(status(&property.modify("1", vec![left])), Some(Status::CheckedOut));
    assert_eq!(property.booking("1").stays[0].progress, None);
}

#[test]
fn added_stay_is_expected_unless_checked_in_guests_lie_in_its_beds() {
    let mut property = group();
    check_in(&mut property, Vec::new());
    let mut stays = vec![property.booking("1").stays[0].as_request()];
    stays.push(stay("private-double", "2027-01-11", "2027-01-13", 2));
    assert_eq!(status(&property.modify("1", stays)), Some(Status::CheckedIn));
    assert_eq!(progress(property.booking("1")), [(6, StayProgress::CheckedIn), (2, StayProgress::Expected)]);
    property.at_check_in("2027-01-11");
    assert_eq!(status(&check_in(&mut property, Vec::new())), Some(Status::CheckedIn));
    assert!(property.booking("1").stays.iter().all(|stay| stay.progress.is_none()));
    assert_eq!(code(&check_in(&mut property, Vec::new())), Some(RefusalCode::WrongProgress), "all are in house");
}

#[test]
fn undone_check_in_is_that_of_the_latest_arrivals() {
    let mut property = group();
    check_in(&mut property, vec![some(0, 4)]);
    property.at_check_in("2027-01-11");
    check_in(&mut property, Vec::new());
    let numbered = property.booking("1").numbered_stays();
    let expected: Vec<u32> = numbered.iter().filter(|stay| stay.guests == 2).filter_map(|stay| stay.id).collect();
    let (entry, undone) = undone_by_reinstatement(property.booking("1")).unwrap();
    assert_eq!((entry.rev, undone), (property.booking("1").rev, expected), "it is said before which ones");
    let header = CommandHeader { reason: Some("wrong guests".to_owned()), ..property.header("1") };
    let reinstated = property.one(BookingCommand::Reinstate(ReinstateBooking { header, stays: Vec::new() }));
    assert_eq!(status(&reinstated), Some(Status::CheckedIn));
    assert_eq!(progress(property.booking("1")), [(2, StayProgress::Expected), (4, StayProgress::CheckedIn)]);
}

#[test]
fn guests_checked_in_at_the_cutoff_stay_so_when_others_leave() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-12", 1), stay(DORM, "2027-01-11", "2027-01-13", 1)]);
    property.at_check_in("2027-01-10");
    check_in(&mut property, Vec::new());
    property.now = at("2027-01-11T09:00:00Z");
    assert_eq!(status(&check_in(&mut property, Vec::new())), Some(Status::CheckedIn), "four in Montréal");
    check_out(&mut property, vec![whole(0)], false);
    assert_eq!(progress(property.booking("1")), [(1, StayProgress::CheckedOut), (1, StayProgress::CheckedIn)]);
}

#[test]
fn late_guests_of_a_group_may_be_postponed() {
    let mut property = group();
    check_in(&mut property, vec![some(0, 4)]);
    property.at_check_in("2027-01-11");
    let mut stays: Vec<StayRequest> = property.booking("1").stays.iter().map(Stay::as_request).collect();
    stays[0].arrival = date("2027-01-12");
    assert_eq!(status(&property.modify("1", stays)), Some(Status::CheckedIn));
}

#[test]
fn unused_nights_stay_owed_when_others_are_repriced() {
    let mut property = group();
    check_in(&mut property, Vec::new());
    property.at_check_in("2027-01-11");
    check_out(&mut property, vec![some(0, 2)], false);
    for reprice in [true, false] {
        let mut stays: Vec<StayRequest> = property.booking("1").stays.iter().map(Stay::as_request).collect();
        stays[0].departure = stays[0].departure + Days::new(1);
        let change = ModifyBooking { reprice, ..property.modification("1", stays) };
        assert_eq!(status(&property.one(BookingCommand::Modify(Box::new(change)))), Some(Status::CheckedIn));
        assert_eq!(property.booking("1").price.as_ref().unwrap().unused_nights, 2 * 8_000);
    }
}

#[test]
fn fixed_fee_is_due_once_not_for_each_part() {
    let mut property = group();
    let stored = property.bookings.values_mut().next().unwrap();
    let tiers = vec![Tier { hours_before: 0, fee: Fee::Fixed { amount: 5_000 } }];
    stored.cancellation_policy = Some(CancellationPolicy { tiers, ..CancellationPolicy::standard() });
    check_in(&mut property, vec![some(0, 4)]);
    property.at_check_in("2027-01-11");
    no_show(&mut property, Vec::new());
    assert_eq!(property.booking("1").change_fee(), 0, "cancelling the rest costs the fee still");
}

#[test]
fn stay_of_departed_guests_is_not_changed() {
    let mut property = group();
    check_in(&mut property, Vec::new());
    check_out(&mut property, vec![some(0, 2)], false);
    let stays: Vec<StayRequest> = property.booking("1").stays.iter().map(Stay::as_request).collect();
    let mut longer = stays.clone();
    longer[1].departure = date("2027-01-12");
    assert_eq!(code(&property.modify("1", longer)), Some(RefusalCode::InvalidDates));
    assert_eq!(code(&property.modify("1", stays[..1].to_vec())), Some(RefusalCode::WrongProgress));
    let mut others = stays;
    others[0].departure = date("2027-01-14");
    assert_eq!(status(&property.modify("1", others)), Some(Status::CheckedIn), "those in house stay longer");
    assert_eq!(property.booking("1").stays[1].departure, date("2027-01-11"));
}

#[test]
fn passed_nights_are_not_added_for_guests_that_never_came() {
    let mut property = group();
    check_in(&mut property, vec![some(0, 4)]);
    let stays: Vec<StayRequest> = property.booking("1").stays.iter().map(Stay::as_request).collect();
    let departure = stays[0].departure;
    property.at_check_in(&(departure + Days::new(1)).to_string());
    for other in [1, 2].map(|days| departure + Days::new(days)).into_iter().chain([departure - Days::new(1)]) {
        let mut changed = stays.clone();
        changed[0].departure = other;
        assert_eq!(code(&property.modify("1", changed)), Some(RefusalCode::InvalidDates), "until {other}");
    }
    property.at_check_in(&departure.to_string());
    let mut longer = stays;
    longer[0].departure = departure + Days::new(1);
    assert_eq!(status(&property.modify("1", longer)), Some(Status::CheckedIn), "from tonight on they may still come");
}

#[test]
fn guests_are_selected_by_their_beds() {
    let mut property = group();
    let beds: Vec<BedId> = property.booking("1").stays[0].assigned_beds[3..5].to_vec();
    check_in(&mut property, vec![StaySelection { beds: Some(beds.clone()), ..whole(0) }]);
    let booking = property.booking("1");
    assert_eq!((&booking.stays[1].assigned_beds, booking.stays[1].guests), (&beds, 2));
    assert!(!booking.stays[0].assigned_beds.iter().any(|bed| beds.contains(bed)));
}

#[test]
fn selections_that_do_not_exist_are_refused() {
    let mut property = group();
    let mut refusal = |stays| code(&check_in(&mut property, stays));
    assert_eq!(refusal(vec![whole(1)]), Some(RefusalCode::UnknownStay));
    assert_eq!(refusal(vec![whole(0), whole(0)]), Some(RefusalCode::UnknownStay));
    assert_eq!(refusal(vec![some(0, 7)]), Some(RefusalCode::UnknownGuests));
    let beds = |beds: &[&str]| Some(beds.iter().map(|bed| BedId::from(*bed)).collect());
    assert_eq!(
        refusal(vec![StaySelection { beds: beds(&["elsewhere"]), ..whole(0) }]),
        Some(RefusalCode::UnknownGuests)
    );
    property.at_check_in("2027-01-09");
    assert_eq!(code(&check_in(&mut property, vec![whole(0)])), Some(RefusalCode::TooEarly));
    property.book("2", vec![stay("private-double", "2027-01-10", "2027-01-12", 2)]);
    property.at_check_in("2027-01-10");
    let header = property.header("2");
    let part = BookingCommand::CheckIn(CheckInBooking { header, stays: vec![some(0, 1)] });
    assert_eq!(code(&property.one(part)), Some(RefusalCode::UnknownGuests), "a private room is let as a whole");
}

#[test]
fn check_in_of_a_part_is_undone_on_the_same_day() {
    let mut property = group();
    check_in(&mut property, vec![some(0, 4)]);
    let header = CommandHeader { reason: Some("wrong guests".to_owned()), ..property.header("1") };
    let reinstated = property.one(BookingCommand::Reinstate(ReinstateBooking { header, stays: Vec::new() }));
    assert_eq!(status(&reinstated), Some(Status::Confirmed));
    assert!(property.booking("1").stays.iter().all(|stay| stay.progress.is_none()));
}
