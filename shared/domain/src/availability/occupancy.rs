//! Occupancy of one property, kept up to date by events.
//!
//! Events of different bookings may arrive in any order, so nights are never freed by arithmetic: whenever a booking
//! releases beds, the grid is drawn again from every booking and block.

use crate::booking::{Status, Stay};
use crate::decide::MAX_SHARED_REVISIONS;
use crate::events::BookingEvent;
use crate::grid::{OccupancyGrid, Span};
use crate::ids::{BedId, BookingId, RoomTypeId};
use crate::nights::Nights;
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// Beds of a booking at one of its revisions.
#[derive(Debug, Clone, Copy)]
pub struct Holding<'a> {
    /// Booking.
    pub booking_id: BookingId,
    /// Revision.
    pub rev: u32,
    /// Status.
    pub status: Status,
    /// Its stays with their beds.
    pub stays: &'a [Stay],
    /// Stays of its pending change, whose beds are held beside its own.
    pub pending: &'a [Stay],
}

impl<'a> From<&'a BookingEvent> for Holding<'a> {
    /// Events do not carry the stays of a pending change.
    fn from(event: &'a BookingEvent) -> Self {
        Self { booking_id: event.booking_id, rev: event.rev, status: event.status, stays: &event.stays, pending: &[] }
    }
}

/// Beds for some nights, by number and offset. Compact: an instance holds those of all future bookings.
#[derive(Debug, Clone)]
struct Run {
    first: u16,
    end: u16,
    beds: Box<[u16]>,
}

impl Run {
    fn of(grid: &OccupancyGrid, beds: &[BedId], nights: Nights) -> Option<Self> {
        let span = grid.clipped_span(nights)?;
        let number = |bed: &BedId| u16::try_from(grid.bed_number(bed)?).ok();
        Some(Self {
            first: u16::try_from(span.first()).ok()?,
            end: u16::try_from(span.end()).ok()?,
            beds: beds.iter().filter_map(number).collect(),
        })
    }

    fn span(&self) -> Span {
        Span::new(usize::from(self.first), usize::from(self.end))
    }

    fn beds(&self) -> impl Iterator<Item = usize> + '_ {
        self.beds.iter().map(|bed| usize::from(*bed))
    }

    fn draw(&self, grid: &mut OccupancyGrid) {
        let span = self.span();
        self.beds().for_each(|bed| grid.take(bed, &span));
    }
}

/// Beds of a stay, and its weight in a reshuffle. A stay that changed beds is one of these for each of its parts.
#[derive(Debug, Clone)]
struct HeldStay {
    room_type: u16,
    guests: u16,
    /// Whether it is the whole stay and may be reassigned.
    movable: bool,
    run: Run,
}

#[derive(Debug, Clone)]
struct Held {
    rev: u32,
    pending: bool,
    stays: Box<[HeldStay]>,
}

/// Occupancy of one property.
#[derive(Debug, Clone)]
pub struct Occupancy {
    empty: OccupancyGrid,
    grid: OccupancyGrid,
    held: BTreeMap<BookingId, Held>,
    blocked: Vec<Run>,
}

impl Occupancy {
    /// An empty occupancy with this empty grid.
    pub fn new(empty: OccupancyGrid) -> Self {
        Self { grid: empty.clone(), empty, held: BTreeMap::new(), blocked: Vec::new() }
    }

    /// The grid of taken nights.
    pub fn grid(&self) -> &OccupancyGrid {
        &self.grid
    }

    /// Blocks these beds on these nights.
    pub fn block(&mut self, beds: &[BedId], nights: Nights) {
        if let Some(run) = Run::of(&self.empty, beds, nights) {
            run.draw(&mut self.grid);
            self.blocked.push(run);
        }
    }

    /// Sets the beds of a booking; an older revision than the known one is ignored.
    pub fn hold(&mut self, holding: Holding<'_>) {
        if self.held.get(&holding.booking_id).is_some_and(|known| known.rev >= holding.rev)
            || holding.status == Status::Rejected
        {
            return;
        }
        let (stays, pending) =
            if holding.status.holds_beds() { (holding.stays, holding.pending) } else { Default::default() };
        let stays: Box<[HeldStay]> =
            stays.iter().chain(pending).flat_map(|stay| self.held_stay(&holding, stay)).collect();
        stays.iter().for_each(|stay| stay.run.draw(&mut self.grid));
        // Bookings without beds are remembered too: an older event may still arrive.
        let held = Held { rev: holding.rev, pending: !pending.is_empty(), stays };
        if self.held.insert(holding.booking_id, held).is_some() {
            self.draw();
        }
    }

    /// Whether beds are held for a pending change of this booking.
    pub fn has_pending_change(&self, booking_id: BookingId) -> bool {
        self.held.get(&booking_id).is_some_and(|held| held.pending)
    }

    fn draw(&mut self) {
        let mut grid = self.empty.clone();
        let held = self.held.values().flat_map(|held| &held.stays).map(|stay| &stay.run);
        held.chain(&self.blocked).for_each(|run| run.draw(&mut grid));
        self.grid = grid;
    }

    fn held_stay(&self, holding: &Holding<'_>, stay: &Stay) -> Vec<HeldStay> {
        let room_type =
            self.empty.inventory().room_types.iter().position(|room_type| room_type.id == stay.room_type_id);
        // Stays of a removed room type cannot be reassigned, but their beds are taken as before.
        let room_type = room_type.and_then(|index| u16::try_from(index).ok()).unwrap_or(u16::MAX);
        let movable = holding.status.allows_reassignment()
            && holding.rev < MAX_SHARED_REVISIONS
            && holding.pending.is_empty()
            && !stay.locked
            && stay.earlier_beds.is_empty()
            && !stay.assigned_beds.is_empty()
            && self.empty.span(stay.nights()).is_some();
        let mut parts = Vec::with_capacity(1);
        for (nights, beds) in stay.parts() {
            let run = Run::of(&self.empty, beds, nights);
            parts.extend(run.map(|run| HeldStay {
                room_type,
                guests: u16::try_from(stay.guests).unwrap_or(u16::MAX),
                movable: movable && run.beds.len() == beds.len(),
                run,
            }));
        }
        parts
    }

    /// The numbers of the beds that are blocked on a night.
    pub fn blocked_on(&self, night: NaiveDate) -> BTreeSet<usize> {
        let span = self.grid.span(Nights::new(night, night.succ_opt().unwrap_or(night)));
        let on = |run: &&Run| span.is_some_and(|span| run.span().meets(&span));
        self.blocked.iter().filter(on).flat_map(Run::beds).collect()
    }

    /// Stays of a room type within these nights that may be reassigned, in the order of their bookings: nights, beds,
    /// guests.
    pub(super) fn movable(
        &self,
        room_type: &RoomTypeId,
        within: &Span,
    ) -> impl Iterator<Item = (Span, Vec<usize>, usize)> {
        let index = self.empty.inventory().room_types.iter().position(|own| own.id == *room_type);
        let stays = self.held.values().flat_map(|held| &held.stays);
        stays.filter(move |stay| stay.movable && Some(usize::from(stay.room_type)) == index).filter_map(move |stay| {
            let run = &stay.run;
            let near = usize::from(run.first) < within.end() && within.first() < usize::from(run.end);
            near.then(|| (run.span(), run.beds().collect(), usize::from(stay.guests)))
        })
    }
}
