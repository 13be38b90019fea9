//! Placement: beds for the stays of one booking, with other stays reassigned where that is needed.

use super::{Decider, NotSellable, Revision};
use crate::actor::Actor;
use crate::allocation::neighbourhood::{homes, reach, unit_of};
use crate::allocation::problem::{Item, ReshuffleProblem};
use crate::allocation::{AllocationError, allocate_keeping};
use crate::booking::{Action, Booking, RefusalCause, Rejection, Shortage, Stay, StayRequest};
use crate::grid::{OccupancyGrid, Row, Span};
use crate::ids::{BedId, BookingId, PropertyId, RoomTypeId};
use crate::inventory::RoomKind;
use crate::nights::Nights;
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// A stay to place.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The request; its nights are those that need beds.
    pub(super) requested: StayRequest,
    /// Beds to keep where possible, by number.
    pub(super) present: Vec<usize>,
    /// Whether it must be in exactly these beds; then stays that may be reassigned give way.
    pub(super) exact: bool,
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
    /// The present unit of each item.
    homes: Vec<usize>,
}

/// Stays to place in a reshuffle, each by its index.
struct Demand {
    kind: RoomKind,
    /// Nights and guests.
    open: Vec<(usize, Span, usize)>,
    /// Nights and units of those that must be in certain beds.
    exact: Vec<(usize, Span, Vec<usize>)>,
}

impl Demand {
    /// `None` when a stay must be in beds that are not whole units of this type.
    fn of(grid: &OccupancyGrid, kind: RoomKind, units: &[Vec<usize>], stays: &[usize], all: &[Wanted]) -> Option<Self> {
        let unit_of = if stays.iter().any(|index| all[*index].exact) { unit_of(units) } else { HashMap::new() };
        let mut demand = Self { kind, open: Vec::new(), exact: Vec::new() };
        for index in stays {
            let Wanted { requested, present, exact } = all.get(*index)?;
            let span = grid.span(requested.nights())?;
            if *exact {
                demand.exact.push((*index, span, homes(present, units, &unit_of, kind)?));
            } else {
                demand.open.push((*index, span, usize::try_from(requested.guests).ok()?));
            }
        }
        Some(demand)
    }

    fn spans(&self) -> Vec<Span> {
        let exact = self.exact.iter().map(|(_, span, _)| *span);
        self.open.iter().map(|(_, span, _)| *span).chain(exact).collect()
    }
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

    /// As [`Self::place`]; where there are no beds, the refusal names the nights that lack them.
    pub(super) fn place_or_name(
        &mut self,
        property: &PropertyId,
        own: BookingId,
        wanted: &[Wanted],
    ) -> Result<Placement, NotSellable> {
        self.place(property, own, wanted).map_err(|none| match none {
            NotSellable::Rejected(Rejection::NoAvailability, _) => {
                NotSellable::Rejected(Rejection::NoAvailability, self.shortages(property, wanted))
            }
            other => other,
        })
    }

    /// The nights that lack beds for these stays, which have none.
    pub(super) fn shortages(&self, property: &PropertyId, wanted: &[Wanted]) -> RefusalCause {
        RefusalCause::short_of(self.grid(property).map_or_else(Vec::new, |grid| shortages(grid, wanted)))
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
        for (room_type, mut stays) in types {
            // Certain beds are taken before others are chosen.
            stays.sort_by_key(|index| !wanted[*index].exact);
            let mark = self.journal.mark();
            match self.place_in_turn(property, own, wanted, &stays, &mut placement) {
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
        own: BookingId,
        wanted: &[Wanted],
        stays: &[usize],
        placement: &mut Placement,
    ) -> Result<(), AllocationError> {
        let today = self.today(property);
        let (ready, mut unready_today) = (BTreeMap::new(), None);
        for index in stays {
            let grid = self.grid(property).ok_or(AllocationError::UnknownType)?;
            let Wanted { requested, present, exact } = &wanted[*index];
            let beds = if *exact {
                present.clone()
            } else {
                // Guests of tonight are perhaps at the desk; by any other night the beds are empty and clean. No stay
                // of this loop takes a bed on the night before, so that what was found for one is true for all.
                let unready = if requested.arrival == today {
                    &*unready_today.get_or_insert_with(|| self.unready_beds(property, own))
                } else {
                    &ready
                };
                allocate_keeping(grid, requested, present, unready)?
            };
            let span = grid.span(requested.nights()).ok_or(AllocationError::OutsideHorizon)?;
            if *exact && !beds.iter().all(|bed| grid.is_free(*bed, &span)) {
                return Err(AllocationError::Taken);
            }
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
        // Whichever bookings would have to move: a full property is found full before anything is prepared.
        if !short_nights(grid, room_type, stays.iter().map(|index| &wanted[*index])).is_empty() {
            return Err(full);
        }
        let Some(pool) = UnitPool::empty(grid, room_type) else { return Err(full) };
        let kind = grid.beds_of(room_type).map_or(RoomKind::Dorm, |layout| layout.kind);
        let Some(demand) = Demand::of(grid, kind, &pool.units, stays, wanted) else { return Err(full) };
        let mut solved = None;
        for nights in reach(grid, &pool.problem.fixed, &demand.spans()) {
            let known = self.known.occupied.get(property);
            if !known.is_some_and(|known| known.arrival <= nights.arrival && nights.departure <= known.departure) {
                self.missing.occupants.insert(property.clone(), widened(known, nights));
                return Err(NotSellable::Unread);
            }
            let mut pool = self.with_movables(pool.clone(), property, own, room_type, nights);
            let Some(items) = pool.add(&demand) else { continue };
            if let Some(seats) = pool.problem.solve() {
                solved = Some((pool, items, seats));
                break;
            }
        }
        let Some((pool, items, seats)) = solved else { return Err(full) };
        let beds_of =
            |items: &[usize]| items.iter().flat_map(|item| pool.units[seats[*item]].clone()).collect::<Vec<usize>>();
        for ((index, ..), items) in demand.open.iter().zip(&items) {
            placement.beds[*index] = beds_of(items);
        }
        for (index, ..) in &demand.exact {
            placement.beds[*index].clone_from(&wanted[*index].present);
        }
        let moved: Vec<(&Movable, Vec<usize>)> = pool
            .movables
            .iter()
            .filter(|movable| movable.is_moved(&seats))
            .map(|movable| (movable, beds_of(&movable.items)))
            .collect();
        // All beds are released before any is claimed, because stays may swap beds.
        for (movable, _) in &moved {
            for (item, home) in movable.items.iter().zip(&movable.homes) {
                let span = pool.problem.items[*item].span;
                pool.units[*home].iter().for_each(|bed| self.journal.free(property, *bed, &span));
            }
        }
        for (movable, beds) in moved {
            let span = movable.items.first().map(|item| pool.problem.items[*item].span);
            span.iter().for_each(|span| beds.iter().for_each(|bed| self.journal.take(property, *bed, span)));
            placement.moves.push((movable.booking, movable.stay, beds));
        }
        let placed = demand.open.iter().map(|(index, span, _)| (index, span));
        for (index, span) in placed.chain(demand.exact.iter().map(|(index, span, _)| (index, span))) {
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
        // What excludes most at the lowest cost comes first: a property has thousands of bookings.
        let meets = |stay: &Stay| {
            stay.arrival < nights.departure
                && nights.arrival < stay.departure
                && is_movable(stay)
                && stay.room_type_id == *room_type
        };
        let candidate = |booking: &&Booking| {
            booking.status.allows_reassignment()
                && booking.stays.iter().any(meets)
                && booking.pending_change.is_none()
                && booking.id != own
                && booking.property_id == *property
        };
        let stored =
            self.known.bookings.values().filter(candidate).filter(|booking| !self.bookings.contains_key(&booking.id));
        let mut bookings: Vec<&Booking> = self.bookings.values().filter(candidate).chain(stored).collect();
        // The order of a map is arbitrary; a decision must be deterministic.
        bookings.sort_unstable_by_key(|booking| booking.id);
        for booking in bookings.into_iter().filter(|booking| booking.rev < super::MAX_SHARED_REVISIONS) {
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
                for home in &homes {
                    pool.problem.fixed[*home].free(&span);
                    pool.problem.items.push(Item { span, beds, home: Some(*home) });
                }
                pool.movables.push(Movable {
                    booking: booking.id,
                    stay: index,
                    items: (first..pool.problem.items.len()).collect(),
                    homes,
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
            let revision = Revision::by(Action::Move, command_id, Actor::SYSTEM);
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
            for (nights, beds) in stay.parts() {
                let span = grid.clipped_span(Nights::new(nights.arrival.max(from), nights.departure));
                freed.extend(
                    span.iter().flat_map(|span| beds.iter().filter_map(|bed| Some((grid.bed_number(bed)?, *span)))),
                );
            }
        }
        freed.iter().for_each(|(bed, span)| self.journal.free(property, *bed, span));
    }
}

/// The nights on which the free units of a room type are fewer than these stays need. When no night is short, no units
/// are free throughout: then every night is named.
fn shortages(grid: &OccupancyGrid, wanted: &[Wanted]) -> Vec<Shortage> {
    let mut by_type: BTreeMap<&RoomTypeId, Vec<&Wanted>> = BTreeMap::new();
    for one in wanted {
        by_type.entry(&one.requested.room_type_id).or_default().push(one);
    }
    let named = |nights_of: &dyn Fn(&RoomTypeId, &[&Wanted]) -> Vec<NaiveDate>| {
        let of_types = by_type.iter().map(|(room_type, stays)| Shortage {
            room_type_id: (*room_type).clone(),
            nights: nights_of(room_type, stays),
        });
        of_types.filter(|shortage| !shortage.nights.is_empty()).collect::<Vec<_>>()
    };
    let short = named(&|room_type, stays| short_nights(grid, room_type, stays.iter().copied()));
    if short.is_empty() {
        let all =
            |stays: &[&Wanted]| stays.iter().flat_map(|one| one.requested.nights().iter()).collect::<BTreeSet<_>>();
        return named(&|_, stays| all(stays).into_iter().collect());
    }
    short
}

/// The nights on which fewer units of the room type are free than these stays of it need together.
fn short_nights<'a>(
    grid: &OccupancyGrid,
    room_type: &RoomTypeId,
    stays: impl Iterator<Item = &'a Wanted>,
) -> Vec<NaiveDate> {
    let layout = grid.beds_of(room_type);
    let mut needed: BTreeMap<NaiveDate, usize> = BTreeMap::new();
    for Wanted { requested, .. } in stays {
        let units = match layout.map(|layout| layout.kind) {
            Some(RoomKind::Private) => 1,
            _ => usize::try_from(requested.guests).unwrap_or(usize::MAX),
        };
        requested.nights().iter().for_each(|night| *needed.entry(night).or_default() += units);
    }
    let free_on = |night: NaiveDate| {
        let span = night.succ_opt().and_then(|next| grid.span(Nights::new(night, next)));
        let (Some(layout), Some(span)) = (layout, span) else { return 0 };
        layout.count_units(|bed| grid.is_free(bed, &span))
    };
    needed.into_iter().filter(|(night, units)| free_on(*night) < *units).map(|(night, _)| night).collect()
}

/// Whether the stay may be reassigned: not pinned, and in the same beds on every night.
fn is_movable(stay: &Stay) -> bool {
    !stay.locked && stay.earlier_beds.is_empty() && !stay.assigned_beds.is_empty()
}

fn all_taken(row: &Row, span: &Span) -> bool {
    (span.first()..span.end()).all(|night| row.taken(night))
}

/// The known nights, widened by the wanted ones.
pub(super) fn widened(known: Option<&Nights>, wanted: Nights) -> Nights {
    known.map_or(wanted, |known| Nights::new(known.arrival.min(wanted.arrival), known.departure.max(wanted.departure)))
}

impl UnitPool {
    /// The units of a room type, with every claim counted as fixed.
    fn empty(grid: &OccupancyGrid, room_type: &RoomTypeId) -> Option<Self> {
        let units = grid.beds_of(room_type)?.units();
        let problem = ReshuffleProblem::of_units(grid, &units);
        Some(Self { problem, units, movables: Vec::new() })
    }

    /// Adds the stays to place; returns the items of each open one. `None` when a bed that must be free is not.
    fn add(&mut self, demand: &Demand) -> Option<Vec<Vec<usize>>> {
        for (_, span, units) in &demand.exact {
            for unit in units {
                if self.problem.fixed[*unit].overlaps(span) {
                    return None;
                }
                self.problem.fixed[*unit].take(span);
            }
        }
        self.problem.evict();
        let mut all = Vec::with_capacity(demand.open.len());
        for (_, span, guests) in &demand.open {
            let (count, beds) = if demand.kind == RoomKind::Private { (1, *guests) } else { (*guests, 1) };
            let first = self.problem.items.len();
            self.problem.items.extend(std::iter::repeat_n(Item { span: *span, beds, home: None }, count));
            all.push((first..self.problem.items.len()).collect());
        }
        Some(all)
    }
}

impl Movable {
    /// Whether the stay ends up in other units than before; guests of one stay who swap beds are not moved.
    fn is_moved(&self, seats: &[usize]) -> bool {
        let mut homes = self.homes.clone();
        let mut now: Vec<usize> = self.items.iter().map(|item| seats[*item]).collect();
        homes.sort_unstable();
        now.sort_unstable();
        homes != now
    }
}
