//! Decisions by value: confirmed, refused, replayed and released.

mod absences;
mod availability;
mod blocks;
mod change_fees;
mod changes;
mod checked_in;
mod checked_in_random;
mod companions;
mod guest_details;
mod lifecycle;
mod parts_of_bookings;
mod parts_random;
mod payment;
mod pending_change;
mod plan_moves;
mod property;
mod random;
mod reshuffling;
mod rooming;
mod selling;
mod taxes;

use super::{Decision, Owner};
use crate::booking::{Rejection, Status};
use crate::fixtures::stay;
use crate::ids::{BookingId, PropertyId};
use crate::messages::{BookingCommand, ReplyOutcome};
use property::{TestProperty, booking_request, cancellation, status};
use std::collections::HashSet;

#[test]
fn batch_fills_the_property_and_rejects_the_rest() {
    let mut property = TestProperty::new();
    let commands: Vec<_> = (0..15)
        .map(|n| booking_request(&n.to_string(), vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 1)]))
        .collect();
    let decisions = property.run(&commands);
    assert_eq!(decisions.iter().filter(|decision| status(decision) == Some(Status::Confirmed)).count(), 12);
    assert!(decisions[12..].iter().all(
        |decision| matches!(decision, Decision::Decided(event) if event.rejection == Some(Rejection::NoAvailability))
    ));
    assert_eq!(property.claims.len(), 36);
}

#[test]
fn nothing_is_refused_on_a_stale_grid() {
    let mut property = TestProperty::new();
    property.run(&[booking_request(
        "all",
        vec![
            stay("private-double", "2027-01-10", "2027-01-12", 2),
            stay("private-double", "2027-01-10", "2027-01-12", 2),
        ],
    )]);
    let late = [booking_request("late", vec![stay("private-double", "2027-01-10", "2027-01-12", 1)])];
    assert_eq!(property.decide(false, &late).unwrap_err().grids, HashSet::from([PropertyId::from("pvt-montreal")]));
    assert_eq!(status(&property.run(&late)[0]), Some(Status::Rejected));
}

#[test]
fn redelivered_request_replays_its_event_and_changes_nothing() {
    let mut property = TestProperty::new();
    let first = booking_request("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 2)]);
    let once = property.run(&[first.clone(), first.clone()]);
    assert_eq!(once[0], once[1]);
    property.run(&[cancellation("1", 7)]);
    let again = property.decide(true, &[first]).unwrap();
    assert_eq!((&again.decisions[0], again.changes.len(), again.claimed.len()), (&once[0], 0, 0));
}

#[test]
fn key_reused_for_another_body_is_refused() {
    let mut property = TestProperty::new();
    let (id, command) = booking_request("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 2)]);
    property.run(&[(id, command.clone())]);
    let BookingCommand::Request(mut other) = command else { unreachable!() };
    other.fingerprint = "another".to_owned();
    assert_eq!(
        property.run(&[(id, BookingCommand::Request(other.clone()))]),
        [Decision::Refused(ReplyOutcome::KeyReused, None)]
    );
    // Stored by an earlier version, which knew the body as it was sent.
    other.fingerprint_as_sent = Some("fingerprint".to_owned());
    assert!(matches!(property.run(&[(id, BookingCommand::Request(other))])[..], [Decision::Decided(_)]));
}

#[test]
fn cancelled_bed_is_sold_again_in_the_same_batch() {
    let mut property = TestProperty::new();
    let both = vec![
        stay("private-double", "2027-01-10", "2027-01-12", 2),
        stay("private-double", "2027-01-10", "2027-01-12", 2),
    ];
    property.run(&[booking_request("1", both.clone())]);
    let decisions = property.run(&[cancellation("1", 7), booking_request("2", both)]);
    assert_eq!(decisions.iter().map(status).collect::<Vec<_>>(), [Some(Status::Cancelled), Some(Status::Confirmed)]);
    assert!(
        property.claims.iter().all(|claim| claim.owner == Owner::Booking(BookingId::derive(None, "2", "fingerprint")))
    );
}

#[test]
fn booking_created_and_cancelled_in_one_batch_leaves_no_claim() {
    let mut property = TestProperty::new();
    let decisions = property
        .run(&[booking_request("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 2)]), cancellation("1", 7)]);
    assert_eq!(decisions.iter().map(status).collect::<Vec<_>>(), [Some(Status::Confirmed), Some(Status::Cancelled)]);
    let booking = property.bookings.values().next().unwrap();
    assert_eq!((booking.rev, booking.history.len(), property.claims.len()), (2, 2, 0));
}

#[test]
fn cancel_waits_for_the_request_and_is_idempotent() {
    let mut property = TestProperty::new();
    assert_eq!(property.run(&[cancellation("1", 7)]), [Decision::NotYet]);
    property.run(&[booking_request("1", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 2)])]);
    let first = property.run(&[cancellation("1", 7)]);
    assert_eq!(property.run(&[cancellation("1", 8)]), first);
    let refused = booking_request("2", vec![stay("castle", "2027-01-10", "2027-01-13", 2)]);
    property.run(&[refused]);
    assert_eq!(property.run(&[cancellation("2", 9)]), [Decision::Refused(ReplyOutcome::Conflict, None)]);
}

#[test]
fn unsellable_request_is_rejected_with_its_reason() {
    let mut property = TestProperty::new();
    let reasons = [
        (stay("castle", "2027-01-10", "2027-01-11", 1), Rejection::Closed),
        (stay("dorm-6-mixed", "2027-01-11", "2027-01-11", 1), Rejection::InvalidDates),
        (stay("dorm-6-mixed", "2020-01-10", "2020-01-11", 1), Rejection::InvalidDates),
        (stay("dorm-6-mixed", "2027-01-10", "2027-01-11", 13), Rejection::OverCapacity),
        (stay("dorm-6-mixed", "2027-01-10", "2027-01-11", 0), Rejection::OverCapacity),
    ];
    for (index, (requested, reason)) in reasons.into_iter().enumerate() {
        let decision = property.run(&[booking_request(&index.to_string(), vec![requested])]).remove(0);
        assert!(
            matches!(&decision, Decision::Decided(event) if event.rejection == Some(reason)),
            "{reason:?}: {decision:?}"
        );
    }
    let (id, command) = booking_request("plan", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-11", 1)]);
    let BookingCommand::Request(mut unpriced) = command else { unreachable!() };
    unpriced.rate_plan_id = "gone".into();
    assert_eq!(status(&property.run(&[(id, BookingCommand::Request(unpriced))])[0]), Some(Status::Rejected));
    assert!(property.claims.is_empty());
}
