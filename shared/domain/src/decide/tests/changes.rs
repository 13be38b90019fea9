//! Modifications and assignments: one decision each, all or nothing.

use super::property::{TestProperty, booking_request, code, id, status};
use crate::booking::{Action, Guest, Status, Stay, StayRequest};
use crate::decide::{Decision, MAX_GUEST_CHANGES, MAX_REVISIONS};
use crate::events::BookingEvent;
use crate::fixtures::{date, sample_inventory, stay};
use crate::ids::BedId;
use crate::messages::*;
use crate::nights::Nights;
use crate::rates::restrictions::Restriction;
use crate::rates::{DateSet, RateCalendar, Rates};
use crate::values::queue_hop::QueueHop;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

fn booked() -> TestProperty {
    let mut property = TestProperty::new();
    property.book("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 2)]);
    property
}

#[test]
fn extension_keeps_the_beds_and_charges_the_new_nights() {
    let mut property = booked();
    let beds: Vec<String> = property.beds("1").into_iter().map(str::to_owned).collect();
    let decision = property.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-15", 2)]);
    let Decision::Decided(event) = decision else { panic!("{decision:?}") };
    assert_eq!((event.rev, event.status, event.action), (2, Status::Confirmed, Some(Action::Modify)));
    assert_eq!(property.beds("1"), beds);
    assert_eq!(property.booking("1").price.as_ref().unwrap().nights, [vec![8_000; 5]]);
}

#[test]
fn history_records_stays_before_and_after() {
    let mut property = booked();
    let first = property.booking("1").clone();
    property.modify(
        "1",
        vec![
            stay("private-double", "2027-01-11", "2027-01-12", 2),
            stay("dorm-6-mixed", "2027-01-11", "2027-01-13", 1),
        ],
    );
    let second = property.booking("1").clone();
    property.modify("1", vec![stay("dorm-6-mixed", "2027-02-10", "2027-02-13", 1)]);
    let third = property.booking("1");
    assert_eq!((third.state_at(1).stays, third.state_at(1).price), (first.stays.clone(), first.price.clone()));
    assert_eq!((third.state_at(2).stays, third.state_at(2).price), (second.stays.clone(), second.price));
    assert_eq!(third.state_at(3).stays, third.stays);
    assert_eq!(
        BookingEvent::of(third, &third.history[0]).stays,
        first.stays,
        "an event published again is the same event"
    );
    let changes = third.history[2].changes.as_ref().unwrap();
    assert_eq!((changes.stays.len(), changes.stays[1].after.is_none()), (2, true));
}

#[test]
fn calendars_cancel_every_entry_that_a_revision_had() {
    let mut property = booked();
    let dorm = |arrival, departure| stay("dorm-6-mixed", arrival, departure, 1);
    // Stays with the same dates share an entry.
    let (march, april) = (dorm("2027-03-01", "2027-03-02"), dorm("2027-04-01", "2027-04-02"));
    property.modify("1", vec![march.clone(), march.clone(), april]);
    property.modify("1", vec![march.clone(), dorm("2027-04-05", "2027-04-06"), dorm("2027-05-01", "2027-05-02")]);
    property.modify("1", vec![march.clone(), march]);
    property.run(&[super::property::cancellation("1", 77)]);
    let id = property.booking("1").id;
    let entries = property.booking("1").calendar_entries();
    let shown: Vec<_> =
        entries.iter().map(|entry| (entry.uid.as_str(), entry.arrival.to_string(), entry.is_dropped)).collect();
    let expected = [
        (id.to_string(), "2027-03-01", false),
        (format!("{id}-1"), "2027-04-05", true),
        (format!("{id}-2"), "2027-05-01", true),
    ];
    let expected = expected.map(|(uid, arrival, is_dropped)| (uid, arrival.to_owned(), is_dropped));
    assert_eq!(
        shown,
        expected.each_ref().map(|(uid, arrival, is_dropped)| (uid.as_str(), arrival.clone(), *is_dropped))
    );
}

#[test]
fn modification_without_repricing_keeps_the_total() {
    let mut property = booked();
    let agreed = property.booking("1").price.clone().unwrap();
    let modify = ModifyBooking {
        reprice: false,
        ..property.modification("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)])
    };
    property.one(BookingCommand::Modify(Box::new(modify)));
    let price = property.booking("1").price.clone().unwrap();
    assert_eq!((price.total, price.nights), (agreed.total, vec![vec![6_000; 4]]));
}

#[test]
fn refused_modification_changes_nothing() {
    let mut property = booked();
    property.book("others", vec![stay("dorm-6-mixed", "2027-01-13", "2027-01-15", 11)]);
    let before = property.booking("1").clone();
    let refused = property.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)]);
    assert_eq!(code(&refused), Some(RefusalCode::NoAvailability));
    assert_eq!(property.booking("1"), &before);
    assert_eq!(
        code(&property.modify("1", vec![stay("castle", "2027-01-10", "2027-01-14", 2)])),
        Some(RefusalCode::Closed)
    );
    assert_eq!(
        code(&property.modify("1", vec![stay("dorm-6-mixed", "2027-01-14", "2027-01-14", 2)])),
        Some(RefusalCode::InvalidDates)
    );
    assert_eq!(
        code(&property.modify("1", vec![stay("dorm-6-mixed", "2026-11-14", "2026-11-15", 2)])),
        Some(RefusalCode::InvalidDates)
    );
    assert_eq!(code(&property.modify("1", vec![])), Some(RefusalCode::UnknownStay));
    property.check();
}

#[test]
fn redelivered_modification_is_applied_once() {
    let mut property = booked();
    let modify = property.modification("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)]);
    let command = (Uuid::from_u128(7), BookingCommand::Modify(Box::new(modify)));
    let first = property.run(std::slice::from_ref(&command));
    let again = property.decide_until_known(&[command]);
    assert_eq!((&again.decisions, again.changes.len()), (&first, 0));
}

#[test]
fn message_that_came_twice_in_a_batch_has_the_way_of_the_first() {
    let property = booked();
    let modify = property.modification("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)]);
    let command = (Uuid::from_u128(7), BookingCommand::Modify(Box::new(modify)));
    let mut outcome = property.decide_until_known(&[command.clone(), command.clone()]);
    let hop = |attempt: u32| -> QueueHop {
        let hop = json!({ "delivered_at": "2026-12-01T12:00:00.000Z", "attempt": attempt });
        serde_json::from_value(hop).unwrap()
    };
    outcome.note_hops([1, 2].map(|attempt| (command.0, id("1"), Arc::new(hop(attempt)))));
    let last = outcome.changes[0].booking.history.last().unwrap();
    assert_eq!(last.hop.as_deref(), Some(&hop(1)));
}

#[test]
fn concurrent_modifications_apply_in_order_or_are_stale() {
    let mut property = booked();
    let modification = |property: &TestProperty, nights: u64, expected_rev| {
        let mut requested = stay("dorm-6-mixed", "2027-01-10", "2027-01-11", 2);
        requested.departure = requested.arrival + chrono::Days::new(nights);
        let mut modify = property.modification("1", vec![requested]);
        modify.header.expected_rev = expected_rev;
        BookingCommand::Modify(Box::new(modify))
    };
    let open: Vec<_> =
        (0..100_u64).map(|n| (Uuid::from_u128(n.into()), modification(&property, 1 + n % 5, None))).collect();
    assert!(property.run(&open).iter().all(|decision| status(decision) == Some(Status::Confirmed)));
    assert_eq!(property.booking("1").rev, 101);
    let guarded: Vec<_> =
        (100..200_u64).map(|n| (Uuid::from_u128(n.into()), modification(&property, 1 + n % 5, Some(101)))).collect();
    let decisions = property.run(&guarded);
    assert_eq!(
        decisions.iter().filter(|decision| **decision == Decision::Refused(ReplyOutcome::Stale, None)).count(),
        99
    );
    assert_eq!(property.booking("1").rev, 102);
}

#[test]
fn number_of_revisions_is_bounded() {
    let mut property = booked();
    property.bookings.get_mut(&id("1")).unwrap().rev = MAX_REVISIONS;
    assert_eq!(
        code(&property.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)])),
        Some(RefusalCode::TooManyChanges)
    );
}

#[test]
fn after_check_in_only_future_nights_change() {
    let mut property = booked();
    property.at_check_in("2027-01-10");
    property.check_in("1");
    property.at_check_in("2027-01-12");
    for requested in
        [stay("dorm-6-mixed", "2027-01-11", "2027-01-14", 2), stay("dorm-6-mixed", "2027-01-10", "2027-01-11", 2)]
    {
        assert_eq!(code(&property.modify("1", vec![requested])), Some(RefusalCode::InvalidDates));
    }
    let beds: Vec<String> = property.beds("1").into_iter().map(str::to_owned).collect();
    let mut dearer = RateCalendar::new("pvt-montreal".into(), "standard".into(), "dorm-6-mixed".into());
    dearer.set_prices(
        &DateSet { range: Nights::new(date("2027-01-01"), date("2027-02-01")), weekdays: vec![] },
        Some(5_000),
    );
    property.rebuild(sample_inventory(), Rates::new([dearer]));
    assert_eq!(
        status(&property.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)])),
        Some(Status::CheckedIn)
    );
    assert_eq!(property.beds("1"), beds);
    assert_eq!(
        property.booking("1").price.as_ref().unwrap().nights,
        [vec![8_000, 8_000, 10_000, 10_000]],
        "nights that were slept cost what was agreed"
    );
}

#[test]
fn checked_in_guests_move_for_future_nights() {
    let mut property = booked();
    property.at_check_in("2027-01-10");
    property.check_in("1");
    property.at_check_in("2027-01-11");
    assert_eq!(status(&property.assign("1", Some(&["b-1", "b-2"]), None)), Some(Status::CheckedIn));
    let slept: Vec<(&str, String)> =
        property.booking("1").claims().map(|(bed, night)| (bed.as_str(), night.to_string())).collect();
    assert!(
        slept.contains(&("a-1", "2027-01-10".to_owned())) && slept.contains(&("b-1", "2027-01-11".to_owned())),
        "{slept:?}"
    );
    assert_eq!(slept.len(), 6);
}

#[test]
fn staff_assign_free_beds_of_the_room_type() {
    let mut property = booked();
    property.book("2", vec![stay("dorm-6-mixed", "2027-01-11", "2027-01-12", 1)]);
    property.assign("2", Some(&["b-6"]), None);
    let refused = property.assign("1", Some(&["b-5", "b-6"]), None);
    assert!(
        matches!(&refused, Decision::Refused(_, Some(detail))
            if detail.code == RefusalCode::BedTaken && detail.bookings == [id("2")]),
        "{refused:?}"
    );
    assert_eq!(code(&property.assign("1", Some(&["b-5"]), None)), Some(RefusalCode::BedUnfit));
    assert_eq!(code(&property.assign("1", Some(&["p1-1", "p1-2"]), None)), Some(RefusalCode::BedUnfit));
    assert_eq!(status(&property.assign("1", Some(&["b-4", "b-5"]), Some(true))), Some(Status::Confirmed));
    assert!(property.booking("1").stays[0].locked);
    assert_eq!(property.booking("1").history[1].action, Action::Assign);
}

#[test]
fn sold_nights_are_not_restricted_again() {
    let mut property = booked();
    let mut calendar = RateCalendar::new("pvt-montreal".into(), "standard".into(), "dorm-6-mixed".into());
    let day = |day: &str| DateSet { range: Nights::new(date(day), date(day) + chrono::Days::new(1)), weekdays: vec![] };
    calendar.set_restrictions(
        &day("2027-01-10"),
        &Restriction { closed_to_arrival: true, stop_sell: true, ..Restriction::default() },
    );
    calendar.set_restrictions(&day("2027-01-14"), &Restriction { stop_sell: true, ..Restriction::default() });
    property.rebuild(sample_inventory(), Rates::new([calendar]));
    assert_eq!(
        status(&property.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)])),
        Some(Status::Confirmed)
    );
    assert_eq!(
        code(&property.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-15", 2)])),
        Some(RefusalCode::Restriction)
    );
    let modify = ModifyBooking {
        override_restrictions: true,
        ..property.modification("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-15", 2)])
    };
    assert_eq!(status(&property.one(BookingCommand::Modify(Box::new(modify)))), Some(Status::Confirmed));
}

#[test]
fn change_that_changes_nothing_writes_no_revision() {
    let mut property = booked();
    let before = property.booking("1").clone();
    let same: Vec<StayRequest> = before.stays.iter().map(Stay::as_request).collect();
    let beds: Vec<BedId> = before.stays[0].assigned_beds.clone();
    let names: Vec<&str> = beds.iter().map(BedId::as_str).collect();
    let mut correction = property.correction("1", before.guest.clone());
    let mut modification = property.modification("1", same);
    let assignment = Assignment { stay: Some(0), id: None, beds: Some(beds.clone()), from: None, locked: Some(false) };
    let mut assign = AssignBeds { header: property.header("1"), assignments: vec![assignment] };
    for header in [&mut correction.header, &mut modification.header, &mut assign.header] {
        header.expected_rev = Some(before.rev);
    }
    let decisions = [
        property.one(BookingCommand::Modify(Box::new(correction))),
        property.one(BookingCommand::Modify(Box::new(modification))),
        property.one(BookingCommand::Assign(assign)),
    ];
    for decision in decisions {
        let Decision::Decided(event) = decision else { panic!("{decision:?}") };
        assert_eq!((event.rev, event.event_id), (before.rev, before.history[0].event_id), "the present revision");
    }
    assert_eq!(*property.booking("1"), before);
    property.assign("1", Some(&names), Some(true));
    assert_eq!(property.booking("1").rev, before.rev + 1, "a pin is a change");
    property.assign("1", Some(&names), Some(true));
    assert_eq!(property.booking("1").rev, before.rev + 2, "at any revision, its entry recognizes a redelivery");
}

#[test]
fn guests_leave_staff_room_for_changes() {
    let mut property = booked();
    let mut correct = |actor: &str, count: u32| {
        let guest = Guest { first_name: format!("Ada {count}"), ..property.booking("1").guest.clone() };
        let mut command = property.correction("1", guest);
        command.header.actor = actor.into();
        code(&property.one(BookingCommand::Modify(Box::new(command))))
    };
    let by_guests = (0..2 * MAX_GUEST_CHANGES).filter(|count| {
        let actor = ["guest", "client:k1", "user:1"][count % 3];
        correct(actor, u32::try_from(*count).unwrap()).is_none()
    });
    assert_eq!(by_guests.count(), MAX_GUEST_CHANGES);
    for rev in 1 + u32::try_from(MAX_GUEST_CHANGES).unwrap()..MAX_REVISIONS {
        assert_eq!(correct("staff:1", 1_000 + rev), None);
    }
    assert_eq!(correct("staff:1", 2_000), Some(RefusalCode::TooManyChanges));
    let mut moved = booked();
    moved.bookings.get_mut(&id("1")).unwrap().rev = MAX_REVISIONS - 100;
    let guest = Guest { first_name: "Ada".to_owned(), ..moved.booking("1").guest.clone() };
    let mut command = moved.correction("1", guest);
    let by_staff = command.clone();
    command.header.actor = "guest".into();
    assert_eq!(code(&moved.one(BookingCommand::Modify(Box::new(command)))), Some(RefusalCode::TooManyChanges));
    assert_eq!(status(&moved.one(BookingCommand::Modify(Box::new(by_staff)))), Some(Status::Confirmed));
}

#[test]
fn modification_waits_for_the_request() {
    let mut property = TestProperty::new();
    assert_eq!(property.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)]), Decision::NotYet);
    let (_, request) = booking_request("1", vec![stay("castle", "2027-01-10", "2027-01-14", 2)]);
    property.one(request);
    assert_eq!(
        property.modify("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-14", 2)]),
        Decision::Refused(ReplyOutcome::Conflict, None)
    );
}
