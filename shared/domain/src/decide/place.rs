//! Placement: beds for the stays of one booking, with other stays reassigned where that is needed.

use super::{Decider, NotSellable, Revision};
use crate::actor::Actor;
use crate::allocation::neighbourhood::{homes, reach, unit_of};
use crate::allocation::problem::{Item, ReshuffleProblem};
use crate::allocation::{AllocationError, allocate_keeping};
use crate::booking::{Action, Booking, Rejection, Stay, StayRequest};
use crate::grid::{OccupancyGrid, Row, Span};
use crate::ids::{BedId, BookingId, PropertyId, RoomTypeId};
use crate::inventory::RoomKind;
use crate::nights::Nights;
use chrono::NaiveDate;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A stay to place.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The request; its nights are those that need beds.
    pub(super) requested: StayRequest,
    /// Beds to keep where possible, by number.
    pub(super) present: Vec<usize>,
}

/// Reassigned stays of other bookings: booking, index of the stay, beds by number.
pub(super) type Moves = Vec<(BookingId, usize, Vec<usize>)>;

/// A placement that is not applied yet.
#[derive(Debug, Default)]
pub(super) struct Placement {
    /// Beds by number of each stay to place, in their order.
    pub(super) beds: Vec<Vec<usize>>,
    /// Stays of other bookings that make room.
    pub(super) moves: Moves,
}

/// A stay that may be reassigned, with its items in the problem.
#[derive(Clone)]
struct Movable {
    booking: BookingId,
    stay: usize,
    items: Vec<usize>,
}

/// The units of a room type and the problem of allocating them.
#[derive(Clone)]
struct UnitPool {
    problem: ReshuffleProblem,
    units: Vec<Vec<usize>>,
    movables: Vec<Movable>,
}

impl Decider<'_> {
    /// Claims beds for all of these stays, or none; `own` is the booking they belong to.
    pub(super) fn place(
        &mut self,
        property: &PropertyId,
        own: BookingId,
        wanted: &[Wanted],
    ) -> Result<Placement, NotSellable> {
        let mark = self.journal.mark();
        let placed = self.place_all(property, own, wanted);
        if placed.is_err() {
            self.journal.undo_to(mark);
        }
        placed
    }

    fn place_all(
        &mut self,
        property: &PropertyId,
        own: BookingId,
        wanted: &[Wanted],
    ) -> Result<Placement, NotSellable> {
        if self.grid(property).is_none() {
            return Err(self.refuse(property, Rejection::Closed.into(), NotSellable::Unread));
        }
        self.journal.adopt(property, self.known.grids.get(property));
        let mut placement = Placement { beds: vec![Vec::new(); wanted.len()], moves: Vec::new() };
        // By room type: stays that do not fit one after another are solved together.
        let mut types: Vec<(&RoomTypeId, Vec<usize>)> = Vec::new();
        for (index, stay) in wanted.iter().enumerate() {
            match types.iter_mut().find(|(id, _)| **id == stay.requested.room_type_id) {
                Some((_, stays)) => stays.push(index),
                None => types.push((&stay.requested.room_type_id, vec![index])),
            }
        }
        for (room_type, stays) in types {
            let mark = self.journal.mark();
            match self.place_in_turn(property, wanted, &stays, &mut placement) {
                Ok(()) => {}
                Err(AllocationError::Taken) => {
                    self.journal.undo_to(mark);
                    self.reshuffle(property, own, room_type, wanted, &stays, &mut placement)?;
                }
                Err(none) => return Err(self.refuse(property, Rejection::from(none).into(), NotSellable::Unread)),
            }
        }
        Ok(placement)
    }

    fn place_in_turn(
        &mut self,
        property: &PropertyId,
        wanted: &[Wanted],
        stays: &[usize],
        placement: &mut Placement,
    ) -> Result<(), AllocationError> {
        for index in stays {
            let grid = self.grid(property).ok_or(AllocationError::UnknownType)?;
            let Wanted { requested, present } = &wanted[*index];
            let beds = allocate_keeping(grid, requested, present)?;
            let span = grid.span(requested.nights()).ok_or(AllocationError::OutsideHorizon)?;
            beds.iter().for_each(|bed| self.journal.take(property, *bed, &span));
            placement.beds[*index] = beds;
        }
        Ok(())
    }

    /// Reassigns stays that are not pinned, as few as possible, so that all of `stays` fit.
    fn reshuffle(
        &mut self,
        property: &PropertyId,
        own: BookingId,
        room_type: &RoomTypeId,
        wanted: &[Wanted],
        stays: &[usize],
        placement: &mut Placement,
    ) -> Result<(), NotSellable> {
        if !self.known.fresh.contains(property) {
            self.missing.grids.insert(property.clone());
            return Err(NotSellable::Unread);
        }
        let full = NotSellable::from(Rejection::NoAvailability);
        let Some(grid) = self.grid(property) else { return Err(full) };
        let Some(pool) = UnitPool::empty(grid, room_type) else { return Err(full) };
        let requested: Vec<(usize, Span, usize)> = stays
            .iter()
            .filter_map(|index| {
                let requested = &wanted[*index].requested;
                Some((*index, grid.span(requested.nights())?, usize::try_from(requested.guests).ok()?))
            })
            .collect();
        let kind = grid.beds_of(room_type).map_or(RoomKind::Dorm, |layout| layout.kind);
        if !pool.clone_with(&requested, kind).problem.has_room() {
            return Err(full);
        }
        let mut solved = None;
        let spans: Vec<Span> = requested.iter().map(|(_, span, _)| *span).collect();
        for nights in reach(grid, &pool.problem.fixed, &spans) {
            let known = self.known.occupied.get(property);
            if !known.is_some_and(|known| known.arrival <= nights.arrival && nights.departure <= known.departure) {
                self.missing.occupants.insert(property.clone(), widened(known, nights));
                return Err(NotSellable::Unread);
            }
            let mut pool = self.with_movables(pool.clone(), property, own, room_type, nights);
            let items = pool.add(&requested, kind);
            if let Some(seats) = pool.problem.solve() {
                solved = Some((pool, items, seats));
                break;
            }
        }
        let Some((pool, items, seats)) = solved else { return Err(full) };
        let beds_of =
            |items: &[usize]| items.iter().flat_map(|item| pool.units[seats[*item]].clone()).collect::<Vec<usize>>();
        for ((index, ..), items) in requested.iter().zip(&items) {
            placement.beds[*index] = beds_of(items);
        }
        let moved: Vec<(&Movable, Vec<usize>)> = pool
            .movables
            .iter()
            .filter(|movable| pool.is_moved(movable, &seats))
            .map(|movable| (movable, beds_of(&movable.items)))
            .collect();
        // All beds are released before any is claimed, because stays may swap beds.
        for (movable, _) in &moved {
            for item in &movable.items {
                let Item { span, home, .. } = pool.problem.items[*item];
                home.into_iter()
                    .flat_map(|home| &pool.units[home])
                    .for_each(|bed| self.journal.free(property, *bed, &span));
            }
        }
        for (movable, beds) in moved {
            let span = movable.items.first().map(|item| pool.problem.items[*item].span);
            span.iter().for_each(|span| beds.iter().for_each(|bed| self.journal.take(property, *bed, span)));
            placement.moves.push((movable.booking, movable.stay, beds));
        }
        for (index, span, _) in &requested {
            placement.beds[*index].iter().for_each(|bed| self.journal.take(property, *bed, span));
        }
        Ok(())
    }

    /// Adds the stays that may be reassigned, and removes them from what is fixed.
    fn with_movables(
        &self,
        mut pool: UnitPool,
        property: &PropertyId,
        own: BookingId,
        room_type: &RoomTypeId,
        nights: Nights,
    ) -> UnitPool {
        let Some(grid) = self.grid(property) else { return pool };
        let kind = grid.beds_of(room_type).map_or(RoomKind::Dorm, |layout| layout.kind);
        let unit_of = unit_of(&pool.units);
        let meets = |stay: &Stay| {
            stay.room_type_id == *room_type
                && stay.arrival < nights.departure
                && nights.arrival < stay.departure
                && is_movable(stay)
        };
        let candidate = |booking: &&Booking| {
            booking.status.allows_reassignment()
                && booking.pending_change.is_none()
                && booking.id != own
                && booking.property_id == *property
                && booking.stays.iter().any(meets)
        };
        let stored =
            self.known.bookings.values().filter(candidate).filter(|booking| !self.bookings.contains_key(&booking.id));
        let mut bookings: Vec<&Booking> = self.bookings.values().filter(candidate).chain(stored).collect();
        // The order of a map is arbitrary; a decision must be deterministic.
        bookings.sort_unstable_by_key(|booking| booking.id);
        for booking in bookings.into_iter().filter(|booking| booking.rev < super::MAX_REVISIONS) {
            for (index, stay) in booking.stays.iter().enumerate().filter(|(_, stay)| meets(stay)) {
                let Some(span) = grid.span(stay.nights()) else { continue };
                let numbers: Option<Vec<usize>> = stay.assigned_beds.iter().map(|bed| grid.bed_number(bed)).collect();
                let Some(homes) = numbers.and_then(|beds| homes(&beds, &pool.units, &unit_of, kind)) else { continue };
                // A grid that does not show the stay in its beds contradicts the booking; the stay is left alone.
                if homes.iter().any(|home| pool.units[*home].iter().any(|bed| !all_taken(grid.row(*bed), &span))) {
                    continue;
                }
                let beds =
                    if kind == RoomKind::Private { usize::try_from(stay.guests).unwrap_or(usize::MAX) } else { 1 };
                let first = pool.problem.items.len();
                for home in homes {
                    pool.problem.fixed[home].free(&span);
                    pool.problem.items.push(Item { span, beds, home: Some(home) });
                }
                pool.movables.push(Movable {
                    booking: booking.id,
                    stay: index,
                    items: (first..pool.problem.items.len()).collect(),
                });
            }
        }
        pool
    }

    /// Applies the reassignments of a placement to the bookings, one revision each; returns their ids.
    pub(super) fn reassign_others(&mut self, property: &PropertyId, moves: Moves, command_id: Uuid) -> Vec<BookingId> {
        let mut by_booking: BTreeMap<BookingId, Vec<(usize, Vec<BedId>)>> = BTreeMap::new();
        for (booking, stay, beds) in moves {
            by_booking.entry(booking).or_default().push((stay, self.bed_ids(property, &beds)));
        }
        let moved: Vec<BookingId> = by_booking.keys().copied().collect();
        for (id, stays) in by_booking {
            let Some(mut booking) = self.booking(id).cloned() else { continue };
            for (index, beds) in stays {
                if let Some(stay) = booking.stays.get_mut(index) {
                    stay.assigned_beds = beds;
                }
            }
            let status = booking.status;
            let revision =
                Revision { action: Action::Move, command_id, actor: Actor::SYSTEM, reason: None, moved: Vec::new() };
            let event = self.advance(booking, status, revision);
            self.consequences.push((self.current, event));
        }
        moved
    }

    pub(super) fn bed_ids(&self, property: &PropertyId, beds: &[usize]) -> Vec<BedId> {
        let Some(grid) = self.grid(property) else { return Vec::new() };
        beds.iter().map(|bed| grid.bed_id(*bed).clone()).collect()
    }

    /// Releases the beds of these stays from `from` on, as far as the grid extends.
    pub(super) fn release_beds(&mut self, property: &PropertyId, stays: &[Stay], from: NaiveDate) {
        self.journal.adopt(property, self.known.grids.get(property));
        let Some(grid) = self.grid(property) else { return };
        let mut freed: Vec<(usize, Span)> = Vec::new();
        for stay in stays {
            let mut begin = stay.arrival;
            let parts = stay
                .earlier_beds
                .iter()
                .map(|earlier| (earlier.until, &earlier.beds))
                .chain([(stay.departure, &stay.assigned_beds)]);
            for (until, beds) in parts {
                let span = grid.clipped_span(Nights::new(begin.max(from), until.min(stay.departure)));
                freed.extend(
                    span.iter().flat_map(|span| beds.iter().filter_map(|bed| Some((grid.bed_number(bed)?, *span)))),
                );
                begin = until;
            }
        }
        freed.iter().for_each(|(bed, span)| self.journal.free(property, *bed, span));
    }
}

/// Whether the stay may be reassigned: not pinned, and in the same beds on every night.
fn is_movable(stay: &Stay) -> bool {
    !stay.locked && stay.earlier_beds.is_empty() && !stay.assigned_beds.is_empty()
}

fn all_taken(row: &Row, span: &Span) -> bool {
    (span.first()..span.end()).all(|night| row.taken(night))
}

fn widened(known: Option<&Nights>, wanted: Nights) -> Nights {
    known.map_or(wanted, |known| Nights::new(known.arrival.min(wanted.arrival), known.departure.max(wanted.departure)))
}

impl UnitPool {
    /// The units of a room type, with every claim counted as fixed.
    fn empty(grid: &OccupancyGrid, room_type: &RoomTypeId) -> Option<Self> {
        let units = grid.beds_of(room_type)?.units();
        let problem = ReshuffleProblem::of_units(grid, &units);
        Some(Self { problem, units, movables: Vec::new() })
    }

    /// Adds the stays to place; returns the items of each.
    fn add(&mut self, requested: &[(usize, Span, usize)], kind: RoomKind) -> Vec<Vec<usize>> {
        let mut all = Vec::with_capacity(requested.len());
        for (_, span, guests) in requested {
            let (count, beds) = if kind == RoomKind::Private { (1, *guests) } else { (*guests, 1) };
            let first = self.problem.items.len();
            self.problem.items.extend(std::iter::repeat_n(Item { span: *span, beds, home: None }, count));
            all.push((first..self.problem.items.len()).collect());
        }
        all
    }

    fn clone_with(&self, requested: &[(usize, Span, usize)], kind: RoomKind) -> Self {
        let mut pool = Self { problem: self.problem.clone(), units: Vec::new(), movables: Vec::new() };
        pool.add(requested, kind);
        pool
    }

    /// Whether a stay ends up in other units than before; guests of one stay who swap beds are not moved.
    fn is_moved(&self, movable: &Movable, seats: &[usize]) -> bool {
        let mut homes: Vec<Option<usize>> = movable.items.iter().map(|item| self.problem.items[*item].home).collect();
        let mut now: Vec<Option<usize>> = movable.items.iter().map(|item| Some(seats[*item])).collect();
        homes.sort_unstable();
        now.sort_unstable();
        homes != now
    }
}
