//! Modifications and assignments: one decision each, all of it or nothing.

use super::house::{House, asks, code, id, status};
use crate::booking::{Action, Status};
use crate::decide::{MAX_REVISIONS, Verdict};
use crate::events::BookingEvent;
use crate::fixtures::{date, hostel, stay};
use crate::messages::*;
use crate::nights::Nights;
use crate::rates::restrictions::Restriction;
use crate::rates::{DateSet, RateCalendar, Rates};
use uuid::Uuid;

fn booked() -> House {
    let mut house = House::new();
    house.book("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 2)]);
    house
}

#[test]
fn an_extension_keeps_the_beds_and_costs_its_nights() {
    let mut house = booked();
    let beds: Vec<String> = house.beds("1").into_iter().map(str::to_owned).collect();
    let verdict = house.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-15", 2)]);
    let Verdict::Decided(event) = verdict else { panic!("{verdict:?}") };
    assert_eq!((event.rev, event.status, event.action), (2, Status::Confirmed, Some(Action::Modify)));
    assert_eq!(house.beds("1"), beds);
    assert_eq!(house.booking("1").price.as_ref().unwrap().nights, [vec![8_000; 5]]);
}

#[test]
fn history_tells_what_was_booked_before_and_after() {
    let mut house = booked();
    let first = house.booking("1").clone();
    house.modify(
        "1",
        vec![
            stay("private-double", "2027-01-11", "2027-01-12", 2),
            stay("dorm-6-mixed", "2027-01-11", "2027-01-13", 1),
        ],
    );
    let second = house.booking("1").clone();
    house.modify("1", vec![stay("dorm-6-mixed", "2027-02-10", "2027-02-13", 1)]);
    let third = house.booking("1");
    assert_eq!((third.terms_at(1).stays, third.terms_at(1).price), (first.stays.clone(), first.price.clone()));
    assert_eq!((third.terms_at(2).stays, third.terms_at(2).price), (second.stays.clone(), second.price));
    assert_eq!(third.terms_at(3).stays, third.stays);
    assert_eq!(
        BookingEvent::of(third, &third.history[0]).stays,
        first.stays,
        "an event published again is the same event"
    );
    let changes = third.history[2].changes.as_ref().unwrap();
    assert_eq!((changes.stays.len(), changes.stays[1].after.is_none()), (2, true));
}

#[test]
fn a_change_without_a_new_price_keeps_the_total() {
    let mut house = booked();
    let agreed = house.booking("1").price.clone().unwrap();
    let modify = ModifyBooking {
        reprice: false,
        ..house.modification("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)])
    };
    house.one(BookingCommand::Modify(Box::new(modify)));
    let price = house.booking("1").price.clone().unwrap();
    assert_eq!((price.total, price.nights), (agreed.total, vec![vec![6_000; 4]]));
}

#[test]
fn a_change_that_does_not_fit_changes_nothing() {
    let mut house = booked();
    house.book("others", vec![stay("dorm-6-mixed", "2027-01-13", "2027-01-15", 11)]);
    let before = house.booking("1").clone();
    let refused = house.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)]);
    assert_eq!(code(&refused), Some(RefusalCode::NoAvailability));
    assert_eq!(house.booking("1"), &before);
    assert_eq!(
        code(&house.modify("1", vec![stay("castle", "2027-01-10", "2027-01-14", 2)])),
        Some(RefusalCode::Closed)
    );
    assert_eq!(
        code(&house.modify("1", vec![stay("dorm-6-mixed", "2027-01-14", "2027-01-14", 2)])),
        Some(RefusalCode::InvalidDates)
    );
    assert_eq!(
        code(&house.modify("1", vec![stay("dorm-6-mixed", "2026-11-14", "2026-11-15", 2)])),
        Some(RefusalCode::InvalidDates)
    );
    assert_eq!(code(&house.modify("1", vec![])), Some(RefusalCode::UnknownStay));
    house.check();
}

#[test]
fn a_repeated_change_is_applied_once() {
    let mut house = booked();
    let modify = house.modification("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)]);
    let command = (Uuid::from_u128(7), BookingCommand::Modify(Box::new(modify)));
    let first = house.run(std::slice::from_ref(&command));
    let again = house.settle(&[command]);
    assert_eq!((&again.verdicts, again.changes.len()), (&first, 0));
}

#[test]
fn a_hundred_changes_at_once_apply_one_after_another_or_see_that_they_are_late() {
    let mut house = booked();
    let modification = |house: &House, nights: u64, expected_rev| {
        let mut asked = stay("dorm-6-mixed", "2027-01-10", "2027-01-11", 2);
        asked.departure = asked.arrival + chrono::Days::new(nights);
        let mut modify = house.modification("1", vec![asked]);
        modify.order.expected_rev = expected_rev;
        BookingCommand::Modify(Box::new(modify))
    };
    let open: Vec<_> =
        (0..100_u64).map(|n| (Uuid::from_u128(n.into()), modification(&house, 1 + n % 5, None))).collect();
    assert!(house.run(&open).iter().all(|verdict| status(verdict) == Some(Status::Confirmed)));
    assert_eq!(house.booking("1").rev, 101);
    let guarded: Vec<_> =
        (100..200_u64).map(|n| (Uuid::from_u128(n.into()), modification(&house, 1 + n % 5, Some(101)))).collect();
    let verdicts = house.run(&guarded);
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Refused(ReplyOutcome::Stale, None)).count(), 99);
    assert_eq!(house.booking("1").rev, 102);
}

#[test]
fn a_booking_is_not_changed_without_end() {
    let mut house = booked();
    house.bookings.get_mut(&id("1")).unwrap().rev = MAX_REVISIONS;
    assert_eq!(
        code(&house.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)])),
        Some(RefusalCode::TooManyChanges)
    );
}

#[test]
fn after_check_in_only_nights_to_come_change() {
    let mut house = booked();
    house.at_check_in("2027-01-10");
    house.check_in("1");
    house.at_check_in("2027-01-12");
    for asked in
        [stay("dorm-6-mixed", "2027-01-11", "2027-01-14", 2), stay("dorm-6-mixed", "2027-01-10", "2027-01-11", 2)]
    {
        assert_eq!(code(&house.modify("1", vec![asked])), Some(RefusalCode::InvalidDates));
    }
    let beds: Vec<String> = house.beds("1").into_iter().map(str::to_owned).collect();
    let mut dearer = RateCalendar::new("pvt-montreal".into(), "standard".into(), "dorm-6-mixed".into());
    dearer.set_prices(
        &DateSet { range: Nights::new(date("2027-01-01"), date("2027-02-01")), weekdays: vec![] },
        Some(5_000),
    );
    house.rebuild(hostel(), Rates::new([dearer]));
    assert_eq!(
        status(&house.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)])),
        Some(Status::CheckedIn)
    );
    assert_eq!(house.beds("1"), beds);
    assert_eq!(
        house.booking("1").price.as_ref().unwrap().nights,
        [vec![8_000, 8_000, 10_000, 10_000]],
        "nights that were slept cost what was agreed"
    );
}

#[test]
fn guests_in_the_house_move_for_the_nights_to_come() {
    let mut house = booked();
    house.at_check_in("2027-01-10");
    house.check_in("1");
    house.at_check_in("2027-01-11");
    assert_eq!(status(&house.assign("1", Some(&["b-1", "b-2"]), None)), Some(Status::CheckedIn));
    let slept: Vec<(&str, String)> =
        house.booking("1").claims().map(|(bed, night)| (bed.as_str(), night.to_string())).collect();
    assert!(
        slept.contains(&("a-1", "2027-01-10".to_owned())) && slept.contains(&("b-1", "2027-01-11".to_owned())),
        "{slept:?}"
    );
    assert_eq!(slept.len(), 6);
}

#[test]
fn staff_choose_free_beds_of_the_right_kind() {
    let mut house = booked();
    house.book("2", vec![stay("dorm-6-mixed", "2027-01-11", "2027-01-12", 1)]);
    house.assign("2", Some(&["b-6"]), None);
    let refused = house.assign("1", Some(&["b-5", "b-6"]), None);
    assert!(
        matches!(&refused, Verdict::Refused(_, Some(why)) if why.code == RefusalCode::BedTaken && why.bookings == [id("2")]),
        "{refused:?}"
    );
    assert_eq!(code(&house.assign("1", Some(&["b-5"]), None)), Some(RefusalCode::BedUnfit));
    assert_eq!(code(&house.assign("1", Some(&["p1-1", "p1-2"]), None)), Some(RefusalCode::BedUnfit));
    assert_eq!(status(&house.assign("1", Some(&["b-4", "b-5"]), Some(true))), Some(Status::Confirmed));
    assert!(house.booking("1").stays[0].locked);
    assert_eq!(house.booking("1").history[1].action, Action::Assign);
}

#[test]
fn what_was_sold_is_not_restricted_anew() {
    let mut house = booked();
    let mut calendar = RateCalendar::new("pvt-montreal".into(), "standard".into(), "dorm-6-mixed".into());
    let day = |day: &str| DateSet { range: Nights::new(date(day), date(day) + chrono::Days::new(1)), weekdays: vec![] };
    calendar.set_restrictions(
        &day("2027-01-10"),
        &Restriction { closed_to_arrival: true, stop_sell: true, ..Restriction::default() },
    );
    calendar.set_restrictions(&day("2027-01-14"), &Restriction { stop_sell: true, ..Restriction::default() });
    house.rebuild(hostel(), Rates::new([calendar]));
    assert_eq!(
        status(&house.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)])),
        Some(Status::Confirmed)
    );
    assert_eq!(
        code(&house.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-15", 2)])),
        Some(RefusalCode::Restriction)
    );
    let modify = ModifyBooking {
        override_restrictions: true,
        ..house.modification("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-15", 2)])
    };
    assert_eq!(status(&house.one(BookingCommand::Modify(Box::new(modify)))), Some(Status::Confirmed));
}

#[test]
fn a_change_waits_for_its_request() {
    let mut house = House::new();
    assert_eq!(house.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)]), Verdict::NotYet);
    let (_, request) = asks("1", vec![stay("castle", "2027-01-10", "2027-01-14", 2)]);
    house.one(request);
    assert_eq!(
        house.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)]),
        Verdict::Refused(ReplyOutcome::Conflict, None)
    );
}
