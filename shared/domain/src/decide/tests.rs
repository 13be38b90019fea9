//! Decisions by value: what is confirmed, refused, repeated and released.

mod availability;
mod blocks;
mod changes;
mod house;
mod lifecycle;
mod payment;
mod random;
mod reshuffling;
mod selling;

use super::{Owner, Verdict};
use crate::booking::{Rejection, Status};
use crate::fixtures::stay;
use crate::ids::{BookingId, PropertyId};
use crate::messages::{BookingCommand, ReplyOutcome};
use house::{House, asks, cancels, status};
use std::collections::HashSet;

#[test]
fn a_batch_fills_the_house_and_rejects_the_rest() {
    let mut house = House::new();
    let commands: Vec<_> =
        (0..15).map(|n| asks(&n.to_string(), vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 1)])).collect();
    let verdicts = house.run(&commands);
    assert_eq!(verdicts.iter().filter(|verdict| status(verdict) == Some(Status::Confirmed)).count(), 12);
    assert!(verdicts[12..].iter().all(
        |verdict| matches!(verdict, Verdict::Decided(event) if event.rejection == Some(Rejection::NoAvailability))
    ));
    assert_eq!(house.claims.len(), 36);
}

#[test]
fn nothing_is_refused_on_a_view_that_may_be_old() {
    let mut house = House::new();
    house.run(&[asks(
        "all",
        vec![
            stay("private-double", "2027-01-10", "2027-01-12", 2),
            stay("private-double", "2027-01-10", "2027-01-12", 2),
        ],
    )]);
    let late = [asks("late", vec![stay("private-double", "2027-01-10", "2027-01-12", 1)])];
    assert_eq!(house.decide(false, &late).unwrap_err().views, HashSet::from([PropertyId::from("pvt-montreal")]));
    assert_eq!(status(&house.run(&late)[0]), Some(Status::Rejected));
}

#[test]
fn a_repeated_request_says_the_same_again_and_changes_nothing() {
    let mut house = House::new();
    let first = asks("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 2)]);
    let once = house.run(&[first.clone(), first.clone()]);
    assert_eq!(once[0], once[1]);
    house.run(&[cancels("1", 7)]);
    let again = house.decide(true, &[first]).unwrap();
    assert_eq!((&again.verdicts[0], again.changes.len(), again.claimed.len()), (&once[0], 0, 0));
}

#[test]
fn the_same_key_for_another_body_is_refused() {
    let mut house = House::new();
    let (id, command) = asks("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 2)]);
    house.run(&[(id, command.clone())]);
    let BookingCommand::Request(mut other) = command else { unreachable!() };
    other.fingerprint = "another".to_owned();
    assert_eq!(house.run(&[(id, BookingCommand::Request(other))]), [Verdict::Refused(ReplyOutcome::KeyReused, None)]);
}

#[test]
fn a_cancelled_bed_is_sold_again_in_the_same_batch() {
    let mut house = House::new();
    let both = vec![
        stay("private-double", "2027-01-10", "2027-01-12", 2),
        stay("private-double", "2027-01-10", "2027-01-12", 2),
    ];
    house.run(&[asks("1", both.clone())]);
    let verdicts = house.run(&[cancels("1", 7), asks("2", both)]);
    assert_eq!(verdicts.iter().map(status).collect::<Vec<_>>(), [Some(Status::Cancelled), Some(Status::Confirmed)]);
    assert!(
        house.claims.iter().all(|claim| claim.owner == Owner::Booking(BookingId::derive(None, "2", "fingerprint")))
    );
}

#[test]
fn a_booking_made_and_cancelled_in_one_batch_leaves_no_claim() {
    let mut house = House::new();
    let verdicts = house.run(&[asks("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 2)]), cancels("1", 7)]);
    assert_eq!(verdicts.iter().map(status).collect::<Vec<_>>(), [Some(Status::Confirmed), Some(Status::Cancelled)]);
    let booking = house.bookings.values().next().unwrap();
    assert_eq!((booking.rev, booking.history.len(), house.claims.len()), (2, 2, 0));
}

#[test]
fn cancelling_waits_for_the_request_and_repeats_harmlessly() {
    let mut house = House::new();
    assert_eq!(house.run(&[cancels("1", 7)]), [Verdict::NotYet]);
    house.run(&[asks("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 2)])]);
    let first = house.run(&[cancels("1", 7)]);
    assert_eq!(house.run(&[cancels("1", 8)]), first);
    let refused = asks("2", vec![stay("castle", "2027-01-10", "2027-01-13", 2)]);
    house.run(&[refused]);
    assert_eq!(house.run(&[cancels("2", 9)]), [Verdict::Refused(ReplyOutcome::Conflict, None)]);
}

#[test]
fn what_cannot_be_sold_is_rejected_with_its_reason() {
    let mut house = House::new();
    let reasons = [
        (stay("castle", "2027-01-10", "2027-01-11", 1), Rejection::Closed),
        (stay("dorm-6-mixed", "2027-01-11", "2027-01-11", 1), Rejection::InvalidDates),
        (stay("dorm-6-mixed", "2020-01-10", "2020-01-11", 1), Rejection::InvalidDates),
        (stay("dorm-6-mixed", "2027-01-10", "2027-01-11", 13), Rejection::OverCapacity),
        (stay("dorm-6-mixed", "2027-01-10", "2027-01-11", 0), Rejection::OverCapacity),
    ];
    for (index, (asked, reason)) in reasons.into_iter().enumerate() {
        let verdict = house.run(&[asks(&index.to_string(), vec![asked])]).remove(0);
        assert!(
            matches!(&verdict, Verdict::Decided(event) if event.rejection == Some(reason)),
            "{reason:?}: {verdict:?}"
        );
    }
    let (id, command) = asks("plan", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-11", 1)]);
    let BookingCommand::Request(mut unpriced) = command else { unreachable!() };
    unpriced.rate_plan_id = "gone".into();
    assert_eq!(status(&house.run(&[(id, BookingCommand::Request(unpriced))])[0]), Some(Status::Rejected));
    assert!(house.claims.is_empty());
}
