//! Benchmark of decisions without a store: `cargo bench -p pvt-domain`.
//!
//! The limits are those of the product: a batch of 100 on 400 beds over 540 nights in 2 ms, a reshuffle of 50 stays in
//! 10 ms.

#![allow(clippy::unwrap_used, missing_docs)]

use chrono::{DateTime, Days, NaiveDate};
use divan::Bencher;
use pvt_domain::booking::{Booking, Guest, Source, StayRequest};
use pvt_domain::decide::{BatchOutcome, KnownState, decide};
use pvt_domain::demo;
use pvt_domain::grid::OccupancyGrid;
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::inventory::{DormGender, Inventory, Room, RoomKind, RoomType};
use pvt_domain::messages::{BookingCommand, RequestBooking};
use pvt_domain::nights::Nights;
use pvt_domain::timestamp::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

const NIGHTS: u64 = 540;

fn main() {
    divan::main();
}

fn now() -> Timestamp {
    DateTime::parse_from_rfc3339("2026-12-01T12:00:00Z").unwrap().to_utc().into()
}

fn first_night() -> NaiveDate {
    "2026-12-01".parse().unwrap()
}

/// Rooms of `room_beds` beds, half of them of each of two dorm types.
fn sample_inventory(beds: usize, room_beds: usize) -> Inventory {
    let mut inventory = demo::inventory();
    inventory.room_types = ["even", "odd"].map(|id| RoomType::new(id, id, RoomKind::Dorm, DormGender::Mixed)).to_vec();
    let room = |number: usize| {
        let beds = (0..room_beds).map(|bed| format!("r{number}-{bed}").as_str().into()).collect();
        Room::new(format!("r{number}").as_str(), if number.is_multiple_of(2) { "even" } else { "odd" }, beds)
    };
    inventory.rooms = (0..beds / room_beds).map(room).collect();
    inventory.rate_plans[0].nightly = [("even".into(), 4_000), ("odd".into(), 4_500)].into();
    inventory
}

/// SplitMix64's finisher: the same properties on every run.
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 31)
}

fn request(key: u64, room_type: &str, offset: u64, nights: u64, guests: u32) -> (Uuid, BookingCommand) {
    let arrival = first_night() + Days::new(offset);
    let booking_id = BookingId::derive(None, &key.to_string(), "bench");
    let request = RequestBooking {
        booking_id,
        client: None,
        fingerprint: "bench".to_owned(),
        fingerprint_as_sent: None,
        property_id: demo::PROPERTY_ID.into(),
        rate_plan_id: "standard".into(),
        source: Source::Direct,
        stays: vec![StayRequest::new(room_type, arrival, arrival + Days::new(nights), guests)],
        guest: Guest {
            first_name: "Ada".to_owned(),
            last_name: "Lovelace".to_owned(),
            email: "ada@example.com".to_owned(),
            phone: None,
            locale: None,
        },
        requested_at: now(),
        quote: None,
        override_restrictions: false,
    };
    (booking_id.request_command_id(), BookingCommand::Request(Box::new(request)))
}

/// A property as a worker knows it.
struct TestProperty {
    grids: HashMap<PropertyId, OccupancyGrid>,
    bookings: HashMap<BookingId, Booking>,
    occupied: HashMap<PropertyId, Nights>,
}

impl TestProperty {
    fn new(inventory: Inventory) -> Self {
        let grid = OccupancyGrid::new(Arc::new(inventory), first_night());
        let all = Nights::new(first_night(), first_night() + Days::new(960));
        Self {
            grids: [(demo::PROPERTY_ID.into(), grid)].into(),
            bookings: HashMap::new(),
            occupied: [(demo::PROPERTY_ID.into(), all)].into(),
        }
    }

    fn decide(&self, commands: &[(Uuid, BookingCommand)]) -> BatchOutcome {
        let commands: Vec<(Uuid, &BookingCommand)> = commands.iter().map(|(id, command)| (*id, command)).collect();
        let fresh: HashSet<PropertyId> = self.grids.keys().cloned().collect();
        let blocks = HashMap::new();
        let known = KnownState {
            grids: &self.grids,
            fresh: &fresh,
            bookings: &self.bookings,
            blocks: &blocks,
            occupied: &self.occupied,
        };
        decide(known, &commands, now()).unwrap()
    }

    fn run(&mut self, commands: &[(Uuid, BookingCommand)]) {
        let outcome = self.decide(commands);
        self.grids.extend(outcome.grids);
        self.bookings.extend(outcome.changes.into_iter().map(|change| (change.booking.id, change.booking)));
    }
}

fn random_requests(keys: std::ops::Range<u64>) -> Vec<(Uuid, BookingCommand)> {
    let one = |key: u64| {
        let dice = scatter(key);
        let room_type = if dice.is_multiple_of(2) { "even" } else { "odd" };
        request(
            key,
            room_type,
            (dice >> 8) % (NIGHTS - 10),
            1 + (dice >> 24) % 7,
            1 + u32::try_from((dice >> 40) % 3).unwrap(),
        )
    };
    keys.map(one).collect()
}

/// 100 requests for a property of 400 beds after `before` earlier ones.
#[divan::bench(args = [0, 5_000, 20_000])]
fn batch_of_100_on_400_beds(bencher: Bencher<'_, '_>, before: u64) {
    let mut property = TestProperty::new(sample_inventory(400, 8));
    for batch in (0..before).step_by(1_000) {
        property.run(&random_requests(batch..batch + 1_000));
    }
    let commands = random_requests(1_000_000..1_000_100);
    bencher.bench(|| property.decide(&commands));
}

/// Two beds are taken on alternating nights; a stay of 100 nights fits once 50 stays are reassigned.
#[divan::bench]
fn reshuffle_of_fifty_stays(bencher: Bencher<'_, '_>) {
    let mut property = TestProperty::new(sample_inventory(4, 2));
    property.run(&(0..100).map(|night| request(night, "even", night, 1, 1)).collect::<Vec<_>>());
    let mut grid =
        OccupancyGrid::new(Arc::clone(property.grids[&PropertyId::from(demo::PROPERTY_ID)].inventory()), first_night());
    for booking in property.bookings.values_mut() {
        let stay = &mut booking.stays[0];
        let odd = (stay.arrival - first_night()).num_days() % 2;
        stay.assigned_beds = vec![format!("r0-{odd}").as_str().into()];
        grid.take_night(&stay.assigned_beds[0], stay.arrival);
    }
    property.grids.insert(demo::PROPERTY_ID.into(), grid);
    let command = [request(1_000, "even", 0, 100, 1)];
    let outcome = property.decide(&command);
    assert_eq!(outcome.consequences.len(), 50, "{:?}", outcome.decisions);
    bencher.bench(|| property.decide(&command));
}

/// A property so full that hardly anything fits: every request searches for a reshuffle.
#[divan::bench]
fn one_request_for_a_full_property_of_400_beds(bencher: Bencher<'_, '_>) {
    let mut property = TestProperty::new(sample_inventory(400, 8));
    for batch in (0..30_000).step_by(1_000) {
        let commands = random_requests(batch..batch + 1_000);
        property.run(&commands);
    }
    let commands = random_requests(1_000_000..1_000_001);
    bencher.bench(|| property.decide(&commands));
}
