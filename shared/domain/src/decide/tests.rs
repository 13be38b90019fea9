//! Decisions by value: what is confirmed, refused, repeated and released.

use super::{Claim, Decisions, Known, Verdict, decide};
use crate::booking::{Booking, Rejection, Status, StayRequest};
use crate::fixtures::{date, hostel, now, request, stay};
use crate::ids::{BookingId, PropertyId};
use crate::inventory::{Inventory, RoomKind};
use crate::messages::{BookingCommand, CancelBooking, ReplyOutcome};
use crate::view::PropertyView;
use chrono::{Days, NaiveDate};
use proptest::prelude::*;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// A house with its store, as the worker and MongoDB keep it together.
struct House {
    views: HashMap<PropertyId, PropertyView>,
    bookings: HashMap<BookingId, Booking>,
    claims: BTreeSet<Claim>,
}

impl House {
    fn new() -> Self {
        Self {
            views: [(PropertyId::from("pvt-montreal"), PropertyView::new(Arc::new(hostel()), date("2026-12-01")))].into(),
            bookings: HashMap::new(),
            claims: BTreeSet::new(),
        }
    }

    fn decide(&self, fresh: bool, commands: &[(Uuid, BookingCommand)]) -> Result<Decisions, super::StaleViews> {
        let fresh: HashSet<PropertyId> = fresh.then(|| PropertyId::from("pvt-montreal")).into_iter().collect();
        let commands: Vec<(Uuid, &BookingCommand)> = commands.iter().map(|(id, command)| (*id, command)).collect();
        decide(Known { views: &self.views, fresh: &fresh, bookings: &self.bookings }, &commands, now())
    }

    /// Stores decisions as the transaction does; panics where an index would object.
    fn apply(&mut self, decisions: &Decisions) {
        for claim in &decisions.released {
            assert!(self.claims.remove(claim), "released what nobody owned: {claim:?}");
        }
        for claim in &decisions.claimed {
            let taken = self.claims.iter().any(|own| (&own.bed_id, own.night) == (&claim.bed_id, claim.night));
            assert!(!taken, "double booking: {claim:?}");
            self.claims.insert(claim.clone());
        }
        for change in &decisions.changes {
            assert_eq!(self.bookings.get(&change.booking.id).map(|stored| stored.rev), change.stored_rev);
            self.bookings.insert(change.booking.id, change.booking.clone());
        }
        self.views.extend(decisions.views.clone());
    }

    fn run(&mut self, commands: &[(Uuid, BookingCommand)]) -> Vec<Verdict> {
        let decisions = self.decide(true, commands).unwrap();
        self.apply(&decisions);
        decisions.verdicts
    }
}

fn asks(key: &str, stays: Vec<StayRequest>) -> (Uuid, BookingCommand) {
    let asked = request(key, stays);
    (asked.booking_id.request_command_id(), BookingCommand::Request(Box::new(asked)))
}

fn cancels(key: &str, command: u128) -> (Uuid, BookingCommand) {
    let booking_id = BookingId::derive(None, key, "fingerprint");
    let cancel = CancelBooking { booking_id, property_id: "pvt-montreal".into(), actor: "guest".to_owned(), reason: None, requested_at: now() };
    (Uuid::from_u128(command), BookingCommand::Cancel(cancel))
}

fn status(verdict: &Verdict) -> Option<Status> {
    if let Verdict::Decided(event) = verdict { Some(event.status) } else { None }
}

#[test]
fn a_batch_fills_the_house_and_rejects_the_rest() {
    let mut house = House::new();
    let commands: Vec<_> = (0..15).map(|n| asks(&n.to_string(), vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-13", 1)])).collect();
    let verdicts = house.run(&commands);
    assert_eq!(verdicts.iter().filter(|verdict| status(verdict) == Some(Status::Confirmed)).count(), 12);
    assert!(verdicts[12..].iter().all(|verdict| matches!(verdict, Verdict::Decided(event) if event.rejection == Some(Rejection::NoAvailability))));
    assert_eq!(house.claims.len(), 36);
}

#[test]
fn nothing_is_refused_on_a_view_that_may_be_old() {
    let mut house = House::new();
    house.run(&[asks("all", vec![stay("private-double", "2027-01-10", "2027-01-12", 2), stay("private-double", "2027-01-10", "2027-01-12", 2)])]);
    let late = [asks("late", vec![stay("private-double", "2027-01-10", "2027-01-12", 1)])];
    assert_eq!(house.decide(false, &late).unwrap_err().0, HashSet::from([PropertyId::from("pvt-montreal")]));
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
    assert_eq!(house.run(&[(id, BookingCommand::Request(other))]), [Verdict::Refused(ReplyOutcome::KeyReused)]);
}

#[test]
fn a_cancelled_bed_is_sold_again_in_the_same_batch() {
    let mut house = House::new();
    let both = vec![stay("private-double", "2027-01-10", "2027-01-12", 2), stay("private-double", "2027-01-10", "2027-01-12", 2)];
    house.run(&[asks("1", both.clone())]);
    let verdicts = house.run(&[cancels("1", 7), asks("2", both)]);
    assert_eq!(verdicts.iter().map(status).collect::<Vec<_>>(), [Some(Status::Cancelled), Some(Status::Confirmed)]);
    assert!(house.claims.iter().all(|claim| claim.booking_id == BookingId::derive(None, "2", "fingerprint")));
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
    assert_eq!(house.run(&[cancels("2", 9)]), [Verdict::Refused(ReplyOutcome::Conflict)]);
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
        assert!(matches!(&verdict, Verdict::Decided(event) if event.rejection == Some(reason)), "{reason:?}: {verdict:?}");
    }
    let (id, command) = asks("plan", vec![stay("dorm-6-mixed", "2027-01-10", "2027-01-11", 1)]);
    let BookingCommand::Request(mut unpriced) = command else { unreachable!() };
    unpriced.rate_plan_id = "gone".into();
    assert_eq!(status(&house.run(&[(id, BookingCommand::Request(unpriced))])[0]), Some(Status::Rejected));
    assert!(house.claims.is_empty());
}

/// Whether the stay fits, found by counting claims bed by bed, without the view.
fn fits(house: &House, inventory: &Inventory, asked: &StayRequest) -> bool {
    let free =
        |bed: &crate::ids::BedId| asked.nights().iter().all(|night: NaiveDate| !house.claims.iter().any(|claim| claim.bed_id == *bed && claim.night == night));
    let kind = inventory.room_type(&asked.room_type_id).unwrap().kind;
    let mut rooms = inventory.rooms_of(&asked.room_type_id);
    match kind {
        RoomKind::Private => rooms.any(|room| room.beds.len() >= asked.guests as usize && room.beds.iter().all(free)),
        RoomKind::Dorm => rooms.flat_map(|room| &room.beds).filter(|bed| free(bed)).count() >= asked.guests as usize,
    }
}

#[derive(Debug, Clone)]
enum Step {
    Ask { room_type: &'static str, offset: u64, nights: u64, guests: u32 },
    Cancel(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ask = (prop::sample::select(vec!["dorm-6-mixed", "private-double"]), 0_u64..12, 1_u64..6, 1_u32..3)
        .prop_map(|(room_type, offset, nights, guests)| Step::Ask { room_type, offset, nights, guests });
    prop::collection::vec(prop_oneof![3 => ask, 1 => any::<prop::sample::Index>().prop_map(Step::Cancel)], 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bed_is_sold_twice_and_no_free_bed_refused(steps in steps()) {
        let mut house = House::new();
        let inventory = hostel();
        let mut asked = 0_usize;
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Ask { room_type, offset, nights, guests } => {
                    let arrival = date("2027-01-01") + Days::new(offset);
                    let wish = StayRequest { room_type_id: room_type.into(), arrival, departure: arrival + Days::new(nights), guests };
                    let expected = if fits(&house, &inventory, &wish) { Status::Confirmed } else { Status::Rejected };
                    let verdicts = house.run(&[asks(&asked.to_string(), vec![wish])]);
                    prop_assert_eq!(status(&verdicts[0]), Some(expected));
                    asked += 1;
                }
                Step::Cancel(_) if asked == 0 => {}
                Step::Cancel(index) => {
                    house.run(&[cancels(&index.index(asked).to_string(), number as u128)]);
                }
            }
            let owned: BTreeSet<Claim> = house.bookings.values().flat_map(|booking| booking.claims().map(|(bed, night)| Claim {
                property_id: booking.property_id.clone(), bed_id: bed.clone(), night, booking_id: booking.id,
            })).collect();
            prop_assert_eq!(&owned, &house.claims);
        }
    }
}
