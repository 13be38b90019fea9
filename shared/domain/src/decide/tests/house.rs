//! A house with its store, as the worker and MongoDB keep it together, and short ways to ask things of it.

use crate::block::{Block, BlockKind};
use crate::booking::{Booking, Status, StayRequest};
use crate::business_day::check_in_instant;
use crate::decide::{Claim, Decisions, Known, Missing, Owner, Verdict, decide};
use crate::fixtures::{date, hostel, now, request};
use crate::ids::{BedId, BlockId, BookingId, PropertyId};
use crate::inventory::Inventory;
use crate::messages::*;
use crate::nights::Nights;
use crate::rates::Rates;
use crate::timestamp::Timestamp;
use crate::view::PropertyView;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

pub(super) const PROPERTY: &str = "pvt-montreal";

pub(super) struct House {
    pub(super) views: HashMap<PropertyId, PropertyView>,
    pub(super) bookings: HashMap<BookingId, Booking>,
    pub(super) blocks: HashMap<BlockId, Block>,
    pub(super) claims: BTreeSet<Claim>,
    pub(super) now: Timestamp,
    next: u128,
}

impl House {
    pub(super) fn new() -> Self {
        Self::of(hostel())
    }

    pub(super) fn of(inventory: Inventory) -> Self {
        let view = PropertyView::new(Arc::new(inventory), date("2026-12-01"));
        Self {
            views: [(PropertyId::from(PROPERTY), view)].into(),
            bookings: HashMap::new(),
            blocks: HashMap::new(),
            claims: BTreeSet::new(),
            now: now(),
            next: 1_000_000,
        }
    }

    pub(super) fn view(&self) -> &PropertyView {
        &self.views[&PropertyId::from(PROPERTY)]
    }

    pub(super) fn inventory(&self) -> Arc<Inventory> {
        Arc::clone(self.view().inventory())
    }

    /// The house after its document or calendars were changed: the view is read again.
    pub(super) fn rebuild(&mut self, inventory: Inventory, rates: Rates) {
        let mut view = PropertyView::new(Arc::new(inventory), self.view().origin()).with_rates(Arc::new(rates));
        self.claims.iter().for_each(|claim| view.take_night(&claim.bed_id, claim.night));
        self.views.insert(PROPERTY.into(), view);
    }

    /// It is now the time at which guests arriving on `day` may check in.
    pub(super) fn at_check_in(&mut self, day: &str) {
        self.now = check_in_instant(&self.inventory().property, date(day));
    }

    pub(super) fn booking(&self, key: &str) -> &Booking {
        &self.bookings[&id(key)]
    }

    /// Decides once, knowing everybody only on `occupied` nights.
    fn decide_knowing(
        &self,
        fresh: bool,
        occupied: &HashMap<PropertyId, Nights>,
        also: &HashSet<BookingId>,
        commands: &[(Uuid, BookingCommand)],
    ) -> Result<Decisions, Box<Missing>> {
        let fresh: HashSet<PropertyId> = fresh.then(|| PropertyId::from(PROPERTY)).into_iter().collect();
        let there = |booking: &Booking| {
            occupied.get(&booking.property_id).is_some_and(|nights| {
                booking.claims().any(|(_, night)| nights.arrival <= night && night < nights.departure)
            })
        };
        let asked: HashSet<BookingId> = commands.iter().filter_map(|(_, command)| command.booking_id()).collect();
        let bookings =
            self.bookings.iter().filter(|(id, booking)| asked.contains(id) || also.contains(id) || there(booking));
        let bookings: HashMap<BookingId, Booking> = bookings.map(|(id, booking)| (*id, booking.clone())).collect();
        let commands: Vec<(Uuid, &BookingCommand)> = commands.iter().map(|(id, command)| (*id, command)).collect();
        let known = Known { views: &self.views, fresh: &fresh, bookings: &bookings, blocks: &self.blocks, occupied };
        decide(known, &commands, self.now)
    }

    pub(super) fn decide(&self, fresh: bool, commands: &[(Uuid, BookingCommand)]) -> Result<Decisions, Box<Missing>> {
        self.decide_knowing(fresh, &HashMap::new(), &HashSet::new(), commands)
    }

    /// Decides as the worker does: what is missing is read, and only that.
    pub(super) fn settle(&self, commands: &[(Uuid, BookingCommand)]) -> Decisions {
        let (mut occupied, mut also) = (HashMap::new(), HashSet::new());
        for _ in 0..8 {
            match self.decide_knowing(true, &occupied, &also, commands) {
                Ok(decisions) => return decisions,
                Err(missing) => {
                    assert!(missing.views.is_empty(), "fresh views are fresh");
                    occupied.extend(missing.occupants);
                    also.extend(missing.bookings);
                }
            }
        }
        panic!("never enough is known")
    }

    /// Stores decisions as the transaction does; panics where an index would object, or where memory and store part.
    pub(super) fn apply(&mut self, decisions: &Decisions) {
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
        for change in &decisions.block_changes {
            assert_eq!(self.blocks.get(&change.block.id).map(|stored| stored.rev), change.stored_rev);
            self.blocks.insert(change.block.id, change.block.clone());
        }
        self.views.extend(decisions.views.clone());
        self.check();
    }

    /// Claims are those of bookings and blocks, and the view shows them, no more and no less.
    pub(super) fn check(&self) {
        let claim = |property: &PropertyId, owner, bed: &BedId, night| Claim {
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
        let view = self.view();
        let mut read = PropertyView::new(Arc::clone(view.inventory()), view.origin());
        self.claims.iter().for_each(|claim| read.take_night(&claim.bed_id, claim.night));
        let beds = view.inventory().rooms.iter().map(|room| room.beds.len()).sum::<usize>();
        assert!((0..beds).all(|bed| view.row(bed) == read.row(bed)), "memory shows what is claimed");
    }

    pub(super) fn run(&mut self, commands: &[(Uuid, BookingCommand)]) -> Vec<Verdict> {
        let decisions = self.settle(commands);
        self.apply(&decisions);
        decisions.verdicts
    }

    /// Runs one command under an id of its own.
    pub(super) fn one(&mut self, command: BookingCommand) -> Verdict {
        self.next += 1;
        let command_id = Uuid::from_u128(self.next);
        self.run(&[(command_id, command)]).remove(0)
    }

    pub(super) fn book(&mut self, key: &str, stays: Vec<StayRequest>) -> Verdict {
        self.run(&[asks(key, stays)]).remove(0)
    }

    /// What staff say about a booking at this time.
    pub(super) fn order(&self, key: &str) -> Order {
        Order {
            booking_id: id(key),
            property_id: PROPERTY.into(),
            expected_rev: None,
            actor: "staff:1".to_owned(),
            as_admin: false,
            reason: None,
            requested_at: self.now,
        }
    }

    pub(super) fn check_in(&mut self, key: &str) -> Verdict {
        let order = self.order(key);
        self.one(BookingCommand::CheckIn(CheckInBooking { order }))
    }

    /// Stays of a booking, each continuing the one at its place.
    pub(super) fn modify(&mut self, key: &str, stays: Vec<StayRequest>) -> Verdict {
        let command = self.modification(key, stays);
        self.one(BookingCommand::Modify(Box::new(command)))
    }

    pub(super) fn modification(&self, key: &str, stays: Vec<StayRequest>) -> ModifyBooking {
        let known = self.bookings.get(&id(key)).map_or(0, |booking| booking.stays.len());
        let wishes = stays.into_iter().enumerate().map(|(index, stay)| StayWish {
            stay,
            continues: (index < known).then_some(index),
            beds: None,
        });
        ModifyBooking {
            order: self.order(key),
            stays: Some(wishes.collect()),
            rate_plan_id: None,
            guest: None,
            reprice: true,
            quote: None,
            override_restrictions: false,
        }
    }

    pub(super) fn assign(&mut self, key: &str, beds: Option<&[&str]>, locked: Option<bool>) -> Verdict {
        let beds = beds.map(|beds| beds.iter().map(|bed| BedId::from(*bed)).collect());
        let order = self.order(key);
        self.one(BookingCommand::Assign(AssignBeds { order, assignments: vec![Assignment { stay: 0, beds, locked }] }))
    }

    pub(super) fn block(&mut self, key: &str, beds: &[&str], from: &str, until: &str) -> Verdict {
        let command = BlockBeds {
            block_id: BlockId::derive("staff:1", key),
            property_id: PROPERTY.into(),
            kind: BlockKind::Maintenance,
            bed_ids: beds.iter().map(|bed| BedId::from(*bed)).collect(),
            from: date(from),
            until: date(until),
            actor: "staff:1".to_owned(),
            reason: Some("paint".to_owned()),
            requested_at: self.now,
        };
        self.one(BookingCommand::Block(command))
    }

    pub(super) fn unblock(&mut self, key: &str) -> Verdict {
        let block_id = BlockId::derive("staff:1", key);
        self.one(BookingCommand::Unblock(UnblockBeds {
            block_id,
            property_id: PROPERTY.into(),
            actor: "staff:1".to_owned(),
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

pub(super) fn asks(key: &str, stays: Vec<StayRequest>) -> (Uuid, BookingCommand) {
    let asked = request(key, stays);
    (asked.booking_id.request_command_id(), BookingCommand::Request(Box::new(asked)))
}

pub(super) fn cancels(key: &str, command: u128) -> (Uuid, BookingCommand) {
    let order = Order {
        booking_id: id(key),
        property_id: PROPERTY.into(),
        expected_rev: None,
        actor: "guest".to_owned(),
        as_admin: false,
        reason: None,
        requested_at: now(),
    };
    (Uuid::from_u128(command), BookingCommand::Cancel(CancelBooking { order, waive_fee: false }))
}

pub(super) fn status(verdict: &Verdict) -> Option<Status> {
    if let Verdict::Decided(event) = verdict { Some(event.status) } else { None }
}

/// The reason of a refusal that changed nothing.
pub(super) fn code(verdict: &Verdict) -> Option<RefusalCode> {
    if let Verdict::Refused(ReplyOutcome::Refused, Some(why)) = verdict { Some(why.code) } else { None }
}
