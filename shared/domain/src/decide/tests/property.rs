//! A property with its store, as the worker and MongoDB keep it together, and short commands for it.

use crate::block::{Block, BlockKind};
use crate::booking::{Booking, FormerAddress, Guest, Status, StayRequest};
use crate::business_day::check_in_instant;
use crate::decide::{BatchOutcome, BedNightClaim, Decision, KnownState, MissingState, Owner, decide};
use crate::fixtures::{date, now, request, sample_inventory};
use crate::grid::OccupancyGrid;
use crate::ids::{BedId, BlockId, BookingId, PropertyId};
use crate::inventory::Inventory;
use crate::messages::*;
use crate::nights::Nights;
use crate::rates::Rates;
use crate::timestamp::Timestamp;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

pub(super) const PROPERTY: &str = "pvt-montreal";

pub(super) struct TestProperty {
    pub(super) grids: HashMap<PropertyId, OccupancyGrid>,
    pub(super) bookings: HashMap<BookingId, Booking>,
    pub(super) blocks: HashMap<BlockId, Block>,
    pub(super) claims: BTreeSet<BedNightClaim>,
    /// Addresses that were taken from bookings, oldest first.
    pub(super) former_addresses: Vec<FormerAddress>,
    pub(super) now: Timestamp,
    next: u128,
}

impl TestProperty {
    pub(super) fn new() -> Self {
        Self::of(sample_inventory())
    }

    pub(super) fn of(inventory: Inventory) -> Self {
        let grid = OccupancyGrid::new(Arc::new(inventory), date("2026-12-01"));
        Self {
            grids: [(PropertyId::from(PROPERTY), grid)].into(),
            bookings: HashMap::new(),
            blocks: HashMap::new(),
            claims: BTreeSet::new(),
            former_addresses: Vec::new(),
            now: now(),
            next: 1_000_000,
        }
    }

    pub(super) fn grid(&self) -> &OccupancyGrid {
        &self.grids[&PropertyId::from(PROPERTY)]
    }

    pub(super) fn inventory(&self) -> Arc<Inventory> {
        Arc::clone(self.grid().inventory())
    }

    /// Replaces inventory and calendars: the grid is read again.
    pub(super) fn rebuild(&mut self, inventory: Inventory, rates: Rates) {
        let mut grid = OccupancyGrid::new(Arc::new(inventory), self.grid().origin()).with_rates(Arc::new(rates));
        self.claims.iter().for_each(|claim| grid.take_night(&claim.bed_id, claim.night));
        self.grids.insert(PROPERTY.into(), grid);
    }

    /// Lets the grid begin on `day`: earlier nights stay claimed, and are not seen.
    pub(super) fn advance_origin(&mut self, day: &str) {
        let mut grid = OccupancyGrid::new(self.inventory(), date(day));
        self.claims.iter().for_each(|claim| grid.take_night(&claim.bed_id, claim.night));
        self.grids.insert(PROPERTY.into(), grid);
    }

    /// Advances to the start of check-in on `day`.
    pub(super) fn at_check_in(&mut self, day: &str) {
        self.now = check_in_instant(&self.inventory().property, date(day));
    }

    pub(super) fn booking(&self, key: &str) -> &Booking {
        &self.bookings[&id(key)]
    }

    /// Decides once, knowing the occupants of `occupied` nights only.
    fn decide_knowing(
        &self,
        fresh: bool,
        occupied: &HashMap<PropertyId, Nights>,
        also: &HashSet<BookingId>,
        commands: &[(Uuid, BookingCommand)],
    ) -> Result<BatchOutcome, Box<MissingState>> {
        let fresh: HashSet<PropertyId> = fresh.then(|| PropertyId::from(PROPERTY)).into_iter().collect();
        let there = |booking: &Booking| {
            occupied.get(&booking.property_id).is_some_and(|nights| {
                booking.claims().any(|(_, night)| nights.arrival <= night && night < nights.departure)
            })
        };
        let requested: HashSet<BookingId> = commands.iter().filter_map(|(_, command)| command.booking_id()).collect();
        let bookings =
            self.bookings.iter().filter(|(id, booking)| requested.contains(id) || also.contains(id) || there(booking));
        let bookings: HashMap<BookingId, Booking> = bookings.map(|(id, booking)| (*id, booking.clone())).collect();
        let commands: Vec<(Uuid, &BookingCommand)> = commands.iter().map(|(id, command)| (*id, command)).collect();
        let known =
            KnownState { grids: &self.grids, fresh: &fresh, bookings: &bookings, blocks: &self.blocks, occupied };
        decide(known, &commands, self.now)
    }

    pub(super) fn decide(
        &self,
        fresh: bool,
        commands: &[(Uuid, BookingCommand)],
    ) -> Result<BatchOutcome, Box<MissingState>> {
        self.decide_knowing(fresh, &HashMap::new(), &HashSet::new(), commands)
    }

    /// Decides as the worker does: reads what is missing, and only that.
    pub(super) fn decide_until_known(&self, commands: &[(Uuid, BookingCommand)]) -> BatchOutcome {
        let (mut occupied, mut also) = (HashMap::new(), HashSet::new());
        for _ in 0..8 {
            match self.decide_knowing(true, &occupied, &also, commands) {
                Ok(outcome) => return outcome,
                Err(missing) => {
                    assert!(missing.grids.is_empty(), "fresh views are fresh");
                    occupied.extend(missing.occupants);
                    also.extend(missing.bookings);
                }
            }
        }
        panic!("never enough is known")
    }

    /// Stores an outcome as the transaction does; panics where an index would reject it, or where memory and store
    /// differ.
    pub(super) fn apply(&mut self, outcome: &BatchOutcome) {
        for claim in &outcome.released {
            assert!(self.claims.remove(claim), "released a claim without an owner: {claim:?}");
        }
        for claim in &outcome.claimed {
            let taken = self.claims.iter().any(|own| (&own.bed_id, own.night) == (&claim.bed_id, claim.night));
            assert!(!taken, "double booking: {claim:?}");
            self.claims.insert(claim.clone());
        }
        for change in &outcome.changes {
            assert_eq!(self.bookings.get(&change.booking.id).map(|stored| stored.rev), change.stored_rev);
            self.bookings.insert(change.booking.id, change.booking.clone());
        }
        for change in &outcome.block_changes {
            assert_eq!(self.blocks.get(&change.block.id).map(|stored| stored.rev), change.stored_rev);
            self.blocks.insert(change.block.id, change.block.clone());
        }
        for mark in &outcome.marks {
            assert_eq!((self.inventory().rev, mark.inventory.rev > mark.stored_rev), (mark.stored_rev, true));
        }
        self.former_addresses.extend(outcome.former_addresses.iter().cloned());
        self.grids.extend(outcome.grids.clone());
        self.check();
    }

    /// Asserts that claims are those of bookings and blocks, and the grid shows exactly them.
    pub(super) fn check(&self) {
        let claim = |property: &PropertyId, owner, bed: &BedId, night| BedNightClaim {
            property_id: property.clone(),
            bed_id: bed.clone(),
            night,
            owner,
        };
        let of_bookings = self.bookings.values().flat_map(|one| {
            one.claims().map(|(bed, night)| claim(&one.property_id, Owner::Booking(one.id), bed, night))
        });
        let of_blocks = self
            .blocks
            .values()
            .flat_map(|one| one.claims().map(|(bed, night)| claim(&one.property_id, Owner::Block(one.id), bed, night)));
        assert_eq!(
            of_bookings.chain(of_blocks).collect::<BTreeSet<_>>(),
            self.claims,
            "claims are those of the bookings"
        );
        let grid = self.grid();
        let mut read = OccupancyGrid::new(Arc::clone(grid.inventory()), grid.origin());
        self.claims.iter().for_each(|claim| read.take_night(&claim.bed_id, claim.night));
        let beds = grid.inventory().rooms.iter().map(|room| room.beds.len()).sum::<usize>();
        assert!((0..beds).all(|bed| grid.row(bed) == read.row(bed)), "memory shows what is claimed");
    }

    pub(super) fn run(&mut self, commands: &[(Uuid, BookingCommand)]) -> Vec<Decision> {
        let outcome = self.decide_until_known(commands);
        self.apply(&outcome);
        outcome.decisions
    }

    /// Runs one command under an id of its own.
    pub(super) fn one(&mut self, command: BookingCommand) -> Decision {
        self.next += 1;
        let command_id = Uuid::from_u128(self.next);
        self.run(&[(command_id, command)]).remove(0)
    }

    pub(super) fn book(&mut self, key: &str, stays: Vec<StayRequest>) -> Decision {
        self.run(&[booking_request(key, stays)]).remove(0)
    }

    /// Header of a command by staff at this time.
    pub(super) fn header(&self, key: &str) -> CommandHeader {
        header(key, "staff:1", self.now)
    }

    pub(super) fn check_in(&mut self, key: &str) -> Decision {
        let header = self.header(key);
        self.one(BookingCommand::CheckIn(CheckInBooking { header, stays: Vec::new() }))
    }

    /// The guests leave, whatever they still owe, and pay for what they slept.
    pub(super) fn check_out(&mut self, key: &str) -> Decision {
        let header = CommandHeader { reason: Some("invoice".to_owned()), ..self.header(key) };
        let (allow_open_balance, reprice, stays) = (true, true, Vec::new());
        self.one(BookingCommand::CheckOut(CheckOutBooking { header, allow_open_balance, reprice, stays }))
    }

    /// Every bed is made.
    pub(super) fn clean(&mut self) {
        let mut inventory = Inventory::clone(&self.inventory());
        inventory.rooms.iter_mut().for_each(|room| room.bed_states.clear());
        self.rebuild(inventory, Rates::default());
    }

    /// Modification of a booking, each stay continuing the one at its index.
    pub(super) fn modify(&mut self, key: &str, stays: Vec<StayRequest>) -> Decision {
        let command = self.modification(key, stays);
        self.one(BookingCommand::Modify(Box::new(command)))
    }

    pub(super) fn modification(&self, key: &str, stays: Vec<StayRequest>) -> ModifyBooking {
        let known = self.bookings.get(&id(key)).map_or(0, |booking| booking.stays.len());
        let stay_requests = stays.into_iter().enumerate().map(|(index, stay)| StayModification {
            stay,
            continues: (index < known).then_some(index),
            beds: None,
        });
        ModifyBooking {
            header: self.header(key),
            stays: Some(stay_requests.collect()),
            rate_plan_id: None,
            guest: None,
            reprice: true,
            quote: None,
            override_restrictions: false,
            waive_change_fees: false,
        }
    }

    /// Correction of the guest's details and nothing else.
    pub(super) fn correction(&self, key: &str, guest: Guest) -> ModifyBooking {
        ModifyBooking { stays: None, guest: Some(guest), reprice: false, ..self.modification(key, Vec::new()) }
    }

    pub(super) fn assign(&mut self, key: &str, beds: Option<&[&str]>, locked: Option<bool>) -> Decision {
        let beds = beds.map(|beds| beds.iter().map(|bed| BedId::from(*bed)).collect());
        let header = self.header(key);
        self.one(BookingCommand::Assign(AssignBeds {
            header,
            assignments: vec![Assignment { stay: Some(0), id: None, beds, from: None, locked }],
        }))
    }

    pub(super) fn block(&mut self, key: &str, beds: &[&str], from: &str, until: &str) -> Decision {
        let command = BlockBeds {
            block_id: BlockId::derive("staff:1", key),
            property_id: PROPERTY.into(),
            kind: BlockKind::Maintenance,
            bed_ids: beds.iter().map(|bed| BedId::from(*bed)).collect(),
            from: date(from),
            until: date(until),
            actor: "staff:1".into(),
            reason: Some("paint".to_owned()),
            requested_at: self.now,
        };
        self.one(BookingCommand::Block(command))
    }

    pub(super) fn unblock(&mut self, key: &str) -> Decision {
        let block_id = BlockId::derive("staff:1", key);
        self.one(BookingCommand::Unblock(UnblockBeds {
            block_id,
            property_id: PROPERTY.into(),
            actor: "staff:1".into(),
            reason: None,
            requested_at: self.now,
        }))
    }

    /// Beds of the first stay.
    pub(super) fn beds(&self, key: &str) -> Vec<&str> {
        self.booking(key).stays[0].assigned_beds.iter().map(BedId::as_str).collect()
    }
}

pub(super) fn id(key: &str) -> BookingId {
    BookingId::derive(None, key, "fingerprint")
}

pub(super) fn booking_request(key: &str, stays: Vec<StayRequest>) -> (Uuid, BookingCommand) {
    let requested = request(key, stays);
    (requested.booking_id.request_command_id(), BookingCommand::Request(Box::new(requested)))
}

fn header(key: &str, actor: &str, requested_at: Timestamp) -> CommandHeader {
    CommandHeader {
        booking_id: id(key),
        property_id: PROPERTY.into(),
        expected_rev: None,
        actor: actor.into(),
        as_admin: false,
        reason: None,
        requested_at,
    }
}

pub(super) fn cancellation(key: &str, command: u128) -> (Uuid, BookingCommand) {
    let cancel = CancelBooking { header: header(key, "guest", now()), waive_fee: false };
    (Uuid::from_u128(command), BookingCommand::Cancel(cancel))
}

pub(super) fn status(decision: &Decision) -> Option<Status> {
    if let Decision::Decided(event) = decision { Some(event.status) } else { None }
}

/// The reason of a refusal that changed nothing.
pub(super) fn code(decision: &Decision) -> Option<RefusalCode> {
    if let Decision::Refused(ReplyOutcome::Refused, Some(why)) = decision { Some(why.code) } else { None }
}
